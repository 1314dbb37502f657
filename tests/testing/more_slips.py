"""More mistakes that authors of losses make, of the kinds in slips.py, each by another mechanism."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, LoopBatch, LossContext, ModelOutput, Need, PerClass, Trait
from lossbench.authoring import MEAN_OF_ROWS, EmbeddingLoss, class_sums, drawn_counts, sum_over_ranks

# The two processes of `equal-shards` import both files by these names, too.
sys.path.insert(0, str(Path(__file__).parent))
from slips import Plain, Scaled, found_by, nats

# Sizes and scales


@found_by("neighbouring-counts", Need.LOGITS, Need.CLASS_COUNTS)
class CountsInTwoBytes(Plain):
    """A class of 40,000 images gets a negative weight."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = torch.tensor(context.class_counts).clamp(min=1).to(torch.int16).double()
        self.weight = PerClass(counts.mean() / counts)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.weight(logits.dtype)[targets]


@found_by("large-task")
class PlacesInTwoBytes(Plain):
    """Labels are looked up in the flat matrix by a place of 16 bits."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        rows = torch.arange(len(targets), device=targets.device).to(torch.int16)
        places = (rows * logits.shape[1] + targets.to(torch.int16)).long() % logits.numel()
        return -logits.log_softmax(1).flatten().index_select(0, places)


@found_by("large-task", Need.EMBEDDINGS)
class PairsWithinBlocks(EmbeddingLoss):
    """Rows are compared within blocks of 64 rows only."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.LABEL_EQUALITY})

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        total, pairs = 0 * output.embeddings.sum(), 0
        for start in range(0, len(targets), 64):
            rows, labels = output.embeddings[start : start + 64], targets[start : start + 64]
            same = labels[:, None] == labels
            total = total + ((rows[:, None] - rows).square().sum(2) * same).sum()
            pairs += int(same.sum())
        return total / max(pairs, 1)


def loop_over_all(batch: LoopBatch) -> Tensor:
    """Return the softmax cross-entropy, one class at a time."""
    costs = [
        torch.stack([each.exp() for each in row]).sum().log() - row[label]
        for row, label in zip(batch.logits, batch.targets, strict=True)
    ]
    return torch.stack(costs).mean()


@found_by("large-task", loop=loop_over_all)
class TenLargestOnly(Plain):
    """The sum over classes is cut off after the ten largest logits: only a loop tells."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        largest = logits.topk(min(10, logits.shape[1]), dim=1).values
        return largest.logsumexp(1) - logits.gather(1, targets.unsqueeze(1)).squeeze(1)


@found_by("large-logits", Need.COSINE_LOGITS)
class AngleOfOne(LogitLoss):
    """The angle of a cosine of 1 has no derivative."""

    traits = MEAN_OF_ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.gather(1, targets.unsqueeze(1)).squeeze(1).acos()


# Class counts and weights


@found_by("rare-classes-cost-no-less", Need.LOGITS, Need.CLASS_COUNTS)
class PriorTakenOff(Plain):
    """The log prior is subtracted in training, where it should be added."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "a prior")
        self.log_prior = PerClass((counts / counts.sum()).log())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits - self.log_prior(logits.dtype), targets)


@found_by("linear-in-the-weight")
class DividesByItsWeights(Plain):
    """With weights, the mean is over weights; declared is the mean over rows."""

    def __init__(self, context: LossContext, *, weight: Tensor | None = None) -> None:
        super().__init__(context)
        self.weight = weight

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(output.logits)
        return F.cross_entropy(output.logits, targets, weight=weight)


@found_by("linear-in-the-weight")
class WeightInTheProbability(Plain):
    """A focal factor made of the weighted cross-entropy."""

    def __init__(self, context: LossContext, *, class_weights: tuple[float, ...] | None = None) -> None:
        super().__init__(context)
        self.class_weights = class_weights

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        weights = torch.tensor(self.class_weights or [1.0] * self.num_classes).to(logits)
        costs = weights[targets] * nats(logits, targets)
        return (1 - (-costs).exp()) ** 2 * costs


# The contract beside forward


@found_by("epochs")
class KeepsTheFirstTotal(Plain):
    total: int | None = None
    share = 0.0

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.total = self.total or total
        self.share = epoch / self.total

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * (1 + self.share)


@found_by("scores-point-where-the-loss-pulls")
class ScoresOverTheBatch(Plain):
    """A softmax over the rows, where the classes were meant."""

    def scores(self, output: ModelOutput) -> Tensor:
        return output.logits.softmax(dim=0)


# Devices


@found_by("moves", Need.LOGITS, Need.CLASS_COUNTS)
class TensorAsAttribute(Plain):
    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "weights").float()
        self.weight = counts.mean() / counts

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.weight[targets].to(logits)


# Ties


@found_by("subgradient-at-ties")
class EveryBranchAtATie(LogitLoss):
    """At a tie, the slopes of all branches are added."""

    traits = MEAN_OF_ROWS | {Trait.PIECEWISE, Trait.CONVEX}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        gaps = logits - logits.gather(1, targets.unsqueeze(1)) + (1 - F.one_hot(targets, logits.shape[1]))
        worst = gaps.detach().amax(1, keepdim=True)
        reached = (gaps == worst).to(gaps)
        return (reached * (gaps - worst)).sum(1) + worst.squeeze(1)


# Rules of a state, and parameters


class MovingMeans(EmbeddingLoss):
    """Squared distance to a mean of each class."""

    traits = MEAN_OF_ROWS | {Trait.ABSENT_CLASS_STATE_FIXED}

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)


@found_by("state-of-absent-class", Need.EMBEDDINGS, state_axes={"mean": ("class", "embedding")})
class DividesByTheBatch(MovingMeans):
    """The sum over a class is divided by the rows of the batch."""

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        rows = output.embeddings.to(self.mean)
        counts = class_sums(rows.new_ones(len(rows), 1), targets, self.num_classes)
        totals = class_sums(rows, targets, self.num_classes)
        sum_over_ranks(counts, totals)
        self.mean.copy_(torch.where(counts > 0, self.mean.lerp(totals / counts.sum(), 0.1), self.mean))


@found_by("steps-settle", Need.EMBEDDINGS, state_axes={"mean": ("class", "embedding")})
class ForgetsTheUnderscore(MovingMeans):
    """`lerp` where `lerp_` was meant: nothing moves."""

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        for label in targets.unique():
            self.mean[label].lerp(output.embeddings[targets == label].mean(0).to(self.mean), 0.1)


@found_by("parameters-do-not-switch-off", state_axes={"log_scale": ()})
class UncertaintyWithoutItsLog(Scaled):
    """Learned uncertainty, without the term that keeps it small."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * (-2 * self.log_scale).exp()


@found_by("renamed-classes", Need.LOGITS, Need.CLASS_COUNTS, state_axes={"bias": ("class",)})
class StartsFromSortedCounts(Plain):
    """A learned bias that starts from the sorted counts, not from those of the classes."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = torch.tensor(sorted(context.class_counts), dtype=torch.float32).clamp(min=1)
        self.bias = nn.Parameter((counts / counts.sum()).log())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits + self.bias.to(logits), targets)
