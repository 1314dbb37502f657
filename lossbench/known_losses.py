"""Losses that lossbench's own plugins provide, and the other names that people know losses by: for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Distribution -> its losses. A test compares it with the distributions in plugins/.
DISTRIBUTIONS = {
    "lossbench-imbalance": (
        "softmax-focal", "class-balanced", "balanced-softmax", "logit-adjusted", "ldam", "vector-scaling", "seesaw",
        "label-smoothing", "generalised-cross-entropy",
    ),
    "lossbench-cluster": ("contrastive-center", "island", "gaussian-affinity"),
    "lossbench-margin": ("norm-face", "cos-face", "arc-face", "supervised-contrastive"),
}  # fmt: skip
ADAPTERS = "lossbench-metric-learning"
# Other name, without hyphens and "loss" -> the name here.
_OTHER_NAMES = {
    "crossentropy": "softmax", "ce": "softmax", "xent": "softmax", "nll": "softmax", "softmaxcrossentropy": "softmax",
    "weightedcrossentropy": "weighted-softmax", "weightedce": "weighted-softmax", "wce": "weighted-softmax",
    "focal": "softmax-focal", "cb": "class-balanced", "classbalancedfocal": "class-balanced",
    "bsce": "balanced-softmax", "bals": "balanced-softmax", "la": "logit-adjusted",
    "logitadjustment": "logit-adjusted", "vs": "vector-scaling", "ldamdrw": "ldam", "ls": "label-smoothing",
    "smoothing": "label-smoothing", "gce": "generalised-cross-entropy",
    "generalizedcrossentropy": "generalised-cross-entropy", "amsoftmax": "cos-face",
    "supcon": "supervised-contrastive", "normsoftmax": "norm-face", "wcl": "weighted-cluster",
    "cluster": "weighted-cluster", "circle": "pml/CircleLoss", "proxyanchor": "pml/ProxyAnchorLoss",
    "proxynca": "pml/ProxyNCALoss", "multisimilarity": "pml/MultiSimilarityLoss", "ntxent": "pml/NTXentLoss",
    "infonce": "pml/NTXentLoss", "simclr": "pml/NTXentLoss", "sphereface": "pml/SphereFaceLoss",
    "contrastive": "pml/ContrastiveLoss", "softtriple": "pml/SoftTripleLoss", "tripletmargin": "triplet",
    "arcmargin": "arc-face", "arcmarginproduct": "arc-face", "additiveangularmargin": "arc-face",
    "cosmargin": "cos-face", "lmcl": "cos-face", "additivemargin": "cos-face", "balancedce": "weighted-softmax",
    "balancedcrossentropy": "weighted-softmax", "inversefrequency": "weighted-softmax",
}  # fmt: skip


def where_to_find(name: str, installed: Iterable[str]) -> str | None:
    """Return what a loss is called here and how to install it, as sentences; None for a name that nobody knows.

    Args:
        name: the unknown name.
        installed: losses that can be used.

    Example:
        >>> where_to_find("CrossEntropyLoss", ["softmax"])
        "Here it is called 'softmax'."
        >>> where_to_find("ldam", ["softmax"]).partition(". ")[0]
        'It is part of lossbench-imbalance, which is not installed'
    """
    known = {_bare(loss): loss for losses in DISTRIBUTIONS.values() for loss in losses}
    known |= {_bare(loss): loss for loss in installed}
    found = known.get(_bare(name)) or _OTHER_NAMES.get(_bare(name))
    if found is None:
        return None
    distribution = next((d for d, losses in DISTRIBUTIONS.items() if found in losses), None)
    if "/" in found:
        distribution = ADAPTERS
    said = [] if found == name else [f"Here it is called {found!r}."]
    if distribution and found not in installed:
        said.append(
            f"It is part of {distribution}, which is not installed. "
            f"In a checkout of lossbench: pip install ./plugins/{distribution}"
        )
    return " ".join(said) or None


def _bare(name: str) -> str:
    """Return a name as people vary it: without the module, case, hyphens and "loss"."""
    return re.sub(r"loss$", "", re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower()))
