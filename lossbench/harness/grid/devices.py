"""The devices over which cells are distributed."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import ConfigError
from ...runs.cells import Cell


def gpus_for(device: str) -> int:
    """Return the number of CUDA devices for a grid: all for `auto` and `cuda`, otherwise none.

    `cuda:N` is one device, which cells use in turns.
    """
    import torch

    if device not in ("auto", "cuda") or not torch.cuda.is_available():
        return 0
    return torch.cuda.device_count()


def check_devices(device: str, processes: int, gpus: int | None) -> None:
    """Check that each process of a cell can have a device of its own.

    Args:
        device: `--device`.
        processes: number of processes that train each cell together.
        gpus: number of CUDA devices of the machine that runs the cells; None if another machine runs them.

    Raises:
        ConfigError: they would share a device.
    """
    if processes > 1 and device.startswith(("cuda:", "mps")):
        raise ConfigError(
            f"--processes {processes}: each process needs a device of its own, and --device {device} is one; pass "
            "--device cuda or cpu"
        )
    if gpus and gpus < processes:
        raise ConfigError(
            f"--processes {processes}: each process needs a GPU of its own, and this machine has {gpus}; pass "
            f"--processes {gpus}, or --device cpu"
        )


def processes_per_cell(cells: Iterable[Cell]) -> int:
    """Return the number of processes that each of these cells needs at most."""
    return max((cell.processes for cell in cells), default=1)
