"""`--ray "cpus=4 gpus=0.5"`: what each cell asks of Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ConfigError


@dataclass(frozen=True)
class RayOptions:
    """Options of the executor.

    Attributes:
        address: of a running cluster; None for one on this machine, for this command.
        cpus, gpus: what a cell asks for; Ray runs as many cells at a time as there is room for.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0


def read_ray_options(options: Mapping[str, str], processes: int = 1) -> RayOptions:
    """Return the options of the executor.

    Args:
        options: `address`, `cpus` (default: one per process), `gpus`.
        processes: number of processes that train each cell together.

    Raises:
        ConfigError: an option is unknown, or a number is none.

    Example:
        >>> read_ray_options({"gpus": "0.5"})
        RayOptions(address=None, cpus=1.0, gpus=0.5)
    """
    if odd := sorted(options.keys() - {"address", "cpus", "gpus"}):
        raise ConfigError(f"--ray: unknown option {odd[0]!r}; expected address, cpus or gpus")
    numbers = {}
    for name in ("cpus", "gpus"):
        text = options.get(name, str(processes) if name == "cpus" else "0")
        try:
            numbers[name] = float(text)
        except ValueError:
            numbers[name] = -1.0
        if not 0 <= numbers[name] < float("inf") or (numbers[name] > 1 and numbers[name] % 1):
            raise ConfigError(f"--ray {name}={text}: expected a fraction up to 1 or a whole number")
    if processes > 1 and 0 < numbers["gpus"] < processes:
        raise ConfigError(
            f"--ray gpus={numbers['gpus']:g}: the {processes} processes of a cell need {processes} GPUs; pass "
            f"gpus={processes}, or leave gpus out to train on the CPU"
        )
    return RayOptions(options.get("address"), **numbers)
