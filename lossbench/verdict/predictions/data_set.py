"""Runs that answered the same samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PredictedRun:
    """The answers of one run on one data set.

    Attributes:
        loss: what is compared, from the column `loss` or `model`.
        seed: number of the run.
        predicted: (N,) class numbers, in the order of the data set's samples.
        shifted: (N,) class numbers after the log training frequencies were subtracted from the scores; None without
            scores or training counts.
    """

    loss: str
    seed: int
    predicted: Ints = field(repr=False)
    shifted: Ints | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DataSet:
    """Runs that answered the same samples.

    Attributes:
        name: from the column `dataset`; empty without one.
        class_names: C names.
        samples: N ids.
        targets: (N,) class numbers.
        runs: in the order of the files.
    """

    name: str
    class_names: tuple[str, ...]
    samples: tuple[str, ...] = field(repr=False)
    targets: Ints = field(repr=False)
    runs: tuple[PredictedRun, ...]
