"""Measure contenders interleaved in one process, call by call.

A call is forward and backward with new gradients. On the CPU with one thread its time is the thread's CPU time, which
other programs disturb less than wall time; with more threads it is wall time; on CUDA it is stream time, from events.
Memory, operators and synchronizations are counted in one more call.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import psutil
import torch

from ..errors import brief
from ..testing.memory import PeakMemory
from ..types import ModelOutput
from .census import Census, take_census
from .contenders import Contender
from .workload import Workload

LEAST_CALLS, MOST_CALLS = 5, 300


@dataclass(frozen=True)
class Row:
    """The cost of a contender on a workload; None for figures of a failed contender, with the reason in `error`.

    Attributes:
        name: name of the contender.
        workload: (B, C, D).
        seconds: median time of a call.
        quartiles: first and third quartile.
        calls: number of timed calls.
        times_faster: this contender's median divided by the first contender's: how many times faster the first is.
        peak_bytes: peak memory beyond the initial memory.
        operations: dispatched operators other than views.
        host_syncs: host synchronizations in forward, backward and update_state.
        error: reason for missing figures.
        update_seconds: shortest time of `update_state`, which follows each optimizer step; None if there is none.
    """

    name: str
    workload: tuple[int, int, int]
    seconds: float | None = None
    quartiles: tuple[float, float] | None = None
    calls: int = 0
    times_faster: float | None = None
    peak_bytes: int | None = None
    operations: int | None = None
    host_syncs: int | None = None
    error: str | None = None
    update_seconds: float | None = None


class Bench:
    """A contender that is ready to be called."""

    def __init__(self, contender: Contender, workload: Workload) -> None:
        self.contender, self.workload = contender, workload
        self.output, self.targets = batch_of(contender, workload)
        self.loss = contender.build(workload.context).to(workload.device)
        self.update()  # a loss with state warns if it is called again and again without an update
        for name, state in self.loss.named_buffers():
            if name.rpartition(".")[2] == "centers" and state.shape == (workload.classes, workload.dim):
                state.copy_(workload.centers())
                state.requires_grad_(workload.state_learns)
        self.samples: list[float] = []

    def call(self) -> None:
        """Run one forward and backward pass on its own leaf tensors."""
        fresh = {
            name: getattr(self.output, name).detach().requires_grad_(name in self.contender.reads)
            for name in ("embeddings", "logits")
        }
        for tensor in (*self.loss.parameters(), *self.loss.buffers()):
            tensor.grad = None
        value = self.loss(ModelOutput(**fresh), self.targets)
        value.backward()

    def time(self, call: Callable[[], None] | None = None) -> float:
        """Return the seconds of one call; None for `self.call`."""
        call = call or self.call
        if self.on_gpu:
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            call()
            stop.record()
            stop.synchronize()
            return float(start.elapsed_time(stop)) / 1000
        clock: Callable[[], float] = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        began = clock()
        call()
        return clock() - began

    def update_seconds(self) -> float | None:
        """Return the shortest time of `update_state`, or None for a loss without state."""
        if not list(self.loss.buffers()):
            return None
        return min(self.time(self.update) for _ in range(LEAST_CALLS))

    def update(self) -> None:
        detached = ModelOutput(self.output.embeddings, self.output.logits)
        with torch.no_grad():
            self.loss.update_state(detached, self.targets)

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.workload.device).type == "cuda"

    def peak_bytes_and_census(self) -> tuple[int, Census]:
        """Return peak bytes and counts of one more call and one `update_state`."""
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            census = take_census(self.call, self.update, on_gpu=True)
            return int(torch.cuda.max_memory_allocated()) - before, census
        memory = PeakMemory()

        def call() -> None:
            with memory:
                self.call()

        census = take_census(call, self.update, on_gpu=False)
        return int(memory.peak_bytes), census


def batch_of(contender: Contender, workload: Workload) -> tuple[ModelOutput, torch.Tensor]:
    """Return the batch as a contender reads it; cosines lie between -1 and 1."""
    output, targets = workload.batch_of_model()
    if contender.cosine:
        output = output._replace(logits=0.99 * output.logits / output.logits.abs().amax())
    return output, targets


def measure(
    contenders: Sequence[Contender],
    workload: Workload,
    *,
    seconds: float = 1.0,
    memory_limit_bytes: int | None = None,
) -> list[Row]:
    """Return a row for each contender, also if it fails or runs out of memory.

    Args:
        contenders: contenders; the others are compared with the first one.
        workload: the batch.
        seconds: approximate time per contender; a longer call is measured once or twice.
        memory_limit_bytes: limit of additional memory of this process; 80 % of the free memory if None.
    """
    ready: dict[int, Bench] = {}
    errors: dict[int, str] = {}
    on_gpu = torch.device(workload.device).type == "cuda"
    # CUDA maps far more addresses than it uses, so only the device's own memory limits it.
    with nullcontext() if on_gpu else _limited_memory(memory_limit_bytes):
        for number, each in enumerate(contenders):
            with _caught(errors, number):
                bench = Bench(each, workload)
                bench.samples.append(bench.time())
                if bench.samples[0] < seconds / 3:  # the first call allocates memory and is not counted
                    bench.samples.clear()
                    bench.time()
                ready[number] = bench
        _take_turns(ready, errors, seconds)
        rows = []
        for number, each in enumerate(contenders):
            row = Row(each.name, (workload.batch, workload.classes, workload.dim), error=errors.get(number))
            if number in ready and number not in errors:
                with _caught(errors, number):
                    row = _row(ready[number])
                row = row if number not in errors else Row(each.name, row.workload, error=errors[number])
            rows.append(row)
    return [_compared(row, rows[0]) for row in rows]


def _take_turns(ready: dict[int, Bench], errors: dict[int, str], seconds: float) -> None:
    gc.collect()
    gc.disable()
    try:
        running = dict(ready)
        while running:
            for number, bench in list(running.items()):
                spent, calls = sum(bench.samples), len(bench.samples)
                enough = spent > seconds if calls >= LEAST_CALLS else spent > 4 * seconds
                if enough or calls >= MOST_CALLS:
                    del running[number]
                else:
                    with _caught(errors, number):
                        bench.samples.append(bench.time())
                    if number in errors:
                        del running[number]
    finally:
        gc.enable()


def _row(bench: Bench) -> Row:
    peak, census = bench.peak_bytes_and_census()
    samples = bench.samples
    quarters = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
    workload = bench.workload
    return Row(
        name=bench.contender.name,
        workload=(workload.batch, workload.classes, workload.dim),
        seconds=statistics.median(samples),
        quartiles=(quarters[0], quarters[2]),
        calls=len(samples),
        update_seconds=bench.update_seconds(),
        peak_bytes=peak,
        operations=census.operations,
        host_syncs=census.host_syncs,
    )


def _compared(row: Row, first: Row) -> Row:
    if row.seconds is None or first.seconds is None:
        return row
    return replace(row, times_faster=row.seconds / first.seconds)


@contextmanager
def _caught(errors: dict[int, str], number: int) -> Iterator[None]:
    """Store an error for the contender's row, with out-of-memory errors named."""
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        errors[number] = f"out of memory: {brief(error)}"
    except Exception as error:
        is_memory = "can't allocate memory" in str(error) or "DefaultCPUAllocator" in str(error)
        errors[number] = f"out of memory: {brief(error)}" if is_memory else brief(error)
    if number in errors:
        gc.collect()


@contextmanager
def _limited_memory(limit_bytes: int | None) -> Iterator[None]:
    """Make allocations beyond the limit fail, so that the system does not kill the process."""
    try:
        import resource
    except ImportError:  # not a Unix
        yield
        return
    limit = limit_bytes or int(0.8 * psutil.virtual_memory().available)
    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + limit
    if before[1] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
