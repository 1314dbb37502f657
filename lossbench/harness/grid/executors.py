"""The seam between a comparison and the engine that runs its cells: this machine, Slurm, Ray, or that of a plugin.

An executor is a function that takes an `Order`. A distribution offers one by an entry point:

    [project.entry-points."lossbench.executors"]
    dask = "my_package.dask_executor:run"

It starts processes on whatever machines it likes, each of which calls `lossbench.harness.grid.job.work`. This claims
cells in the shared directory until none is left, so cells need not be distributed by the executor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...discovery import EXECUTORS, plugins
from ...errors import ConfigError, did_you_mean
from ...runs.cells import Cell
from .pool import Watch, run_cells

# Name -> module with `run(order)`, and `check(options, processes)` for what can be checked before planning.
_BUILT_IN = {"slurm": "lossbench.harness.grid.slurm", "ray": "lossbench.harness.grid.ray_tasks"}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an executor runs.

    Attributes:
        cells: cells in the desired order; finished ones are skipped.
        out: directory of the grid.
        watch: receives the events of cells, for display.
        jobs: `--jobs`; None if it was not passed.
        gpus: number of CUDA devices of this machine that cells may use.
        options: options of the executor by name.
        processes: number of processes that train each cell together; with GPUs, each needs its own.
    """

    cells: Sequence[Cell]
    out: Path
    watch: Watch
    jobs: int | None = None
    gpus: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1


Executor = Callable[[Order], object]


class Submitted(Exception):  # noqa: N818  # not an error
    """Raised by an executor that started jobs and does not wait for them; its text tells the user."""


def run_here(order: Order) -> None:
    """Run the cells in worker processes of this machine: the executor `local`."""
    jobs = order.jobs or max(order.gpus // order.processes, 1)
    run_cells(order.cells, order.out, jobs=jobs, gpus=order.gpus, watch=order.watch)


def executor(name: str, options: Mapping[str, str], processes: int = 1) -> Executor:
    """Return an executor by name, after checking what it needs.

    Args:
        name: `local`, `slurm`, `ray`, or that of a plugin.
        options: options of the executor by name.
        processes: number of processes that train each cell together.

    Raises:
        ConfigError: there is none, its package is missing, or it is not a function.
        PluginError: its distribution cannot be imported.
    """
    if name == "local" and options:
        raise ConfigError(f"--executor local has no options, got {', '.join(options)}")
    if name == "local":
        return run_here
    if name in _BUILT_IN:
        module = importlib.import_module(_BUILT_IN[name])
        module.check(dict(options), processes)
        found: Executor = module.run
        return found
    offered = {plugin.name: plugin for plugin in plugins(EXECUTORS)}
    if name not in offered:
        raise ConfigError(f"--executor {name}: unknown. {did_you_mean(name, ['local', *_BUILT_IN, *offered])}")
    loaded = offered[name].load()
    if not callable(loaded):
        raise ConfigError(f"--executor {name}: {offered[name].where} must be a function, got {type(loaded).__name__}")
    return loaded


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """Return the options of an executor from texts such as "partition=gpu time=2:00:00".

    Raises:
        ConfigError: a part is not NAME=VALUE, or a name is given twice.

    Example:
        >>> parse_options(["partition=gpu gpus=1", "time=120"])
        {'partition': 'gpu', 'gpus': '1', 'time': '120'}
    """
    found: dict[str, str] = {}
    for part in " ".join(texts).split():
        name, equals, value = part.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not name or not equals:
            raise ConfigError(f"--executor-options {part!r}: expected NAME=VALUE, such as partition=gpu")
        if name in found:
            raise ConfigError(f"--executor-options: {name} is given twice")
        found[name] = value
    return found
