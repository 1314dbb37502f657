"""pytorch-metric-learning: `pml/CircleLoss(m=0.4, gamma=80)`, with its miners, distances, reducers and regularizers.

    pml/TripletMarginLoss(miner="BatchHardMiner", distance="LpDistance(p=1)", reducer="MeanReducer")

Each part is a name, or a name with its own numbers in brackets. All of them read embeddings; as a formula of its own,
one is trained as softmax + 1 times it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from torch import Tensor, nn

from lossbench import Trait
from lossbench.authoring import AdaptedFactory, constructor_parameters, parse_call
from lossbench.errors import FormulaError, HyperparameterError, did_you_mean

from .guarded import GuardedFactory, Origin

_LIBRARY = "pytorch_metric_learning"
_DOCUMENTATION = "https://kevinmusgrave.github.io/pytorch-metric-learning/losses/#{anchor}"
_PARTS = {
    "miner": "miners",
    "distance": "distances",
    "reducer": "reducers",
    "embedding_regularizer": "regularizers",
    "weight_regularizer": "regularizers",
}
"""Hyper-parameter that takes a part -> the module of the library that has such parts."""

REFUSED_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "EmbeddingsAlreadyPackagedAsTriplets": "it takes rows in the order anchor, positive, negative, not a batch",
        "ClassWeightedReducer": "it takes a tensor of weights, which a formula cannot say",
        "MultipleReducers": "it takes a dictionary of reducers, which a formula cannot say",
        "DoNothingReducer": "it gives a dictionary, not a number",
        "BatchedDistance": "it is made for inference",
    }
)


class MinedLoss(nn.Module):
    """A loss on the pairs or triplets that a miner chooses from the batch.

    Args:
        loss: called as `loss(embeddings, labels, indices)`.
        miner: called as `miner(embeddings, labels)`.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = self.loss(embeddings, labels, self.miner(embeddings, labels))
        return value


@dataclass(frozen=True)
class PmlFactory(GuardedFactory):
    """Builds a loss of pytorch-metric-learning, and its parts from their names."""

    @property
    def __signature__(self) -> inspect.Signature:
        base = AdaptedFactory.__signature__.fget(self)  # type: ignore[attr-defined]  # a property's
        miner = inspect.Parameter("miner", inspect.Parameter.KEYWORD_ONLY, default=None)
        return inspect.Signature([*base.parameters.values(), miner])

    def build(self, made: type, arguments: Mapping[str, Any]) -> nn.Module:
        ready = {name: _part(name, value) if name in _PARTS else value for name, value in arguments.items()}
        miner = ready.pop("miner", None)
        loss = super().build(made, ready)
        return MinedLoss(loss, miner) if isinstance(miner, nn.Module) else loss

    def traits_with(self, hyperparameters: Mapping[str, Any]) -> frozenset[Trait]:
        if not any(hyperparameters.get(name) is not None for name in _PARTS):
            return super().traits_with(hyperparameters)
        # Of a loss with other parts it is not known what it is invariant to, nor that it is a mean.
        return super().traits_with(hyperparameters) & {Trait.BATCH_COUPLED, Trait.LABEL_EQUALITY}


def _part(kind: str, given: object) -> object:
    """The object for "LpDistance(p=1)"; an object stays as it is.

    Raises:
        HyperparameterError: naming the part, and what there is.
    """
    if given is None or isinstance(given, nn.Module):
        return given
    if not isinstance(given, str):
        raise HyperparameterError(f"{kind} must be the name of one, such as {_example(kind)}, got {given!r}")
    try:
        name, arguments = parse_call(given)
    except FormulaError as error:
        raise HyperparameterError(f"{kind}={given!r} cannot be read: {error}") from error
    if name in REFUSED_PARTS:
        raise HyperparameterError(f"{kind}={name} cannot be used: {REFUSED_PARTS[name]}")
    known = _parts_of(kind)
    if name not in known:
        raise HyperparameterError(f"there is no {kind} {name!r}. {did_you_mean(name, known)}")
    takes = constructor_parameters(known[name])
    for argument in arguments:
        if argument not in takes:
            raise HyperparameterError(f"{kind} {name} takes no {argument!r}. {did_you_mean(argument, takes)}")
    ready = {k: _part(k, v) if k in _PARTS else v for k, v in arguments.items()}
    try:
        return known[name](**ready)
    except Exception as error:  # the library's own complaint, of whatever type
        raise HyperparameterError(f"{kind}={given!r} cannot be built: {type(error).__name__}: {error}") from error


def _parts_of(kind: str) -> dict[str, type]:
    from pytorch_metric_learning import distances, miners, reducers, regularizers

    modules: dict[str, ModuleType] = {
        "distances": distances, "miners": miners, "reducers": reducers, "regularizers": regularizers
    }  # fmt: skip
    found = {n: each for n, each in vars(modules[_PARTS[kind]]).items() if inspect.isclass(each)}
    return {n: each for n, each in found.items() if not n.startswith("Base") and n not in REFUSED_PARTS}


def _example(kind: str) -> str:
    return repr(sorted(_parts_of(kind))[0])


def _factory(name: str, coupled: bool) -> PmlFactory:
    return PmlFactory(
        f"{_LIBRARY}.losses:{name}",
        "embeddings",
        coupled=coupled,
        formula=f"See {_DOCUMENTATION.format(anchor=name.lower())}",
    )


_ROWS = (
    "ArcFaceLoss", "CosFaceLoss", "LargeMarginSoftmaxLoss", "NormalizedSoftmaxLoss", "ProxyNCALoss", "SoftTripleLoss",
    "SphereFaceLoss", "SubCenterArcFaceLoss",
)  # fmt: skip
_BATCHES = (
    "AngularLoss", "CircleLoss", "ContrastiveLoss", "FastAPLoss", "GeneralizedLiftedStructureLoss", "HistogramLoss",
    "InstanceLoss", "IntraPairVarianceLoss", "LiftedStructureLoss", "MarginLoss", "MultiSimilarityLoss", "NCALoss",
    "NPairsLoss", "NTXentLoss", "PNPLoss", "ProxyAnchorLoss", "RankedListLoss", "SignalToNoiseRatioContrastiveLoss",
    "SupConLoss", "ThresholdConsistentMarginLoss", "TripletMarginLoss", "TupletMarginLoss",
)  # fmt: skip

ORIGIN = Origin(
    name="pml",
    module=f"{_LIBRARY}.losses",
    factories={name: _factory(name, name in _BATCHES) for name in sorted((*_ROWS, *_BATCHES))},
    documentation=_DOCUMENTATION,
    refused={
        "CrossBatchMemory": "it keeps embeddings of earlier steps and writes them in forward; here forward is pure",
        "DynamicSoftMarginLoss": "it moves a histogram in forward and does not save it; here forward is pure",
        "P2SGradLoss": "it rewrites its weight in forward; here forward is pure",
        "ManifoldLoss": "it takes no labels, and batches larger than its proxies",
        "VICRegLoss": "it takes no labels, and compares two views of a batch",
        "SelfSupervisedLoss": "it compares two views of a batch; a run here has one",
        "SmoothAPLoss": "it takes only batches with equally many rows of each class, sorted by class",
        "GenericPairLoss": "it is a base class: it takes a method, which a formula cannot say",
        "MultipleLosses": "write the sum as a formula: pml/CircleLoss + 0.5*pml/NPairsLoss",
        "BaseLossWrapper": "it is a base class",
        "BaseMetricLossFunction": "it is a base class",
    },
    use_when="to compare with a loss of metric learning as its library computes it",
    avoid_when="what `lossbench check` finds in it matters to you, or with large batches: many list pairs or triplets",
    variants={"RankedListLoss": {"margin": 0.4, "Tn": 1}},
)
