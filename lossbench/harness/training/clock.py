"""Where the time of a training step goes."""

from __future__ import annotations

import contextlib
import re
import resource
import statistics
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import torch

PARTS = ("data", "forward", "loss", "backward", "step")
_WARMUP_STEPS = 5
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class StepClock:
    """Times the parts of sampled steps: by CUDA events on a GPU, where the host runs ahead, else by the host's clock.

    `begin()`, then `mark(part)` when each part is over; `read_events()` makes seconds of what was marked.

    The wait for data is summed over every step as well, in `data_wait_seconds`: one slow batch in ten is what a median
    hides. On a GPU, where the host runs ahead, it is the most that the GPU can have waited.

    Args:
        device: where the step runs.
        every: sample one step in so many, after the first five.
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
        """A step begins; what comes first is the wait for data."""
        self._sampling = self.steps >= self._warm_at and self.steps % self.every == 0
        self.steps += 1
        self._step = defaultdict(float)
        self._last = time.perf_counter()

    def mark(self, part: str) -> None:
        """The part that was running is over. A part may come several times a step, once a micro-batch."""
        if part == "data":
            self.data_wait_seconds += time.perf_counter() - self._last
        if not self._sampling:
            return
        if part == "data" or not self.on_gpu:  # waiting for data is the host's time on a GPU, too
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
        """Counts on from an interrupted run; the first five steps are again not sampled."""
        self.steps, self.data_wait_seconds = steps, data_wait_seconds
        self._warm_at = steps + _WARMUP_STEPS

    def read_events(self) -> None:
        """Waits for the GPU and reads the events so far."""
        if self.on_gpu:
            torch.cuda.synchronize()
        for seconds, events in self._pending:
            for (_, start), (part, stop) in pairwise(events):
                seconds[part] += start.elapsed_time(stop) / 1000
            for part, value in seconds.items():
                self.seconds[part].append(value)
        self._pending = []

    def medians(self) -> dict[str, float | None]:
        """Part -> median seconds a step; None where no step was sampled."""
        return {part: statistics.median(self.seconds[part]) if self.seconds[part] else None for part in PARTS}

    @property
    def samples(self) -> int:
        """How many steps the medians rest on."""
        return len(self.seconds["step"])


def reset_peak_memory(device: torch.device) -> None:
    """Begins to measure anew, where that can be done: a process may run several times."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            _CLEAR_REFS.write_text("5")  # the peak of resident memory, says proc(5)


def peak_memory_bytes(device: torch.device) -> int:
    """The allocator's peak on a GPU, else the process's peak resident memory, since `reset_peak_memory`."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text()):
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux
