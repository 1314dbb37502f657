"""A run whose input has passed its checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.table import ImageTable
from ..expression import Formula
from ..models.weights import Weights
from ..runs.options import ResolvedConfig
from ..traits import Need
from ..types import LossContext


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run whose input has passed its checks.

    Attributes:
        config: fully resolved options.
        formula: expanded objective.
        needs: inputs that its terms read.
        train: training split, without the selection split.
        selection: selection split carved from training, or None.
        test: test split.
        split_origin: origin of the test split.
        context: context of the loss.
        weights: initial weights of the backbone; None for random weights.
        notes: messages for the user and the record.
        skipped: unreadable files that were skipped.
    """

    config: ResolvedConfig
    formula: Formula
    needs: frozenset[Need]
    train: ImageTable
    selection: ImageTable | None
    test: ImageTable
    split_origin: str
    context: LossContext
    weights: Weights | None
    notes: tuple[str, ...]
    skipped: tuple[str, ...]


def derived_seed(seed: int, purpose: str) -> int:
    """Return an independent seed of a run: order, augmentation, model and loss each have their own.

    Example:
        >>> derived_seed(0, "order") == derived_seed(0, "loss")
        False
    """
    purposes = ("order", "augmentation", "model", "loss")
    return int(np.random.SeedSequence((seed, purposes.index(purpose))).generate_state(1)[0])
