"""Explain failures of the machine to the user: no memory, a dead loader process."""

from __future__ import annotations

import contextlib
import errno
import re
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from ...data.loader import LONGEST_WAIT, NO_OPEN_FILES, NO_SHARED_MEMORY
from ...errors import ImagesLost, RunFailed
from ...machine.limits import few_open_files, no_shared_memory
from ...runs.options import ResolvedConfig
from ...what_is import quote

_RESUME = "Checkpoints are unchanged; resume with: lossbench run --resume DIR (--workers can be changed)"
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|alloc.*failed", re.IGNORECASE)
_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)(.*)", re.DOTALL)


@contextlib.contextmanager
def explained(
    config: ResolvedConfig,
    where: Callable[[], str],
    coupled: Callable[[], Sequence[str]] = tuple,
    directory: Path | None = None,
) -> Iterator[None]:
    """Turn errors of the machine into a `RunFailed` with a remedy; other errors pass.

    Args:
        config: options of the run.
        where: returns the position of the run, such as "step 12".
        coupled: returns the terms that micro-batches would change.
        directory: directory of the run, for the command that resumes it.
    """
    try:
        yield
    except (ImagesLost, MemoryError, RuntimeError, EOFError, OSError) as error:
        text = _explanation(error, config, where(), coupled)
        if text is None:
            raise
        kind = ImagesLost if isinstance(error, ImagesLost) else RunFailed
        raise kind(
            text if directory is None else text.replace("--resume DIR", f"--resume {quote(directory)}")
        ) from error


def _explanation(
    error: Exception, config: ResolvedConfig, where: str, coupled: Callable[[], Sequence[str]]
) -> str | None:
    if isinstance(error, ImagesLost):
        return _images_lost(str(error), where)
    if not isinstance(error, EOFError | OSError):
        return _explanation_of_torch(error, config, where, coupled)
    if not _came_from_a_worker(error):
        return None
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return _too_many_files(where)
    dead = _WORKER.search(_last_words())
    return _dead_worker(*((dead[1].strip(), dead[2]) if dead else ("unknown", "exited")), config, where)


def _explanation_of_torch(
    error: Exception, config: ResolvedConfig, where: str, coupled: Callable[[], Sequence[str]]
) -> str | None:
    text, found = str(error), None
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY.search(text):
        found = _no_memory(config, where, coupled())
    elif dead := _WORKER.search(text):
        found = _dead_worker(dead[1].strip(), dead[2], config, where)
    elif "DataLoader timed out" in text:
        found = _no_batch(config, where)
    elif "ancdata" in text or "Too many open files" in text:
        found = _too_many_files(where)
    return found


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


def _images_lost(reason: str, where: str) -> str:
    return (
        f"{reason}, at {where}. It could be read before: check that its disk or share is mounted, or "
        "add --data SPEC if it has moved. Resume with: lossbench run --resume DIR"
    )


def _no_batch(config: ResolvedConfig, where: str) -> str:
    return (
        f"no batch arrived for {LONGEST_WAIT / 60:.0f} minutes at {where}: a loader process hangs, or the disk does "
        f"not answer. Check the disk, or run with --workers 0 instead of {config.workers}. {_RESUME}"
    )


def _too_many_files(where: str) -> str:
    return f"too many open files at {where}: {few_open_files()}. {_RESUME}"


def _dead_worker(processes: str, how: str, config: ResolvedConfig, where: str) -> str:
    if "Bus error" in how or f"exit code {NO_SHARED_MEMORY}" in how:
        return f"shared memory is full at {where}: {no_shared_memory()}. {_RESUME}"
    if f"exit code {NO_OPEN_FILES}" in how:
        return _too_many_files(where)
    signal = how.strip(" .:").splitlines()[0] if how.strip(" .:") else "exited"
    memory = (
        "The system may have run out of memory; try fewer --workers"
        if "Killed" in how or "exited" in how
        else f"Run with --workers 0 instead of {config.workers} to see its error"
    )
    return f"a loader process died at {where}: process {processes} {signal}. {memory}. {_RESUME}"
