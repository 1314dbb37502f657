"""What keeps a failing contender from ending a measurement."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from ..errors import brief


@contextmanager
def caught(errors: dict[int, str], number: int) -> Iterator[None]:
    """Store an error for the contender's row, with out-of-memory errors named."""
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        errors[number] = f"out of memory: {brief(error)}"
    except Exception as error:
        is_memory = "can't allocate memory" in str(error) or "DefaultCPUAllocator" in str(error)
        errors[number] = f"out of memory: {brief(error)}" if is_memory else brief(error)
    if number in errors:
        gc.collect()


@contextmanager
def limited_memory(limit_bytes: int | None) -> Iterator[None]:
    """Make allocations beyond the limit fail, so that the system does not kill the process."""
    try:
        import resource
    except ImportError:  # not a Unix
        yield
        return
    limit = limit_bytes or int(0.8 * psutil.virtual_memory().available)
    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + limit
    if before[1] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
