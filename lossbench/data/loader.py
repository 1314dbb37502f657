"""Loader processes that decode batches, and everything that can go wrong between them and the run."""

from __future__ import annotations

import errno
import multiprocessing.queues
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..children import safe_children
from ..errors import ImagesLost
from ..types import Batch
from .loading import ImageBatches, Unreadable

PREFETCHED = 2  # batches per loader process, decoded ahead of the run
LONGEST_WAIT = 600  # seconds for one batch; nothing decodes this long
LONGEST_CLOSING = 1.0  # seconds until a loader process that does not end is sent a signal, and again until it is killed
# Exit codes of a loader process that could not hand over a batch.
NO_SHARED_MEMORY, NO_OPEN_FILES = 76, 77
_TENSORS = 3  # of a batch, each an open file on its way to the run


class BatchLoader:
    """Batches in order, decoded by processes that stay alive between epochs.

    Args:
        dataset: dataset to read from.
        batches: lists of keys, iterated in each epoch.
        workers: number of processes that decode; with 0, this one does.
        pin_memory: whether batches go to an accelerator.
    """

    def __init__(self, dataset: ImageBatches, batches: Any, *, workers: int, pin_memory: bool) -> None:
        self.dataset = dataset
        self._loader: DataLoader[Batch | Unreadable] = DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_as_is,  # a list of keys gives a whole batch, which needs no collating
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            prefetch_factor=PREFETCHED if workers else None,
            timeout=LONGEST_WAIT if workers else 0,
            worker_init_fn=partial(_set_up_worker, os.getpid()) if workers else None,
            generator=torch.Generator(),  # its own: starting an epoch must not draw from the run's random state
        )

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches.

        Raises:
            ImagesLost: an image cannot be read.
        """
        with safe_children():
            reader = iter(self._loader)
        try:
            for batch in reader:
                if isinstance(batch, Unreadable):
                    raise ImagesLost(batch.reason)
                yield batch
        except RuntimeError as error:
            codes = [process.exitcode for process in getattr(reader, "_workers", ()) if process.exitcode]
            if not codes or "exit code" in str(error):
                raise
            raise RuntimeError(f"{error} with exit code {codes[0]}") from error

    def close(self) -> None:
        """End the loader processes.

        If this were left to the exit of Python, multiprocessing would send each process one SIGTERM, which a loader
        process outlives, and wait for it without a limit. torch waits 5 s before it sends the first and 5 s after it.
        """
        reader, self._loader._iterator = self._loader._iterator, None
        if reader is None or not hasattr(reader, "_shutdown_workers"):
            return
        waits = torch.utils.data._utils
        of_torch, waits.MP_STATUS_CHECK_INTERVAL = waits.MP_STATUS_CHECK_INTERVAL, LONGEST_CLOSING
        try:
            reader._shutdown_workers()
        finally:
            waits.MP_STATUS_CHECK_INTERVAL = of_torch
        for process in getattr(reader, "_workers", ()):
            process.kill()


def bytes_in_transit(rows: int, image_size: int, workers: int) -> int:
    """Return the shared memory that batches take on their way from loader processes to the run, in bytes.

    Args:
        rows: rows of a batch.
        image_size: side of the images in pixels.
        workers: number of loader processes.
    """
    return (PREFETCHED * workers + 1) * rows * (3 * image_size**2 + 16) if workers else 0


def files_in_transit(workers: int) -> int:
    """Return how many files are open while batches are on their way, about: one per tensor, and pipes."""
    return _TENSORS * (PREFETCHED * workers + 1) + 8 * workers if workers else 0


def _set_up_worker(parent: int, worker: int) -> None:
    """Let a loader process outlive signals for its group, and die where it could not hand over a batch.

    The run decides when it is over. A second SIGTERM ends the process: torch sends one if it hangs. If the run ends
    immediately, it no longer takes what the process was handing over, which multiprocessing would print as an error.
    torch ends a loader process when its parent changes, which it does not see if the run was killed before this.
    """
    if multiprocessing.get_start_method() != "forkserver" and os.getppid() != parent:
        os._exit(1)
    printed = sys.excepthook
    sys.excepthook = lambda kind, *rest: None if issubclass(kind, ConnectionError | EOFError) else printed(kind, *rest)
    for number in signal.Signals:
        if number.name in ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):  # Windows has only the first
            signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    # multiprocessing prints the error, drops the batch and goes on, and the run would wait for the batch for ever.
    multiprocessing.queues.Queue._on_queue_feeder_error = staticmethod(_not_handed_over)  # type: ignore[attr-defined]


def _not_handed_over(error: Exception, item: object) -> None:
    number, text = getattr(error, "errno", None), str(error)
    if number == errno.ENOSPC or "No space left on device" in text or "shared memory" in text:
        os._exit(NO_SHARED_MEMORY)
    if number == errno.EMFILE or "Too many open files" in text:
        os._exit(NO_OPEN_FILES)
    print(f"a loader process could not hand over a batch: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def _as_is(batch: Any) -> Any:
    return batch
