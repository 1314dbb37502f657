"""The suite judges what it measures, and the command line shows it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from lossbench.bench import Row, Workload, contender, measure
from lossbench.bench.allocator import STATES, allocator, can_be_set
from lossbench.bench.suite import GOALS, Goal, _judged, measure_goal
from lossbench.cli import main
from lossbench.cli.bench_tables import suite_table

SHAPE = (1, 2, 1)


def lines_of(goal: Goal, ours: float, peer: float) -> Any:
    def row(seconds: float, peak: int, update: float | None = None) -> Row:
        times = (2 * seconds, (seconds, 3 * seconds))
        return Row("x", SHAPE, *times, 9, seconds / ours, peak, 5, 0, best_seconds=seconds, update_seconds=update)

    cold = [row(ours, 10, 1.5), row(2 * peer, 200)]
    return _judged(goal, {"warm": [row(ours, 10, 1.5), row(peer, 200)], "cold": cold})


@pytest.mark.parametrize(
    ("goal", "met", "measured"),
    [
        ({"times_faster": 3.0}, True, "4.00x warm, 8.00x cold"),
        ({"times_faster": 5.0}, False, "4.00x warm, 8.00x cold"),
        ({"times_faster": 3.0, "times_smaller": 21.0}, False, "4.00x warm, 8.00x cold; 20.0x"),
        ({"times_of_update": 1.4}, False, "1.50x warm, 1.50x cold"),
        ({"times_of_update": 1.5}, True, "1.50x warm, 1.50x cold"),
        ({"peak_bytes": 9.0}, False, "0.0 MB"),
    ],
)
def test_a_goal_is_met_or_missed_by_what_was_measured(goal: dict[str, float], met: bool, measured: str) -> None:
    line = lines_of(Goal("softmax", Workload(*SHAPE), "torch", **goal), 1.0, 4.0)
    assert line.met is met
    assert "; ".join(line.measured) == measured
    assert bool(line.reason) is not met


def test_a_state_of_the_allocator_is_set_and_left() -> None:
    for state in STATES:
        with allocator(state):
            kept = torch.ones(2**20)
        assert kept.sum() == 2**20
    if can_be_set():
        line = measure_goal(Goal("softmax", Workload(4, 3, 1), "torch", times_faster=1e-9), 0.01)
        assert [row.allocator for row in line.rows] == ["warm", "warm", "cold", "cold"]
        assert line.met


def test_a_line_whose_peer_fails_says_so() -> None:
    failed = Row("peer", SHAPE, error="out of memory: 7")
    line = _judged(Goal("softmax", Workload(*SHAPE), "torch", times_faster=1.0), {"warm": [failed, failed]})
    assert not line.met
    assert "peer: out of memory: 7" in line.measured


def test_every_goal_has_one_peer() -> None:
    from lossbench.bench import peers_of

    for goal in GOALS:
        assert not goal.against or len(peers_of(goal.loss, goal.against)) == 1


def test_a_peer_that_is_not_installed_leaves_the_row_without_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossbench.bench.suite.find_spec", lambda name: None)
    line = measure_goal(Goal("triplet", Workload(8, 2, 4), "pml", times_faster=1.0), 0.01)
    assert (line.met, line.measured) == (None, ("not measured: pytorch_metric_learning is not installed",))


def test_losses_of_cosines_are_measured_on_cosines() -> None:
    for expression in ("cos-face", "cos-face + 0.1*center"):
        (row,) = measure([contender(expression)], Workload(8, 3, 4), seconds=0.01)
        assert row.error is None
        assert row.seconds


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["lossbench", "bench", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "center", "--against", "naive", "-b", "8", "--seconds", "0.01") == 0
    out = capsys.readouterr().out
    assert re.search(r"center +\d+\.\d{3} \(", out)
    assert re.search(r"naive: distance matrix.* \d+\.\d\dx", out)


def test_the_suite_s_table_is_whole_in_80_columns() -> None:
    lines = [lines_of(goal, 1.0, 2.0) for goal in GOALS]
    out = io.StringIO()
    Console(file=out, width=80).print(suite_table(lines))
    assert "…" not in out.getvalue()
    assert out.getvalue().count("missed") == sum(not line.met for line in lines) > 0


def test_json_names_the_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "softmax", "--against", "torch", "--json", "--seconds", "0.01") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["machine"]["packages"]["torch"]
    assert [row["name"] for row in content["rows"]] == ["softmax", "torch: F.cross_entropy"]
    assert content["rows"][1]["times_faster"] > 0


def test_a_growth_plot_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "growth.svg"
    arguments = ["--grow", "B", "--sizes", "8,16,32", "--plot", str(plot), "--seconds", "0.01", "--against", "naive"]
    assert run(monkeypatch, "triplet", *arguments) == 0
    assert "B^" in capsys.readouterr().out
    text = plot.read_text()
    assert text.startswith("<?xml")
    assert "naive: B x B x B" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--grow", "E"), "--grow must be B, C or D, got 'E'"),
        (("softmax", "--plot", "x.svg"), "--plot draws growth: give --grow B, C or D as well"),
        (("--grow", "B", "--plot", "x.svg"), "--plot draws one loss and its peers: name one loss"),
        (("softmax", "--grow", "B", "--plot", "no/x.svg"), "--plot no/x.svg: there is no directory no"),
        (("softmax", "--grow", "B", "--sizes", "8,x"), "--sizes must be comma-separated numbers, such as 64,128,256"),
        (("softmax", "--grow", "C", "--sizes", "1,2"), "--sizes of C must be at least 2, got 1"),
        (("softmax", "--suite"), "--suite has its own losses and sizes: give it alone"),
        (("--suite", "--device", "cuda:9"), "--device cuda:9: this machine has"),
        (("softmux",), "unknown loss 'softmux'"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
