"""A cell of a grid that is interrupted, however and whenever, continues from its checkpoint to the same bits."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults.runs import EPOCHS, STEPS, assert_same, outcome, tiny
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lossbench.errors import Interrupted
from lossbench.harness.grid import pool as pool_module
from lossbench.harness.grid import worker
from lossbench.harness.grid.kept_data import WarmSplits
from lossbench.harness.grid.pool import Pool
from lossbench.harness.grid.worker_process import Ended
from lossbench.runs.cells import BUSY, DONE, FAILED, Cell, checkpoint_step, state, write_failure


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it, and what was not written is lost."""


@dataclass
class Kills:
    """Counts the steps of cells in this process, and ends a cell at a chosen one.

    Attributes:
        left: steps until the end; None for no end.
        gently: whether a SIGTERM ends the cell.
        steps: steps trained so far, over all attempts.
    """

    left: int | None = None
    gently: bool = False
    steps: int = 0

    def step(self, epoch: int) -> None:
        del epoch
        self.steps += 1
        if self.left is None:
            return
        self.left -= 1
        if self.left == 0 and self.gently:
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.left == 0:
            raise Killed


@pytest.fixture(scope="module")
def kills() -> Iterator[Kills]:
    """What ends the cells of this process."""
    found = Kills()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker._Telling, "step", lambda self, epoch: found.step(epoch))
        yield found


def cell_of(pictures: Path, **options: Any) -> Cell:
    """A cell of a tiny run."""
    config = tiny(pictures, **{"carve": True, "batch_size": 7, **options})
    return Cell(loss=config.loss, config=config, matters={})


@pytest.fixture(scope="module")
def whole(pictures: Path, kills: Kills, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a cell that nothing interrupts."""
    kills.left, out = None, tmp_path_factory.mktemp("whole")
    cell = cell_of(pictures)
    assert worker.run_cell(cell, out, lambda event: None, WarmSplits()) == (DONE, "")
    return outcome(cell.place(out))


def end_is_the_same(
    pictures: Path, whole: dict[str, Any], kills: Kills, out: Path, interval: int, ends: list[tuple[int, bool]]
) -> str:
    """Interrupt a cell as told, let it end, and compare it with one that was not interrupted; return what was lost."""
    cell, read = cell_of(pictures, checkpoint_every=str(interval)), WarmSplits()
    kills.steps, continued, interrupted = 0, 0, 0
    for kills.left, kills.gently in [*ends, (None, False)]:
        place = cell.place(out)
        continued += checkpoint_step(place) > 0 and state(place)[0] != DONE
        try:
            assert worker.run_cell(cell, out, lambda event: None, read) == (DONE, "")
        except (Killed, Interrupted):
            interrupted += 1
            if interrupted == 2:  # as if nothing had seen the process die but the pool
                write_failure(place, FAILED, "its process was killed by signal 9", cell.config)
    assert_same(outcome(cell.place(out)), whole)
    lost = kills.steps - EPOCHS * STEPS
    assert 0 <= lost <= interrupted * interval
    assert json.loads((cell.place(out) / "record.json").read_text())["timing"]["resumed"] == continued
    assert {path.name for path in cell.place(out).iterdir()} == {
        "checkpoint", "config.toml", "history.jsonl", "predictions.npz", "record.json"
    }  # fmt: skip
    return f"{interrupted} interruptions, {continued} continuations, {lost} steps trained again"


KILLS = st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval=st.integers(1, 4), ends=KILLS)
@example(interval=1, ends=[(12, True)])  # after the last step
def test_a_cell_killed_at_random_ends_as_it_would_have(
    pictures: Path,
    whole: dict[str, Any],
    kills: Kills,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Any,
    interval: int,
    ends: list[tuple[int, bool]],
) -> None:
    told = end_is_the_same(pictures, whole, kills, tmp_path_factory.mktemp("cell"), interval, ends)
    record_property("lost", told)


@pytest.mark.long
@settings(max_examples=100, derandomize=False, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval=st.integers(1, 9), ends=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=8))
def test_a_cell_killed_often_ends_as_it_would_have(
    pictures: Path,
    whole: dict[str, Any],
    kills: Kills,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Any,
    interval: int,
    ends: list[tuple[int, bool]],
) -> None:
    told = end_is_the_same(pictures, whole, kills, tmp_path_factory.mktemp("cell"), interval, ends)
    record_property("lost", told)


# --- what another command left, and processes that die ---------------------------------------------------------------


def test_a_cell_with_a_checkpoint_of_another_run_begins_again(
    pictures: Path, whole: dict[str, Any], kills: Kills, tmp_path: Path
) -> None:
    cell, other = (cell_of(pictures, checkpoint_every="1", lr=lr) for lr in (1e-2, 2e-2))
    kills.left, kills.gently = 2, False
    with pytest.raises(Killed):
        worker.run_cell(other, tmp_path, lambda event: None, WarmSplits())
    other.place(tmp_path).rename(cell.place(tmp_path))
    kills.left, warnings = None, list[str]()
    told = lambda event: warnings.append(event.get("text", ""))  # noqa: E731
    assert worker.run_cell(cell, tmp_path, told, WarmSplits()) == (DONE, "")
    assert any("starting from the beginning: " in text and "--lr" in text for text in warnings)
    assert_same(outcome(cell.place(tmp_path)), whole)


class Dying:
    """A worker process that ends in each cell as told, after it wrote checkpoints."""

    def __init__(self, out: Path, number: int, environment: dict[str, str]) -> None:
        del number, environment
        self.out, self.alive = out, True

    def is_alive(self) -> bool:
        return self.alive

    def ask(self, cell: Cell, tell: Any, attempt: str) -> Any:
        del tell, attempt
        step, answer = self.answers.pop(0)
        if step:
            (cell.place(self.out) / f"checkpoint/step-{step:09d}").mkdir(parents=True)
        self.alive = not isinstance(answer, Ended)
        return answer

    def close(self) -> None:
        pass


CRASH, STOP = Ended("was killed by signal 9", stopped=False), Ended("was stopped by SIGTERM", stopped=True)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([(4, CRASH), (0, (DONE, ""))], DONE),
        ([(4, CRASH), (8, CRASH), (12, STOP), (0, (DONE, ""))], DONE),
        ([(0, CRASH)], FAILED),  # as one that needs more memory than there is
        ([(4, CRASH), (0, CRASH)], FAILED),
        ([(0, STOP), (0, STOP), (0, (DONE, ""))], DONE),
        ([(0, STOP), (0, STOP), (0, STOP)], FAILED),
    ],
)
def test_a_cell_whose_process_dies_is_tried_again_while_it_gets_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any], status: str
) -> None:
    monkeypatch.setattr(pool_module, "WorkerProcess", Dying)
    monkeypatch.setattr(pool_module, "_PAUSE", 0.0)
    monkeypatch.setattr(Dying, "answers", answers, raising=False)
    cell = Cell(loss="softmax", config=tiny(tmp_path, "softmax"), matters={})
    cell.place(tmp_path).parent.mkdir()
    events: list[dict[str, Any]] = []
    pool = Pool([cell], tmp_path, lambda cell, event: events.append(event))
    pool.work(0, {})
    assert pool.error is None
    assert answers == []
    assert pool.outcomes[cell.name][0] == status
    assert all("continues from its newest checkpoint" in e["text"] for e in events if e["event"] == "warning")
    assert status == DONE or state(cell.place(tmp_path))[0] == FAILED
    assert BUSY not in [e.get("status") for e in events]
