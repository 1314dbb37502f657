"""Mistakes in normalizers, signs, rules of a state and clamps that a declared trait or a name gives away."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import LogitLoss, Loss, LossContext, ModelOutput, Need, Trait
from lossbench.authoring import LIKELIHOOD, MEAN_OF_ROWS, EmbeddingLoss, class_sums, matrix, number, pair_masks

# The two processes of `equal-shards` import these files by these names, too.
sys.path.insert(0, str(Path(__file__).parent))
from slips import found_by, nats

BY_CLASS = ("class", "embedding")


# Normalizers


@found_by("equal-counts-are-no-counts")
class DividesByClasses(LogitLoss):
    """The mean over the one-hot matrix, not over its rows."""

    traits = LIKELIHOOD

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -(F.one_hot(targets, self.num_classes) * logits.log_softmax(1)).mean(1)


class PairLoss(Loss):
    traits = frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT})

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes, self.embedding_dim = context.num_classes, context.embedding_dim

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        rows = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        apart = (rows[:, None] - rows).square().sum(2)
        positive, negative = pair_masks(targets)
        return self.of_pairs(apart, positive, negative)

    def of_pairs(self, apart: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        raise NotImplementedError


@found_by("repeated-batch", Need.EMBEDDINGS)
class PairsOverRows(PairLoss):
    """The sum over pairs is divided by the number of rows."""

    def of_pairs(self, apart: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return (positive * apart + negative * (4 - apart).relu()).sum() / max(len(apart), 1)


@found_by("repeated-batch", Need.EMBEDDINGS)
class DividesTwice(PairLoss):
    """A mean over pairs that is divided by the number of rows once more."""

    def of_pairs(self, apart: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return (positive * apart + negative * (-apart).exp()).mean() / max(len(apart), 1) if len(apart) else apart.sum()


# Signs


@found_by("rows-gather-by-class", Need.EMBEDDINGS)
class PositivesForNegatives(PairLoss):
    """The pairs that attract and those that repel are exchanged."""

    def of_pairs(self, apart: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        drawn, driven = negative * apart, positive * (4 - apart).relu()
        return drawn.sum() / negative.sum().clamp(min=1) + 3 * driven.sum() / positive.sum().clamp(min=1)


@found_by("own-point-costs-least", Need.EMBEDDINGS, state_axes={"proxies": BY_CLASS})
class DistancesAsScores(EmbeddingLoss):
    """Softmax over the distances to the proxies, without the minus."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        generator = torch.Generator().manual_seed(context.seed)
        self.proxies = nn.Parameter(torch.randn(context.num_classes, context.embedding_dim, generator=generator))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        apart = (embeddings[:, None] - self.proxies.to(embeddings)).square().sum(2)
        return nats(apart, targets)


# Rules of a state


class Means(EmbeddingLoss):
    """Squared distance to a moving mean of each class."""

    traits = MEAN_OF_ROWS

    def __init__(self, context: LossContext, *, momentum: float = 0.9) -> None:
        super().__init__(context)
        self.momentum = number("momentum", momentum, minimum=0, maximum=1)
        self.register_buffer("mean", torch.zeros(context.num_classes, context.embedding_dim))

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (embeddings - self.mean.to(embeddings)[targets]).square().sum(1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        rows = output.embeddings.to(self.mean)
        counts = class_sums(rows.new_ones(len(rows), 1), targets, self.num_classes)
        self.move(class_sums(rows, targets, self.num_classes) / counts.clamp(min=1), counts > 0)

    def move(self, means: Tensor, present: Tensor) -> None:
        raise NotImplementedError


@found_by("momentum-keeps", Need.EMBEDDINGS, state_axes={"mean": BY_CLASS})
class MomentumReversed(Means):
    """m and 1 - m are exchanged."""

    def move(self, means: Tensor, present: Tensor) -> None:
        self.mean.copy_(torch.where(present, self.mean.lerp(means, self.momentum), self.mean))


@found_by("absent-class-does-not-fade", Need.EMBEDDINGS, state_axes={"mean": BY_CLASS})
class AbsentMeansDecay(Means):
    """Every mean is multiplied by the momentum, also where nothing is added."""

    def move(self, means: Tensor, present: Tensor) -> None:
        self.mean.mul_(self.momentum).add_((1 - self.momentum) * means)


# Clamps


@found_by("large-logits", Need.COSINE_LOGITS)
class FlatBeyondAnAngle(LogitLoss):
    """Cosines are clamped to where their angle has a gentle slope; a row that is most wrong lies beyond."""

    traits = MEAN_OF_ROWS

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.clamp(-0.95, 0.95).acos().gather(1, targets.unsqueeze(1)).squeeze(1)


@found_by("large-logits", Need.EMBEDDINGS, state_axes={"proxies": BY_CLASS})
class ClampedDistance(DistancesAsScores):
    """Distances to the own proxy are clamped against overflow, far too low."""

    def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        apart = (embeddings[:, None] - self.proxies.to(embeddings)).square().sum(2)
        own = apart.gather(1, targets.unsqueeze(1)).squeeze(1)
        return own.clamp(max=1000)
