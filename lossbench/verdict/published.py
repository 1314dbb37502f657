"""Published accuracies on AffectNet, to stand beside a run of one's own, and what speaks against comparing the two."""

from __future__ import annotations

from typing import NamedTuple

from ..data.affectnet.codes import TRAINING_COUNTS, VALIDATION_PER_CLASS
from ..runs.record import DataFacts, Record

_SIZE = 224  # pixels; what these systems see


class Published(NamedTuple):
    """A figure from a paper.

    Attributes:
        name: of the system or the loss.
        classes: 7 or 8; figures of different class sets are not comparable.
        accuracy: on the validation split, in per cent.
        year: of the paper.
        source: where it stands.
        what: "system" (anything goes) or "loss" (ResNet-18, only the loss differs).
    """

    name: str
    classes: int
    accuracy: float
    year: int
    source: str
    what: str = "system"


_DAN = "Wen et al., arXiv:2109.07270"
_EMOTIEFFNET = "Savchenko et al., IEEE Trans. Affective Computing"
_POSTER = "Mao et al., arXiv:2301.12149"
_BTN = "Her et al., arXiv:2407.04218"
_QCS = "Wang et al., arXiv:2411.01988"
_DACL = "Farzaneh and Qi, WACV"

FIGURES = (
    Published("DAN", 8, 62.09, 2021, _DAN),
    Published("EmotiEffNet-B2", 8, 63.03, 2022, _EMOTIEFFNET),
    Published("POSTER++", 8, 63.77, 2023, _POSTER),
    Published("BTN", 8, 64.29, 2024, _BTN),
    Published("QCS", 8, 64.40, 2024, _QCS),
    Published("DAN", 7, 65.69, 2021, _DAN),
    Published("EmotiEffNet-B2", 7, 66.34, 2022, _EMOTIEFFNET),
    Published("POSTER++", 7, 67.49, 2023, _POSTER),
    Published("BTN", 7, 67.60, 2024, _BTN),
    Published("QCS", 7, 67.94, 2024, _QCS),
    Published("softmax, ResNet-18", 7, 63.86, 2021, _DACL, "loss"),
    Published("center, ResNet-18", 7, 64.09, 2021, _DACL, "loss"),
    Published("DACL, ResNet-18", 7, 65.20, 2021, _DACL, "loss"),
)


def published(data: DataFacts) -> tuple[Published, ...]:
    """The figures of the class set that a run was evaluated on; none for a run on other data.

    Args:
        data: of the run's record.
    """
    if not data.release:
        return ()
    classes = len(data.class_names)
    return tuple(figure for figure in FIGURES if figure.classes == classes)


def why_not_comparable(record: Record) -> tuple[str, ...]:
    """What keeps a run's accuracy from standing beside the published ones; none when nothing known does.

    Args:
        record: of a run on AffectNet.
    """
    data, model = record.data, record.model
    classes = len(data.class_names)
    reasons = []
    if data.release != "full-2017":
        reasons.append(f"the release is {data.release}, not full-2017: scores differ by 1 to 2 points")
    if model.weights == "none":
        reasons.append("no pretrained weights: the published systems start from face recognition")
    if model.image_size < _SIZE:
        reasons.append(f"images of {model.image_size} px, the published systems see {_SIZE} px or more")
    images = sum(data.training_counts.values()) + data.selection_images
    expected = sum(TRAINING_COUNTS[:classes])
    if abs(images - expected) > expected // 1000:  # a damaged image or a row listed twice changes nothing
        reasons.append(f"{images:,} training images, the release has {expected:,}")
    test_images = sum(data.test_counts.values())
    # AffectNet-8 of 2021 has one image fewer.
    if not VALIDATION_PER_CLASS * classes - 1 <= test_images <= VALIDATION_PER_CLASS * classes:
        reasons.append(f"{test_images:,} evaluation images, the release has {VALIDATION_PER_CLASS * classes:,}")
    return tuple(reasons)
