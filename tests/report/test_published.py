"""Published figures: of the class set of a run, and only beside what they can stand beside."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from made_records import made_record

from lossbench.data.affectnet.codes import CLASS_NAMES, TRAINING_COUNTS
from lossbench.runs.grid_file import GridCell
from lossbench.runs.record import Record
from lossbench.verdict.published import FIGURES, published, why_not_comparable


def record(classes: int = 8, *, image_size: int = 224, weights: str = "vggface2:senet50.pkl", **data: Any) -> Record:
    """The record of a run that could stand beside the published ones, with some fields changed."""
    names = CLASS_NAMES[:classes]
    made = made_record(GridCell(loss="softmax", sampler="natural", seed=0, name="run"))
    counts = dict(zip(names, TRAINING_COUNTS, strict=False))
    facts = {
        "release": "full-2017",
        "class_names": names,
        "training_counts": counts,
        "drawn_counts": counts,
        "test_counts": dict.fromkeys(names, 500),
        "selection_images": 0,
    }
    return dataclasses.replace(
        made,
        confusion_matrix=None,
        data=dataclasses.replace(made.data, **facts | data),
        model=dataclasses.replace(made.model, image_size=image_size, weights=weights),
    )


def with_happiness(change: int, classes: int = 8) -> dict[str, int]:
    """Training counts of the full release with more or fewer images of happiness."""
    counts = dict(zip(CLASS_NAMES[:classes], TRAINING_COUNTS, strict=False))
    return {**counts, "happiness": counts["happiness"] + change}


def test_figures_of_seven_and_eight_classes_are_never_mixed() -> None:
    eight, seven = published(record(8).data), published(record(7).data)
    assert [figure.accuracy for figure in eight] == [62.09, 63.03, 63.77, 64.29, 64.40]
    assert [figure.accuracy for figure in seven if figure.what == "system"] == [65.69, 66.34, 67.49, 67.60, 67.94]
    assert [figure.accuracy for figure in seven if figure.what == "loss"] == [63.86, 64.09, 65.20]
    affectnet = {figure for figure in FIGURES if figure.data == "AffectNet"}
    assert set(eight) | set(seven) == affectnet
    assert all(figure.source for figure in FIGURES)
    assert all(figure.accuracy < 70 for figure in affectnet)
    assert published(record(3).data) == published(record(8, release=None).data) == ()


def test_figures_belong_to_the_dataset_of_a_run() -> None:
    ferplus = record(8, release="ferplus-folders", split_origin="PrivateTest")
    assert {figure.data for figure in published(ferplus.data)} == {"FER+"}
    assert why_not_comparable(ferplus) == ("duplicate images are dropped here; the published systems keep them",)
    public = record(8, release="ferplus-folders", split_origin="PublicTest, because this copy has none")
    assert "tested on PublicTest; the published systems are tested on PrivateTest" in why_not_comparable(public)
    assert published(record(7, release="fer2013-pixels").data) == ()
    rafdb = record(7, release="rafdb-basic")
    assert {figure.data for figure in published(rafdb.data)} == {"RAF-DB"}
    assert why_not_comparable(rafdb)[0].endswith("test images, the release has 12,271 and 3,068")


@pytest.mark.parametrize("classes", [7, 8])
def test_a_run_on_the_whole_release_from_pretrained_weights_is_comparable(classes: int) -> None:
    assert why_not_comparable(record(classes)) == ()
    selected = record(classes, training_counts=with_happiness(-1000, classes), selection_images=1000)
    assert why_not_comparable(selected) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"release": "affectnet8-2021"},
            "the release is affectnet8-2021, not full-2017: scores differ by 1 to 2 points",
        ),
        ({"weights": "none"}, "no pretrained weights: the published systems start from face recognition"),
        ({"image_size": 64}, "images of 64 px, the published systems see 224 px or more"),
        ({"training_counts": dict.fromkeys(CLASS_NAMES, 5)}, "40 training images, the release has 287,651"),
        ({"test_counts": dict.fromkeys(CLASS_NAMES, 5)}, "40 test images, the release has 4,000"),
    ],
)
def test_what_keeps_a_run_from_being_comparable(changes: dict[str, Any], reason: str) -> None:
    assert why_not_comparable(record(**changes)) == (reason,)


def test_a_damaged_image_in_training_changes_nothing() -> None:
    run = record(training_counts=with_happiness(-1))
    assert why_not_comparable(run) == ()


def test_the_release_of_2021_has_an_image_fewer() -> None:
    counts = {**dict.fromkeys(CLASS_NAMES, 500), "contempt": 499}
    assert why_not_comparable(record(test_counts=counts)) == ()
