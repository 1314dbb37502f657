"""Measure contenders interleaved in one process, call by call.

A call is forward and backward with new gradients. On the CPU with one thread its time is the thread's CPU time, which
other programs disturb less than wall time; with more threads it is wall time; on CUDA it is stream time, from events.
Memory, operators and synchronizations are counted in one more call.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch

from .call import LEAST_CALLS, MOST_CALLS, Bench
from .contenders import Contender
from .limits import caught, limited_memory
from .row import Row
from .workload import Workload


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
    with nullcontext() if on_gpu else limited_memory(memory_limit_bytes):
        for number, each in enumerate(contenders):
            with caught(errors, number):
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
                with caught(errors, number):
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
                    with caught(errors, number):
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
        best_seconds=min(samples),
        update_seconds=bench.update_seconds(),
        peak_bytes=peak,
        operations=census.operations,
        host_syncs=census.host_syncs,
    )


def _compared(row: Row, first: Row) -> Row:
    if row.seconds is None or first.seconds is None:
        return row
    return replace(row, times_faster=row.seconds / first.seconds)
