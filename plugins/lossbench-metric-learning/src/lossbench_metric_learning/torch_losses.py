"""torch.nn: `torch/CrossEntropyLoss(label_smoothing=0.1)`.

Losses that take class numbers get them; those of several labels or of regression get one-hot rows; the triplet losses
get every triplet of the batch, a list that grows as B^3.
"""

from __future__ import annotations

from lossbench.authoring import Form

from .guarded import GuardedFactory, Origin

_DOCUMENTATION = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{name}.html"


def _factory(name: str, form: Form = "labels") -> GuardedFactory:
    return GuardedFactory(
        f"torch.nn:{name}",
        "embeddings" if form == "triplets" else "logits",
        form,
        coupled=form == "triplets",
        formula=f"See {_DOCUMENTATION.format(name=name)}",
    )


_ONE_HOT = (
    "BCEWithLogitsLoss", "HuberLoss", "L1Loss", "MSELoss", "MultiLabelSoftMarginLoss", "SmoothL1Loss"
)  # fmt: skip
_OTHER_MODEL = "it compares two inputs, or an input with numbers, not rows with classes"

ORIGIN = Origin(
    name="torch",
    module="torch.nn",
    factories={
        "CrossEntropyLoss": _factory("CrossEntropyLoss"),
        "MultiMarginLoss": _factory("MultiMarginLoss"),
        **{name: _factory(name, "one-hot") for name in _ONE_HOT},
        "TripletMarginLoss": _factory("TripletMarginLoss", "triplets"),
        "TripletMarginWithDistanceLoss": _factory("TripletMarginWithDistanceLoss", "triplets"),
    },
    documentation=_DOCUMENTATION,
    refused={
        "NLLLoss": "it takes log-probabilities; on logits that is torch/CrossEntropyLoss",
        "BCELoss": "it takes probabilities; on logits that is torch/BCEWithLogitsLoss",
        "KLDivLoss": "it takes log-probabilities and a distribution; on labels that is torch/CrossEntropyLoss",
        "SoftMarginLoss": "it takes labels of +1 and -1; on one-hot rows that is torch/MultiLabelSoftMarginLoss",
        "MultiLabelMarginLoss": "it takes lists of labels; for one label a row there is torch/MultiMarginLoss",
        "AdaptiveLogSoftmaxWithLoss": "it brings a classifier of its own; here the classifier belongs to the model",
        "LinearCrossEntropyLoss": "it brings a classifier of its own; here the classifier belongs to the model",
        "CTCLoss": "it compares sequences",
        **dict.fromkeys(
            ("CosineEmbeddingLoss", "GaussianNLLLoss", "HingeEmbeddingLoss", "MarginRankingLoss", "PoissonNLLLoss"),
            _OTHER_MODEL,
        ),
    },
    use_when="to compare with the loss as torch computes it",
    avoid_when="lossbench has the loss itself: torch's gives NaN for an empty batch and takes -100 as no label",
)
