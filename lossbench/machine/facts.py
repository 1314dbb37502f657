"""What results may depend on beside options: processor, devices, versions, command, state of the repository.

Nothing here imports torch before it is called: `lossbench doctor` reports a torch that cannot be imported.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..versions import version
from .git_state import git_state

if TYPE_CHECKING:
    import torch

# Package -> the module that it is imported as.
RUN_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "accelerate": "accelerate",
    "pytorch-metric-learning": "pytorch_metric_learning",
    "numpy": "numpy",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "pillow": "PIL",
    "safetensors": "safetensors",
}
BENCH_PACKAGES = ("lossbench", "torch", "numpy", "pytorch-metric-learning", "timm")
LAW_PACKAGES = ("lossbench", "torch", "hypothesis")


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Return the installed version of each package; None if it is not installed.

    Example:
        >>> versions(["no-such-package"])
        {'no-such-package': None}
    """
    return {name: _version(name) for name in packages}


def machine() -> dict[str, Any]:
    """Return processor, cores, versions and command of a benchmark.

    Example:
        >>> machine()["cpu_cores"] >= 1
        True
    """
    import torch

    return {
        "processor": processor(),
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(BENCH_PACKAGES),
        "command": " ".join(_command()),
    }


def environment(device: torch.device, processes: int) -> dict[str, Any]:
    """Return versions, device and command of a run.

    Args:
        device: of the run.
        processes: that train together.
    """
    import torch

    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "lossbench": version("lossbench"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(RUN_PACKAGES),
        "device": str(device),
        "device_name": gpu.name if gpu else processor(),
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32) if gpu else None,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cpu_threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "processes": processes,
        "command": tuple(_command()),
        "git": git_state(),
    }


def processor() -> str:
    """Return the name of the processor and its vector instructions, as far as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    import torch

    named = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in named.items()}
    return f"{fields.get('model name', platform.machine())}, {torch.backends.cpu.get_cpu_capability()}"


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
