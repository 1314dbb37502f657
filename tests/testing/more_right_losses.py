"""More right losses that are unusual: coupled rows, schedules, running state, rows that have no part, odd geometry."""

from __future__ import annotations

import functools
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.authoring import (
    MEAN_OF_ROWS,
    EmbeddingLoss,
    check_target_range,
    class_sums,
    matrix,
    number,
    softmax,
    sum_over_ranks,
    unit_vectors,
)

sys.path.insert(0, str(Path(__file__).parent))
import right_unusual

SPECS: list[LossSpec] = []
COUPLED = frozenset({Trait.BATCH_COUPLED})


right = functools.partial(right_unusual.right, into=SPECS)


@right()
class BrierScore(LogitLoss):
    """Squared error of the probabilities, at most 2."""

    traits = MEAN_OF_ROWS | {Trait.SHIFT_INVARIANT}
    upper_bound = 2.0

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        return (logits.softmax(1) - F.one_hot(targets, self.num_classes)).square().sum(1)


@right()
class PolyOne(LogitLoss):
    """Cross-entropy plus epsilon (1 - p)."""

    traits = MEAN_OF_ROWS | {Trait.SHIFT_INVARIANT, Trait.MONOTONE}

    def __init__(self, context: LossContext, *, epsilon: float = 2.0) -> None:
        super().__init__(context)
        self.epsilon = number("epsilon", epsilon, minimum=0)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = softmax(logits, targets)
        return cost - self.epsilon * torch.expm1(-cost)


@right()
class MeanOverClasses(LogitLoss):
    """The mean over the classes of the batch of the mean of their rows."""

    traits = COUPLED | {Trait.SHIFT_INVARIANT}

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        costs = softmax(logits, targets).unsqueeze(1)
        totals = class_sums(costs, targets, self.num_classes)
        counts = class_sums(torch.ones_like(costs), targets, self.num_classes)
        return (totals / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


@right()
class HardestHalf(LogitLoss):
    """The mean of the dearest half of the rows."""

    traits = COUPLED | {Trait.SHIFT_INVARIANT, Trait.PIECEWISE}

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        costs = softmax(logits, targets)
        kept = max(1, (len(costs) + 1) // 2) if len(costs) else 0
        return costs.topk(kept).values.sum() / max(kept, 1)


@right()
class PairwiseRanking(LogitLoss):
    """Logistic cost of each pair of rows that the scores of a class put in the wrong order."""

    traits = COUPLED

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        own = F.one_hot(targets, self.num_classes).to(logits)
        total, pairs = 0 * logits.sum(), own.new_zeros(())
        for label in targets.unique().tolist():
            mine = own[:, label] > 0
            gaps = logits[mine, label].unsqueeze(1) - logits[~mine, label].unsqueeze(0)
            total, pairs = total + F.softplus(-gaps).sum(), pairs + gaps.numel()
        return total / pairs.clamp(min=1)


@right()
class LogitNorm(LogitLoss):
    """Cross-entropy of logits on a sphere, which jumps at a row of zeros: how large logits are does not matter."""

    traits = MEAN_OF_ROWS | {Trait.PIECEWISE}

    def __init__(self, context: LossContext, *, temperature: float = 0.25) -> None:
        super().__init__(context)
        self.temperature = number("temperature", temperature, above=0)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(unit_vectors(logits) / self.temperature, targets)


@right()
class CoolsDown(LogitLoss):
    """A temperature that falls from 4 to 1."""

    traits = MEAN_OF_ROWS | {Trait.SHIFT_INVARIANT}
    temperature = 4.0

    def begin_epoch(self, epoch: int, total: int) -> None:
        done = epoch / (total - 1) if total > 1 else 1.0
        self.temperature = 1 + 1.5 * (1 + math.cos(math.pi * done))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits / self.temperature, targets)


@right(state_axes={"share": ("class",)})
class RunningPrior(LogitLoss):
    """Logit adjustment by the shares of the classes in the batches seen so far."""

    traits = MEAN_OF_ROWS | {Trait.SHIFT_INVARIANT}
    share: Tensor

    def __init__(self, context: LossContext, *, momentum: float = 0.9) -> None:
        super().__init__(context)
        self.momentum = number("momentum", momentum, minimum=0, maximum=1)
        self.register_buffer("share", torch.full((context.num_classes,), 1 / context.num_classes))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits + (self.share.to(logits) + 1e-3).log(), targets)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        counts = torch.bincount(targets.long(), minlength=self.num_classes).to(self.share)
        sum_over_ranks(counts)
        if float(counts.sum()):
            self.share.lerp_(counts / counts.sum(), 1 - self.momentum)


@right(Need.LOGITS, Need.EMBEDDINGS, state_axes={"radius": ()})
class RingLoss(Loss):
    """Cross-entropy, and the squared distance of each embedding from a sphere of learned radius."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext, *, coefficient: float = 0.1) -> None:
        super().__init__()
        self.num_classes, self.embedding_dim = context.num_classes, context.embedding_dim
        self.coefficient = number("coefficient", coefficient, minimum=0)
        self.radius = nn.Parameter(torch.ones(()))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        logits = matrix("logits", output.logits, targets, self.num_classes, self.num_classes)
        rows = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        check_target_range(targets, self.num_classes)
        length = (unit_vectors(rows) * rows).sum(1)  # of a zero row 0, with the gradient 0
        ring = (length - self.radius.to(rows)).square()
        return (softmax(logits, targets.long()) + self.coefficient * ring).sum() / max(len(targets), 1)


@right(Need.EMBEDDINGS)
class Decorrelation(EmbeddingLoss):
    """The squared covariances of different dimensions, whatever the labels."""

    traits = COUPLED | {Trait.TRANSLATION_INVARIANT}

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        if len(targets) < 2:
            return 0 * inputs.sum()
        centered = inputs - inputs.mean(0)
        covariance = (centered.unsqueeze(2) * centered.unsqueeze(1)).mean(0)
        return (covariance.square().sum() - covariance.diagonal().square().sum()) / inputs.shape[1]


@right(state_axes={"raw": ("class",)})
class TemperatureOfEachClass(LogitLoss):
    """A learned temperature for each class, above one half, with its price."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.raw = nn.Parameter(torch.zeros(context.num_classes))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        temperature = 0.5 + F.softplus(self.raw.to(logits))
        return softmax(logits / temperature, targets) + 0.01 * temperature.index_select(0, targets)


@right(state_axes={"soft": ("class", "class")})
class OnlineLabelSmoothing(LogitLoss):
    """Half of the target is the running mean of what is predicted for the class."""

    traits = MEAN_OF_ROWS | {Trait.SHIFT_INVARIANT}
    soft: Tensor

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("soft", torch.full((context.num_classes,) * 2, 1 / context.num_classes))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        smooth = -(self.soft.to(logits).index_select(0, targets) * logits.log_softmax(1)).sum(1)
        return 0.5 * softmax(logits, targets) + 0.5 * smooth

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        shares = output.logits.to(self.soft).softmax(1)
        counts = class_sums(shares.new_ones(len(shares), 1), targets.long(), self.num_classes)
        totals = class_sums(shares, targets.long(), self.num_classes)
        sum_over_ranks(counts, totals)
        means = totals / counts.clamp(min=1)
        self.soft.copy_(torch.where(counts > 0, self.soft.lerp(means, 0.1), self.soft))


@right()
class ShiftedOneVsRest(LogitLoss):
    """One-vs-rest with easy negatives cut off: a negative class below 5 % has no part."""

    traits = MEAN_OF_ROWS | {Trait.PIECEWISE}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        own = F.one_hot(targets, self.num_classes).to(logits)
        negative = (F.softplus(logits) - math.log(1 / 0.95)).relu()
        return (own * F.softplus(-logits) + (1 - own) * negative).sum(1)
