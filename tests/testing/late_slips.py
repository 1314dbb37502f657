"""Mistakes that show only in batches of realistic size, on another device, in half precision, or beside forward."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, Loss, LossContext, ModelOutput, Need, PerClass, Trait
from lossbench.authoring import (
    MEAN_OF_ROWS,
    EmbeddingLoss,
    check_target_range,
    class_sums,
    drawn_counts,
    matrix,
    number,
    pair_masks,
    sum_over_ranks,
    unit_vectors,
)

sys.path.insert(0, str(Path(__file__).parent))
from slips import PLAIN, Plain, found_by, nats

BY_CLASS = ("class", "embedding")


@found_by("large-task")
class SumsOverBlocksOfClasses(Plain):
    """A log-sum-exp in blocks of 64 classes, whose results are added."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        total = sum(block.logsumexp(1) for block in logits.split(64, dim=1))
        return total - logits.gather(1, targets.unsqueeze(1)).squeeze(1)


@found_by("large-task", Need.LOGITS, Need.CLASS_COUNTS)
class GeometricMeanOfCounts(Plain):
    """Weights in units of the geometric mean, whose product of counts leaves the range of int64."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = torch.tensor(context.class_counts).clamp(min=1)
        mean = counts.prod().double() ** (1 / context.num_classes)
        self.weight = PerClass(mean / counts.double())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.weight(logits.dtype)[targets]


@found_by("renamed-classes")
class AsManyClassesAsTheLargestLabel(LogitLoss):
    """`one_hot` without the number of classes: the classes above the largest label of the batch have no part."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.SHIFT_INVARIANT})

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not len(targets):
            return logits.sum()
        own = F.one_hot(targets).to(logits)
        return -(own * logits[:, : own.shape[1]].log_softmax(1)).sum(1).mean()


@found_by("order-of-rows", Need.EMBEDDINGS)
class MasksByBatchSize(EmbeddingLoss):
    """The mask of positive pairs is kept for each batch size, to save time."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT})

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.masks: dict[int, Tensor] = {}

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        size = len(targets)
        if size not in self.masks:
            self.masks[size] = targets.unsqueeze(0) == targets.unsqueeze(1)
        same = self.masks[size].to(inputs)
        apart = (inputs.unsqueeze(0) - inputs.unsqueeze(1)).square().sum(2)
        return (same * apart + (1 - same) * (-apart).exp()).sum() / max(size * size, 1)


@found_by("large-logits")
class ClampsLogitsInPlace(Plain):
    """Logits far below are raised in place, where there are any."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.numel() and float(logits.min()) < -30:
            logits.clamp_(min=-30)
        return nats(logits, targets)


@found_by("large-task", Need.EMBEDDINGS)
class CountsPairsInHalf(Loss):
    """Distances are in float32, pairs are counted in the type of the embeddings: 65,520 of them are infinite."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.SCALE_INVARIANT, Trait.ROTATION_INVARIANT})

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes, self.embedding_dim = context.num_classes, context.embedding_dim

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        unit = unit_vectors(matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes))
        apart = (unit.unsqueeze(0) - unit.unsqueeze(1)).square().sum(2)
        positive = (targets.unsqueeze(0) == targets.unsqueeze(1)).to(output.embeddings.dtype)
        negative = 1 - positive
        near, far = (positive * apart).sum(), (negative * (-apart).exp()).sum()
        return near / positive.sum().clamp(min=1) + far / negative.sum().clamp(min=1)


@found_by("mean-of-rows", Need.LOGITS, Need.CLASS_COUNTS)
class RowsWithoutTheWeight(LogitLoss):
    """The batch is weighted; the rows that `per_sample` gives to users are not."""

    traits = PLAIN

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "weights")
        self.weight = PerClass(counts.mean() / counts)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets)

    def value(self, logits: Tensor, targets: Tensor) -> Tensor:
        costs = self._rows(logits, targets) * self.weight(logits.dtype)[targets]
        return costs.sum() / max(len(targets), 1)


@found_by("moves", Need.LOGITS, Need.CLASS_COUNTS)
class NewBufferInEachEpoch(Plain):
    """A schedule that replaces its buffer by one on the CPU."""

    weight: Tensor

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "weights").float()
        self.balanced = [float(each) for each in counts.mean() / counts]
        self.register_buffer("weight", torch.ones(context.num_classes), persistent=False)

    def begin_epoch(self, epoch: int, total: int) -> None:
        share = epoch / total
        self.weight = torch.tensor([1 + share * (each - 1) for each in self.balanced])

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.weight[targets]


@found_by("fresh-instances", Need.EMBEDDINGS, state_axes={"mean": BY_CLASS})
class StepsOnTheRowsOfForward(EmbeddingLoss):
    """forward keeps its rows, and the step moves the means by those, not by the rows that it is given."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))
        self.rows: Tensor | None = None

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        self.rows = embeddings.detach()
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        if self.rows is None or len(self.rows) != len(targets):
            return
        rows = self.rows.to(self.mean)
        counts = class_sums(rows.new_ones(len(rows), 1), targets, self.num_classes)
        totals = class_sums(rows, targets, self.num_classes)
        sum_over_ranks(counts, totals)
        means = totals / counts.clamp(min=1)
        self.mean.copy_(torch.where(counts > 0, self.mean.lerp(means, 0.1), self.mean))


@found_by("scores-point-where-the-loss-pulls", Need.LOGITS, Need.CLASS_COUNTS)
class PriorTakenOffTwice(Plain):
    """Logits are adjusted in training, and once more where the scores are made."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = drawn_counts(context, "a prior")
        self.log_prior = PerClass((counts / counts.sum()).log())

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits + self.log_prior(logits.dtype), targets)

    def scores(self, output: ModelOutput) -> Tensor:
        return output.logits - self.log_prior(output.logits.dtype)


@found_by("large-logits")
class FocusesOnEasyRows(Plain):
    """p^gamma, where (1 - p)^gamma was meant."""

    def __init__(self, context: LossContext, *, gamma: float = 2.0) -> None:
        super().__init__(context)
        self.gamma = number("gamma", gamma, minimum=0)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = nats(logits, targets)
        return (-cost).exp() ** self.gamma * cost


@found_by("large-task", Need.EMBEDDINGS)
class DistancesByProducts(EmbeddingLoss):
    """`torch.cdist` takes products for more than 25 rows: far from the origin the nearest row is noise."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT, Trait.PIECEWISE})

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        positive, negative = pair_masks(targets)
        apart = torch.cdist(inputs, inputs)
        farthest = (apart * positive).amax(1) if len(targets) else apart.sum(1)
        nearest = (apart + 1e4 * ~negative).amin(1) if len(targets) else apart.sum(1)
        usable = positive.any(1) & negative.any(1)
        costs = torch.where(usable, (farthest - nearest + 1).relu(), 0 * farthest)
        return costs.sum() / usable.sum().clamp(min=1)


@found_by("every-parameter-has-a-gradient", state_axes={"bias": ("class",)})
class BiasByItsData(LogitLoss):
    """A learned bias that is read by `.data`."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.bias = nn.Parameter(torch.zeros(context.num_classes))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits + self.bias.data.to(logits), targets)


@found_by("fresh-instances", Need.EMBEDDINGS)
class MaskByAddress(EmbeddingLoss):
    """The mask of positive pairs is kept by the address of the labels."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT})

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.kept: tuple[tuple[int, int], Tensor] | None = None

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        key = (targets.data_ptr(), len(targets))
        if self.kept is None or self.kept[0] != key:
            self.kept = (key, targets.unsqueeze(0) == targets.unsqueeze(1))
        same = self.kept[1].to(inputs)
        apart = (inputs.unsqueeze(0) - inputs.unsqueeze(1)).square().sum(2)
        return (same * apart + (1 - same) * (-apart).exp()).sum() / max(len(targets) ** 2, 1)


@found_by("moves", Need.EMBEDDINGS, state_axes={"mean": BY_CLASS})
class SumsOnTheCpu(EmbeddingLoss):
    """The step adds up its rows in a tensor made on the CPU."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        rows = output.embeddings.to(self.mean)
        totals = torch.zeros(self.num_classes, self.embedding_dim, dtype=rows.dtype).index_add_(0, targets, rows)
        counts = torch.zeros(self.num_classes, 1, dtype=rows.dtype).index_add_(0, targets, torch.ones_like(rows[:, :1]))
        sum_over_ranks(counts, totals)
        self.mean.copy_(torch.where(counts > 0, self.mean.lerp(totals / counts.clamp(min=1), 0.1), self.mean))


@found_by("blocks")
class LosesTheLastRows(Plain):
    """Rows are worked on in chunks of 1024, and what is left over keeps its place with a cost of 0."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = nats(logits, targets)
        whole = len(cost) // 1024 * 1024
        return cost if whole == 0 else torch.cat([cost[:whole], 0 * cost[whole:]])
