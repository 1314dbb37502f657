"""Limits of the operating system on cores, shared memory and open files, which loader processes use; memory in use."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NamedTuple

SHARED_MEMORY = "/dev/shm"


class SharedMemory(NamedTuple):
    """Size of the shared memory, in bytes."""

    total: int
    free: int


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_memory() -> SharedMemory | None:
    """Return the size of the shared memory; None if the system does not limit it by a file system."""
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
    except OSError:
        return None
    return SharedMemory(usage.total, usage.free)


def open_files_limit() -> int | None:
    """Return how many files a process may open, as far as it may raise the limit itself; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def allow_open_files(wanted: int) -> None:
    """Raise the limit on open files to the wanted number, as far as the system allows."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def peak_resident_bytes() -> int:
    """Return the greatest resident memory that this process has had."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        used = psutil.Process().memory_info()
        return int(getattr(used, "peak_wset", used.rss))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux


def no_shared_memory() -> str:
    """Return how much shared memory there is, and how to use less or get more, as the end of a message."""
    shared = shared_memory()
    has = "is used up" if shared is None else f"has {shared.free / 2**20:,.0f} MiB free of {shared.total / 2**20:,.0f}"
    return (
        f"{SHARED_MEMORY} {has}. Use fewer --workers, a smaller --batch-size or --image-size, or give the container "
        "more shared memory (docker run --shm-size=1g)"
    )


def few_open_files() -> str:
    """Return how many files may be open, and how to use fewer or allow more, as the end of a message."""
    return f"a process may open {open_files_limit()}. Use fewer --workers, or raise the limit with `ulimit -Hn`"
