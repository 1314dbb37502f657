"""`lossbench judge`: the verdict on predictions that another program made."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import make_records
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

CLASSES = ("cat", "dog", "emu")
SKILLS = {"softmax": 1.3, "focal": 1.4, "center": 2.8}
Rows = list[dict[str, str]]


def predictions(
    skills: Mapping[str, float] = SKILLS, seeds: Iterable[int] = range(4), samples: int = 90, scores: bool = False
) -> Rows:
    """Runs that share the difficulty of each sample; the common class is as common as all others together."""
    draw = np.random.default_rng(0)
    targets = draw.choice(3, samples, p=(0.5, 0.3, 0.2))
    difficulty = draw.normal(size=(samples, 3))
    rows = []
    for loss, skill in skills.items():
        for seed in seeds:
            values = difficulty + 0.5 * draw.normal(size=(samples, 3)) + skill * np.eye(3)[targets]
            for n in range(samples):
                row = {"loss": loss, "seed": str(seed), "sample": f"s{n}", "target": CLASSES[targets[n]],
                       "predicted": CLASSES[values[n].argmax()]}  # fmt: skip
                rows.append(row | {f"score_{c}": f"{v:.5f}" for c, v in zip(CLASSES, values[n], strict=True) if scores})
    return rows


def write(file: Path, rows: Rows) -> Path:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "runs.csv", predictions())


def judged(lossbench: Any, *arguments: Any) -> dict[str, Any]:
    done = lossbench("judge", *arguments, "--json")
    assert done.code == 0, done.err
    content: dict[str, Any] = json.loads(done.out)
    return content


ORACLES: dict[str, Callable[..., float]] = {
    "balanced-accuracy": balanced_accuracy_score,
    "accuracy": accuracy_score,
    "macro-f1": lambda t, p: f1_score(t, p, average="macro"),
}


@pytest.mark.parametrize("metric", ORACLES)
def test_json_has_the_documented_form_in_points(lossbench: Any, table: Path, metric: str) -> None:
    content = judged(lossbench, table, "--metric", metric)
    assert content["decision"] == "Take center"
    assert all(isinstance(text, str) for text in content["sentences"])
    rows = predictions()
    by_loss = {entrant["loss"]: entrant for entrant in content["entrants"]}
    assert set(by_loss) == set(SKILLS)
    for loss, entrant in by_loss.items():
        runs = [[r for r in rows if (r["loss"], r["seed"]) == (loss, str(seed))] for seed in range(4)]
        means = [ORACLES[metric]([r["target"] for r in run], [r["predicted"] for r in run]) for run in runs]
        assert entrant["mean"] == pytest.approx(100 * np.mean(means))
        assert entrant["low"] < entrant["mean"] < entrant["high"]
        assert entrant["seeds"] == [0, 1, 2, 3]
        assert entrant["failed_seeds"] == []
    assert len(content["pairs"]) == 3
    for pair in content["pairs"]:
        assert pair["difference"] == pytest.approx(by_loss[pair["first"]]["mean"] - by_loss[pair["second"]]["mean"])
        assert pair["low"] < pair["difference"] < pair["high"]
        assert (pair["verdict"] == "differ") == (pair["low"] > 0 or pair["high"] < 0)
        assert 0 <= pair["p"] <= 1
    assert content["claims"] == []
    assert {reference["loss"] for reference in content["references"]} == {"constant answer", "chance"}


def test_planned_questions(lossbench: Any, table: Path) -> None:
    content = judged(lossbench, table, "--claim", "center > softmax", "--against", "focal", "--equal-within", 30)
    first, *rest = content["claims"]
    assert (first["first"], first["second"], first["verdict"]) == ("center", "softmax", "differ")
    assert {(pair["first"], pair["second"]) for pair in rest} == {("center", "focal"), ("softmax", "focal")}
    verdicts = {(pair["first"], pair["second"]): pair["verdict"] for pair in content["pairs"]}
    assert "equal" in verdicts.values()
    done = lossbench("judge", table, "--claim", "center > nobody")
    assert done.code == 2
    assert "--claim: no loss is named 'nobody'; expected one of" in done.err


def test_counts_add_the_shifted_softmax_as_a_reference(lossbench: Any, tmp_path: Path) -> None:
    table = write(tmp_path / "runs.csv", predictions(scores=True))
    counts = tmp_path / "counts.csv"
    counts.write_text("class,training_count\ncat,900\ndog,90\nemu,10\n")
    content = judged(lossbench, table, "--counts", counts)
    names = [reference["loss"] for reference in content["references"]]
    assert names == ["softmax (post-hoc)", "constant answer", "chance", "prior only"]
    assert "softmax (post-hoc)" not in {entrant["loss"] for entrant in content["entrants"]}
    assert not any("post-hoc" in pair["first"] + pair["second"] for pair in content["pairs"])


def test_claims_on_the_shifted_softmax(lossbench: Any, tmp_path: Path) -> None:
    table = write(tmp_path / "runs.csv", predictions(scores=True))
    counts = tmp_path / "counts.csv"
    counts.write_text("class,training_count\ncat,900\ndog,90\nemu,10\n")
    content = judged(lossbench, table, "--counts", counts, "--claim", "center > softmax (shifted)")
    (claim,) = content["claims"]
    assert (claim["first"], claim["second"], claim["family"]) == ("center", "softmax (post-hoc)", 1)
    means = {e["loss"]: e["mean"] for e in (*content["entrants"], *content["references"])}
    assert claim["difference"] == pytest.approx(means["center"] - means["softmax (post-hoc)"])
    for claimed, message in (
        ("center > softmax (post-hoc)", "pass --counts FILE"),
        ("center (refit) > softmax", "'center (refit)' cannot be derived from a table"),
        (
            "softmax > center (shifted)",
            "'center (post-hoc)' cannot be derived from a table; expected losses of the table",
        ),
    ):
        done = lossbench("judge", table, "--claim", claimed)
        assert done.code == 2
        assert message in " ".join(done.err.split())
    named = [row | {"loss": f"{row['loss']} (refit)"} for row in predictions()]
    literal = judged(lossbench, write(tmp_path / "named.csv", named), "--claim", "center (refit) > focal (refit)")
    assert literal["claims"][0]["first"] == "center (refit)"


def test_several_data_sets_are_judged_together_and_alone(lossbench: Any, tmp_path: Path) -> None:
    rows = [row | {"dataset": name} for name in ("faces", "digits") for row in predictions()]
    content = judged(lossbench, write(tmp_path / "runs.csv", rows), "--metric", "accuracy")
    alone = content["data_sets"]
    assert set(alone) == {"faces", "digits"}
    for entrant in content["entrants"]:
        means = [next(e["mean"] for e in part["entrants"] if e["loss"] == entrant["loss"]) for part in alone.values()]
        assert entrant["mean"] == pytest.approx(np.mean(means))
    references = {reference["loss"]: reference["mean"] for reference in content["references"]}
    assert references["chance"] == pytest.approx(100 / 3)
    done = lossbench("judge", tmp_path / "runs.csv")
    assert "Data sets one by one" in done.out


def test_runs_with_another_sampler_are_named_after_both_and_not_shifted(lossbench: Any, tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.5}, seeds=2, samplers=("natural", "balanced"), images=80)
    content = judged(lossbench, *sorted((grid / "cells").iterdir()))
    assert {entrant["loss"] for entrant in content["entrants"]} == {"softmax", "softmax, balanced"}


def test_every_form_of_the_report(lossbench: Any, table: Path, tmp_path: Path) -> None:
    places = {"html": "r.html", "md": "r.md", "csv": "csv", "latex": "paper", "figures": "svg"}
    done = lossbench("judge", table, *(part for name, at in places.items() for part in (f"--{name}", tmp_path / at)))
    assert done.code == 0, done.err
    assert "Take center" in (tmp_path / "r.html").read_text()
    assert "| center |" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "csv" / "pairs.csv").exists()
    assert "We compared 3" in (tmp_path / "paper" / "methods.tex").read_text()
    assert (tmp_path / "svg" / "scores.svg").exists()


@pytest.mark.long
def test_torch_is_not_imported(table: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from lossbench.cli import main\n"
        f"sys.argv = ['lossbench', 'judge', {str(table)!r}, '--html', 'r.html']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "r.html").exists()


# --- what is wrong ---------------------------------------------------------------------------------------------------


def only(**values: str) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if all(row[name] == value for name, value in values.items())]


def first(**values: str) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0] | values, *rows[1:]]


BAD: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing columns": (
        lambda rows: [{"loss": row["loss"], "seed": row["seed"]} for row in rows],
        "lacks the columns sample, target, predicted",
    ),
    "other targets for one sample": (first(target="emu"), "A sample must have one target in all runs"),
    "a score that is nan": (
        lambda rows: [row | {"score_dog": "nan"} for row in predictions(scores=True)],
        "row 2: score_dog is 'nan'; expected a finite number",
    ),
    "classes that differ": (first(predicted="yak"), "is 'yak', which is not among the 3 classes"),
    "a sample twice": (lambda rows: [*rows, rows[0]], "has several rows for sample 's0'"),
    "one seed": (only(seed="0"), "no two losses have two seeds in common (seeds of softmax: 0; focal: 0; center: 0)"),
    "one loss": (only(loss="focal"), "the table holds one loss, 'focal'"),
    "seeds of their own": (
        lambda rows: [row | {"seed": row["seed"] + str(len(row["loss"]))} for row in rows if row["loss"] != "center"],
        "no two losses have two seeds in common",
    ),
    "a loss without a data set": (
        lambda rows: [r | {"dataset": d} for d in "ab" for r in rows if (d, r["loss"]) != ("b", "focal")],
        "data set 'b' has no run of 'focal'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_error(
    lossbench: Any, tmp_path: Path, change: Callable[[Rows], Rows], message: str
) -> None:
    done = lossbench("judge", write(tmp_path / "runs.csv", change(predictions(samples=12))))
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in " ".join(done.err.split())
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "f2"], "--metric f2: expected one of balanced-accuracy, accuracy, macro-f1"),
        (["--counts", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--equal-within", "0"], "--equal-within must be"),
        (["--html", "r.txt"], "--html r.txt: expected a name that ends in .html"),
    ],
)
def test_bad_options(lossbench: Any, table: Path, arguments: list[str], message: str) -> None:
    done = lossbench("judge", table, *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_report_of_runs_takes_another_metric(lossbench: Any, tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.5, "center": 0.6}, seeds=3)
    done = lossbench("report", grid, "--metric", "macro-f1")
    assert done.code == 0, done.err
    assert "% macro F1." in done.out
    assert "balanced accuracy" not in done.out.partition("Macro F1")[0]
    done = lossbench("report", grid, "--metric", "f1")
    assert (done.code, done.out) == (2, "")
    assert "--metric f1: expected one of balanced-accuracy, accuracy, macro-f1" in done.err
