"""Real processes and real signals: a run and its group of loader workers are told to stop, or are killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults.runs import StopsAt, arguments, assert_same, outcome, tiny
from forked_runs import ForkedRun

from lossbench.errors import ConfigError
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig

pytestmark = pytest.mark.slow


def started(config: RunConfig, out: Path, epochs: int) -> ForkedRun:
    """Run a number of epochs."""
    process = ForkedRun(["run", *arguments(config), "--out", str(out)], out.with_suffix(".log"))
    history = out / "history.jsonl"
    for _ in range(3000):
        if history.exists() and history.read_text().count("\n") >= epochs:
            return process
        assert process.poll() is None, process.said()
        time.sleep(0.01)
    raise AssertionError(f"it did not begin in half a minute: {process.said()}")


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of 16 epochs ends with when nothing disturbs it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(tiny(pictures, epochs=16), out)
    return outcome(out)


@pytest.mark.parametrize(
    ("number", "group", "workers"),
    [
        pytest.param(signal.SIGTERM, False, 0, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, True, 2, marks=pytest.mark.long),
        pytest.param(signal.SIGINT, True, 2, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, False, 2, marks=pytest.mark.long),
    ],
    ids=["SIGTERM", "SIGTERM to the group", "Ctrl-C to the group", "SIGKILL"],
)
def test_a_run_that_is_told_to_stop_or_killed_goes_on(
    pictures: Path, whole: dict[str, Any], tmp_path: Path, number: int, group: bool, workers: int
) -> None:
    out = tmp_path / "run"
    config = tiny(pictures, epochs=16, workers=workers, checkpoint_every="7")
    process = started(config, out, 3)
    with pytest.raises(ConfigError, match=rf"^{out} is in use by another run \(process {process.pid} on "):
        resume(out)
    process.send(number, group=group)
    code, said = process.wait(), process.said()
    if number == signal.SIGKILL:
        assert code == -9
    else:
        name = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
        assert code == 128 + number, said
        assert said.count(f"{name}: writing a checkpoint; press Ctrl-C to stop immediately") == 1
        assert f"error: stopped by {name} at epoch " in said
        assert f"lossbench run --resume {out}" in said
    assert "Traceback" not in said
    assert not (out / "record.json").exists()
    record = resume(out).to_json()  # at once: the lock is free although workers may still be there
    assert record["timing"]["resumed"] == 1
    assert_same(outcome(out), whole)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_closed_terminal_and_a_batch_system_stop_a_process(pictures: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "run"
    process = started(tiny(pictures, epochs=200), out, 1)
    process.send(number)
    code, said = process.wait(), process.said()
    name = signal.Signals(number).name
    assert code == 128 + number, said
    assert f"{name}: writing a checkpoint" in said
    assert f"error: stopped by {name} at epoch " in said
    assert "Traceback" not in said
    assert list((out / "checkpoint").glob("step-*"))


@pytest.mark.long
def test_the_second_ctrl_c_stops_at_once_and_nothing_is_corrupt(
    pictures: Path, whole: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = started(tiny(pictures, epochs=16, workers=2, checkpoint_every="9"), out, 4)
    process.send(signal.SIGINT, group=True)
    time.sleep(0.002)
    process.send(signal.SIGINT, group=True)
    code, said = process.wait(), process.said()
    assert code == 130, said
    assert "Traceback" not in said
    resume(out)
    assert_same(outcome(out), whole)


@pytest.mark.long
def test_a_killed_loader_worker_is_named(pictures: Path, whole: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(tiny(pictures, epochs=16, workers=2, checkpoint_every="9"), out, 4)
    victim = psutil.Process(process.pid).children()[0]
    victim.kill()
    code, said = process.wait(), process.said()
    assert code == 1, said
    assert "Traceback" not in said
    assert "error: a loader process died at epoch " in said
    assert f"process {victim.pid} " in said
    assert "try fewer --workers" in said
    assert (out / "checkpoint/step-000000009").exists()
    resume(out, workers=0)
    assert_same(outcome(out), whole)


def test_a_signal_that_is_ignored_stays_so(pictures: Path, tmp_path: Path) -> None:
    """As `nohup` leaves it, and as a pool of runs does that hears Ctrl-C itself."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run(tiny(pictures, epochs=1), tmp_path / "run", StopsAt(2, signal.SIGINT))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "run/record.json").exists()
