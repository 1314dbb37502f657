"""Stage `resume`: runs that receive SIGKILL at random instants end bit-identical to uninterrupted ones."""

from __future__ import annotations

import os
import random
import time

import chaos
import torch
from chaos_setups import EPOCHS, Setup

from gpu_stages.results import Task

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
RESERVE = 0.35  # of the time limit: no trial starts in this last part


def run(task: Task) -> None:
    """Kill and resume runs of the five losses in turn, as long as the time allows."""
    began = time.monotonic()
    torch.set_num_threads(1)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)  # inherited by the runs, which are forks
    torch.backends.cudnn.benchmark = False
    task.note(
        "With torch.use_deterministic_algorithms(True). Weights, metrics, predictions and history (except times) are "
        "compared bit by bit, as in `benchmarks/chaos.py`."
    )
    folder = task.work / "resume"
    folder.mkdir(parents=True, exist_ok=True)
    epochs = 2 if task.smoke else EPOCHS
    # Without a run in this process, because a fork has to find CUDA untouched.
    trials = chaos.Trials(folder, random.Random(0), task.device, epochs, warm=False)
    setups = [
        Setup(f"{loss}, {workers} loader workers", ("--loss", loss, "--select", "--workers", str(workers)))
        for loss, workers in zip(LOSSES, (0, 2, 0, 2, 0), strict=True)
    ]
    known = 0
    while not (task.smoke and trials.kills.total()) and time.monotonic() - began < (1 - RESERVE) * task.seconds:
        trials.one(setups[trials.trials.total() % len(setups)])
        for text in trials.wrong[known:]:
            task.problem(text)
        known = len(trials.wrong)
        task.table({"event": what, "count": count} for what, count in sorted(trials.found.items()))
    task.note(f"{trials.kills.total()} kills of {trials.trials.total()} runs.")
