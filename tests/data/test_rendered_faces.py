"""The rendered faces: reproducible to the bit, imbalanced as dialled, and tellable apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score

from lossbench.data.affectnet.codes import TRAINING_COUNTS
from lossbench.data.face_expressions import CLASS_NAMES, PROTOTYPES, Expression, prototypes
from lossbench.data.face_parameters import TEST, TRAIN, identities, persons_of
from lossbench.data.rendered_faces import RenderedFaces, draw_faces, open_rendered_faces
from lossbench.data.table import ImageTable
from lossbench.errors import DataError

SMALL = RenderedFaces(images=100, test_images_per_class=4)


def pixels(table: ImageTable) -> npt.NDArray[np.uint8]:
    return np.stack([np.asarray(table.read(row)) for row in range(len(table))])


def test_an_image_is_the_same_alone_and_in_any_chunking_or_order() -> None:
    rows = np.arange(70)
    depicted = rows % len(CLASS_NAMES)
    together = draw_faces(SMALL, TRAIN, rows, depicted)
    for length in (1, 7, 64):
        chunks = [rows[start : start + length] for start in range(0, len(rows), length)]
        apart = np.concatenate([draw_faces(SMALL, TRAIN, chunk, depicted[chunk]) for chunk in chunks])
        np.testing.assert_array_equal(apart, together)
    order = np.random.default_rng(0).permutation(rows)
    np.testing.assert_array_equal(draw_faces(SMALL, TRAIN, order, depicted[order]), together[order])


def test_reading_gives_the_same_pixels_before_and_after_prepare() -> None:
    for table in open_rendered_faces(SMALL):
        before = pixels(table)
        table.prepare()
        table.prepare()
        np.testing.assert_array_equal(pixels(table), before)
        assert table.read(0).mode == "RGB"
        assert np.asarray(table.subset(np.array([5])).read(0)).tobytes() == before[5].tobytes()


def test_another_data_seed_is_another_data_set_and_the_same_one_the_same() -> None:
    def first(data_seed: int) -> bytes:
        train, _ = open_rendered_faces(RenderedFaces(images=20, test_images_per_class=1, data_seed=data_seed))
        return train.targets.tobytes() + pixels(train).tobytes()

    assert first(0) == first(0)
    assert first(0) != first(1)


def test_images_differ_between_rows_and_splits() -> None:
    train, test = open_rendered_faces(SMALL)
    images = [image.tobytes() for table in (train, test) for image in pixels(table)]
    assert len(set(images)) == len(images)


def test_no_person_is_in_both_splits() -> None:
    train, test = open_rendered_faces(RenderedFaces())
    assert train.persons is not None
    assert test.persons is not None
    assert not set(train.persons) & set(test.persons)
    assert len(set(train.persons)) > 300
    assert train.persons[0].startswith("identity-")


def test_a_person_keeps_the_same_face() -> None:
    persons = persons_of(0, TRAIN, np.arange(2000))
    first, second = np.flatnonzero(persons == persons[0])[:2]
    other = np.flatnonzero(persons != persons[0])[0]
    skin = identities(0, persons).skin[0, :, 0, 0]
    assert skin[first] == skin[second] != skin[other]


def test_the_tables_say_what_is_known_without_drawing() -> None:
    train, test = open_rendered_faces(RenderedFaces())
    assert (len(train), len(test)) == (4000, 1600)
    assert (train.sample_ids[17], test.sample_ids[3]) == ("train/17", "test/3")
    assert train.class_names == test.class_names == CLASS_NAMES
    assert train.subject == "a cropped face"
    assert train.details["overlap"] == RenderedFaces().overlap
    assert test.class_counts == (200,) * 8


def test_training_has_the_proportions_of_affectnet() -> None:
    train, _ = open_rendered_faces(RenderedFaces())
    exact = np.array(TRAINING_COUNTS) / sum(TRAINING_COUNTS) * 4000
    assert train.class_counts == RenderedFaces().class_counts()
    assert np.abs(np.array(train.class_counts) - exact).max() < 1


def test_labels_come_in_no_order() -> None:
    train, test = open_rendered_faces(RenderedFaces())
    for table in (train, test):
        first, second = np.array_split(table.targets, 2)
        counts = np.bincount(first, minlength=8), np.bincount(second, minlength=8)
        assert np.abs(counts[0] - counts[1]).max() < 0.15 * len(first)


@pytest.mark.parametrize("ratio", [1, 5, 100])
def test_the_imbalance_ratio_is_honoured(ratio: float) -> None:
    counts = RenderedFaces(images=20_000, imbalance=ratio).class_counts()
    assert sum(counts) == 20_000
    assert max(counts) / min(counts) == pytest.approx(ratio, rel=0.03)
    assert np.argmax(TRAINING_COUNTS) == np.argmax(counts) or ratio == 1


def test_every_class_has_an_image_however_few_there_are() -> None:
    counts = RenderedFaces(images=8, imbalance=1000).class_counts()
    assert counts == (1,) * 8


@pytest.mark.parametrize(
    ("dial", "value", "message"),
    [
        ("images", 7, "synthetic: images must be at least 8, one per class; it is 7"),
        ("test_images_per_class", 0, "synthetic: test_images_per_class must be at least 1; it is 0"),
        ("imbalance", 0.5, "synthetic: imbalance must be at least 1 and finite; it is 0.5"),
        ("imbalance", float("nan"), "synthetic: imbalance must be at least 1 and finite; it is nan"),
        ("overlap", 1.1, "synthetic: overlap must be between 0 and 1; it is 1.1"),
        ("label_noise", 1.0, "synthetic: label_noise must be at least 0 and below 1; it is 1.0"),
        ("data_seed", -1, "synthetic: data_seed must be at least 0 and below 2**63; it is -1"),
        ("size", 8, "synthetic: size must be between 16 and 512 pixels; it is 8"),
    ],
)
def test_a_dial_outside_its_range_is_refused(dial: str, value: float, message: str) -> None:
    with pytest.raises(DataError) as refusal:
        RenderedFaces(**{dial: value})  # type: ignore[arg-type]
    assert str(refusal.value) == message


@pytest.mark.long
def test_label_noise_changes_training_images_only_and_no_count() -> None:
    def drawn(label_noise: float) -> tuple[ImageTable, ImageTable]:
        return open_rendered_faces(RenderedFaces(images=400, test_images_per_class=2, label_noise=label_noise))

    (clean, clean_test), (noisy, noisy_test) = drawn(0), drawn(0.2)
    assert noisy.class_counts == clean.class_counts
    for table in (clean, noisy):
        table.prepare()
    changed = (pixels(clean) != pixels(noisy)).any(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.2, abs=0.05)
    np.testing.assert_array_equal(pixels(clean_test), pixels(noisy_test))


def test_overlap_moves_the_rare_classes_toward_their_neighbours() -> None:
    rows = dict(zip(CLASS_NAMES, prototypes(1.0), strict=True))
    np.testing.assert_array_equal(rows["fear"], rows["surprise"])
    np.testing.assert_array_equal(rows["disgust"], rows["anger"])
    assert rows["contempt"][Expression._fields.index("lip_corner_puller")] == 0.25
    apart = dict(zip(CLASS_NAMES, prototypes(0.0), strict=True))
    dimpler = apart["contempt"][Expression._fields.index("unilateral_dimpler")]
    assert dimpler == PROTOTYPES["contempt"]["unilateral_dimpler"]


def linear_recall(overlap: float) -> float:
    """Balanced accuracy of a linear discriminant on 24 x 24 grey pixels."""

    def features(table: ImageTable) -> npt.NDArray[np.float32]:
        table.prepare()
        grey = pixels(table).astype(np.float32).mean(axis=3)
        grey -= grey.mean(axis=(1, 2), keepdims=True)
        halved: npt.NDArray[np.float32] = grey.reshape(len(grey), 24, 2, 24, 2).mean(axis=(2, 4))
        return halved.reshape(len(grey), -1)

    train, test = open_rendered_faces(
        RenderedFaces(images=800, test_images_per_class=30, imbalance=1, overlap=overlap, label_noise=0)
    )
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(features(train), train.targets)
    return float(balanced_accuracy_score(test.targets, judge.predict(features(test))))


@pytest.mark.long
def test_expressions_can_be_told_apart_and_overlap_makes_it_harder() -> None:
    apart, mixed = linear_recall(0.0), linear_recall(0.9)
    assert apart > 0.7
    assert mixed < apart - 0.15


@pytest.mark.parametrize("size", [16, 33, 96])
def test_other_sizes_are_drawn_too(size: int) -> None:
    rows = np.arange(8)
    images = draw_faces(RenderedFaces(size=size), TEST, rows, rows)
    assert images.shape == (8, size, size, 3)
    assert images.std() > 20


@pytest.mark.long
def test_the_default_data_set_is_prepared_whole() -> None:
    train, _ = open_rendered_faces(RenderedFaces())
    train.prepare()
    last = np.asarray(train.read(3999))
    assert last.shape == (48, 48, 3)
    assert last.std() > 10
