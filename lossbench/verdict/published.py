"""Published accuracies on AffectNet, FER+ and RAF-DB, and why a run may not be comparable with them."""

from __future__ import annotations

from typing import NamedTuple

from ..data.affectnet.codes import TRAINING_COUNTS, VALIDATION_PER_CLASS
from ..runs.record import DataFacts, Record

_SIZE = 224  # pixels of the published systems
AFFECTNET, FERPLUS, RAFDB = "AffectNet", "FER+", "RAF-DB"
_DATASETS = {  # by the release in a record
    "full-2017": AFFECTNET, "affectnet8-2021": AFFECTNET, "plus-2024": AFFECTNET, "class-folders": AFFECTNET,
    "ferplus-folders": FERPLUS, "ferplus-pixels": FERPLUS, "rafdb-basic": RAFDB,
}  # fmt: skip
_RAFDB_IMAGES = (12271, 3068)  # training and test images (Li et al., CVPR 2017)


class Published(NamedTuple):
    """A figure from a paper.

    Attributes:
        name: name of the system or the loss.
        classes: 7 or 8; figures of different class sets are not comparable.
        accuracy: accuracy on the test split (of AffectNet, the validation split) in per cent.
        year: year of the paper.
        source: where it was published.
        what: "system" (anything goes) or "loss" (ResNet-18, only the loss differs).
        data: name of the dataset.
    """

    name: str
    classes: int
    accuracy: float
    year: int
    source: str
    what: str = "system"
    data: str = AFFECTNET


_DAN = "Wen et al., arXiv:2109.07270"
_EMOTIEFFNET = "Savchenko et al., IEEE Trans. Affective Computing"
_POSTER = "Mao et al., arXiv:2301.12149"
_BTN = "Her et al., arXiv:2407.04218"
_QCS = "Wang et al., arXiv:2411.01988"
_DACL = "Farzaneh and Qi, WACV"
_MFER = "Xu et al., github.com/XuJ1E/MFER"
_RESEMOTENET = "Roy et al., arXiv:2409.10545"

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
    Published("MFER", 8, 91.09, 2023, _MFER, data=FERPLUS),
    Published("MFER", 7, 92.08, 2023, _MFER, data=RAFDB),
    Published("ResEmoteNet", 7, 94.76, 2024, _RESEMOTENET, data=RAFDB),
)


def dataset_of(data: DataFacts) -> str | None:
    """Return the name of the published dataset of a run, or None for other data."""
    return _DATASETS.get(data.release or "")


def published(data: DataFacts) -> tuple[Published, ...]:
    """Return the figures for the dataset and class set of a run; empty for other data.

    Args:
        data: data of the run's record.
    """
    name, classes = dataset_of(data), len(data.class_names)
    return tuple(figure for figure in FIGURES if figure.data == name and figure.classes == classes)


def why_not_comparable(record: Record) -> tuple[str, ...]:
    """Return the known reasons why a run's accuracy is not comparable with the published ones.

    Args:
        record: record of a run on a published dataset.
    """
    reasons = {AFFECTNET: _affectnet, FERPLUS: _ferplus, RAFDB: _rafdb}[dataset_of(record.data) or AFFECTNET](record)
    if record.model.weights == "none":
        reasons.append("no pretrained weights: the published systems start from face recognition")
    if record.model.image_size < _SIZE:
        reasons.append(f"images of {record.model.image_size} px, the published systems see {_SIZE} px or more")
    return tuple(reasons)


def _affectnet(record: Record) -> list[str]:
    data, classes = record.data, len(record.data.class_names)
    reasons = []
    if data.release != "full-2017":
        reasons.append(f"the release is {data.release}, not full-2017: scores differ by 1 to 2 points")
    images = sum(data.training_counts.values()) + data.selection_images
    expected = sum(TRAINING_COUNTS[:classes])
    if abs(images - expected) > expected // 1000:  # a damaged image or a row listed twice changes nothing
        reasons.append(f"{images:,} training images, the release has {expected:,}")
    test_images = sum(data.test_counts.values())
    # AffectNet-8 of 2021 has one image fewer.
    if not VALIDATION_PER_CLASS * classes - 1 <= test_images <= VALIDATION_PER_CLASS * classes:
        reasons.append(f"{test_images:,} test images, the release has {VALIDATION_PER_CLASS * classes:,}")
    return reasons


def _ferplus(record: Record) -> list[str]:
    reasons = ["duplicate images are dropped here; the published systems keep them"]
    if not record.data.split_origin.startswith("PrivateTest"):
        reasons.append("tested on PublicTest; the published systems are tested on PrivateTest")
    return reasons


def _rafdb(record: Record) -> list[str]:
    data = record.data
    images = sum(data.training_counts.values()) + data.selection_images
    found = (images, sum(data.test_counts.values()))
    if found == _RAFDB_IMAGES:
        return []
    return [f"{found[0]:,} training and {found[1]:,} test images, the release has {_RAFDB_IMAGES[0]:,} and "
            f"{_RAFDB_IMAGES[1]:,}"]  # fmt: skip
