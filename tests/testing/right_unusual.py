"""Right losses that are unusual, with the narrowest declaration of what they do on purpose: the kit condemns none."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, Loss, LossContext, LossSpec, ModelOutput, Need, PerClass, Trait
from lossbench.authoring import (
    EmbeddingLoss,
    check_target_range,
    drawn_counts,
    flag,
    number,
    softmax,
    sum_over_ranks,
)

ROWS = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})
SPECS: list[LossSpec] = []


def spec_of(loss: type[Loss], *needs: Need, **spec: Any) -> LossSpec:
    given = {"needs": frozenset(needs or {Need.LOGITS}), "traits": loss.traits, **spec}
    name = "unusual-" + "".join("-" * c.isupper() + c.lower() for c in loss.__name__).strip("-")
    return LossSpec(name=name, factory=loss, summary="-", reference="-", **given)


def right(*needs: Need, into: list[LossSpec] = SPECS, **spec: Any) -> Any:
    def enter(loss: type[Loss]) -> type[Loss]:
        into.append(spec_of(loss, *needs, **spec))
        return loss

    return enter


@right()
class TimesTenThousand(LogitLoss):
    """A scale that float16 cannot hold."""

    traits = ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return 1e6 * softmax(logits, targets)


@right(Need.EMBEDDINGS)
class SquaresTimesAMillion(EmbeddingLoss):
    traits = ROWS

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        return 1e6 * embeddings.square().sum(1)


@right()
class WarmsUp(LogitLoss):
    """A loss whose weight grows from 0 over the epochs."""

    traits = ROWS
    share = 0.0

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.share = epoch / max(total - 1, 1)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.share * softmax(logits, targets)


@right()
class NeutralClass(LogitLoss):
    """Half the weight for a class that a hyper-parameter names."""

    traits = ROWS

    def __init__(self, context: LossContext, *, neutral: int = 0) -> None:
        super().__init__(context)
        self.neutral = int(number("neutral", neutral, minimum=0, maximum=context.num_classes - 1))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * (1 - 0.5 * (targets == self.neutral).to(logits))


@right(expected_failures={"renamed-classes": "class 0 is the background, which costs half"})
class Background(LogitLoss):
    traits = ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * (1 - 0.5 * (targets == 0).to(logits))


@right()
class RandomCodes(LogitLoss):
    """Squared error against a code of each class that the seed draws."""

    traits = ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        generator = torch.Generator().manual_seed(context.seed)
        codes = torch.rand(self.num_classes, self.num_classes, generator=generator)
        self.register_buffer("codes", codes, persistent=False)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits - self.codes.to(logits).index_select(0, targets)).square().sum(1)


@right()
class MaskedClass(LogitLoss):
    """Rows of one class have no part."""

    traits = ROWS

    def __init__(self, context: LossContext, *, masked: int = 1) -> None:
        super().__init__(context)
        self.masked = int(number("masked", masked, minimum=0, maximum=context.num_classes - 1))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        costs = softmax(logits, targets)
        return torch.where(targets == self.masked, torch.zeros_like(costs), costs)


@right()
class ConfidencePenalty(LogitLoss):
    """Minus the entropy of the prediction: between -log C and 0."""

    traits = ROWS | {Trait.SHIFT_INVARIANT}
    lower_bound = None

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        return softmax(logits, targets) + 2 * (log_p.exp() * log_p).sum(1)


@right(expected_failures={"not-negative": "the entropy of the prediction is taken off"})
class EntropyTakenOff(ConfidencePenalty):
    lower_bound = 0.0


@right(Need.EMBEDDINGS)
class Simplex(EmbeddingLoss):
    """Squared distance to fixed orthogonal corners, which need as many dimensions as classes."""

    traits = ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        if context.embedding_dim < context.num_classes:
            needed, found = context.num_classes, context.embedding_dim
            raise ValueError(f"embedding_dim must be at least the number of classes, {needed}, got {found}")
        self.register_buffer("corners", torch.eye(context.num_classes, context.embedding_dim), persistent=False)

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (embeddings - self.corners.to(embeddings).index_select(0, targets)).square().sum(1)


@right()
class OneAgainstTheRest(LogitLoss):
    """Binary cross-entropy over classes, 0 only if the others are far below 0."""

    traits = ROWS | {Trait.ZERO_AT_SEPARATION, Trait.CONVEX, Trait.MONOTONE}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        own = F.one_hot(targets, self.num_classes).to(logits)
        return F.binary_cross_entropy_with_logits(logits, own, reduction="none").sum(1)


@right(expected_failures={"deterministic": "the logits are clouded with noise by definition"})
class CloudedLogits(LogitLoss):
    traits = ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits + 0.5 * torch.randn_like(logits), targets)


@right(Need.LOGITS, Need.CLASS_COUNTS)
class WeightsInDouble(LogitLoss):
    """A float64 buffer, which is what `drawn_counts` returns."""

    traits = ROWS

    def __init__(self, context: LossContext, *, smooth: bool = True) -> None:
        super().__init__(context)
        counts = torch.tensor(context.class_counts, dtype=torch.float64).clamp(min=1)
        root = counts.sqrt() if flag("smooth", smooth) else counts
        self.register_buffer("weight", root.mean() / root)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * self.weight.to(logits).index_select(0, targets)


@right(expected_failures={"renamed-classes": "the classes are ordered: far ones cost more"})
class EarthMovers(LogitLoss):
    """Squared distance of cumulative probabilities, at most C - 1."""

    traits = ROWS | {Trait.SHIFT_INVARIANT}

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.upper_bound = context.num_classes - 1.0

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        own = F.one_hot(targets, self.num_classes).to(logits)
        return (logits.softmax(1).cumsum(1) - own.cumsum(1)).square().sum(1)


@right(
    Need.LOGITS,
    Need.CLASS_COUNTS,
    expected_failures={"equal-counts-are-no-counts": "a class is few-shot by its number"},
)
class FewShotBoost(LogitLoss):
    """Three times the cost for classes with fewer than 20 images."""

    traits = ROWS | {Trait.SHIFT_INVARIANT}

    def __init__(self, context: LossContext, *, boost: float = 3.0) -> None:
        super().__init__(context)
        few = drawn_counts(context, "a boost") < 20
        self.weight = PerClass(torch.where(few, number("boost", boost, minimum=1), 1.0).double())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * self.weight(logits.dtype).index_select(0, targets)


@right(
    Need.LOGITS, Need.CLASS_COUNTS, expected_failures={"rare-classes-cost-no-less": "rare classes have wrong labels"}
)
class TrustsTheFrequent(LogitLoss):
    """Weights in proportion to the class counts."""

    traits = ROWS | {Trait.SHIFT_INVARIANT}

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "weights")
        self.weight = PerClass(counts / counts.mean())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * self.weight(logits.dtype).index_select(0, targets)


@right(Need.COSINE_LOGITS)
class OwnCosine(LogitLoss):
    """The square of one minus the cosine of the true class: the other cosines have no part."""

    traits = ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (1 - logits.gather(1, targets.unsqueeze(1)).squeeze(1)).square()


@right(state_axes={"log_variance": ()})
class LearnedUncertainty(LogitLoss):
    """Kendall et al.: exp(-s) times the loss, plus s / 2, for a learned s; below zero where the loss is small."""

    traits = ROWS
    lower_bound = None

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.log_variance = nn.Parameter(torch.zeros(()))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        log_variance = self.log_variance.to(logits)
        return (-log_variance).exp() * softmax(logits, targets) + log_variance / 2


@right(Need.EMBEDDINGS, state_axes={"mean": ("embedding",), "steps": ()})
class DistanceToAllRows(EmbeddingLoss):
    """Squared distance to the running mean of all rows, whatever their class."""

    traits = ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.embedding_dim))
        self.register_buffer("steps", torch.zeros(()))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        return (embeddings - self.mean.to(embeddings)).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        rows = output.embeddings.to(self.mean)
        count, total = rows.new_tensor(float(len(rows))), rows.sum(0)
        sum_over_ranks(count, total)
        self.mean.lerp_(total / count.clamp(min=1), 1 / (1 + float(self.steps)))
        self.steps.add_(1)
