"""What the machine does to a run, said in words that help: no memory, a dead loader process."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from collections.abc import Callable, Iterator

import torch

from ...errors import LossbenchError, RunFailed
from ...runs.options import ResolvedConfig

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|alloc.*failed", re.IGNORECASE)
_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)(.*)", re.DOTALL)


@contextlib.contextmanager
def explained(config: ResolvedConfig, where: Callable[[], str]) -> Iterator[None]:
    """Turns what the machine raises into a `RunFailed` with a remedy; everything else passes.

    Args:
        config: of the run.
        where: says how far the run is: "step 12".
    """
    try:
        yield
    except LossbenchError:
        raise
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(text):
            raise RunFailed(_no_memory(config, where())) from error
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
    """Whether it broke while a batch was handed over: a tensor's memory is fetched from the worker that filled it."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return "pin memory thread" in str(error) or any(name.startswith("multiprocessing.") for name in modules)


def _last_words() -> str:
    """What torch raises wherever the program is when the system tells of the death, maybe after the pipe broke.

    Awaited here, so that it does not break into the printing of the error.
    """
    try:
        time.sleep(1)
    except RuntimeError as error:
        return str(error)
    return ""


def _no_memory(config: ResolvedConfig, where: str) -> str:
    return (
        f"out of memory at {where}, with --batch-size {config.batch_size}, --micro-batches {config.micro_batches}, "
        f"--image-size {config.image_size}. Checkpoints are as they were. More --micro-batches compute the same step "
        f"in smaller parts (try {2 * config.micro_batches}); a smaller --batch-size is another experiment. Both need "
        "a new directory; if something else took the memory, lossbench run --resume DIR goes on"
    )


def _dead_worker(processes: str, how: str, config: ResolvedConfig, where: str) -> str:
    signal = how.strip(" .:").splitlines()[0] if how.strip(" .:") else "exited"
    memory = (
        "The system's memory may have run out: try fewer --workers"
        if "Killed" in how or "exited" in how or "Bus" in how
        else f"Look at what it read, with --workers 0 instead of {config.workers}"
    )
    return (
        f"a loader process died at {where}: process {processes} {signal}. {memory}. Checkpoints are as they were: "
        "lossbench run --resume DIR goes on (--workers may be changed)"
    )
