"""Mistakes that authors of losses make, with the traits that they would declare and no loop: each is found by a law.

The kinds are those that the laws on small, ordinary batches let through: sizes and scales, memory, the contract beside
forward, devices, particular classes, ties, global state, hyper-parameters, rules of a state, learned parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.authoring import EmbeddingLoss, number

PLAIN = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE, Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE})
SLIPS: dict[str, tuple[LossSpec, str]] = {}
"""Name of a slip -> its spec, and the law that should find it."""


def nats(logits: Tensor, targets: Tensor) -> Tensor:
    return -F.log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).squeeze(1)


def found_by(law: str, *needs: Need, **spec: Any) -> Callable[[type[Loss]], type[Loss]]:
    """Enter a class into the table."""

    def enter(loss: type[Loss]) -> type[Loss]:
        given = {"needs": frozenset(needs or {Need.LOGITS}), "traits": loss.traits, **spec}
        made = LossSpec(name=loss.__name__.lower(), factory=loss, summary="-", reference="-", **given)
        SLIPS[loss.__name__] = (made, law)
        return loss

    return enter


class Plain(LogitLoss):
    traits = PLAIN

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets)


# Sizes and scales


@found_by("large-task")
class RowsInOneByte(Plain):
    """Weights of rows are looked up by a row number of eight bits."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        rows = torch.arange(len(targets), device=logits.device).to(torch.uint8).long()
        return nats(logits.index_select(0, rows), targets)


@found_by("large-task")
class LosesTheLastChunk(Plain):
    """Rows are worked on in chunks of 128, and what is left over is left out."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = nats(logits, targets)
        whole = len(cost) // 128 * 128
        return cost if whole == 0 else torch.cat([cost[:whole], 0 * cost[whole:]])


@found_by("large-values")
class StopsWhereItIsSure(Plain):
    """The slope is cut where a row costs more than 8 nats."""

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = nats(logits, targets)
        return torch.where(cost > 8, cost.detach() + 0.1 * (cost - cost.detach()), cost)


# A particular class


@found_by("renamed-classes", Need.LOGITS, Need.CLASS_COUNTS, state_axes={"margin": ("class",)})
class OrderForRank(Plain):
    """argsort where the rank was meant, in a buffer that is saved."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        order = torch.tensor(context.class_counts).argsort()
        self.register_buffer("margin", torch.linspace(0.5, 0, context.num_classes)[order])

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits - F.one_hot(targets, self.num_classes) * self.margin.to(logits), targets)


@found_by("renamed-classes")
class ScoresOfAReversedList(Plain):
    def scores(self, output: ModelOutput) -> Tensor:
        return output.logits.flip(1)


# Memory


@found_by("fresh-instances")
class KeepsItsFirstScale(LogitLoss):
    traits = frozenset({Trait.BATCH_COUPLED, Trait.SHIFT_INVARIANT})
    scale: Tensor | None = None

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.scale is None and len(logits):
            self.scale = 1 / (1 + logits.detach().abs().mean())
        return nats(logits if self.scale is None else logits * self.scale.to(logits), targets)


@found_by("fresh-instances")
class TiresAfterAHundredCalls(Plain):
    calls = 0

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        return nats(logits, targets) * (1.0 if self.calls < 100 else 0.5)


# The contract beside forward


@found_by("modes")
class FailsInEvaluation(Plain):
    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not self.training:
            raise RuntimeError("never called")
        return nats(logits, targets)


@found_by("epochs")
class DividesByTheLastEpoch(Plain):
    share = 1.0

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.share = 1 - 0.5 * epoch / (total - 1)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.share


@found_by("epochs")
class DecaysAtEachCall(Plain):
    share = 1.0

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.share *= 0.9

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.share


class Scaled(LogitLoss):
    """Softmax at a learned temperature."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits * self.log_scale.exp(), targets)


@found_by("param-groups-hold-every-parameter", state_axes={"log_scale": ()})
class ParameterInTwoGroups(Scaled):
    def param_groups(self) -> list[dict[str, Any]]:
        return super().param_groups() * 2


@found_by("param-groups-hold-every-parameter", state_axes={"log_scale": ()})
class GroupsThatFail(Scaled):
    def param_groups(self) -> list[dict[str, Any]]:
        raise RuntimeError("never called")


@found_by("saved-state", Need.EMBEDDINGS, state_axes={"mean": ("class", "embedding")})
class CountsItsStepsUnsaved(EmbeddingLoss):
    """A running mean whose number of steps is a plain attribute."""

    traits = frozenset({Trait.SAMPLEWISE})
    steps = 0

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        self.steps += 1
        for label in targets.unique():
            rows = output.embeddings[targets == label].to(self.mean)
            self.mean[label] += (rows.mean(0) - self.mean[label]) / self.steps


# Devices and precisions


@found_by("moves")
class MakesATensorOnTheCpu(Plain):
    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits * torch.ones(self.num_classes), targets)


@found_by("cast-to-half-precision")
class MatrixOfItsOwnType(Plain):
    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("turn", torch.eye(context.num_classes), persistent=False)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits @ self.turn, targets)


# Ties


@found_by("subgradient-at-ties")
class HalfASlopeAtATie(LogitLoss):
    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE, Trait.PIECEWISE, Trait.CONVEX})

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        gaps = logits - logits.gather(1, targets.unsqueeze(1)) + (1 - F.one_hot(targets, logits.shape[1]))
        worst = gaps.amax(1)
        tied = (gaps == worst.unsqueeze(1)).sum(1) > 1
        return torch.where(tied, worst / 2 + worst.detach() / 2, worst)


# Global state


@found_by("global-state-is-left-alone")
class LeavesGradientsOn(Plain):
    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        return nats(logits, targets)


@found_by("global-state-is-left-alone")
class SeedsTheWorld(Plain):
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        torch.manual_seed(0)


# Hyper-parameters and declarations


@found_by("every-hyperparameter-matters")
class NobodyReadsSharpness(Plain):
    def __init__(self, context: LossContext, *, sharpness: float = 2.0) -> None:
        super().__init__(context)
        self.sharpness = number("sharpness", sharpness, above=0)


@found_by("reads-what-it-declares")
class CountsUndeclared(Plain):
    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        counts = torch.tensor(context.class_counts, dtype=torch.float64).clamp(min=1)
        self.register_buffer("bias", (counts / counts.sum()).log(), persistent=False)

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits + self.bias.to(logits), targets)


# Rules of a state, and parameters


@found_by("steps-settle", Need.EMBEDDINGS, state_axes={"mean": ("class", "embedding")})
class MovesByTheSum(EmbeddingLoss):
    traits = frozenset({Trait.SAMPLEWISE})

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        for label in targets.unique():
            rows = output.embeddings[targets == label].to(self.mean)
            self.mean[label] += 0.5 * (rows - self.mean[label]).sum(0)


@found_by("parameters-do-not-switch-off", state_axes={"weight": ("class",)})
class WeightsThatFallToZero(LogitLoss):
    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.weight = nn.Parameter(torch.ones(context.num_classes))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return nats(logits, targets) * self.weight.to(logits)[targets]
