"""Measure the time of the parts of a training step."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import torch

from ...machine.limits import peak_resident_bytes

PARTS = ("data", "forward", "loss", "backward", "step")
_WARMUP_STEPS = 5
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class StepClock:
    """Times the parts of sampled steps with CUDA events on a GPU, where the host runs ahead, or with the host's clock.

    Call `begin()`, then `mark(part)` at the end of each part; `read_events()` converts the marks to seconds.

    The time spent waiting for data is also summed over every step in `data_wait_seconds`, because a median hides one
    slow batch in ten. On a GPU, where the host runs ahead, it is an upper bound of the time that the GPU waited.

    Args:
        device: device of the step.
        every: sample every `every`-th step after the first five.
    """

    def __init__(self, device: torch.device, every: int | None = None) -> None:
        self.on_gpu = device.type == "cuda"
        self.every = every or (10 if self.on_gpu else 1)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.steps = 0
        self.data_wait_seconds = 0.0
        self._warm_at = _WARMUP_STEPS
        self._sampling = False
        self._step: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event]] = []
        self._pending: list[tuple[dict[str, float], list[tuple[str, torch.cuda.Event]]]] = []
        self._last = 0.0

    def begin(self) -> None:
        """Start a step, whose first part is waiting for data."""
        self._sampling = self.steps >= self._warm_at and self.steps % self.every == 0
        self.steps += 1
        self._step = defaultdict(float)
        self._last = time.perf_counter()

    def mark(self, part: str) -> None:
        """End a part. A part may occur several times per step, once per micro-batch."""
        if part == "data":
            self.data_wait_seconds += time.perf_counter() - self._last
        if not self._sampling:
            return
        if part == "data" or not self.on_gpu:  # waiting for data is measured on the host, also with a GPU
            now = time.perf_counter()
            self._step[part] += now - self._last
            self._last = now
        if self.on_gpu:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._events.append((part, event))
        if part == PARTS[-1]:
            self._pending.append((self._step, self._events))
            self._events = []

    def go_on(self, steps: int, data_wait_seconds: float) -> None:
        """Continue the counts of an interrupted run; its first five steps are again not sampled."""
        self.steps, self.data_wait_seconds = steps, data_wait_seconds
        self._warm_at = steps + _WARMUP_STEPS

    def read_events(self) -> None:
        """Synchronize with the GPU and read the events so far."""
        if self.on_gpu:
            torch.cuda.synchronize()
        for seconds, events in self._pending:
            for (_, start), (part, stop) in pairwise(events):
                seconds[part] += start.elapsed_time(stop) / 1000
            for part, value in seconds.items():
                self.seconds[part].append(value)
        self._pending = []

    def medians(self) -> dict[str, float | None]:
        """Return median seconds per step by part; None if no step was sampled."""
        return {part: statistics.median(self.seconds[part]) if self.seconds[part] else None for part in PARTS}

    @property
    def samples(self) -> int:
        """Return the number of sampled steps."""
        return len(self.seconds["step"])


def reset_peak_memory(device: torch.device) -> None:
    """Reset the measurement if possible, because a process may train several times."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text("5")  # resets the peak of resident memory, see proc(5)


def peak_memory_bytes(device: torch.device) -> int:
    """Return the allocator's peak on a GPU, or the process's peak resident memory, since `reset_peak_memory`."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()):
            return int(found[1]) * 1024
    return peak_resident_bytes()
