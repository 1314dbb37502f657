"""Times of a step's parts: what is sampled, what is summed, what is read."""

from __future__ import annotations

import psutil
import pytest
import torch

from lossbench.harness.training import clock as clock_module
from lossbench.harness.training.clock import PARTS, StepClock, peak_memory_bytes


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A host clock that shows what the test says."""
    time = [0.0]
    monkeypatch.setattr(clock_module.time, "perf_counter", lambda: time[0])
    return time


def take_step(clock: StepClock, now: list[float], seconds: dict[str, float], micro_batches: int = 1) -> None:
    clock.begin()
    for part in ("data", *("forward", "loss", "backward") * micro_batches, "step"):
        now[0] += seconds[part]
        clock.mark(part)


def test_the_first_five_steps_warm_up_and_medians_are_taken_of_the_rest(now: list[float]) -> None:
    clock = StepClock(torch.device("cpu"))
    for number in range(8):
        cost = 100.0 if number < 5 else float(number)
        take_step(clock, now, dict.fromkeys(PARTS, cost))
    assert clock.samples == 0  # events are read at the end of an epoch
    clock.read_events()
    clock.read_events()  # reads nothing twice
    assert (clock.steps, clock.samples) == (8, 3)
    assert clock.medians() == dict.fromkeys(PARTS, 6.0)


def test_the_wait_for_data_is_summed_over_every_step(now: list[float]) -> None:
    clock = StepClock(torch.device("cpu"), every=4)
    for number in range(10):
        take_step(clock, now, dict.fromkeys(PARTS, 1.0) | {"data": float(number)})
    assert clock.data_wait_seconds == sum(range(10))


def test_one_step_in_so_many_is_sampled(now: list[float]) -> None:
    clock = StepClock(torch.device("cpu"), every=4)
    for number in range(13):
        take_step(clock, now, dict.fromkeys(PARTS, float(number)))
    clock.read_events()
    assert clock.seconds["forward"] == [8.0, 12.0]


def test_the_parts_of_micro_batches_are_summed(now: list[float]) -> None:
    clock = StepClock(torch.device("cpu"))
    seconds = {"data": 1.0, "forward": 2.0, "loss": 3.0, "backward": 4.0, "step": 5.0}
    for _ in range(6):
        take_step(clock, now, seconds, micro_batches=3)
    clock.read_events()
    assert clock.medians() == {"data": 1.0, "forward": 6.0, "loss": 9.0, "backward": 12.0, "step": 5.0}


def test_without_a_sampled_step_there_are_no_medians(now: list[float]) -> None:
    clock = StepClock(torch.device("cpu"))
    take_step(clock, now, dict.fromkeys(PARTS, 1.0))
    clock.read_events()
    assert clock.medians() == dict.fromkeys(PARTS)


def test_peak_memory_is_this_process_s_in_bytes() -> None:
    peak = peak_memory_bytes(torch.device("cpu"))
    assert psutil.Process().memory_info().rss * 0.9 < peak < psutil.virtual_memory().total
