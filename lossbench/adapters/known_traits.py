"""Traits of losses of torch.nn, timm and pytorch-metric-learning, which declare none themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..traits import Trait

_SOFTMAX = frozenset({Trait.SHIFT_INVARIANT, Trait.CONVEX, Trait.SCALE_SAFE})
_ON_THE_SPHERE = frozenset({Trait.SCALE_INVARIANT, Trait.ROTATION_INVARIANT, Trait.SCALE_SAFE})
_PAIRS = _ON_THE_SPHERE | {Trait.BATCH_COUPLED, Trait.LABEL_EQUALITY}
KNOWN_TRAITS: Mapping[str, frozenset[Trait]] = {
    "torch.nn:CrossEntropyLoss": _SOFTMAX,
    "torch.nn:MultiMarginLoss": frozenset({Trait.SHIFT_INVARIANT, Trait.CONVEX, Trait.SCALE_SAFE}),
    "torch.nn:TripletMarginLoss": frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.LABEL_EQUALITY}),
    "timm:LabelSmoothingCrossEntropy": _SOFTMAX,
    "timm:SoftTargetCrossEntropy": _SOFTMAX,
    "timm:PolyCrossEntropy": frozenset({Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE}),
    "timm:AsymmetricLossSingleLabel": frozenset({Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE}),
    "timm:BinaryCrossEntropy": frozenset({Trait.CONVEX, Trait.SCALE_SAFE}),
    **{
        f"pytorch_metric_learning:{name}": _PAIRS
        for name in ("TripletMarginLoss", "ContrastiveLoss", "SupConLoss", "NTXentLoss", "MultiSimilarityLoss")
    },
    "pytorch_metric_learning:ProxyAnchorLoss": _ON_THE_SPHERE | {Trait.BATCH_COUPLED},
    **{
        f"pytorch_metric_learning:{name}": _ON_THE_SPHERE
        for name in ("ArcFaceLoss", "CosFaceLoss", "NormalizedSoftmaxLoss", "ProxyNCALoss")
    },
    "pytorch_metric_learning:SoftTripleLoss": frozenset({Trait.SCALE_INVARIANT, Trait.SCALE_SAFE}),
}
"""library:class -> traits for all hyper-parameters, beside `MEAN_OF_ROWS` for a class that is not batch-coupled."""

_LIKELIHOOD = frozenset(
    {Trait.WEIGHTED_LIKELIHOOD, Trait.MONOTONE, Trait.ZERO_AT_SEPARATION, Trait.TWICE_DIFFERENTIABLE}
)
TRAITS_OF_DEFAULTS: Mapping[str, frozenset[Trait]] = {
    "torch.nn:CrossEntropyLoss": _LIKELIHOOD | {Trait.VMAP},
    "torch.nn:MultiMarginLoss": frozenset({Trait.MONOTONE, Trait.ZERO_AT_SEPARATION}),
    "torch.nn:TripletMarginLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
    "timm:LabelSmoothingCrossEntropy": frozenset({Trait.TWICE_DIFFERENTIABLE, Trait.VMAP}),
    "timm:SoftTargetCrossEntropy": _LIKELIHOOD,
    "pytorch_metric_learning:TripletMarginLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
    "pytorch_metric_learning:ContrastiveLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
}
"""library:class -> further traits with the default hyper-parameters; label smoothing alone would change them."""


def known_traits(made: Any, *, defaults: bool) -> frozenset[Trait]:
    """Return the known traits of a class of torch.nn, timm or pytorch-metric-learning; of other classes, none.

    Args:
        made: the class, or an instance.
        defaults: whether it is built with the default hyper-parameters.
    """
    kind = made if isinstance(made, type) else type(made)
    library = "torch.nn" if kind.__module__.startswith("torch.nn.") else kind.__module__.partition(".")[0]
    key = f"{library}:{kind.__name__}"
    of_defaults = TRAITS_OF_DEFAULTS.get(key, frozenset()) if defaults else frozenset()
    return KNOWN_TRAITS.get(key, frozenset()) | of_defaults
