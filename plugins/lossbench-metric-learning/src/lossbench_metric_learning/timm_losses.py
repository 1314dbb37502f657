"""timm: `timm/LabelSmoothingCrossEntropy(smoothing=0.2)`. Losses of several labels get one-hot rows."""

from __future__ import annotations

from lossbench.authoring import Form

from .guarded import GuardedFactory, Origin

_DOCUMENTATION = "https://github.com/huggingface/pytorch-image-models/tree/main/timm/loss ({name})"


def _factory(name: str, form: Form = "labels", coupled: bool = False) -> GuardedFactory:
    said = f"See {_DOCUMENTATION.format(name=name)}"
    return GuardedFactory(f"timm.loss:{name}", "logits", form, coupled=coupled, formula=said)


ORIGIN = Origin(
    name="timm",
    module="timm.loss",
    factories={
        "AsymmetricLossMultiLabel": _factory("AsymmetricLossMultiLabel", "one-hot"),
        "AsymmetricLossSingleLabel": _factory("AsymmetricLossSingleLabel"),
        "BinaryCrossEntropy": _factory("BinaryCrossEntropy"),
        "LabelSmoothingCrossEntropy": _factory("LabelSmoothingCrossEntropy"),
        "PolyBinaryCrossEntropy": _factory("PolyBinaryCrossEntropy", "one-hot"),
        "PolyCrossEntropy": _factory("PolyCrossEntropy"),
        "SoftTargetCrossEntropy": _factory("SoftTargetCrossEntropy", "one-hot"),
        "TwoWayLoss": _factory("TwoWayLoss", "one-hot", coupled=True),
        "ZlprLoss": _factory("ZlprLoss", "one-hot"),
    },
    documentation=_DOCUMENTATION,
    refused={
        "JsdCrossEntropy": "it compares several augmented copies of a batch; a run here has one",
        "DistributionBalancedLoss": "it takes class counts at construction, which a formula cannot say",
    },
    use_when="to compare with the loss as timm computes it",
    avoid_when="what `lossbench check` finds in it matters to you, such as NaN for an empty batch",
)
