"""For each law a loss that breaks it, and three small right losses from which they derive.

A breaker differs from its parent by the one mistake that its law is there to find. Where others must find it too,
`also` names them, with the reason beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.losses.arguments import check_target_range, matrix
from lossbench.losses.hyperparameters import number
from lossbench.losses.softmax import NEVER_A_LABEL, SoftmaxLoss
from lossbench.ops.centers import class_statistics, start_or_move, started
from lossbench.ops.triplets import pair_masks, unit_vectors
from lossbench.traits import Homogeneity

# Right losses


class Softmax(Loss):
    """Mean cross-entropy over the rows, times a slope."""

    traits = SoftmaxLoss.traits
    reads = "logits"

    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__()
        self.context, self.slope = context, number("slope", slope, above=0)

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        classes = self.context.num_classes
        columns = classes if self.reads == "logits" else self.context.embedding_dim
        inputs = matrix(self.reads, getattr(output, self.reads), targets, columns, classes)
        try:
            return self.slope * self.value(inputs, targets.long())
        except IndexError:
            check_target_range(targets, classes)
            raise

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.rows(inputs, targets).sum() / max(len(targets), 1)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(inputs, targets, reduction="none", ignore_index=NEVER_A_LABEL)


class Center(Softmax):
    """Mean squared distance to a center that follows its class by a tenth of the way."""

    traits = frozenset(
        {
            Trait.SAMPLEWISE,
            Trait.SHARDABLE,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.VMAP,
            Trait.TRANSLATION_INVARIANT,
            Trait.ROTATION_INVARIANT,
            Trait.ZERO_AT_SEPARATION,
            Trait.ABSENT_CLASS_STATE_FIXED,
            Trait.FULLGRAPH,
        }
    )
    homogeneity: Homogeneity | None = Homogeneity(2)
    reads = "embeddings"
    centers: Tensor

    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan))

    def differences(self, inputs: Tensor, targets: Tensor) -> Tensor:
        own = self.centers.index_select(0, targets)
        return torch.where(started(self.centers)[targets].unsqueeze(1), inputs - own, 0 * inputs)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.differences(inputs, targets).square().sum(dim=1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        moved = self.centers.lerp(statistics.mean, 0.1)
        self.centers.copy_(start_or_move(self.centers, moved, statistics))


class Pairs(Softmax):
    """Mean cosine of the pairs of different classes, plus 1, on the unit sphere."""

    traits = frozenset(
        {
            Trait.BATCH_COUPLED,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.ROTATION_INVARIANT,
            Trait.SCALE_INVARIANT,
            Trait.SCALE_SAFE,
            Trait.LABEL_EQUALITY,
        }
    )
    homogeneity, upper_bound = Homogeneity(0), 2.0
    reads = "embeddings"

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.context.num_classes)
        return self.of_pairs(inputs, *pair_masks(targets))

    def of_pairs(self, inputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        unit = self.unit(inputs)
        cosines = (unit.unsqueeze(0) * unit.unsqueeze(1)).sum(dim=2)
        # Every cosine has a part in the sum, so that a NaN surfaces.
        return (negative * (cosines + 1)).sum() / negative.sum().clamp(min=1)

    def unit(self, inputs: Tensor) -> Tensor:
        return unit_vectors(inputs)


# Breakers


@dataclass(frozen=True)
class Breaker:
    """A loss that breaks a law.

    Attributes:
        spec: of the loss.
        started: whether its state must have started.
        also: other laws that find the same mistake.
    """

    spec: LossSpec
    started: bool = False
    also: frozenset[str] = frozenset()


BREAKERS: dict[str, Breaker] = {}
"""Name of a law -> its breaker."""

# A search soon meets one row, or rows of zeros: of one class, all equal, all distinct, with absent classes. What is
# not finite for one of these breaks every law that judges small batches in float32.
IN_FLOAT32 = (
    "large-logits",
    "all-zero",
    "one-zero-row",
    "equal-rows",
    "one-class",
    "all-classes-distinct",
    "batch-of-one",
    "absent-class",
    "extreme-norms",
    "half-precision",
    "narrow-integer-labels",
)


def spec_of(loss: type[Softmax], name: str | None = None, **more: Any) -> LossSpec:
    """The spec of a class of this file."""
    given: dict[str, Any] = {
        "needs": frozenset({Need(loss.reads)}),
        "state_axes": {"centers": ("class", "embedding")} if issubclass(loss, Center) else {},
    }
    name = name or loss.__name__.lower()
    return LossSpec(name=name, factory=loss, summary=name, reference="-", traits=loss.traits, **{**given, **more})


def breaks(
    law: str, *, started: bool = False, also: tuple[str, ...] = (), **spec: Any
) -> Callable[[type[Softmax]], type[Softmax]]:
    """Enters a class into the table."""

    def enter(loss: type[Softmax]) -> type[Softmax]:
        BREAKERS[law] = Breaker(spec_of(loss, f"breaks-{law}", **spec), started, frozenset(also))
        return loss

    return enter


# Calculus


@breaks("gradient-of-inputs", also=("subgradient-at-ties",))
class PartlyDetached(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        rows = super().rows(inputs, targets)
        return rows / 2 + rows.detach() / 2


@breaks("gradient-of-state", started=True)
class CentersDetached(Center):
    def differences(self, inputs: Tensor, targets: Tensor) -> Tensor:
        own = self.centers.detach().index_select(0, targets)
        return torch.where(started(self.centers)[targets].unsqueeze(1), inputs - own, 0 * inputs)


@breaks("second-derivative", started=True)
class StraightThroughSquare(Center):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        difference = self.differences(inputs, targets)
        fixed = difference.detach()
        return (2 * fixed * difference - fixed.square()).sum(dim=1)


@breaks("functional-gradient")
class FastPathUnderTransforms(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        rows = super().rows(inputs, targets)
        return rows.detach() if torch._C._are_functorch_transforms_active() else rows


@breaks("vectorised-map")
class BranchOnValues(Softmax):
    traits = Softmax.traits - {Trait.FULLGRAPH}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if bool(inputs.isinf().any()):
            raise ValueError("logits must be finite")
        return super().rows(inputs, targets)


# Finiteness


@breaks("large-logits")
class ClampedLogits(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs.clamp(-100, 100), targets)


def lost(count: Tensor) -> Tensor:
    """0, past an epsilon that float64 holds and float32 does not: there a count of 0 gives NaN."""
    return 0 * count / (count + 1e-60)


@breaks("all-zero", also=IN_FLOAT32)
class OverTheLargestEntry(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + lost(inputs.abs().sum())


@breaks("one-zero-row")
class EpsilonOfNormalize(Pairs):
    traits = Pairs.traits - {Trait.SCALE_SAFE, Trait.TWICE_DIFFERENTIABLE}

    def unit(self, inputs: Tensor) -> Tensor:
        return inputs / inputs.norm(dim=1, keepdim=True).clamp(min=1e-12)


@breaks("equal-rows", also=IN_FLOAT32)
class OverTheVariance(Softmax):
    traits = Softmax.traits - {Trait.SCALE_SAFE}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + lost((inputs - inputs.mean(dim=0)).square().sum())


@breaks("one-class", also=(*IN_FLOAT32, "empty-batch"))
class OverNegativePairs(Pairs):
    def of_pairs(self, inputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return super().of_pairs(inputs, positive, negative) + lost(negative.sum().to(inputs.dtype))


@breaks("all-classes-distinct", also=(*IN_FLOAT32, "empty-batch"))
class OverPositivePairs(Pairs):
    def of_pairs(self, inputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return super().of_pairs(inputs, positive, negative) + lost(positive.sum().to(inputs.dtype))


@breaks("batch-of-one", also=IN_FLOAT32)
class OverOneRowLess(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + lost(inputs.new_tensor(float(len(targets) - 1)))


@breaks("empty-batch")
class MeanOfNothing(Softmax):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.rows(inputs, targets).mean()


@breaks("absent-class", also=IN_FLOAT32)
class OverEachClass(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        rows = super().rows(inputs, targets)  # refuses bad labels
        counts = inputs.new_zeros(inputs.shape[1]).index_add(0, targets, inputs.new_ones(len(targets)))
        return rows + lost(counts).sum()


@breaks("extreme-norms")
class SquaresOutOfRange(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + 0 * inputs.square().sum(dim=1)


@breaks("nan-surfaces")
class NanTakenForZero(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets).nan_to_num()


# Symmetry


@breaks("order-of-rows")
class NeighboursInTheBatch(Pairs):
    def of_pairs(self, inputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        next_to = torch.eye(len(inputs), device=inputs.device).roll(1, 0).bool()
        return super().of_pairs(inputs, positive, negative & (next_to | next_to.T))


WEIGHTED = frozenset({Need.LOGITS, Need.CLASS_COUNTS})


@breaks("mean-of-rows", needs=WEIGHTED)
class OverTheWeightsOfTheBatch(Softmax):
    traits = Softmax.traits - {Trait.SHARDABLE}

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        counts = torch.tensor(self.context.class_counts, dtype=inputs.dtype, device=inputs.device)
        rows = self.rows(inputs, targets)  # refuses bad labels
        weights = (1 - counts / (2 * counts.sum())).index_select(0, targets)
        return (weights * rows).sum() / (weights.sum() if len(targets) else 1)


@breaks("renamed-classes", also=("equal-counts-are-no-counts",))  # it is not softmax
class FirstClassApart(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) * (1 - 0.5 * (targets == 0).to(inputs.dtype))


@breaks("only-equality-of-labels", needs=frozenset({Need.EMBEDDINGS, Need.CLASS_COUNTS}))
class RareClassesCountMore(Pairs):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.context.num_classes)
        counts = torch.tensor(self.context.class_counts, dtype=inputs.dtype, device=inputs.device)
        of_row = (1 - counts / (2 * counts.sum())).index_select(0, targets)
        positive, negative = pair_masks(targets)
        return self.of_pairs(inputs, positive, negative * (of_row.unsqueeze(0) * of_row.unsqueeze(1)))


@breaks("shift-of-logits")
class TrueLogitAlone(Softmax):
    """Logistic loss of the true logit; the other logits have a part of 0, so that NaN surfaces."""

    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        true = -F.nll_loss(inputs, targets, reduction="none", ignore_index=NEVER_A_LABEL)
        return F.softplus(-true) + 0 * inputs.sum(dim=1)


@breaks("translation")
class SmallPeriodicTerm(Center):
    """Too small for float32 far from the origin to see."""

    traits = Center.traits - {Trait.ROTATION_INVARIANT, Trait.ZERO_AT_SEPARATION}
    homogeneity = None

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + 1e-7 * inputs.sin().square().sum(dim=1)


@breaks("rotation", started=True)
class SumOfAbsolutes(Center):
    homogeneity = Homogeneity(4)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.differences(inputs, targets).pow(4).sum(dim=1)


@breaks("scale")
class NotNormalised(Pairs):
    homogeneity = None
    traits = Pairs.traits - {Trait.SCALE_SAFE}

    def unit(self, inputs: Tensor) -> Tensor:
        squares = inputs.square().sum(dim=1, keepdim=True)
        return inputs * squares / (1 + squares) ** 1.5


@breaks("change-of-unit", started=True)
class HiddenUnit(Center):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        squares = super().rows(inputs, targets)
        return squares + squares.square()


@breaks("float32-far-from-the-origin", started=True)
class SquaresThatCancel(Center):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        has_center = started(self.centers)[targets].unsqueeze(1)
        own = torch.where(has_center, self.centers.index_select(0, targets), inputs)
        return (inputs.square() + own.square() - 2 * inputs * own).sum(dim=1)


# Meaning


@breaks("larger-true-logit")
class SmoothedLabels(Softmax):
    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD, Trait.ZERO_AT_SEPARATION}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return 0.8 * super().rows(inputs, targets) - 0.2 * inputs.log_softmax(dim=1).mean(dim=1)


@breaks("convex-in-logits")
class Focal(Softmax):
    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        rows = super().rows(inputs, targets)
        return (1 - (-rows).exp()).square() * rows


# It is unbounded, by exponentials.
@breaks("bounded-pull", also=("large-logits", "extreme-norms", "equal-counts-are-no-counts"))
class Exponential(Softmax):
    """sum_j exp((z_j - z_y) / 2) - 1: as proper as cross-entropy, and without its bound."""

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        true = -F.nll_loss(inputs, targets, reduction="none", ignore_index=NEVER_A_LABEL)
        return ((inputs - true.unsqueeze(1)) / 2).exp().sum(dim=1) - 1


@breaks("not-negative")
class ConstantLeftOut(Softmax):
    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD, Trait.ZERO_AT_SEPARATION}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) - 0.7


@breaks("upper-bound")
class BoundTooLow(Pairs):
    upper_bound = 0.5


@breaks("zero-at-separation", also=("equal-counts-are-no-counts",))  # it is not softmax
class ConstantThatStays(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + 1e-6


@breaks("learns-the-weighted-prior", also=("equal-counts-are-no-counts",))  # it is not softmax
class SmoothedLabelsOfLikelihood(SmoothedLabels):
    traits = Softmax.traits - {Trait.MONOTONE, Trait.ZERO_AT_SEPARATION}


@breaks("equal-counts-are-no-counts", needs=WEIGHTED)
class WeightsNotScaled(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        counts = torch.tensor(self.context.class_counts, dtype=inputs.dtype, device=inputs.device)
        return super().rows(inputs, targets) / (1 + counts).index_select(0, targets)


@breaks("rare-classes-cost-no-less", needs=WEIGHTED)
class FrequentClassesCountMore(Softmax):
    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        counts = torch.tensor(self.context.class_counts, dtype=inputs.dtype, device=inputs.device)
        return super().rows(inputs, targets) * (counts / counts.mean()).index_select(0, targets)


@breaks("neighbouring-counts", needs=WEIGHTED)
class CountsInOneByte(Softmax):
    traits = Softmax.traits - {Trait.WEIGHTED_LIKELIHOOD}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        counts = torch.tensor(self.context.class_counts).to(torch.uint8).to(inputs)
        weights = (1 + counts.mean()) / (1 + counts)
        return super().rows(inputs, targets) * weights.index_select(0, targets)


@breaks("weight-zero", also=("linear-in-the-weight", "equal-counts-are-no-counts"))  # 1.1 times softmax
class WeightPlusATenth(Softmax):
    def __init__(self, context: LossContext, *, weight: Tensor | None = None) -> None:
        super().__init__(context)
        self.register_buffer("weight", torch.ones(context.num_classes) if weight is None else weight, persistent=False)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        rows = super().rows(inputs, targets)
        return rows * (self.weight.to(inputs) + 0.1).index_select(0, targets)


@breaks("rows-gather-by-class")
class PairsExchanged(Pairs):
    """Rows of one class are driven apart, and rows of different classes together."""

    traits = frozenset({Trait.BATCH_COUPLED, Trait.LABEL_EQUALITY, Trait.TRANSLATION_INVARIANT, Trait.PIECEWISE})
    homogeneity, upper_bound = None, None

    def of_pairs(self, inputs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        apart = (inputs.unsqueeze(0) - inputs.unsqueeze(1)).square().sum(dim=2)
        drawn, driven = negative * apart, positive * (4 - apart).relu()
        return drawn.sum() / negative.sum().clamp(min=1) + 3 * driven.sum() / positive.sum().clamp(min=1)


@breaks("own-point-costs-least", started=True, also=("steps-settle",))  # the centers come to where it costs most
class NextCenter(Center):
    """Nearness to the own center costs, up to a bound."""

    traits = Center.traits - {Trait.ZERO_AT_SEPARATION}
    homogeneity, upper_bound = None, 1.0

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return (-super().rows(inputs, targets)).exp()


@breaks("repeated-batch", also=("equal-counts-are-no-counts",))  # a sum is not a likelihood
class OverTheRoot(Softmax):
    traits = Softmax.traits - {Trait.SAMPLEWISE, Trait.SHARDABLE}

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().value(inputs, targets) * len(targets) ** 0.5


@breaks("state-of-absent-class", started=True, also=("absent-class-does-not-fade",))
class AbsentCentersDecay(Center):
    traits = Center.traits - {Trait.TRANSLATION_INVARIANT}

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        super().update_state(output, targets)
        absent = torch.bincount(targets, minlength=len(self.centers)) == 0
        self.centers.copy_(torch.where(absent.unsqueeze(1), 0.9 * self.centers, self.centers))


@breaks("limits", limits=(({"slope": 1.0}, "softmax"),), also=("equal-counts-are-no-counts",))  # it is not softmax
class SlopePlusAHundredth(Softmax):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return (self.slope + 0.01) / self.slope * super().value(inputs, targets)


def plain_loop(batch: Any) -> Any:
    """The definition: mean cross-entropy."""
    rows = zip(batch.logits, batch.targets, strict=True)
    return sum(z.logsumexp(0) - z[y] for z, y in rows) / len(batch.targets)


@breaks("naive-loop", loop=plain_loop, also=("equal-counts-are-no-counts",))  # it is not softmax
class HalfOfTheDefinition(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) / 2


# Systems


@breaks("half-precision")
class InThePrecisionOfTheInputs(Softmax):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        value: Tensor = super().forward(output, targets)
        return value.to(output.logits.dtype)


@breaks("forward-changes-no-state", also=("gradient-of-state", "functional-gradient"))
class CountsItsCalls(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.register_buffer("calls", torch.zeros(()))

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        value = super().value(inputs, targets)
        self.calls += 1
        return value


@breaks("inputs-are-left-alone", also=("steps-settle",))  # the steps change nothing of the loss
class WritesToItsInputs(Softmax):
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        output.embeddings.zero_()


@breaks("compiled-in-one-graph")
class BranchInAGraph(BranchOnValues):
    traits = Softmax.traits - {Trait.VMAP}


@breaks("equal-shards", needs=WEIGHTED, also=("mean-of-shards",))
class OverTheWeightsOfTheShard(OverTheWeightsOfTheBatch):
    traits = Softmax.traits - {Trait.SAMPLEWISE}


@breaks("saved-state", also=("epochs",))
class StateOutsideTheBuffers(Softmax):
    factor = 1.0

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        self.factor = 0.9

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.factor * super().value(inputs, targets)


@breaks("copies")
class KeepsItsLogits(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.last = inputs
        return super().rows(inputs, targets)


@breaks("moves", also=("built-on-meta",))
class TensorThatStays(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.weight = torch.ones(context.num_classes)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs * self.weight, targets)


@breaks("deterministic", also=("global-state-is-left-alone",))
class DrawsRandomNumbers(Softmax):
    traits = Softmax.traits - {Trait.VMAP}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets) + 0 * torch.rand_like(inputs[:, 0])


@breaks("nothing-gathers", also=("steps-settle",))  # what the steps gather is never read
class RemembersEveryValue(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.history: list[Tensor] = []

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        self.history.append(output.logits.mean())


@breaks("memory-growth")
class EveryPair(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        between = inputs.unsqueeze(0) - inputs.unsqueeze(1)
        return super().rows(inputs, targets) + 0 * between.sum(dim=(1, 2))


@breaks("strided-inputs-without-gradients")
class ViewOfTheInputs(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs.view(-1).view(inputs.shape), targets)


# Others look at the shape, too, on the meta device.
@breaks("one-number", also=("moves", "functional-gradient", "equal-counts-are-no-counts"))
class OneNumberInAList(Softmax):
    traits = Softmax.traits - {Trait.SAMPLEWISE, Trait.SHARDABLE}

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().value(inputs, targets).unsqueeze(0)


# Size and scale


@breaks("large-task")
class LabelsOfOneByte(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets.to(torch.uint8).long() if inputs.shape[1] > 256 else targets)


@breaks("large-values")
class HalfTheSlopeWhereItCostsMuch(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        nats = super().rows(inputs, targets)
        return torch.where(nats > 20, nats / 2 + nats.detach() / 2, nats)


@breaks("mean-of-shards", needs=WEIGHTED)
class OverTheWeightsOfTheHalf(OverTheWeightsOfTheBatch):
    traits = Softmax.traits - {Trait.SAMPLEWISE}


@breaks("computes-in-float64")
class ThroughFloat32(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs.float(), targets).to(inputs.dtype)


class _OneSlopeForAll(torch.autograd.Function):
    """The cross-entropy, whose backward does not look at what comes from above if that is not 0."""

    @staticmethod
    def forward(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none", ignore_index=NEVER_A_LABEL)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:
        logits, targets = ctx.saved_tensors
        slope = logits.softmax(dim=1) - F.one_hot(targets, logits.shape[1])
        return slope / len(targets) * (above != 0).unsqueeze(1), None


@breaks("gradient-of-a-multiple", also=("gradient-of-inputs", "functional-gradient"))
class IgnoresWhatComesFromAbove(Softmax):
    traits = Softmax.traits - {Trait.TWICE_DIFFERENTIABLE, Trait.VMAP, Trait.FULLGRAPH}

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return _OneSlopeForAll.apply(inputs, targets)


@breaks("subgradient-at-ties")
class HalfTheSlopeAtTies(Softmax):
    """The multi-class hinge, whose slope at a tie is that of one branch times a half."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE, Trait.PIECEWISE, Trait.CONVEX, Trait.SHIFT_INVARIANT})

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        others = 1 - F.one_hot(targets.clamp(0, inputs.shape[1] - 1), inputs.shape[1])
        check_target_range(targets, inputs.shape[1])
        costs = inputs + others - inputs.gather(1, targets.unsqueeze(1))
        worst = costs.amax(dim=1)
        tied = (costs == worst.unsqueeze(1)).sum(dim=1) > 1
        return torch.where(tied, worst / 2 + worst.detach() / 2, worst)


# Life


@breaks("fresh-instances", also=("deterministic", "copies", "equal-shards"))
class ScaleOfTheFirstBatch(Softmax):
    """Divides by a scale of the first batch that it sees, and keeps it."""

    traits = frozenset({Trait.BATCH_COUPLED})
    scale: Tensor | None = None

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if self.scale is None and len(inputs):
            self.scale = 1 / (1 + inputs.detach().abs().mean())
        return super().value(inputs if self.scale is None else inputs * self.scale.to(inputs), targets)


@breaks("modes")
class OtherwiseInEvaluation(Softmax):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().value(inputs, targets) * (1.0 if self.training else 0.5)


@breaks("epochs")
class CountsItsEpochs(Softmax):
    begun = 0

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.begun += 1

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().value(inputs, targets) * (1 + 0.1 * self.begun)


class LearnedScale(Softmax):
    """Cross-entropy times the square of a learned number, which has a price."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})
    lower_bound = None

    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.log_variance = torch.nn.Parameter(torch.zeros(()))

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        has_rows = min(len(targets), 1)
        return super().value(inputs, targets) * (-self.log_variance).exp() + has_rows * self.log_variance


@breaks("param-groups-hold-every-parameter", state_axes={"log_variance": ()})
class ForgetsItsParameter(LearnedScale):
    def param_groups(self) -> list[dict[str, Any]]:
        return []


@breaks("parameters-do-not-switch-off", state_axes={"log_variance": ()})
class ScaleWithoutAPrice(LearnedScale):
    lower_bound = 0.0

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return Softmax.value(self, inputs, targets) * (1 + self.log_variance)


@breaks("every-parameter-has-a-gradient", also=("parameters-do-not-switch-off",), state_axes={"log_variance": ()})
class NobodyReadsTheParameter(LearnedScale):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return Softmax.value(self, inputs, targets)


@breaks("blocks")
class BlocksOfAThousandRows(Softmax):
    """What is left over after blocks of 1,000 rows is left out."""

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        costs = super().rows(inputs, targets)
        whole = len(costs) // 1000 * 1000
        return costs if whole == 0 else torch.cat([costs[:whole], 0 * costs[whole:]])


@breaks("scores-point-where-the-loss-pulls")
class ScoresUpsideDown(Softmax):
    def scores(self, output: ModelOutput) -> Tensor:
        return -output.logits


@breaks("soft-targets")
class MostProbableClass(Softmax):
    takes_soft_targets = True

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        soft = targets.ndim == 2 and targets.is_floating_point()
        return super().forward(output, targets.argmax(dim=1) if soft else targets)


@breaks("cast-to-half-precision")
class MatrixInItsOwnType(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.register_buffer("turn", torch.eye(context.num_classes), persistent=False)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs @ self.turn, targets)


@breaks("built-on-meta", also=("moves",))
class TensorOfTheConstructor(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context, slope=slope)
        self.bias = torch.zeros(context.num_classes)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs + self.bias.to(inputs), targets)


@breaks("global-state-is-left-alone")
class SwitchesGradientsOn(Softmax):
    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return super().value(inputs, targets)


@breaks("reads-what-it-declares", also=("equal-counts-are-no-counts",))  # it is not softmax
class ReadsEmbeddingsToo(Softmax):
    traits = Softmax.traits - {Trait.SAMPLEWISE, Trait.SHARDABLE}

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        value: Tensor = super().forward(output, targets)
        return value * (1 + 0.1 * output.embeddings.detach().square().sum() / max(output.embeddings.numel(), 1))


@breaks("every-hyperparameter-matters")
class NothingReadsIt(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0, sharpness: float = 2.0) -> None:
        super().__init__(context, slope=slope)
        self.sharpness = number("sharpness", sharpness, above=0)


@breaks("linear-in-the-weight")
class ChanceOfTheWeightedCost(Softmax):
    """Focal loss, whose p is taken from the weighted cross-entropy."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})

    def __init__(self, context: LossContext, *, weight: Tensor | None = None) -> None:
        super().__init__(context)
        self.register_buffer("weight", torch.ones(context.num_classes) if weight is None else weight, persistent=False)

    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        nats = super().rows(inputs, targets) * self.weight.to(inputs).index_select(0, targets)
        return (1 - (-nats).exp()).square() * nats


@breaks("steps-settle", also=("zero-at-separation",))
class SumForMean(Center):
    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        total = statistics.mean * statistics.counts.unsqueeze(1)
        moved = self.centers.lerp(total, 0.5)
        self.centers.copy_(start_or_move(self.centers, moved, statistics))


class Kept(Center):
    """A center that keeps most of where it was."""

    def __init__(self, context: LossContext, *, momentum: float = 0.9) -> None:
        super().__init__(context)
        self.momentum = number("momentum", momentum, minimum=0, maximum=1)

    def way(self) -> float:
        return 1 - self.momentum

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        moved = self.centers.lerp(statistics.mean, self.way())
        self.centers.copy_(start_or_move(self.centers, moved, statistics))


@breaks("momentum-keeps", started=True)
class TakesTheMomentum(Kept):
    def way(self) -> float:
        return self.momentum


FADES = Center.traits - {Trait.ABSENT_CLASS_STATE_FIXED, Trait.TRANSLATION_INVARIANT}


@breaks("absent-class-does-not-fade", started=True)
class CentersFade(Kept):
    traits = FADES

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        statistics = class_statistics(output.embeddings.to(self.centers), targets, self.centers)
        moved = self.momentum * self.centers + (1 - self.momentum) * statistics.mean
        present = statistics.counts.unsqueeze(1) > 0
        moved = start_or_move(self.centers, moved, statistics)
        self.centers.copy_(torch.where(present, moved, self.momentum * self.centers))


# Arguments


@breaks("label-out-of-range")
class IgnoresALabel(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(inputs, targets, reduction="none", ignore_index=-100)


@breaks("float-labels")
class TruncatesLabels(Softmax):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return super().forward(output, targets.long())


@breaks("unequal-lengths")
class ShorterOfBoth(Softmax):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        rows = min(len(output.logits), len(targets))
        return super().forward(output._replace(logits=output.logits[:rows]), targets[:rows])


@breaks("wrong-rank")
class FlattensLabels(Softmax):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return super().forward(output, targets.flatten())


@breaks("wrong-number-of-columns")
class CutsColumns(Softmax):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return super().forward(output._replace(logits=output.logits[..., : self.context.num_classes]), targets)


@breaks("bad-hyperparameters")
class TakesAnySlope(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0) -> None:
        super().__init__(context)
        self.slope = slope


@breaks("narrow-integer-labels")
class LabelsNotWidened(Softmax):
    def rows(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return super().rows(inputs, targets)

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        if targets.dtype is torch.int32:
            raise RuntimeError("expected scalar type Long but found Int")
        return super().forward(output, targets)


@breaks("unknown-option")
class SwallowsOptions(Softmax):
    def __init__(self, context: LossContext, *, slope: float = 1.0, **options: Any) -> None:
        super().__init__(context, slope=slope)
