"""`--slurm "partition=gpu gpus=1 time=2:00:00"`: what the executor knows, and the rest as sbatch takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError

_MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True)
class SlurmOptions:
    """Options of the jobs.

    Attributes:
        cells: cells that a job runs at a time.
        gpus: CUDA devices per job.
        parameters: of submitit.
    """

    cells: int
    gpus: int
    parameters: dict[str, Any]


def read_slurm_options(options: Mapping[str, str], processes: int = 1) -> SlurmOptions:
    """Return the options of the jobs.

    Args:
        options: `time` (as sbatch takes it; default: an hour), `gpus`, `cpus`, `cells`, `signal_delay_s` (seconds
            before the limit at which cells write checkpoints), and any long option of sbatch.
        processes: number of processes that train each cell together; the job gets a core for each by default.

    Raises:
        ConfigError: a value has another form.

    Example:
        >>> read_slurm_options({"time": "1-00:30", "partition": "gpu"}).parameters
        {'time': 1470, 'signal_delay_s': 90, 'additional_parameters': {'requeue': True, 'partition': 'gpu'}}
    """
    rest = dict(options)
    cells, gpus = _count(rest, "cells", 1, least=1), _count(rest, "gpus", 0)
    cpus = _count(rest, "cpus", cells * processes if processes > 1 else 0)
    delay = _count(rest, "signal_delay_s", 90, least=1)
    if processes > 1 and 0 < gpus < cells * processes:
        raise ConfigError(
            f"--slurm gpus={gpus}: {cells} cells at a time of {processes} processes need {cells * processes} "
            f"GPUs; pass gpus={cells * processes}, or leave gpus out to train on the CPU"
        )
    minutes = minutes_of(rest.pop("time", "60"))
    if 60 * minutes <= delay:
        raise ConfigError(
            f"--slurm time: {minutes} minutes end within the {delay} s for checkpoints; pass a longer time, or a "
            "shorter signal_delay_s"
        )
    parameters: dict[str, Any] = {"time": minutes, "signal_delay_s": delay}
    if gpus:
        parameters["gpus_per_node"] = gpus
    if cpus:
        parameters["cpus_per_task"] = cpus
    parameters["additional_parameters"] = {"requeue": True} | {k.replace("_", "-"): v for k, v in rest.items()}
    return SlurmOptions(cells, gpus, parameters)


def minutes_of(text: str) -> int:
    """Return the minutes of a time limit as sbatch takes it, rounded up.

    Raises:
        ConfigError: the text has another form.

    Example:
        >>> [minutes_of(text) for text in ("90", "0:30", "2:00:00", "1-12", "1-00:30", "1-00:00:30")]
        [90, 1, 120, 2160, 1470, 1441]
    """
    days, dash, rest = text.rpartition("-")
    try:
        numbers = [int(part) for part in rest.split(":")]
        if dash:  # D-H[:M[:S]]
            hours, minutes, seconds = (*numbers, 0, 0)[:3]
        elif len(numbers) == 3:
            hours, minutes, seconds = numbers
        else:  # M[:S]
            hours, minutes, seconds = 0, *(*numbers, 0)[:2]
        total = 60 * (60 * hours + minutes) + seconds + 60 * _MINUTES_A_DAY * int(days or 0)
        if len(numbers) > 3 or min(numbers) < 0 or total <= 0:
            raise ValueError
    except ValueError:
        raise ConfigError(f"--slurm time={text}: expected minutes, HH:MM:SS or D-HH:MM") from None
    return -(-total // 60)


def _count(options: dict[str, str], name: str, default: int, least: int = 0) -> int:
    """Take a whole number out of the options."""
    text = options.pop(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"--slurm {name}={text}: expected a whole number of at least {least}")
    return int(text)
