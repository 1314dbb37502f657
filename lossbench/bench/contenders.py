"""Build the contenders of a measurement: losses by name, formula or `module:object`, and peers of built-in losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, did_you_mean
from ..expression import is_object_path, parse_formula
from ..loss import Loss
from ..losses.class_weights import class_weights
from ..objective import create_loss
from ..registry import loss_info
from ..testing.resolve import resolve
from ..traits import Need
from ..types import LossContext, ModelOutput
from . import naive

PEERS = ("pml", "torch", "naive")


@dataclass(frozen=True)
class Contender:
    """An implementation of a loss.

    Attributes:
        name: name in tables.
        build: function from a task to the loss.
        reads: the model's tensors that receive a gradient.
        cosine: whether its logits are cosines.
    """

    name: str
    build: Callable[[LossContext], Loss]
    reads: tuple[str, ...] = ("embeddings", "logits")
    cosine: bool = False


class Wrapped(Loss):
    """A peer with lossbench's interface, and its additional arguments."""

    def __init__(self, inner: nn.Module, takes: str, mine: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.inner, self.takes, self.mine = inner, takes, mine

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        inputs = output.logits if self.takes == "logits" else output.embeddings
        value: Tensor
        if self.mine is None:
            value = self.inner(inputs, targets)
        else:
            value = self.inner(inputs, targets, self.mine(inputs, targets))
        return value


def contender(expression: str) -> Contender:
    """Return the contender of a name or formula, in which a name is the bare term, or of `module:object`.

    Raises:
        UsageError: the loss is unknown or cannot be built.

    Example:
        >>> contender("center").reads
        ('embeddings',)
    """
    formula = parse_formula(expression)
    if len(formula.terms) > 1 or formula.terms[0].coefficient is not None:
        cosine = any(Need.COSINE_LOGITS in loss_info(term.name).needs for term in formula.terms)
        return Contender(str(formula), lambda context: create_loss(formula, context), cosine=cosine)
    subject = resolve(expression)[0]
    cosine = Need.COSINE_LOGITS in subject.spec.needs
    return Contender(str(formula), lambda context: subject.build(context, torch.float32), subject.reads, cosine)


def peers_of(expression: str, against: str) -> list[Contender]:
    """Return other implementations of the same loss, possibly none.

    Args:
        expression: formula of one built-in loss.
        against: "pml", "torch" or "naive"; or any other loss, by name or `module:object`.

    Raises:
        UsageError: no such peer.

    Example:
        >>> [peer.name for peer in peers_of("softmax", "torch")]
        ['torch: F.cross_entropy']
    """
    if against not in PEERS:
        if against.isidentifier() and not _is_loss(against):
            raise ConfigError(f"--against {against}: unknown peer. {did_you_mean(against, PEERS)}")
        return [contender(against)]
    terms = () if is_object_path(expression) else parse_formula(expression).terms
    if len(terms) != 1:
        return []
    name = terms[0].name
    given = {**loss_info(name).hyperparameters, **terms[0].arguments}
    if against == "naive":
        return _naive(name, dict(terms[0].arguments))
    return (_of_torch if against == "torch" else _of_pml)(name, given)


def _is_loss(name: str) -> bool:
    from ..registry import list_losses

    return name in list_losses()


def _naive(name: str, arguments: dict[str, Any]) -> list[Contender]:
    sample = LossContext(num_classes=2, embedding_dim=1, class_counts=(1, 1))
    if naive.naive(name, sample, arguments) is None:
        return []
    forms = {"center": "distance matrix and mask", "weighted-cluster": "B x C x D", "triplet": "B x B x B"}
    reads = ("logits",) if "softmax" in name else ("embeddings",)

    def build(context: LossContext) -> Loss:
        made = naive.naive(name, context, arguments)
        assert made is not None
        return made

    return [Contender(f"naive: {forms.get(name, 'one-hot')}", build, reads)]


def _of_torch(name: str, given: Mapping[str, Any]) -> list[Contender]:
    if name == "softmax":
        return [Contender("torch: F.cross_entropy", lambda _: Wrapped(nn.CrossEntropyLoss(), "logits"), ("logits",))]
    if name == "weighted-softmax":

        def weighted(context: LossContext) -> Loss:
            weight = class_weights(context.class_counts, given["power"]).float()
            return Wrapped(nn.CrossEntropyLoss(weight=weight), "logits")

        return [Contender("torch: F.cross_entropy(weight)", weighted, ("logits",))]
    if name == "triplet":
        listed = "torch.nn:TripletMarginLoss"
        return [Contender("torch: all triplets enumerated", contender(listed).build, ("embeddings",))]
    return []


def _of_pml(name: str, given: Mapping[str, Any]) -> list[Contender]:
    if name != "triplet" or given["average"] != "active":
        return []

    def build(context: LossContext) -> Loss:
        from pytorch_metric_learning.distances import LpDistance
        from pytorch_metric_learning.losses import TripletMarginLoss
        from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner

        power = 2 if given["distance"] == "squared" else 1
        distance = LpDistance(normalize_embeddings=given["normalize"], p=2, power=power)
        miners = {
            "all": None,
            "hard": BatchHardMiner(distance=distance),
            "semihard": TripletMarginMiner(given["margin"], "semihard", distance=distance),
        }
        inner = TripletMarginLoss(margin=given["margin"], distance=distance)
        return Wrapped(inner, "embeddings", miners[given["mining"]])

    kinds = {"all": "TripletMarginLoss", "hard": "BatchHardMiner + loss", "semihard": "semihard miner + loss"}
    return [Contender(f"pml: {kinds[given['mining']]}", build, ("embeddings",))]
