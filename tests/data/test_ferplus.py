"""FER+ in both layouts, on files made here: majority rule, dropped rows, duplicates, and refusals."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ferplus_counts
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lossbench.data.face_expressions import CLASS_NAMES
from lossbench.data.ferplus.duplicates import without_duplicates
from lossbench.data.ferplus.votes import VOTED, majority
from lossbench.data.inspect import inspect_splits
from lossbench.data.sources import Splits, open_data
from lossbench.errors import DataError

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
ROWS = {"Training": 150, "PublicTest": 40, "PrivateTest": 40}
Row = tuple[str, str, list[int], np.ndarray]  # usage, image name, votes, pixels


def made_rows() -> list[Row]:
    """Rows with every quirk of the published files: missing names, repeated names, ties, duplicates, non-faces."""
    random = np.random.default_rng(7)
    rows: list[Row] = []
    number = 0
    for usage, count in ROWS.items():
        for _ in range(count):
            winner = int(random.choice(10, p=[0.25, 0.2, 0.1, 0.1, 0.1, 0.08, 0.06, 0.06, 0.03, 0.02]))
            votes = np.bincount(
                random.choice([winner, *range(10)], size=10, p=[0.6, *[0.04] * 10]), minlength=10
            ).tolist()
            pixels = random.integers(0, 256, (48, 48), dtype=np.uint8)
            if rows and random.uniform() < 0.15:  # a copy of an earlier image, often with its votes
                other = rows[int(random.integers(len(rows)))]
                pixels, votes = other[3], other[2] if random.uniform() < 0.7 else votes
            name = "" if random.uniform() < 0.03 else f"fer{number:07}.png"
            rows.append((usage, name, votes, pixels))
            number += 1
        first = next(row for row in rows if row[0] == usage and row[1])
        rows.append(first)  # listed twice
    return rows


ALL = made_rows()


def write_votes(root: Path, rows: list[Row]) -> None:
    lines = [",".join([usage, name, *map(str, votes)]) for usage, name, votes, _ in rows]
    (root / "fer2013new.csv").write_text("\n".join([HEADER, *lines]) + "\n")


def folders(root: Path, rows: list[Row] = ALL, without: tuple[str, ...] = ()) -> Path:
    """The layout of the FERPlus repository."""
    root.mkdir(exist_ok=True)
    write_votes(root, rows)
    for usage, name, _, pixels in rows:
        if name and usage not in without:
            (root / FOLDERS[usage]).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / FOLDERS[usage] / name)
    return root


def pixel_file(root: Path, rows: list[Row] = ALL, votes: bool = True, name: str = "fer2013.csv") -> Path:
    """FER2013's file of pixels, beside the votes or alone."""
    root.mkdir(exist_ok=True)
    if votes:
        write_votes(root, rows)
    with (root / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for number, (usage, _, _, pixels) in enumerate(rows):
            writer.writerow([number % 7, " ".join(map(str, pixels.ravel().tolist())), usage])
    return root


def expected(test: str = "PrivateTest") -> tuple[dict[str, Counter[str]], dict[str, set[bytes]]]:
    """Count independently: labels and images that remain in training and test."""
    labeled: dict[bytes, list[tuple[str, str]]] = {}
    for usage in ("Training", test):
        names: set[str] = set()
        for row_usage, name, votes, pixels in ALL:
            if row_usage != usage or not name or name in names:
                continue
            names.add(name)
            counted = np.array(votes) * (np.array(votes) > 1)
            if counted.max() > counted.sum() / 2 and counted.argmax() < 8:
                label = HEADER.split(",")[2 + int(counted.argmax())]
                labeled.setdefault(pixels.tobytes(), []).append((usage, label))
    labels: dict[str, Counter[str]] = {"Training": Counter(), test: Counter()}
    images: dict[str, set[bytes]] = {"Training": set(), test: set()}
    for pixels_bytes, copies in labeled.items():
        if len({label for _, label in copies}) == 1:
            usage = test if any(used == test for used, _ in copies) else "Training"
            labels[usage][copies[0][1]] += 1
            images[usage].add(pixels_bytes)
    return labels, images


def counts(splits: Splits, split: str) -> Counter[str]:
    table = getattr(splits, split)
    return Counter({name: count for name, count in zip(table.class_names, table.class_counts, strict=True) if count})


@pytest.mark.parametrize("make", [folders, pixel_file], ids=["folders", "pixels"])
def test_both_layouts_agree_with_an_independent_count(make: Callable[[Path], Path], tmp_path: Path) -> None:
    splits = open_data(f"ferplus:{make(tmp_path / 'data')}")
    labels, images = expected()
    assert splits.train.class_names == CLASS_NAMES
    assert splits.origin == "PrivateTest"
    assert counts(splits, "train") == labels["Training"]
    assert counts(splits, "test") == labels["PrivateTest"]
    for table, usage in ((splits.train, "Training"), (splits.test, "PrivateTest")):
        read = {np.asarray(table.read(row))[:, :, 0].tobytes() for row in range(len(table))}
        assert read == images[usage]
        assert table.read(0).mode == "RGB"


def test_every_dropped_row_is_counted(tmp_path: Path) -> None:
    splits = open_data(f"ferplus:{folders(tmp_path / 'data')}")
    content = inspect_splits(splits, "ferplus:data")
    dropped = content["dropped"]["train"]
    total = sum(usage == "Training" for usage, *_ in ALL)
    assert sum(dropped.values()) == total - len(splits.train)
    assert dropped["listed twice"] == 1
    assert dropped["without a file name"] == sum(usage == "Training" and not name for usage, name, *_ in ALL)
    assert {"without a majority", "unknown", "not a face", "duplicates of a test image"} <= set(dropped)
    (note,) = [note for note in splits.notes if note.startswith("Training: ")]
    assert note.startswith(f"Training: {total:,} rows, ")
    assert note.endswith(f"; {len(splits.train):,} images remain")
    assert content["release"] == "ferplus-folders"
    assert content["problems"] == []


def test_without_private_test_the_public_test_is_the_test_split(tmp_path: Path) -> None:
    splits = open_data(f"ferplus:{folders(tmp_path / 'data', without=('PrivateTest',))}")
    assert splits.origin == "PublicTest, because this copy has no images of PrivateTest"
    assert counts(splits, "test") == expected("PublicTest")[0]["PublicTest"]
    assert counts(splits, "train") == expected("PublicTest")[0]["Training"]


def test_seven_classes_have_no_contempt(tmp_path: Path) -> None:
    splits = open_data(f"ferplus:{folders(tmp_path / 'data')}", classes=7)
    assert splits.train.class_names == CLASS_NAMES[:7]
    assert splits.train.details["dropped"]["train"]["contempt"] > 0  # type: ignore[index]


def test_pixels_alone_give_the_seven_original_labels(tmp_path: Path) -> None:
    root = pixel_file(tmp_path / "data", votes=False, name="icml_face_data.csv")
    splits = open_data(f"ferplus:{root}")
    assert splits.train.class_names == CLASS_NAMES[:7]
    assert splits.train.details["release"] == "fer2013-pixels"
    with pytest.raises(DataError, match=r"--classes 8 needs the votes of fer2013new.csv"):
        open_data(f"ferplus:{root}", classes=8)


def test_rows_of_pixels_without_votes_are_dropped(tmp_path: Path) -> None:
    root = pixel_file(tmp_path / "data")
    write_votes(root, [row for row in ALL if row[0] != "PrivateTest"])
    splits = open_data(f"ferplus:{root}")
    assert splits.origin.startswith("PublicTest")


def test_a_missing_image_is_an_error_of_a_run_and_not_of_the_source(tmp_path: Path) -> None:
    root = folders(tmp_path / "data")
    whole = open_data(f"ferplus:{root}")
    assert whole.train.paths is not None
    whole.train.paths[3].unlink()
    assert len(open_data(f"ferplus:{root}").train) == len(whole.train)


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_the_majority_rule(votes: list[int]) -> None:
    counted = [count for count in votes if count >= 2]
    label = majority(votes)
    if label == "without a majority":
        assert not counted or max(counted) <= sum(counted) / 2
    else:
        winner = {"unknown": "unknown", "not a face": "NF"}.get(label, label)
        assert votes[VOTED.index(winner)] > sum(counted) / 2


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=12),
)
def test_no_image_remains_twice(train: list[tuple[int, int]], test: list[tuple[int, int]]) -> None:
    parts = [([target for target, _ in part], [bytes([image]) for _, image in part]) for part in (train, test)]
    rows, dropped = without_duplicates(parts[0], parts[1])
    kept = [parts[split][1][row] for split in (0, 1) for row in rows[split]]
    assert len(kept) == len(set(kept))
    for split in (0, 1):
        assert len(rows[split]) + sum(dropped[split].values()) == len(parts[split][0])
    ambiguous = {
        image for _, image in train + test if len({target for target, other in train + test if other == image}) > 1
    }
    assert {image[0] for image in kept} == {image for _, image in train + test} - ambiguous


def broken_votes(text: str) -> Callable[[Path], None]:
    return lambda root: (root / "fer2013new.csv").write_text(text) and None


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: root.rename(root.with_name("gone")), "no such folder; expected one of"),
    "other columns": (
        broken_votes("Usage,name\nTraining,a.png\n"),
        "found columns: usage, name; expected: usage, image",
    ),
    "a short row": (broken_votes(f"{HEADER}\nTraining,a.png,1\n"), "row 2: 3 fields, expected 12"),
    "another usage": (
        broken_votes(f"{HEADER}\nTest,a.png{',1' * 10}\n"),
        "row 2: usage 'Test', expected one of Training",
    ),
    "votes as text": (broken_votes(f"{HEADER}\nTraining,a.png{',x' * 10}\n"), "row 2: votes 'x, x"),
    "a path": (broken_votes(f"{HEADER}\nTraining,../a.png{',1' * 10}\n"), "row 2: image name '../a.png' is not a file"),
    "no votes": (lambda root: (root / "fer2013new.csv").unlink(), "image folders without fer2013new.csv"),
    "no rows": (broken_votes(f"{HEADER}\n"), "no images of Training"),
    "no majority anywhere": (
        broken_votes(f"{HEADER}\nTraining,a.png,5,5{',0' * 8}\nTraining,,9{',0' * 9}\n"),
        "all 2 rows of Training are dropped (1 without a file name, 1 without a majority); download the files again",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_copies_are_one_error(case: str, tmp_path: Path) -> None:
    change, message = BROKEN[case]
    root = folders(tmp_path / "data", ALL[:30])
    change(root)
    with pytest.raises(DataError) as error:
        open_data(f"ferplus:{root}")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,1 2 3,Training", "row 2: expected 2,304 pixels from 0 to 255, got 3 numbers"),
        (f"0,{'300 ' * 2304},Training", "row 2: expected 2,304 pixels from 0 to 255"),
        (f"9,{'1 ' * 2304},Training", "row 2: emotion '9', expected 0 to 6"),
        (f"1,{'1 ' * 2304},Test", "row 2: usage 'Test', expected one of Training"),
        ("1", "row 2: 1 fields, expected 3"),
    ],
)
def test_broken_pixels_are_one_error(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n{row}\n")
    with pytest.raises(DataError) as error:
        open_data(f"ferplus:{tmp_path}")
    assert message in str(error.value)


def test_votes_alone_and_other_folders_are_refused(tmp_path: Path) -> None:
    write_votes(tmp_path, ALL)
    with pytest.raises(DataError, match=r"fer2013new.csv without images; expected one of"):
        open_data(f"ferplus:{tmp_path}")
    (tmp_path / "fer2013new.csv").unlink()
    with pytest.raises(DataError, match=r"not FER\+; expected one of"):
        open_data(f"ferplus:{tmp_path}")
    with pytest.raises(DataError, match="--val does not apply to --data 'ferplus:"):
        open_data(f"ferplus:{tmp_path}", val="x.csv")


def test_soft_votes_are_the_shares_of_the_votes_and_change_nothing_else(tmp_path: Path) -> None:
    root = pixel_file(tmp_path / "data")
    hard, soft = open_data(f"ferplus:{root}"), open_data(f"ferplus:{root}?votes=soft")
    assert hard.train.distributions is soft.test.distributions is None
    assert (soft.train.sample_ids, soft.train.class_counts) == (hard.train.sample_ids, hard.train.class_counts)
    assert soft.test.digest() == hard.test.digest()
    assert soft.train.digest() != hard.train.digest()
    assert open_data(f"ferplus:{root}?votes=majority").train.digest() == hard.train.digest()
    distributions = soft.train.distributions
    assert distributions is not None
    np.testing.assert_allclose(distributions.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(distributions.argmax(axis=1), soft.train.targets)
    votes = {name: votes for usage, name, votes, _ in ALL if usage == "Training"}
    for sample, row in zip(soft.train.sample_ids, distributions, strict=True):
        counted = {label: n for label, n in zip(VOTED[:8], votes[Path(sample).name], strict=False) if n > 1}
        shares = [counted.get(label, 0) / sum(counted.values()) for label in CLASS_NAMES]
        np.testing.assert_allclose(row, shares, rtol=1e-6)
    part = soft.train.subset(np.array([3, 1]))
    np.testing.assert_array_equal(part.distributions, distributions[[3, 1]])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?votes=loud", "votes must be majority or soft, got 'loud'"),
        ("?vote=soft", "unknown option 'vote'. Did you mean 'votes'?"),
        ("?votes=", "expected one value of votes, as in ferplus:DIR\\?votes=soft"),
        ("?votes=soft&votes=soft", "expected one value of votes"),
    ],
)
def test_wrong_kinds_of_votes_are_refused(query: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_data(f"ferplus:{tmp_path}{query}")


def test_soft_votes_need_votes(tmp_path: Path) -> None:
    root = pixel_file(tmp_path / "data", votes=False)
    with pytest.raises(DataError, match=r"votes=soft needs the votes of fer2013new.csv"):
        open_data(f"ferplus:{root}?votes=soft")


def test_digests_of_pixels_are_kept_between_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run decodes nothing; a changed file is decoded again."""
    from lossbench.data import preflight

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, decoded = folders(tmp_path / "data"), []
    check_file = preflight.check_file
    monkeypatch.setattr(preflight, "check_file", lambda path, box: decoded.append(path) or check_file(path, box))
    first = open_data(f"ferplus:{root}")
    assert len(decoded) > 150
    decoded.clear()
    assert open_data(f"ferplus:{root}").train.digest() == first.train.digest()
    assert decoded == []
    paths = first.train.paths
    assert paths is not None
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(paths[0])
    open_data(f"ferplus:{root}")
    assert decoded == [paths[0]]


def test_the_script_of_counts_agrees_and_notices_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, agree = ferplus_counts.compared(folders(tmp_path / "data"))
    assert agree
    assert {step for _, step, _, _ in rows} > {"rows", "remain", "listed twice", "without a majority", "not a face"}
    monkeypatch.setattr("lossbench.data.ferplus.votes.majority", lambda votes: VOTED[int(np.argmax(votes))])
    rows, agree = ferplus_counts.compared(tmp_path / "data")
    assert not agree
