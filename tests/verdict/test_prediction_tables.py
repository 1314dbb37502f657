"""Tables of predictions are read whole, in any order of rows and any of three forms, and bad ones are refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.errors import ConfigError
from lossbench.verdict.predictions import columns
from lossbench.verdict.predictions.counts import read_counts
from lossbench.verdict.predictions.data_set import DataSet
from lossbench.verdict.predictions.table import read_tables
from lossbench.verdict.predictions.values import without_prior

HEAD = ["loss", "seed", "sample", "target", "predicted"]
TARGETS = {"s0": "cat", "s1": "dog", "s2": "cat", "s3": "emu"}


def rows(losses: str = "ab", seeds: int = 2) -> list[dict[str, str]]:
    draw = np.random.default_rng(0)
    return [
        {
            "loss": loss,
            "seed": str(seed),
            "sample": sample,
            "target": target,
            "predicted": str(draw.choice(["cat", "emu"])),
        }
        for loss in losses
        for seed in range(seeds)
        for sample, target in TARGETS.items()
    ]


def write(file: Path, table: list[dict[str, str]], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with file.open("w", newline="", encoding=encoding) as opened:
        writer = csv.DictWriter(opened, list(table[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    return file


def with_scores(table: list[dict[str, str]]) -> list[dict[str, str]]:
    draw = np.random.default_rng(1)
    return [row | {f"score_{name}": f"{draw.normal():.3f}" for name in ("cat", "dog", "emu")} for row in table]


def answers(data: DataSet) -> dict[tuple[str, int, str], tuple[str, str]]:
    """(loss, seed, sample) -> target and predicted class, whatever the order."""
    return {
        (run.loss, run.seed, sample): (data.class_names[target], data.class_names[predicted])
        for run in data.runs
        for sample, target, predicted in zip(data.samples, data.targets, run.predicted, strict=True)
    }


def expected(table: list[dict[str, str]]) -> dict[tuple[str, int, str], tuple[str, str]]:
    return {(row["loss"], int(row["seed"]), row["sample"]): (row["target"], row["predicted"]) for row in table}


@given(order=st.permutations(range(16)), size=st.integers(1, 20))
def test_rows_in_any_order_and_chunks_of_any_size_give_the_same_runs(
    order: list[int], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = rows()
    file = write(tmp_path_factory.mktemp("table") / "runs.csv", [table[n] for n in order])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "ROWS", size)
        (data,) = read_tables([file])
    assert data.class_names == ("cat", "dog", "emu")
    assert answers(data) == expected(table)


def test_several_files_and_data_sets(tmp_path: Path) -> None:
    table = [row | {"dataset": name} for name in ("faces", "digits") for row in rows()]
    files = [write(tmp_path / "1.csv", table[:20]), write(tmp_path / "2.csv", table[20:])]
    faces, digits = read_tables(files)
    assert (faces.name, digits.name) == ("faces", "digits")
    assert answers(faces) == answers(digits) == expected(rows())


def test_a_model_column_a_byte_order_mark_and_spaces(tmp_path: Path) -> None:
    table = [{("model" if k == "loss" else f" {k} "): f" {v} " for k, v in row.items()} for row in rows()]
    (data,) = read_tables([write(tmp_path / "runs.csv", table, encoding="utf-8-sig")])
    assert answers(data) == expected(rows())


def test_npz_has_arrays_of_the_same_names(tmp_path: Path) -> None:
    table = rows()
    arrays: dict[str, Any] = {name: np.array([row[name] for row in table]) for name in HEAD}
    np.savez(tmp_path / "runs.npz", **(arrays | {"seed": arrays["seed"].astype(int)}))
    (data,) = read_tables([tmp_path / "runs.npz"])
    assert answers(data) == expected(table)


def test_npz_with_a_matrix_of_scores_and_one_run(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(4, 3))
    for seed in (0, 1):
        np.savez(tmp_path / f"{seed}.npz", loss="a", seed=seed, sample=np.arange(4), target=[0, 1, 2, 0], scores=scores,
                 classes=[0, 1, 2])  # fmt: skip
    (data,) = read_tables([tmp_path / "0.npz", tmp_path / "1.npz"])
    assert data.class_names == ("0", "1", "2")
    assert [run.seed for run in data.runs] == [0, 1]
    assert all(run.predicted.tolist() == scores.argmax(axis=1).tolist() for run in data.runs)


def test_parquet_has_the_same_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    table = with_scores(rows())
    typed = [row | {name: float(row[name]) for name in row if name.startswith("score_")} for row in table]
    parquet.write_table(pyarrow.Table.from_pylist(typed), tmp_path / "runs.parquet")
    assert read_tables([tmp_path / "runs.parquet"])[0].targets.tolist() == [0, 1, 0, 2]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ConfigError, match=r"bad\.parquet cannot be read as PARQUET"):
        read_tables([tmp_path / "bad.parquet"])


def test_without_pyarrow_a_parquet_file_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.lib", None)
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"Install it: pip install 'lossbench\[parquet\]'"):
        read_tables([tmp_path / "runs.parquet"])


def test_classes_follow_the_score_columns_and_numbers_their_value(tmp_path: Path) -> None:
    table = with_scores([{name: value for name, value in row.items() if name != "predicted"} for row in rows()])
    backwards = [dict(reversed(row.items())) for row in table]
    (data,) = read_tables([write(tmp_path / "runs.csv", backwards)])
    assert data.class_names == ("emu", "dog", "cat")
    numbers = {"cat": "10", "dog": "9", "emu": "x"}
    renamed = [row | {k: numbers[row[k]] for k in ("target", "predicted")} for row in rows()]
    (data,) = read_tables([write(tmp_path / "numbers.csv", renamed)])
    assert data.class_names == ("9", "10", "x")


def test_scores_are_shifted_by_the_training_counts(tmp_path: Path) -> None:
    table = with_scores(rows())
    file = write(tmp_path / "runs.csv", table)
    counts = {"cat": 900, "dog": 90, "emu": 10}
    (data,) = read_tables([file], counts)
    scores = np.array([[float(row[f"score_{name}"]) for name in counts] for row in table])
    wanted = without_prior(scores, np.array(list(counts.values()))).argmax(axis=1)
    assert np.concatenate([run.shifted for run in data.runs]).tolist() == wanted.tolist()
    assert all(run.shifted is None for run in read_tables([file])[0].runs)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=5))
def test_probabilities_and_logits_are_shifted_alike(values: list[list[float]]) -> None:
    logits = np.array(values)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    counts = np.array([5.0, 3.0, 2.0])
    one, other = without_prior(logits, counts), without_prior(probabilities, counts)
    np.testing.assert_allclose(one - one[:, :1], other - other[:, :1], atol=1e-9)


# --- what is wrong ---------------------------------------------------------------------------------------------------

Table = list[dict[str, str]]


def changed(at: int, **values: str) -> Callable[[Table], Table]:
    return lambda table: [row | values if n == at else row for n, row in enumerate(table)]


def without(column: str) -> Callable[[Table], Table]:
    return lambda table: [{name: value for name, value in row.items() if name != column} for row in table]


BAD: dict[str, tuple[Callable[[Table], Table], str]] = {
    "no predictions": (without("predicted"), r"runs\.csv lacks the column predicted\. Expected loss"),
    "no targets": (without("target"), r"lacks the column target\. .* got loss, seed, sample, predicted"),
    "nothing that is compared": (without("loss"), "lacks the column loss"),
    "two names": (lambda table: [row | {"model": "m"} for row in table], "both a column loss and a column model"),
    "two targets": (
        changed(5, target="emu"),
        r"row 7: sample 's1' of the table has the target 'emu', but 'dog' in another row",
    ),
    "a sample twice": (changed(1, sample="s0", target="cat"), r"'a' with seed 0 has several rows for sample 's0'"),
    "a sample less": (lambda table: table[1:], r"'a' with seed 0 lacks sample 's0' of other runs"),
    "a seed that is text": (changed(2, seed="one"), r"row 4: seed must be an integer, got 'one'"),
    "an empty cell": (changed(3, predicted=" "), r"row 5: predicted is empty"),
    "a class of its own": (
        changed(4, predicted="yak"),
        r"row 6: predicted is 'yak', which is not among the 3 classes of the targets of the table \(cat, dog, emu\)",
    ),
    "a score that is not a number": (
        lambda table: changed(2, score_dog="nan")(with_scores(table)),
        r"row 4: score_dog is 'nan'; expected a finite number",
    ),
    "an infinite score": (lambda table: changed(2, score_dog="inf")(with_scores(table)), "score_dog is 'inf'"),
    "a score that is text": (lambda table: changed(0, score_emu="high")(with_scores(table)), "score_emu is 'high'"),
    "a target without scores": (
        lambda table: without("score_emu")(with_scores(table)),
        r"target is 'emu', which is not among the 2 classes of the score columns",
    ),
    "one score column": (
        lambda table: [row | {"score_cat": "1"} for row in table], "has one score column, score_cat; expected one for",
    ),
    "one class": (
        lambda table: [row | {"target": "cat", "predicted": "cat"} for row in table], "has one class, 'cat'",
    ),
}  # fmt: skip


def write_npz(file: Path, table: Table) -> Path:
    np.savez(file, **{name: np.array([typed(name, row[name]) for row in table]) for name in table[0]})
    return file


def write_parquet(file: Path, table: Table) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra [parquet] is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    columns = {name: [typed(name, row[name]) for row in table] for name in table[0]}
    parquet.write_table(pyarrow.table(columns), file)
    return file


def typed(name: str, text: str) -> float | str:
    """Return scores as numbers, where they are some."""
    return float(text) if name.startswith("score_") and text != "high" else text


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize(("kind", "writer"), {"csv": write, "npz": write_npz, "parquet": write_parquet}.items())
def test_a_bad_table_is_one_clear_error(
    tmp_path: Path, kind: str, writer: Callable[[Path, Table], Path], change: Callable[[Table], Table], message: str
) -> None:
    if kind != "csv":  # rows are counted without a header, and numbers are no text
        message = re.sub(r"row (\d)", lambda found: f"row {int(found[1]) - 1}", message)
        message = re.sub("'(nan|inf)'", r"\1", message)
    message = message.replace(r"runs\.csv", rf"runs\.{kind}")
    table = change(rows())
    if kind == "parquet" and any(row.get("score_emu") == "high" for row in table):
        table = [row | {"score_emu": "high"} for row in table]  # a column has one type
    with pytest.raises(ConfigError, match=message):
        read_tables([writer(tmp_path / f"runs.{kind}", table)])


FILES: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("runs.csv", b"", "is empty; expected a header row"),
    "a header alone": ("runs.csv", b"loss,seed,sample,target,predicted\n", "has no rows below its header"),
    "semicolons": ("runs.csv", b"loss;seed;sample\na;0;1\n", "separate columns by commas"),
    "a short row": ("runs.csv", b"loss,seed,sample,target,predicted\na,0,1\n", r"row 2: 3 values.* 5 columns"),
    "a column twice": ("runs.csv", b"loss,loss\na,b\n", "several columns named loss"),
    "another encoding": ("runs.csv", b"loss,seed\n\xff,1\n", "cannot be read as CSV"),
    "no archive": ("runs.npz", b"nothing", "cannot be read as NPZ"),
    "another kind": ("runs.json", b"{}", r"expected a name that ends in \.csv, \.npz, \.parquet"),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_tables([tmp_path / name])


def test_objects_in_npz_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "runs.npz", loss=np.array(["a", None], dtype=object))
    with pytest.raises(ConfigError, match="holds Python objects, which are not loaded"):
        read_tables([tmp_path / "runs.npz"])
    with pytest.raises(ConfigError, match="no such file"):
        read_tables([tmp_path / "nowhere.csv"])


def test_files_of_one_data_set_have_the_same_score_columns(tmp_path: Path) -> None:
    table = rows()
    one, other = write(tmp_path / "1.csv", with_scores(table[:8])), write(tmp_path / "2.csv", table[8:])
    with pytest.raises(ConfigError, match=r"2\.csv has no score columns, but .*1\.csv has score columns for cat"):
        read_tables([one, other])


def test_counts(tmp_path: Path) -> None:
    def read(text: str) -> dict[str, int]:
        (tmp_path / "counts.csv").write_text(text)
        return read_counts(tmp_path / "counts.csv")

    counts = read("class,training_count\ncat,900\ndog,90\nemu,10\nyak,5\n")
    assert counts == {"cat": 900, "dog": 90, "emu": 10, "yak": 5}
    (data,) = read_tables([write(tmp_path / "runs.csv", changed(4, predicted="yak")(rows()))], counts)
    assert data.class_names == ("cat", "dog", "emu", "yak")
    with pytest.raises(ConfigError, match=r"'dog', which is not among the 1 classes of the training counts"):
        read_tables([tmp_path / "runs.csv"], {"cat": 3})
    for text, message in (
        ("class,count\ncat,1\n", "lacks the column training_count"),
        ("class,training_count\ncat,0\n", "training_count of class 'cat' must be a positive integer, got '0'"),
        ("class,training_count\ncat,1\ncat,2\n", "row 3: class 'cat' is listed twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(text)
