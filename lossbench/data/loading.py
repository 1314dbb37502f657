"""Turn a table into batches, as pure functions of (seed, epoch, row), independent of workers and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import Dataset

from ..errors import DataError, ImagesLost
from ..types import Batch
from . import ClassBatches, Sampler
from .augmentation import Augmentation
from .mixing import Mixing
from .sampling import epoch_order
from .square import square
from .table import ImageTable, Int64Array, Pixels

Key = tuple[int, int]  # epoch, row


class Unreadable(NamedTuple):
    """What is loaded in place of a batch one of whose images can no longer be read.

    Attributes:
        reason: the file and what is wrong with it.
    """

    reason: str


class ImageBatches(Dataset[Batch | Unreadable]):
    """A dataset of batches of square images, indexed by lists of (epoch, row).

    Args:
        table: images to read.
        image_size: side of the square images in pixels.
        augmentation: how images are changed at random; None for the central square.
        crop_share: side of the central square as a share of the image's short side.
        cache: keep decoded images in memory.
        mixing: mix each image with another one; targets are then (B, C) probabilities.
        soft: use the distributions of the table as targets, (B, C) probabilities.

    Raises:
        ImagesLost: an image that is to be cached cannot be read.
    """

    def __init__(
        self,
        table: ImageTable,
        image_size: int,
        *,
        augmentation: Augmentation | None,
        crop_share: float = 1.0,
        cache: bool = False,
        mixing: Mixing | None = None,
        soft: bool = False,
    ) -> None:
        self.mixing = mixing
        self.targets: npt.NDArray[Any] = table.targets
        if soft:
            assert table.distributions is not None
            self.targets = table.distributions
        self.table, self.image_size, self.augmentation, self.crop_share = table, image_size, augmentation, crop_share
        self._read: Callable[[int], Image.Image | Pixels] = table.pixels or table.read
        try:
            self.decoded = [self._read(row) for row in range(len(table))] if cache else None
        except DataError as error:
            raise ImagesLost(str(error)) from error

    def __len__(self) -> int:
        return len(self.table)

    def __getitems__(self, keys: list[Key]) -> Batch | Unreadable:
        rows = np.array([row for _, row in keys], dtype=np.int64)
        targets: npt.NDArray[Any] = self.targets[rows]
        try:
            if self.mixing is None:
                images = np.stack([self.image(epoch, row) for epoch, row in keys])
            else:
                pairs = [self.mixing.mixed(epoch, row, self.image, self.targets) for epoch, row in keys]
                images, targets = (np.stack(parts) for parts in zip(*pairs, strict=True))
        except DataError as error:
            # A value: torch would raise the exception of a loader process again with a traceback as its message.
            return Unreadable(str(error))
        return Batch(
            torch.from_numpy(images).permute(0, 3, 1, 2),
            torch.from_numpy(targets),
            torch.from_numpy(rows),
        )

    def __getitem__(self, key: Key) -> Batch | Unreadable:
        return self.__getitems__([key])

    def image(self, epoch: int, row: int) -> npt.NDArray[np.uint8]:
        """Return the (S, S, 3) pixels of a row in an epoch."""
        image = self._read(row) if self.decoded is None else self.decoded[row]
        if self.augmentation is None:
            return square(image, self.image_size, share=self.crop_share)
        return self.augmentation(image, self.image_size, self.crop_share, epoch, row)


class EpochBatches:
    """The batches of an epoch, and the part of each batch for one process.

    Set `epoch` before iterating, and `start` to skip its first batches. Each batch is split into one part per process,
    of nearly equal size; a part that would be empty contains the batch's first row, which must get weight zero.

    Args:
        table: the training split.
        batch_size: rows per step over all processes.
        seed: seed of the order.
        sampler: how rows are sampled.
        rank: rank of this process.
        processes: number of processes.
    """

    def __init__(
        self,
        table: ImageTable,
        batch_size: int,
        *,
        seed: int,
        sampler: Sampler | ClassBatches,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.table, self.batch_size, self.seed, self.sampler = table, batch_size, seed, sampler
        self.rank, self.processes, self.epoch, self.start = rank, processes, 0, 0

    def __len__(self) -> int:
        return math.ceil(len(self.table) / self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for rows in self.global_batches()[self.start :]:
            part = np.array_split(rows, self.processes)[self.rank]
            yield [(self.epoch, int(row)) for row in (part if len(part) else rows[:1])]

    def global_batches(self, epoch: int | None = None) -> list[Int64Array]:
        """Return the rows of each batch of an epoch, by default the present one; the last batch can be smaller."""
        order = epoch_order(self.table, self.sampler, self.seed, self.epoch if epoch is None else epoch)
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def rows_of(self, number: int) -> int:
        """Return the number of rows of a batch, over all processes."""
        return min(self.batch_size, len(self.table) - number * self.batch_size)

    def sizes(self, global_rows: int) -> list[int]:
        """Return the number of rows of each process for a batch of `global_rows` rows."""
        return [len(part) for part in np.array_split(np.empty(global_rows), self.processes)]


def evaluation_batches(rows: int, batch_size: int, rank: int, processes: int) -> list[list[Key]]:
    """Return the batches of one process when evaluating a split; every row occurs once over all processes."""
    own = np.array_split(np.arange(rows), processes)[rank]
    return [[(0, int(row)) for row in own[start : start + batch_size]] for start in range(0, len(own), batch_size)]
