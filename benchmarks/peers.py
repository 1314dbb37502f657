"""The 22 losses of other libraries that are tested, and the violations of an earlier measurement.

The earlier measurement made 72 checks with one configuration and seed (C = 4, D = 6, N = 12) with torch 2.15, timm
1.0.31 and pytorch-metric-learning 2.9.0, and found 77 silent violations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peers_from_formula import CenterLoss, ClassWeightedCrossEntropy
from pytorch_metric_learning import losses as pml
from timm import loss as timm
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A loss of another library.

    Attributes:
        name: name in the table.
        target: argument of `lossbench check`.
        make: function that builds it without lossbench, from hyper-parameters.
        sized: names of C and D in `make`, in this order, if it has them.
        reads: "logits" or "embeddings".
        traits: expected traits, beyond those known to the adapters. All are tested as scale-safe.
    """

    name: str
    target: str
    make: Callable[..., nn.Module]
    sized: tuple[str, ...] = ()
    reads: str = "embeddings"
    traits: tuple[str, ...] = ()

    def build(self, classes: int, dim: int, **hyperparameters: Any) -> nn.Module:
        """Return a new instance in float32 for C classes and D dimensions."""
        torch.manual_seed(0)
        return self.make(**dict(zip(self.sized, (classes, dim), strict=False)), **hyperparameters)

    def value(self, loss: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Call the loss as documented."""
        if self.name == "nn.Triplet":
            value: Tensor = loss(*(inputs[rows] for rows in triplets(targets.tolist())))
        elif self.name == "timm SoftTarget":
            value = loss(inputs, nn.functional.one_hot(targets, inputs.shape[-1]).to(inputs.dtype))
        else:
            value = loss(inputs, targets)
        return value


def triplets(labels: list[int]) -> list[list[int]]:
    """Return anchors, positives and negatives of every triplet."""
    n = range(len(labels))
    found = [(a, p, q) for a in n for p in n for q in n if a != p and labels[a] == labels[p] != labels[q]]
    return [[triplet[place] for triplet in found] for place in range(3)]


_SIZES = ("num_classes", "embedding_size")
_LIKELIHOOD = ("shift-invariant", "convex", "weighted-likelihood", "monotone", "zero-at-separation")
_CENTERS = ("translation-invariant", "rotation-invariant", "absent-class-state-fixed")


def _smoothed(**hyperparameters: Any) -> nn.Module:
    return nn.CrossEntropyLoss(**{"label_smoothing": 0.1, **hyperparameters})


def _pml(name: str, kind: Callable[..., nn.Module], sized: tuple[str, ...] = _SIZES) -> Peer:
    return Peer(name=f"PML {name}", target=f"pytorch_metric_learning.losses:{kind.__name__}", make=kind, sized=sized)


def _logits(name: str, target: str, make: Callable[..., nn.Module]) -> Peer:
    return Peer(name=name, target=target, make=make, reads="logits")


PEERS = (
    _logits("nn.CE", "torch.nn:CrossEntropyLoss", nn.CrossEntropyLoss),
    Peer(
        name="nn.CE(w)",
        target="peers_from_formula:ClassWeightedCrossEntropy",
        make=ClassWeightedCrossEntropy,
        sized=("num_classes",),
        reads="logits",
        traits=_LIKELIHOOD,
    ),
    _logits("nn.CE(ls)", "torch.nn:CrossEntropyLoss(label_smoothing=0.1)", _smoothed),
    _logits("nn.MultiMargin", "torch.nn:MultiMarginLoss", nn.MultiMarginLoss),
    Peer(name="nn.Triplet", target="torch.nn:TripletMarginLoss", make=nn.TripletMarginLoss),
    _logits("timm LSCE", "timm.loss:LabelSmoothingCrossEntropy", timm.LabelSmoothingCrossEntropy),
    _logits("timm SoftTarget", "timm.loss:SoftTargetCrossEntropy", timm.SoftTargetCrossEntropy),
    _logits("timm PolyCE", "timm.loss:PolyCrossEntropy", timm.PolyCrossEntropy),
    _logits("timm ASL", "timm.loss:AsymmetricLossSingleLabel", timm.AsymmetricLossSingleLabel),
    _logits("timm BCE", "timm.loss:BinaryCrossEntropy", timm.BinaryCrossEntropy),
    _pml("Triplet", pml.TripletMarginLoss, ()),
    _pml("Contrastive", pml.ContrastiveLoss, ()),
    _pml("SupCon", pml.SupConLoss, ()),
    _pml("NTXent", pml.NTXentLoss, ()),
    _pml("MultiSim", pml.MultiSimilarityLoss, ()),
    _pml("ArcFace", pml.ArcFaceLoss),
    _pml("CosFace", pml.CosFaceLoss),
    _pml("NormSoftmax", pml.NormalizedSoftmaxLoss),
    _pml("SoftTriple", pml.SoftTripleLoss),
    _pml("ProxyAnchor", pml.ProxyAnchorLoss),
    _pml("ProxyNCA", pml.ProxyNCALoss),
    Peer(
        name="KZ Center",
        target="peers_from_formula:CenterLoss",
        make=CenterLoss,
        sized=("num_classes", "feat_dim"),
        traits=_CENTERS,
    ),
)

_NAMES = [peer.name for peer in PEERS]
_PML_PAIRS, _PML_PROXIES = _NAMES[10:15], _NAMES[15:21]
_PML = _PML_PAIRS + _PML_PROXIES


@dataclass(frozen=True)
class Known:
    """A check of the earlier measurement: laws, of which one must detect it, and the losses that failed silently."""

    laws: tuple[str, ...]
    peers: tuple[str, ...]
    says: str = ""  # text that the law's message must contain


KNOWN: Mapping[str, Known] = {
    "p05c gradient at a zero row": Known(("one-zero-row",), (*_PML,), "of a zero row is"),
    "p07 one class": Known(("one-class",), ("nn.Triplet",)),
    "p07b all distinct": Known(("all-classes-distinct",), ("nn.Triplet",)),
    "p08 batch of one": Known(("batch-of-one",), ("nn.Triplet",)),
    "p09 empty batch": Known(
        ("empty-batch",),
        (*_NAMES[:3], *_NAMES[4:10], *(n for n in _PML_PROXIES if n != "PML ProxyAnchor"), "KZ Center"),
    ),
    "p11 reduction": Known(("unknown-option",), ("timm ASL",), "a tensor of shape"),
    "p17b autocast, float16": Known(("half-precision",), ("PML NTXent",), "float16, under autocast:"),
    "p17d float16": Known(("half-precision",), ("PML NTXent",), "float16:"),
    "p17e float16, a zero row": Known(("half-precision",), (*_PML,), "float16 with a zero row:"),
    "p19 shards": Known(
        (
            "equal-shards",
            "mean-of-rows",
        ),
        ("nn.CE(w)",),
    ),
    "p21b float64 into float32": Known(("forward-changes-no-state",), (*_PML_PROXIES,), "float64"),
    "p24 label -100": Known(
        ("label-out-of-range",), ("nn.Triplet", *_PML_PAIRS, "PML NormSoftmax", "KZ Center"), "label -100"
    ),
    "p25 label C": Known(("label-out-of-range",), ("PML ProxyNCA", "KZ Center"), "classes is accepted"),
    "p25b label -1": Known(("label-out-of-range",), ("PML ProxyNCA", "KZ Center"), "label -1 "),
    "p26 unequal lengths": Known(("unequal-lengths",), ("timm ASL",), "labels for"),
    "p26b NaN in": Known(("nan-surfaces",), ("nn.MultiMargin", "PML Triplet", "PML Contrastive")),
    "q02 float labels": Known(("float-labels",), ("timm PolyCE", "timm ASL", "timm BCE", "PML ProxyNCA", "KZ Center")),
    "q09 gradient of a NaN row": Known(("nan-surfaces",), ("nn.MultiMargin", "PML Triplet", "PML Contrastive")),
    "q13 norm 1e20": Known(("extreme-norms",), ("nn.Triplet", "KZ Center")),
    "q14 float32 far from the origin": Known(("float32-far-from-the-origin",), ("KZ Center",)),
}
"""Losses with silent violations in the earlier measurement, by check."""
