"""Examine packages, devices and plugins, and what is missing for which feature."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import time
from importlib.metadata import PackageNotFoundError
from typing import Any

import psutil

from ..discovery import EXECUTORS, LOSSES, ORIGINS, Plugin, plugins
from ..errors import PluginError
from ..versions import version
from .facts import RUN_PACKAGES
from .limits import SHARED_MEMORY, open_files_limit, shared_memory

_SLOW_IMPORT_SECONDS = 1.0
_SMALL_SHARED_MEMORY = 256 * 2**20  # bytes: four loader processes with batches of 64 at 224 px
_FEW_FILES = 1024


def examine() -> dict[str, Any]:
    """Import the requirements of a run and look for devices, compilers and plugins.

    Returns:
        "usable": whether a run can work; "findings": rows of state ("ok", "missing", "broken"), subject and detail.
    """
    rows: list[dict[str, str]] = []

    def add(state: str, what: str, detail: str) -> None:
        rows.append({"state": state, "what": what, "detail": detail})

    add("ok", "lossbench", f"{version('lossbench')}, Python {platform.python_version()}, {platform.platform()}")
    for package, module in RUN_PACKAGES.items():
        try:
            importlib.import_module(module)
            add("ok", package, version(package))
        except PackageNotFoundError:
            add("broken", package, f"not installed: pip install {package}")
        except Exception as error:  # a torchvision built for another torch raises any kind of exception
            add(
                "broken", package, f"cannot be imported: {error}. Reinstall it: pip install --force-reinstall {package}"
            )
    usable = all(row["state"] == "ok" for row in rows)
    _add_devices(add) if usable else None
    compiler = shutil.which("g++") or shutil.which("clang++") or os.environ.get("CXX")
    add("ok" if compiler else "missing", "C++ compiler", compiler or "needed by --compile on the CPU")
    _add_limits(add)
    _add_plugins(add)
    return {"usable": usable, "findings": rows}


def _add_devices(add: Any) -> None:
    import torch

    memory = psutil.virtual_memory()
    add(
        "ok",
        "cpu",
        f"{os.cpu_count()} cores, {memory.total / 2**30:.0f} GiB memory, {memory.available / 2**30:.0f} free",
    )
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(number)
            add("ok", f"cuda:{number}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}")
    else:
        built = (
            f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch was built without CUDA"
        )
        add("missing", "cuda", f"{built}, but no device was found: needed by --precision fp16 and large models")
    if torch.backends.mps.is_available():
        add("ok", "mps", "Apple GPU")


def _add_limits(add: Any) -> None:
    """Report what loader processes share with a run."""
    shared, files = shared_memory(), open_files_limit()
    if shared is not None:
        small = shared.free < _SMALL_SHARED_MEMORY
        add(
            "missing" if small else "ok",
            "shared memory",
            f"{SHARED_MEMORY}: {shared.total / 2**20:,.0f} MiB, {shared.free / 2**20:,.0f} free"
            f"{'; too little for --workers with large batches (docker run --shm-size=1g)' if small else ''}",
        )
    if files is not None:
        add("ok" if files >= _FEW_FILES else "missing", "open files", f"{files:,} per process (ulimit -Hn)")


def _add_plugins(add: Any) -> None:
    """Load every plugin, to find broken and slow ones."""
    loaders = {LOSSES: Plugin.load_spec, ORIGINS: Plugin.load_origin, EXECUTORS: Plugin.load}
    for plugin in (plugin for group in loaders for plugin in plugins(group)):
        began = time.perf_counter()
        try:
            loaders[plugin.entry_point.group](plugin)
        except PluginError as error:
            add("broken", f"plugin {plugin.name}", str(error))
            continue
        seconds = time.perf_counter() - began
        slow = (
            f", slow to import: {seconds:.1f} s, whenever its losses are used" if seconds > _SLOW_IMPORT_SECONDS else ""
        )
        add("ok", f"plugin {plugin.name}", f"{plugin.where}{slow}")
