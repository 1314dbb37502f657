"""Stage `bench`: the goals of `lossbench bench --suite`, measured on the device."""

from __future__ import annotations

import torch

from gpu_stages.results import Task
from lossbench.bench.suite import GOALS, Line, measure_goal, measure_on_a_gpu

SECONDS = 0.3  # per contender of a row
SMALL = 1_000  # entries of the largest tensor, for a trial


def run(task: Task) -> None:
    """Measure row by row."""
    torch.set_num_threads(1)
    task.note(
        "Forward and backward in float32, in turns in one process; stream time on CUDA. The goals are those of one CPU "
        "core, so a ratio that misses them on a GPU is a figure, not a fault."
    )
    for goal in GOALS:
        size = goal.workload.batch * max(goal.workload.classes, goal.workload.dim)
        if not task.smoke or size < SMALL:
            _add(task, measure_goal(goal, 0.01 if task.smoke else SECONDS, task.device))
    for line in measure_on_a_gpu():
        _add(task, line)


def _add(task: Task, line: Line) -> None:
    first = line.rows[0] if line.rows else None
    milliseconds = None if first is None or first.seconds is None else 1e3 * first.seconds
    task.add(
        {
            "loss (B, C, D)": line.what,
            "ms": milliseconds,
            "against": line.peer,
            "goal": "; ".join(line.goals),
            "measured": "; ".join(line.measured),
        }
    )
