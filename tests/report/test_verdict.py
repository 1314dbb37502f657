"""From directories of runs to words: what is claimed, what is not, and what is wrong with runs that cannot be used."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import make_records
from rich.console import Console

from lossbench.errors import ConfigError, RecordError
from lossbench.report.as_json import comparison_content
from lossbench.report.markdown import markdown
from lossbench.report.sections import make_tables
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.verdict.judge import compare
from lossbench.verdict.sentences import verdict_words

FAR = {"softmax": 0.5, "weighted-softmax": 0.9, "center": 0.5}


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """weighted-softmax far ahead, softmax and center alike; don't change it."""
    return make_records(tmp_path_factory.mktemp("far") / "grid", FAR)


@pytest.fixture
def copy(far: Path, tmp_path: Path) -> Path:
    """Return a copy of the grid to corrupt."""
    return Path(shutil.copytree(far, tmp_path / "grid"))


def cell(grid: Path, loss: str, seed: int) -> Path:
    return grid / "cells" / f"{loss}-natural-s{seed}"


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_large_difference_is_found_and_none_is_made_up(far: Path) -> None:
    comparison = compare(far)
    assert comparison.entrants[0].label == "weighted-softmax"
    ahead = comparison.pair("weighted-softmax", "softmax")
    assert ahead is not None
    assert ahead.different
    assert ahead.first == "weighted-softmax"
    assert ahead.mean == pytest.approx(sum(ahead.differences) / 5)
    assert ahead.interval is not None
    assert 0 < ahead.interval[0] < ahead.mean < ahead.interval[1]
    assert ahead.verdict == "differ"
    assert ahead.family == 3
    alike = comparison.pair("softmax", "center")
    assert alike is not None
    assert not alike.different
    assert comparison.groups["natural"][0] == ("weighted-softmax",)
    assert any({"softmax", "center"} <= set(group) for group in comparison.groups["natural"])
    words = verdict_words(comparison)
    assert words[0] == "Take weighted-softmax"
    assert words[1].startswith("weighted-softmax is ahead of all others, at ")
    assert "With 5 seeds and these test images, a true difference of about" in " ".join(words)


def test_softmax_with_post_hoc_adjustment_is_always_a_row(far: Path) -> None:
    comparison = compare(far)
    (post_hoc,) = (e for e in comparison.entrants if e.derived)
    assert post_hoc.label == "softmax (post-hoc)"
    plain = comparison.entrant("softmax")
    assert post_hoc.scores == {seed: t.tau_1 for seed, t in plain.thresholds.items()}
    assert any("lain softmax with shifted scores (tau = 1) reaches" in text for text in verdict_words(comparison))


@pytest.mark.parametrize("samplers", [("balanced",), ("balanced", "natural"), ("natural", "balanced"), ("sqrt",)])
def test_the_post_hoc_shift_removes_the_prior_that_the_sampler_showed(
    tmp_path: Path, samplers: tuple[str, ...]
) -> None:
    comparison = compare(make_records(tmp_path / "grid", {"softmax": 0.6}, samplers=samplers, noise=0, prior=1))
    softmax = {e.sampler: e for e in comparison.trained}
    (post_hoc,) = (e for e in comparison.entrants if e.derived)
    assert post_hoc.sampler == ("natural" if "natural" in samplers else samplers[0])
    assert post_hoc.runs == softmax[post_hoc.sampler].runs
    decided = post_hoc.thresholds.values()
    if post_hoc.sampler == "natural":
        assert all(t.control == 1 for t in decided)
    else:
        assert post_hoc.scores == {seed: t.tuned for seed, t in post_hoc.thresholds.items()}
        assert all(t.tau_1 is None for t in decided)
        assert any("shifted scores (tau = 0." in text for text in verdict_words(comparison))
    if post_hoc.sampler == "balanced":
        assert post_hoc.mean == pytest.approx(softmax["balanced"].mean, abs=0.02)  # there is no prior to remove
    else:
        assert post_hoc.mean > softmax[post_hoc.sampler].mean + 0.02


def test_without_a_prior_to_measure_and_without_the_natural_sampler_there_is_no_control(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.6, "center": 0.6}, seeds=2, samplers=("balanced",))
    for place in (grid / "cells").iterdir():
        content = dict(np.load(place / "predictions.npz"))
        kept = content["selection_targets"] > 0  # the first class has no held-out image
        chosen = {name: value[kept] for name, value in content.items() if name.startswith("selection_")}
        np.savez(place / "predictions.npz", **(content | chosen))
        images = int(kept.sum())
        edit(place / "record.json", lambda record, n=images: record["data"].update(selection_images=n))
    comparison = compare(grid)
    assert comparison.shifted is None
    assert not comparison.control
    assert any("no entrant has shifted scores" in note for note in comparison.notes)


def test_rules_of_decision_and_test_priors_start_from_the_carried_prior(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.6}, samplers=("balanced",), seeds=1, noise=0, prior=1)
    (decided,) = compare(grid).entrant("softmax").thresholds.values()
    assert decided.tau_1 is None
    assert decided.tau == pytest.approx(0.0, abs=0.3)  # the scores carry none of the training prior
    assert decided.sweep["uniform"] == pytest.approx((decided.as_trained, decided.as_trained), abs=0.05)
    plain, adjusted = decided.sweep["training-like"]
    assert adjusted > plain + 0.02  # weighted by the table's counts, which a balanced network has not seen


def test_figures_are_recomputed_from_the_predictions(far: Path) -> None:
    for entrant in compare(far).entrants:
        if not entrant.derived:
            for seed, run in entrant.runs.items():
                assert entrant.scores[seed] == pytest.approx(run.record.metrics.balanced_accuracy)


def test_two_seeds_make_no_claim(tmp_path: Path) -> None:
    comparison = compare(make_records(tmp_path / "grid", FAR, seeds=2))
    assert not comparison.groups
    assert all(pair.p is None and not pair.different for pair in comparison.pairs)
    assert verdict_words(comparison)[0].startswith("Not yet: run at least 3 seeds of each loss")


def test_one_seed_is_shown_and_judged_by_nothing(tmp_path: Path) -> None:
    comparison = compare(make_records(tmp_path / "grid", FAR, seeds=1))
    assert all(pair.interval is None and pair.untested for pair in comparison.pairs)
    assert "| weighted-softmax |" in markdown(comparison)


def test_the_same_loss_twice_is_a_pair_of_its_own(tmp_path: Path) -> None:
    comparison = compare(make_records(tmp_path / "grid", {"softmax": 0.6, "center": 0.6, "softmax #2": 0.6}))
    assert [e.label for e in comparison.copies] == ["softmax #2"]
    assert all("#2" not in pair.first + pair.second for pair in comparison.pairs)
    (same,) = comparison.same
    assert {same.first, same.second} == {"softmax", "softmax #2"}
    assert not same.different
    assert any(text.startswith("A/A: softmax") and "no difference" in text for text in verdict_words(comparison))


def test_a_sampler_is_a_factor_of_its_own(tmp_path: Path) -> None:
    comparison = compare(make_records(tmp_path / "grid", FAR, samplers=("natural", "balanced")))
    assert set(comparison.groups) == {"natural", "balanced"}
    assert {e.sampler for e in comparison.entrants} == {"natural", "balanced"}
    tables = {table.key: table for table in make_tables(comparison)}
    assert tables["attribution"].columns == ("to", "all", "loss", "sampler", "threshold")
    assert {row[0] for row in tables["attribution"].rows} == {"weighted-softmax, balanced", "center, balanced"}
    assert verdict_words(comparison)[1].startswith("With the natural sampler, ")


def test_everything_is_printed_and_written(far: Path) -> None:
    comparison = compare(far)
    console = Console(width=160, record=True, quiet=True)
    console.print(comparison_summary(comparison))
    text = console.export_text() or markdown(comparison)
    for title in ("Balanced accuracy", "Every pair", "Is it the loss or the decision threshold?", "Cost"):
        assert title in text
    assert {t.key for t in make_tables(comparison)} >= {"ranking", "pairs", "thresholds", "gains", "priors", "tail"}
    written = markdown(comparison)
    for table in make_tables(comparison):
        assert all(len(row) == len(table.columns) for row in table.rows), table.key
        assert f"## {table.title}" in written
    content = json.loads(json.dumps(comparison_content(comparison), allow_nan=False))
    assert len(content["pairs"]) == len(content["control"]) == 3


def test_a_narrow_terminal_gets_fewer_columns_and_no_less_of_the_verdict(far: Path) -> None:
    comparison = compare(far)
    texts = {}
    for width in (80, 160):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(comparison_summary(comparison))
        texts[width] = console.export_text()
        assert max(map(len, texts[width].splitlines())) <= width
    assert "p, adjusted" in texts[160]
    assert "p, adjusted" not in " ".join(texts[80].split())
    for text in texts.values():
        assert verdict_words(comparison)[0] in " ".join(text.split())


def test_time_is_taken_to_the_accuracy_that_is_named(far: Path) -> None:
    (table,) = (t for t in make_tables(compare(far, target=0.99)) if t.key == "costs")
    assert "The target is 99 % balanced accuracy on the selection split" in table.note
    assert {row[-2:] for row in table.rows} == {("-", "0 of 5")}
    (table,) = (t for t in make_tables(compare(far)) if t.key == "costs")
    assert {row[-1] for row in table.rows} == {"5 of 5"}
    with pytest.raises(ConfigError, match="--target must be a balanced accuracy above 0 and at most 1, got 60"):
        compare(far, target=60)


# --- what is wrong ---------------------------------------------------------------------------------------------------


def truncate(grid: Path) -> None:
    file = cell(grid, "center", 1) / "predictions.npz"
    file.write_bytes(file.read_bytes()[:2000])


def replace_predictions(grid: Path) -> None:
    shutil.copy(cell(grid, "softmax", 0) / "predictions.npz", cell(grid, "center", 1) / "predictions.npz")


def fail(grid: Path) -> None:
    place = cell(grid, "center", 1)
    shutil.rmtree(place)
    place.mkdir()
    (place / "failure.json").write_text(json.dumps({"status": "diverged", "message": "the loss is nan"}))


BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "truncated predictions": (truncate, "damaged", "predictions.npz is truncated or damaged"),
    "no predictions": (
        lambda g: (cell(g, "center", 1) / "predictions.npz").unlink(), "damaged", "predictions.npz: No such file",
    ),
    "another run's predictions": (replace_predictions, "damaged", "gives another confusion matrix than record.json"),
    "another version": (
        lambda g: edit(cell(g, "center", 1) / "record.json", lambda r: r.update(schema_version=1)),
        "damaged", "record.json has schema version 1, this lossbench reads 2: another release",
    ),
    "half a record": (
        lambda g: (cell(g, "center", 1) / "record.json").write_text('{"schema_version": 2'),
        "damaged", "record.json is not a record of a run: it is not valid JSON",
    ),
    "a record without timing": (
        lambda g: edit(cell(g, "center", 1) / "record.json", lambda r: r.pop("timing")), "damaged", "timing is missing",
    ),
    "a diverged cell": (fail, "diverged", "the loss is nan"),
    "a cell that was not run": (lambda g: shutil.rmtree(cell(g, "center", 1)), "missing", "it was not run"),
    "an interrupted cell": (
        lambda g: (cell(g, "center", 1) / "record.json").unlink(), "missing", "it did not finish",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("corrupt", "status", "message"), BAD.values(), ids=BAD)
def test_a_run_that_can_t_be_used_is_named_and_the_rest_compared(
    copy: Path, corrupt: Callable[[Path], object], status: str, message: str
) -> None:
    corrupt(copy)
    comparison = compare(copy)
    (problem,) = comparison.problems
    assert (problem.loss, problem.seed, problem.status) == ("center", 1, status)
    assert message in problem.message
    pair = comparison.pair("softmax", "center")
    assert pair is not None
    # A diverged run counts as a constant answer, so that survivors alone win nothing.
    assert pair.seeds == ((0, 1, 2, 3, 4) if status == "diverged" else (0, 2, 3, 4))
    whole = comparison.pair("softmax", "weighted-softmax")
    assert whole is not None
    assert whole.seeds == (0, 1, 2, 3, 4)
    named = "diverged in 1 of 5 seeds (seed 1)" if status == "diverged" else "has 4 of 5 seeds"
    assert f"center {named}" in verdict_words(comparison)[1]
    assert "center, natural, seed 1" in markdown(comparison)


def test_a_pair_with_too_few_common_seeds_abstains_and_the_others_don_t(copy: Path) -> None:
    for seed in range(3):
        (cell(copy, "center", seed) / "record.json").unlink()
    comparison = compare(copy)
    pair, whole = comparison.pair("softmax", "center"), comparison.pair("softmax", "weighted-softmax")
    assert pair is not None
    assert whole is not None
    assert pair.p is None
    assert whole.p is not None


def test_a_loss_none_of_whose_runs_can_be_used_is_a_row_of_problems(copy: Path) -> None:
    for seed in range(5):
        shutil.rmtree(cell(copy, "center", seed))
    comparison = compare(copy)
    assert "center" not in {e.label for e in comparison.entrants}
    assert len(comparison.problems) == 5


def test_nothing_to_compare(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such directory; expected that of a comparison"):
        compare(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"holds neither compare\.json nor directories of runs"):
        compare(tmp_path / "empty")
    shutil.rmtree(copy / "cells")
    with pytest.raises(
        ConfigError, match=r"no run of this comparison can be used:\n  softmax, natural, seed 0: missing: "
    ):
        compare(copy)
    (copy / "compare.json").write_text("{}")
    with pytest.raises(RecordError, match=r"compare\.json is not the file of a comparison: losses is missing"):
        compare(copy)


def test_a_test_split_without_a_class_is_named(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.5}, seeds=1, tested=7)
    assert any("no test image of contempt: excluded from the mean" in note for note in compare(grid).notes)


# --- comparable or not -----------------------------------------------------------------------------------------------

UNEQUAL: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "learning rate": (lambda r: r["config"].update(lr=0.1), r"--lr: 0\.003 in 14 run\(s\), such as .*; 0\.1 in 1"),
    "an option more": (lambda r: r["config"].update(compile=True), "--compile: None in 14"),
    "training images": (
        lambda r: r["data"].update(train_digest="other"),
        r"data\.train_digest of seed 1: train 1 ",
    ),
    "test images": (lambda r: r["data"].update(test_digest="other"), r"data\.test_digest: test in 14"),
    "torch": (lambda r: r["environment"].update(packages={"torch": "1"}), r"environment\.packages: "),
    "device": (lambda r: r["environment"].update(device="cuda:1"), r"environment\.device: cpu in 14"),
    "lossbench": (lambda r: r["environment"].update(lossbench="9"), r"environment\.lossbench: 0\.1\.0 in 14"),
    "weights": (
        lambda r: r.update(weights={"spec": "imagenet", "kind": "imagenet", "sha256": "ab"}),
        "weights: None in 14",
    ),
}


@pytest.mark.parametrize(("change", "message"), UNEQUAL.values(), ids=UNEQUAL)
def test_unequal_runs_are_refused_by_the_name_of_the_field(
    copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(cell(copy, "center", 1) / "record.json", change)
    with pytest.raises(ConfigError, match=message) as refused:
        compare(copy)
    assert "pass --allow-differences" in str(refused.value)
    comparison = compare(copy, allow_differences=True)
    assert any(note.startswith("compared all the same (--allow-differences): ") for note in comparison.notes)


def test_another_machine_s_clock_is_said_and_compared(copy: Path) -> None:
    edit(cell(copy, "center", 1) / "record.json", lambda r: r["environment"].update(cpu_threads=8))
    assert "times were not taken under equal conditions: runs differ in cpu_threads" in compare(copy).notes


def test_runs_are_found_in_nested_directories(far: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for place in (far / "cells").iterdir():
        shutil.copytree(place, runs / place.name.rpartition("-")[2] / "deep" / place.name)
    (runs / "loop").symlink_to(runs)
    comparison = compare(runs)
    assert [e.label for e in comparison.entrants] == [e.label for e in compare(far).entrants]
    assert not comparison.records.problems


def test_single_runs_are_compared_where_they_lie(far: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(far / "cells", tmp_path / "runs"))
    comparison = compare(runs)
    assert [e.label for e in comparison.entrants] == [e.label for e in compare(far).entrants]
    shutil.copytree(runs / "center-natural-s1", runs / "again")
    with pytest.raises(ConfigError, match=r"center with sampler natural and seed 1 was run 2 times: .*again, "):
        compare(runs)
