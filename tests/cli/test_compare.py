"""`lossbench compare` and `report`: grids of real, very small runs; interrupted, shared, corrupted, and judged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossbench.harness.grid.plan import Grid, write_grid
from lossbench.runs.cells import Cell
from lossbench.runs.grid_file import read_grid_file

DATA = "synthetic(images=96,test_images_per_class=4)"
TINY = ("--data", DATA, "--model", "senet-tiny", "--image-size", 32, "--epochs", 1, "--batch-size", 32)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def compare_process(*arguments: object) -> subprocess.Popen[str]:
    """A `compare` of its own process and group, as a user starts it."""
    command = [sys.executable, "-m", "lossbench", "compare", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
    )


def records(grid: Path) -> dict[str, float]:
    """Cell -> when its record was written."""
    return {file.parent.name: file.stat().st_mtime for file in (grid / "cells").glob("*/record.json")}


def figures(text: str) -> Any:
    """What a comparison found, without what the clock had to do with."""
    content = json.loads(text)
    return {name: content[name] for name in ("decision", "sentences", "pairs", "same", "groups", "problems")} | {
        "scores": {e["loss"]: e["by_seed"] for e in content["entrants"]}
    }


# --- a grid that ends well -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(lossbench: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An A/A pair, the baseline that is added, two samplers, three seeds; the grid and what was printed."""
    out = tmp_path_factory.mktemp("finished") / "grid"
    done = lossbench(
        "compare", "--losses", "weighted-softmax, weighted-softmax", "--seeds", 3,
        "--samplers", "natural,balanced", *TINY, "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    return out, done


@pytest.mark.slow
def test_the_verdict_comes_in_words_and_then_in_figures(finished: tuple[Path, Any]) -> None:
    out, done = finished
    assert len(records(out)) == 2 * 3 * 3
    assert done.out.index("Verdict") < done.out.index("With the natural sampler, ") < done.out.index("Every pair")
    assert "softmax was added as the baseline of post-hoc adjustment" in done.err
    assert "A/A: weighted-softmax, natural run twice is identical in each of 3 seeds, as it must be." in done.out
    assert "Is it the loss or the decision threshold?" in done.out
    assert "What the sampler does" in done.out
    assert done.err.count(" done\n") == 18


@pytest.mark.slow
def test_every_cell_carves_a_selection_split_and_keeps_the_last_epoch(finished: tuple[Path, Any]) -> None:
    for place in (finished[0] / "cells").glob("*/record.json"):
        record = json.loads(place.read_text())
        assert record["config"]["carve"] is True
        assert record["data"]["selection_images"] > 0
        assert record["selected_epoch"] is None
        with np.load(place.parent / "predictions.npz") as stored:
            assert {"selection_scores", "test_refit_scores"} <= set(stored)
            assert not set(stored["selection_sample_ids"]) & set(stored["test_sample_ids"])


@pytest.mark.slow
def test_a_finished_grid_is_judged_again_and_nothing_is_run(lossbench: Any, finished: tuple[Path, Any]) -> None:
    out, first = finished
    before = records(out)
    again = lossbench(
        "compare", "--losses", "weighted-softmax, weighted-softmax", "--seeds", 3,
        "--samplers", "natural,balanced", *TINY, "--out", out,
    )  # fmt: skip
    assert records(out) == before
    assert again.out == first.out
    told = lossbench("report", out, "--json")
    found, printed = figures(told.out), " ".join(first.out.split())
    for sentence in (found["decision"], *found["sentences"]):
        assert sentence in printed


@pytest.mark.slow
def test_a_warm_process_gives_what_a_fresh_run_gives(
    lossbench: Any, finished: tuple[Path, Any], tmp_path: Path
) -> None:
    out, _ = finished
    # The last cell of the worker's, with all that came before it in the process's memory.
    last = max(records(out), key=lambda name: records(out)[name])
    config = out / "cells" / last / "config.toml"
    done = lossbench("run", "--config", config, "--out", tmp_path / "fresh")
    assert done.code == 0, done.err
    fresh, warm = (json.loads((p / "record.json").read_text()) for p in (tmp_path / "fresh", out / "cells" / last))
    assert fresh["weights_sha256"] == warm["weights_sha256"]
    assert fresh["metrics"] == warm["metrics"]


@pytest.mark.slow
def test_the_report_is_written(lossbench: Any, finished: tuple[Path, Any], tmp_path: Path) -> None:
    out, _ = finished
    done = lossbench("report", out, "--html", tmp_path / "r.html", "--md", tmp_path / "r.md")
    assert done.code == 0, done.err
    assert done.out == ""
    assert "r.html written" in done.err
    assert "With the natural sampler, " in (tmp_path / "r.html").read_text()
    assert "## Every pair" in (tmp_path / "r.md").read_text()


@pytest.mark.long
def test_more_seeds_are_added_to_what_is_there(lossbench: Any, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    call = ("compare", "--losses", "softmax, triplet", *TINY, "--out", out, "--seeds")
    assert lossbench(*call, 1).code == 0
    before = records(out)
    done = lossbench(*call, 2, "--jobs", 2)
    assert done.code == 0, done.err
    assert before.items() <= records(out).items()
    assert len(records(out)) == 4
    assert "Nothing is claimed (2 of at least 3 seeds)" in done.out


def test_claims_are_on_disk_before_the_first_run(
    lossbench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims on answers that are derived from trained runs, too."""
    seen: list[tuple[str, ...]] = []

    def stop(order: Any) -> None:
        seen.append(read_grid_file(order.out).claims)
        raise KeyboardInterrupt

    monkeypatch.setattr("lossbench.harness.grid.executors.executor", lambda *_: stop)
    call = ("compare", "--losses", "center", *TINY, "--out", tmp_path / "grid")
    claim = "center > softmax (shifted)"
    assert lossbench(*call, "--claim", claim).code == 130
    assert lossbench(*call).code == 130
    assert seen == [(claim,), (claim,)]
    refused = lossbench(*call, "--claim", "center (post-hoc) > softmax")
    assert refused.code == 2
    assert "post-hoc answers are for plain softmax alone" in " ".join(refused.err.split())


# --- interrupted and shared ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_killed_three_times_at_random_a_grid_ends_as_it_would_have(
    lossbench: Any, tmp_path: Path, record_property: Any
) -> None:
    call = ("--losses", "softmax, weighted-cluster", "--seeds", 2, *TINY, "--json", "--out")
    whole = lossbench("compare", *call, tmp_path / "whole")
    assert whole.code == 0, whole.err
    out = tmp_path / "killed"
    draw = random.Random(time.time_ns())
    kills = 0
    for kill in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        process = compare_process(*call, out)
        until = time.monotonic() + 60
        while not (out / "cells").exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(draw.uniform(0, 3))
        kills += process.poll() is None
        os.killpg(process.pid, kill) if kill is not signal.SIGKILL else process.kill()  # the worker ends by itself
        process.communicate()
    assert kills >= 1
    ended = lossbench("compare", *call, out)
    assert figures(ended.out) == figures(whole.out), ended.err
    continued = sum(json.loads(r.read_text())["timing"]["resumed"] for r in out.glob("cells/*/record.json"))
    record_property("lost", f"{kills} kills of 4 cells, {continued} continuations, no result")


@pytest.mark.long
def test_two_comparisons_share_one_directory(tmp_path: Path) -> None:
    call = ("--losses", "softmax, weighted-softmax", "--seeds", 2, *TINY, "--json", "--out", tmp_path / "grid")
    both = [compare_process(*call) for _ in range(2)]
    (one, one_errors), (other, other_errors) = (process.communicate() for process in both)
    assert figures(one) == figures(other), one_errors + other_errors
    assert len(records(tmp_path / "grid")) == 4
    # What one of them ran, the other found done: no cell was begun twice.
    assert not list((tmp_path / "grid" / "cells").glob("*/failure.json"))


# --- cells that fail -------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_diverging_loss_is_a_row_and_the_rest_is_compared(lossbench: Any, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    # Finite on the batch that a plan tries, and its steps are not.
    call = ("compare", "--losses", "softmax, 1e30*softmax", "--seeds", 3, *TINY, "--optimizer", "sgd", "--out", out)
    done = lossbench(*call)
    assert done.code == 1
    assert "1e+30*softmax" in done.err or "1e30*softmax" in done.err
    assert "Runs that could not be used" in done.out
    assert "training stopped at step" in done.out.replace("\n", " ")
    written = {file: file.stat().st_mtime for file in out.glob("cells/*/*.json")}
    assert lossbench(*call).code == 1
    assert {file: file.stat().st_mtime for file in out.glob("cells/*/*.json")} == written  # it would do so again


def test_a_full_disk_is_named_and_the_cell_is_run_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lossbench.errors import ConfigError, NonFiniteError
    from lossbench.harness.grid import worker
    from lossbench.harness.grid.kept_data import WarmSplits
    from lossbench.runs.cells import state
    from lossbench.runs.options import RunConfig

    cell = Cell(loss="softmax", config=RunConfig(loss="softmax"), matters={})
    errors: list[BaseException] = [
        ConfigError("cannot write record.json: No space left on device; free some space or write to another place"),
        RuntimeError("of a library"),
        SystemExit("of a plugin"),
        NonFiniteError("training stopped at step 3"),
    ]
    told = []

    def fails(*_: Any, **__: Any) -> None:
        told.append(1)
        raise errors[len(told) - 1]

    monkeypatch.setattr(worker, "run", fails)
    ends = [worker.run_cell(cell, tmp_path, lambda event: None, WarmSplits()) for _ in range(6)]
    assert [status for status, _ in ends] == ["failed", "failed", "failed", "diverged", "diverged", "diverged"]
    assert "No space left on device" in ends[0][1]
    assert ends[1][1] == "RuntimeError: of a library"
    assert ends[2][1] == "SystemExit: of a plugin"
    assert len(told) == 4  # what diverged is not run again
    assert state(cell.place(tmp_path)) == ("diverged", "training stopped at step 3")


def test_a_claimed_cell_is_left_to_its_owner(tmp_path: Path) -> None:
    from lossbench.runs.cells import claim

    with claim(tmp_path / "cell") as ours:
        assert ours
        script = (
            "import sys, pathlib\nfrom lossbench.runs.cells import claim\n"
            "with claim(pathlib.Path(sys.argv[1])) as ours: print(ours)"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "cell")]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"
    with claim(tmp_path / "cell") as ours:
        assert ours


# --- pairing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["natural", "balanced"])
def test_losses_of_one_seed_start_alike_and_see_the_same_images(sampler: str) -> None:
    from lossbench.harness.prepare import prepare
    from lossbench.harness.reporter import SilentReporter
    from lossbench.harness.training.build import build_accelerator, build_trainer
    from lossbench.runs.options import RunConfig

    seen = []
    for loss, seed in (("softmax", 3), ("weighted-cluster", 3), ("triplet", 3), ("softmax", 4)):
        config = RunConfig(
            loss=loss, seed=seed, data=DATA, model="senet-tiny", image_size=32, epochs=2, batch_size=40, carve=True,
            sampler=sampler, device="cpu",
        )  # fmt: skip
        task = prepare(config, SilentReporter())
        task.train.prepare()
        trainer = build_trainer(task, build_accelerator(task.config))
        backbone = {n: v.clone() for n, v in trainer.step.model.state_dict().items() if n.startswith("backbone")}
        head = trainer.step.model.state_dict()["head.weight"].clone()
        batches = []
        for epoch in range(2):
            trainer.batches.epoch = epoch
            batches += [(b.index.numpy(), b.targets.numpy(), b.images.numpy()) for b in trainer.images]
        seen.append((backbone, head, batches, task.train.digest(), task.selection.digest() if task.selection else ""))
    first, *others, other_seed = seen
    for own in others:
        assert all((value == own[0][name]).all() for name, value in first[0].items())
        assert (first[1] == own[1]).all()
        for mine, theirs in zip(first[2], own[2], strict=True):
            for part, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(part, other)
        assert first[3:] == own[3:]
    assert any((value != other_seed[0][name]).any() for name, value in first[0].items())
    assert first[4] != other_seed[4]  # another seed, another selection split


# --- tuning ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_tuning_gives_each_loss_its_budget_and_never_sees_the_test_split(lossbench: Any, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    call = ("compare", "--losses", "softmax, center", "--seeds", 2, *TINY, "--tune", "coefficient=0.01:1:log",
            "--trials", 2, "--out", out)  # fmt: skip
    done = lossbench(*call)
    assert done.code == 0, done.err
    grid = json.loads((out / "compare.json").read_text())
    assert [(t["loss"], bool(t["values"])) for t in grid["trials"]] == [
        ("softmax", False), ("center", True), ("center", True)
    ]  # fmt: skip
    for trial in grid["trials"]:
        place = out / "trials" / trial["name"]
        record = json.loads((place / "record.json").read_text())
        assert record["data"]["split_origin"] == "the selection split, for tuning"
        with np.load(place / "predictions.npz") as stored:
            np.testing.assert_array_equal(stored["test_sample_ids"], stored["selection_sample_ids"])
        assert record["seed"] == 1_000_000
    chosen = grid["tuned"]["center, natural"]["coefficient"]
    (cell, _) = [c for c in grid["cells"] if c["loss"] == "center"]
    record = json.loads((out / "cells" / cell["name"] / "record.json").read_text())
    assert record["formula"] == f"softmax + {chosen}*center"
    assert "best of all" in done.out
    before = records(out)
    assert lossbench(*call).code == 0
    assert records(out) == before


@pytest.mark.slow
def test_a_sealed_run_does_not_open_a_test_image(tmp_path: Path) -> None:
    import dataclasses

    from lossbench.harness.readable_splits import read_splits
    from lossbench.harness.run import run
    from lossbench.runs.options import RunConfig

    def read(config: Any, reporter: Any) -> Any:
        splits, skipped = read_splits(config, reporter)

        def refuse(row: int) -> Any:
            raise AssertionError(f"test image {row} was read")

        return dataclasses.replace(splits, test=dataclasses.replace(splits.test, read=refuse)), skipped

    config = RunConfig(
        loss="softmax", data=DATA, model="senet-tiny", image_size=32, epochs=1, batch_size=32, carve=True, device="cpu"
    )
    assert run(config, tmp_path / "sealed", read=read, sealed=True).record
    with pytest.raises(AssertionError, match="was read"):
        run(config, tmp_path / "open", read=read)


# --- the reference experiment ----------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_reference_experiment_under_each_loss(lossbench: Any, tmp_path: Path) -> None:
    from made_affectnet import make_affectnet
    from made_weights import write_made_weights

    config_file = Path(__file__).parents[2] / "benchmarks" / "affectnet.toml"
    losses = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
    data = make_affectnet(tmp_path / "affectnet", images=40, validation=1, size=48)
    weights = write_made_weights(tmp_path / "w.pkl", identities=3)
    done = lossbench(
        "compare", "--config", config_file, "--losses", ", ".join(losses), "--seeds", 1, "--data", f"affectnet:{data}",
        "--weights", f"vggface2:{weights}", "--image-size", 32, "--epochs", 1, "--batch-size", 20, "--workers", 0,
        "--device", "cpu", "--out", tmp_path / "grid",
    )  # fmt: skip
    weights.unlink()
    assert done.code == 0, done.err
    for title in ("Balanced accuracy", "Cost"):
        table = done.out[done.out.index(title) :]
        assert all(f"\n{loss} " in table for loss in losses)
    assert "training s" in done.out
    assert "few test images" in done.out
    config = json.loads(next((tmp_path / "grid" / "cells").glob("*/record.json")).read_text())["config"]
    assert (config["lr"], config["model"], config["carve"]) == (1e-4, "legacy_seresnet50", True)


# --- bad input -------------------------------------------------------------------------------------------------------

LOSSES_GIVEN = ("--losses", "softmax, center", "--data", DATA)
BAD: list[tuple[str, tuple[object, ...], str]] = [
    ("no losses", ("--out", "grid"), 'pass --losses "softmax, weighted-cluster" and --out DIR'),
    ("no directory", ("--losses", "softmax"), "and --out DIR, a new directory or that of a comparison to resume"),
    ("nothing between commas", ("--losses", "softmax,,center", "--out", "grid"), "there is nothing between two commas"),
    ("open brackets", ("--losses", "softmax, center(alpha=1", "--out", "grid"), "its parentheses do not match"),
    ("an unknown loss", ("--losses", "softmax, centre", "--out", "grid"), "unknown loss 'centre'. Did you mean"),
    ("an unknown sampler", (*LOSSES_GIVEN, "--samplers", "fair", "--out", "g"), "--sampler must be one of natural"),
    ("a sampler twice", (*LOSSES_GIVEN, "--samplers", "natural,natural", "--out", "g"), "must not repeat a value"),
    ("no seeds", (*LOSSES_GIVEN, "--seeds", 0, "--out", "g"), "Invalid value for '--seeds'"),
    ("no jobs", (*LOSSES_GIVEN, "--jobs", 0, "--out", "g"), "Invalid value for '--jobs'"),
    ("no epochs", (*LOSSES_GIVEN, "--epochs", 0, "--out", "g"), "--epochs must be at least 1, got 0"),
    ("tuning without a range", (*LOSSES_GIVEN, "--tune", "lr", "--out", "g"), "--tune 'lr': expected NAME=LOW:HIGH"),
    ("tuning upside down", (*LOSSES_GIVEN, "--tune", "lr=1:0.1", "--out", "g"), "lower bound must be less than"),
    ("tuning from 0 by log", (*LOSSES_GIVEN, "--tune", "lr=0:1:log", "--out", "g"), "and positive for log"),
    ("tuning what none has", (*LOSSES_GIVEN, "--tune", "gamma=0:1", "--out", "g"), "--tune gamma: none of the losses"),
    ("an unknown source", ("--losses", "softmax", "--data", "csv:no.csv", "--out", "g"), "no.csv: no such manifest"),
    ("too little to carve", ("--losses", "softmax", "--data", "synthetic(images=8)", "--out", "g"), "--carve: no cla"),
    ("a device that is not there", (*LOSSES_GIVEN, "--device", "cuda:9", "--out", "g"), "cuda:9: this machine has"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_one_clear_error_and_nothing_is_run(
    lossbench: Any, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    done = lossbench("compare", *arguments)
    assert done.code == 2, done
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_something_else_is_left_alone(lossbench: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = lossbench("compare", *LOSSES_GIVEN, "--out", tmp_path / "mine")
    assert done.code == 2
    assert "is not empty and not the directory of a comparison; pass a new directory" in done.err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_directory_in_which_another_comparison_begins_at_this_moment_is_no_other_s(tmp_path: Path) -> None:
    (tmp_path / ".compare.json.x1y2").touch()  # as `write_atomically` has it before it renames it
    write_grid(tmp_path, Grid(losses=(), samplers=(), seeds=(), cells=(), notes=()))
    assert (tmp_path / "compare.json").exists()


def test_a_report_of_nothing(lossbench: Any, tmp_path: Path) -> None:
    done = lossbench("report", tmp_path / "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "nowhere: no such directory; expected that of a comparison, of a run, or one that holds runs" in done.err
    done = lossbench("report", tmp_path, "--html", "report.pdf")
    assert "--html report.pdf: expected a name that ends in .html" in done.err


@pytest.mark.long
def test_the_self_test_prints_rate_and_power(lossbench: Any) -> None:
    done = lossbench("compare", "--self-test", "--losses", "softmax, center", "--seeds", 2)  # 5 and 5 take a minute
    assert done.code == 0, done.err
    assert "A/A, normal: a difference is claimed" in " ".join(done.out.split())
    assert "2,000 simulated comparisons each: 2 losses, 2 seeds" in " ".join(done.out.split())
    assert "points planted: found" in done.out


def test_everything_that_matters_and_nothing_else_names_a_cell() -> None:
    import dataclasses

    from lossbench.runs.options import RunConfig

    config = RunConfig(loss="softmax", seed=1)
    cell = Cell(loss="softmax", config=config, matters={"data": ["a"]})
    assert Cell.from_json(json.loads(json.dumps(cell.to_json()))).digest == cell.digest
    for change in ({"workers": 3}, {"cache": True}, {"device": "cpu"}):
        assert dataclasses.replace(cell, config=dataclasses.replace(config, **change)).name == cell.name
    for change in ({"seed": 2}, {"lr": 0.1}, {"sampler": "sqrt"}, {"loss": "center"}, {"precision": "bf16"}):
        assert dataclasses.replace(cell, config=dataclasses.replace(config, **change)).digest != cell.digest
    assert dataclasses.replace(cell, matters={"data": ["b"]}).digest != cell.digest
    assert dataclasses.replace(cell, sealed=True).digest != cell.digest
