"""Explain failures of the machine to the user: no memory, a dead loader process."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import torch

from ...errors import LossbenchError, RunFailed
from ...runs.options import ResolvedConfig

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|alloc.*failed", re.IGNORECASE)
_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)(.*)", re.DOTALL)


@contextlib.contextmanager
def explained(
    config: ResolvedConfig, where: Callable[[], str], coupled: Callable[[], Sequence[str]] = tuple
) -> Iterator[None]:
    """Turn errors of the machine into a `RunFailed` with a remedy; other errors pass.

    Args:
        config: options of the run.
        where: returns the position of the run, such as "step 12".
        coupled: returns the terms that micro-batches would change.
    """
    try:
        yield
    except LossbenchError:
        raise
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(text):
            raise RunFailed(_no_memory(config, where(), coupled())) from error
        if dead := _WORKER.search(text):
            raise RunFailed(_dead_worker(dead[1].strip(), dead[2], config, where())) from error
        raise
    except (EOFError, OSError) as error:
        if not _came_from_a_worker(error):
            raise
        dead = _WORKER.search(_last_words())
        found = (dead[1].strip(), dead[2]) if dead else ("unknown", "exited")
        raise RunFailed(_dead_worker(*found, config, where())) from error


def _came_from_a_worker(error: Exception) -> bool:
    """Return whether the error occurred while receiving a batch, whose memory comes from the worker."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return "pin memory thread" in str(error) or any(name.startswith("multiprocessing.") for name in modules)


def _last_words() -> str:
    """Return the error that torch raises when the system reports the death of a worker, possibly after the pipe broke.

    It is awaited here, so that it does not interrupt the printing of the error.
    """
    try:
        time.sleep(1)
    except RuntimeError as error:
        return str(error)
    return ""


def _no_memory(config: ResolvedConfig, where: str, coupled: Sequence[str]) -> str:
    remedy = (
        f"{', '.join(coupled)} depends on which rows of a batch are together, so --micro-batches would change the "
        "objective: reduce --image-size or --batch-size, which changes the experiment"
        if coupled
        else "More --micro-batches compute the same step in smaller parts (try "
        f"{2 * config.micro_batches}); a smaller --batch-size changes the experiment"
    )
    return (
        f"out of memory at {where}, with --batch-size {config.batch_size}, --micro-batches {config.micro_batches}, "
        f"--image-size {config.image_size}. Checkpoints are unchanged. {remedy}. Both need "
        "a new directory; if another program used the memory, resume with: lossbench run --resume DIR"
    )


def _dead_worker(processes: str, how: str, config: ResolvedConfig, where: str) -> str:
    signal = how.strip(" .:").splitlines()[0] if how.strip(" .:") else "exited"
    memory = (
        "The system may have run out of memory; try fewer --workers"
        if "Killed" in how or "exited" in how or "Bus" in how
        else f"Run with --workers 0 instead of {config.workers} to see its error"
    )
    return (
        f"a loader process died at {where}: process {processes} {signal}. {memory}. Checkpoints are unchanged; "
        "resume with: "
        "lossbench run --resume DIR (--workers can be changed)"
    )
