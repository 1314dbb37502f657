"""Right losses of other kinds than the built-in ones, with the traits that they have: the kit must accuse none."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.distributed import sum_over_ranks
from lossbench.losses.arguments import check_target_range, matrix
from lossbench.losses.hyperparameters import number
from lossbench.losses.softmax import NEVER_A_LABEL
from lossbench.ops.triplets import pair_masks, unit_vectors
from lossbench.traits import Homogeneity

SAMPLEWISE = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE, Trait.TWICE_DIFFERENTIABLE})


class OnLogits(Loss):
    """The mean over rows of a function of log-probabilities."""

    traits = SAMPLEWISE | {Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.VMAP, Trait.FULLGRAPH, Trait.SCALE_SAFE}

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes = context.num_classes

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        logits = matrix("logits", output.logits, targets, self.num_classes, self.num_classes)
        try:
            return self.rows(logits, targets.long()).sum() / max(len(targets), 1)
        except IndexError:
            check_target_range(targets, self.num_classes)
            raise

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none", ignore_index=NEVER_A_LABEL)


class Focal(OnLogits):
    """(1 - p)^gamma times cross-entropy."""

    traits = OnLogits.traits | {Trait.ZERO_AT_SEPARATION}

    def __init__(self, context: LossContext, *, gamma: float = 2.0) -> None:
        super().__init__(context)
        self.gamma = number("gamma", gamma, minimum=0)
        if 0 < self.gamma < 1:
            raise ValueError(f"gamma must be 0 or at least 1, where it has a derivative, got {gamma}")

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        nats = super().rows(logits, targets)
        return (-torch.expm1(-nats)) ** self.gamma * nats


class GeneralisedCrossEntropy(OnLogits):
    """(1 - p^q) / q: bounded, so a row that is very wrong has no gradient in float32, by definition."""

    traits = OnLogits.traits | {Trait.ZERO_AT_SEPARATION}

    def __init__(self, context: LossContext, *, q: float = 0.7) -> None:
        super().__init__(context)
        self.q = number("q", q, above=0, maximum=1)
        self.upper_bound = 1 / self.q

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -torch.expm1(-self.q * super().rows(logits, targets)) / self.q


class LogitAdjusted(OnLogits):
    """Cross-entropy of logits plus the log of the class proportions."""

    traits = OnLogits.traits | {Trait.CONVEX, Trait.ZERO_AT_SEPARATION}

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        self.class_counts = context.class_counts
        self.register_buffer("log_prior", self._log_prior(torch.float32), persistent=False)

    def _log_prior(self, dtype: torch.dtype) -> Tensor:
        counts = torch.tensor(self.class_counts, dtype=dtype).clamp(min=0.5)
        return (counts / counts.sum()).log()

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        prior = self._log_prior(logits.dtype) if logits.dtype is torch.float64 else self.log_prior
        return super().rows(logits + prior.to(logits.device), targets)


class Hinge(OnLogits):
    """Crammer and Singer's multi-class hinge."""

    traits = SAMPLEWISE - {Trait.TWICE_DIFFERENTIABLE} | {
        Trait.PIECEWISE, Trait.SHIFT_INVARIANT, Trait.MONOTONE, Trait.CONVEX, Trait.ZERO_AT_SEPARATION
    }  # fmt: skip

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        check_target_range(targets, self.num_classes)
        true = logits.gather(1, targets.unsqueeze(1))
        others = (1 - F.one_hot(targets, self.num_classes)) + logits - true
        return others.amax(dim=1)


class OnEmbeddings(Loss):
    """Checks its arguments and puts rows on the unit sphere."""

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.num_classes, self.embedding_dim = context.num_classes, context.embedding_dim

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        embeddings = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        check_target_range(targets, self.num_classes)
        return self.value(unit_vectors(embeddings), targets.long())

    def value(self, unit: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError


class SupervisedContrastive(OnEmbeddings):
    """Khosla et al.: for each anchor with a positive, the mean over positives of -log softmax of its similarities."""

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
    homogeneity = Homogeneity(0)

    def __init__(self, context: LossContext, *, temperature: float = 0.1) -> None:
        super().__init__(context)
        self.temperature = number("temperature", temperature, above=0)

    def value(self, unit: Tensor, targets: Tensor) -> Tensor:
        positive, _ = pair_masks(targets)
        with torch.autocast(unit.device.type, enabled=False):
            similarity = unit @ unit.T / self.temperature
        itself = torch.eye(len(targets), dtype=torch.bool, device=unit.device)
        others = similarity.masked_fill(itself, -1e9)
        log_probability = similarity - others.logsumexp(dim=1, keepdim=True)
        of_anchor = -(positive * log_probability).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
        return of_anchor.sum() / positive.any(dim=1).sum().clamp(min=1)


class ProxyAnchor(OnEmbeddings):
    """Kim et al.: a learned proxy a class pulls its rows and pushes the others."""

    traits = frozenset(
        {
            Trait.BATCH_COUPLED,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.ROTATION_INVARIANT,
            Trait.SCALE_INVARIANT,
            Trait.SCALE_SAFE,
        }
    )
    homogeneity = None

    def __init__(self, context: LossContext, *, margin: float = 0.1, sharpness: float = 8.0) -> None:
        super().__init__(context)
        self.margin, self.sharpness = number("margin", margin), number("sharpness", sharpness, above=0)
        generator = torch.Generator().manual_seed(context.seed)
        self.proxies = nn.Parameter(torch.randn(self.num_classes, self.embedding_dim, generator=generator))

    def value(self, unit: Tensor, targets: Tensor) -> Tensor:
        cosine = (unit.unsqueeze(1) * unit_vectors(self.proxies.to(unit.dtype)).unsqueeze(0)).sum(dim=2)
        own = F.one_hot(targets, self.num_classes).bool()
        pull = _log_sum(-self.sharpness * (cosine - self.margin), own)
        push = _log_sum(self.sharpness * (cosine + self.margin), ~own)
        present = own.any(dim=0).sum().clamp(min=1)
        return pull.sum() / present + push.sum() / self.num_classes


def _log_sum(exponents: Tensor, chosen: Tensor) -> Tensor:
    """log(1 + sum of exp over the chosen rows), by column."""
    kept = exponents.masked_fill(~chosen, -1e9)
    return torch.cat([torch.zeros_like(kept[:1]) if len(kept) else kept.new_zeros(1, kept.shape[1]), kept]).logsumexp(0)


class LearnedCenters(OnEmbeddings):
    """Squared distance to a center that is learned by gradient descent."""

    traits = SAMPLEWISE | {
        Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT, Trait.ABSENT_CLASS_STATE_FIXED
    }  # fmt: skip
    homogeneity = Homogeneity(2)

    def __init__(self, context: LossContext) -> None:
        super().__init__(context)
        generator = torch.Generator().manual_seed(context.seed)
        self.centers = nn.Parameter(torch.randn(self.num_classes, self.embedding_dim, generator=generator))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        embeddings = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        check_target_range(targets, self.num_classes)
        difference = embeddings - self.centers.index_select(0, targets)
        return difference.square().sum() / max(len(targets), 1)


class Queue(OnEmbeddings):
    """Similarity to the rows of other classes in a queue of the last steps' rows, one queue a process."""

    traits = frozenset(
        {
            Trait.SAMPLEWISE,
            Trait.SHARDABLE,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.SCALE_SAFE,
            Trait.SCALE_INVARIANT,
            Trait.ROTATION_INVARIANT,
        }
    )
    rows: Tensor
    labels: Tensor

    def __init__(self, context: LossContext, *, length: int = 64) -> None:
        super().__init__(context)
        length = int(number("length", length, minimum=1))
        self.register_buffer("rows", torch.zeros(length, self.embedding_dim))
        self.register_buffer("labels", torch.full((length,), -1))

    def value(self, unit: Tensor, targets: Tensor) -> Tensor:
        similarity = (unit.unsqueeze(1) * self.rows.to(unit.dtype).unsqueeze(0)).sum(dim=2)
        other = (targets.unsqueeze(1) != self.labels) & (self.labels >= 0)
        mean = (other * (similarity + 1)).sum(dim=1) / other.sum(dim=1).clamp(min=1)
        return mean.sum() / max(len(targets), 1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        fresh = unit_vectors(output.embeddings.to(self.rows))
        self.rows.copy_(torch.cat([fresh, self.rows])[: len(self.rows)])
        self.labels.copy_(torch.cat([targets.long(), self.labels])[: len(self.labels)])


class Prototypes(OnEmbeddings):
    """Cross-entropy of negative squared distances to moving class means, a rule and buffers like the center loss's."""

    traits = SAMPLEWISE | {Trait.TRANSLATION_INVARIANT, Trait.ROTATION_INVARIANT}
    means: Tensor

    def __init__(self, context: LossContext, *, momentum: float = 0.9) -> None:
        super().__init__(context)
        self.momentum = number("momentum", momentum, minimum=0, maximum=1)
        self.register_buffer("means", torch.zeros(self.num_classes, self.embedding_dim))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        embeddings = matrix("embeddings", output.embeddings, targets, self.embedding_dim, self.num_classes)
        check_target_range(targets, self.num_classes)
        distances = (embeddings.unsqueeze(1) - self.means.unsqueeze(0)).square().sum(dim=2)
        return F.cross_entropy(-distances, targets.long(), reduction="sum") / max(len(targets), 1)

    @torch.no_grad()
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        own = F.one_hot(targets.long(), self.num_classes).to(self.means)
        counts, total = own.sum(dim=0), own.T @ output.embeddings.to(self.means)
        sum_over_ranks(counts, total)
        mean = total / counts.clamp(min=1).unsqueeze(1)
        self.means.copy_(torch.where(counts.unsqueeze(1) > 0, self.means.lerp(mean, 1 - self.momentum), self.means))


class CosineMargin(OnLogits):
    """CosFace: cross-entropy of s (cos - m at the true class)."""

    traits = SAMPLEWISE | {Trait.MONOTONE, Trait.CONVEX, Trait.VMAP, Trait.SHIFT_INVARIANT}

    def __init__(self, context: LossContext, *, margin: float = 0.35, scale: float = 16.0) -> None:
        super().__init__(context)
        self.margin, self.scale = number("margin", margin, minimum=0), number("scale", scale, above=0)

    def rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        true = F.one_hot(targets.clamp(0, self.num_classes - 1), self.num_classes).to(logits.dtype)
        return super().rows(self.scale * (logits - self.margin * true), targets)


def _spec(factory: type[Loss], *needs: Need, **more: Any) -> LossSpec:
    name = "right-" + "".join("-" * c.isupper() + c.lower() for c in factory.__name__).strip("-")
    return LossSpec(
        name=name, factory=factory, summary=name, reference="-", needs=frozenset(needs), traits=factory.traits, **more
    )


BY_CLASS = ("class", "embedding")
SPECS = (
    _spec(Focal, Need.LOGITS, limits=(({"gamma": 0.0}, "softmax"),), variants=({"gamma": 1.0},)),
    _spec(GeneralisedCrossEntropy, Need.LOGITS),
    _spec(LogitAdjusted, Need.LOGITS, Need.CLASS_COUNTS),
    _spec(Hinge, Need.LOGITS),
    _spec(CosineMargin, Need.COSINE_LOGITS),
    _spec(SupervisedContrastive, Need.EMBEDDINGS),
    _spec(ProxyAnchor, Need.EMBEDDINGS, state_axes={"proxies": BY_CLASS}),
    _spec(LearnedCenters, Need.EMBEDDINGS, state_axes={"centers": BY_CLASS}),
    _spec(Queue, Need.EMBEDDINGS),  # its labels are class numbers: no axes say how to rename them
    _spec(Prototypes, Need.EMBEDDINGS, state_axes={"means": BY_CLASS}),
)
