"""Collect facts about the machine on which figures were measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("lossbench", "torch", "numpy", "pytorch-metric-learning", "timm")
_RUN_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "pytorch-metric-learning",
    "numpy",
    "scikit-learn",
    "pillow",
)


def machine() -> dict[str, Any]:
    """Return the processor, cores, versions and the command.

    Example:
        >>> machine()["cpu_cores"] >= 1
        True
    """
    return {
        "processor": _processor(),
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    """Return the name and vector instructions of the processor, if Linux reports them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in named.items()}
    return f"{fields.get('model name', platform.machine())}, {torch.backends.cpu.get_cpu_capability()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment(device: Any, processes: int) -> dict[str, Any]:
    """Return the facts, other than options, on which the figures of a run can depend."""
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "lossbench": version("lossbench"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _RUN_PACKAGES},
        "device": str(device),
        "device_name": gpu.name if gpu else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda if gpu else None,
        "cudnn": torch.backends.cudnn.version() if gpu else None,
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32) if gpu else None,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cpu_threads": torch.get_num_threads(),
        "cpu_cores": os.cpu_count(),
        "processes": processes,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": git_state(),
    }


def git_state() -> dict[str, Any] | None:
    """Return the commit of the current directory and whether files differ from it, or None outside a repository."""
    try:
        commit, status = (
            subprocess.run(["git", *command], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(status)}
