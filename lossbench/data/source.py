"""What a kind of data is: how it is named and opened, and what a run does where it does not say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import Augment
from .request import Request, Splits


@dataclass(frozen=True, kw_only=True)
class Source:
    """A kind of data.

    Attributes:
        form: how `--data` names it.
        open: opens it.
        depends_on_seed: whether the seed of a run decides which images it holds.
        own_splits: whether lossbench makes or ships its splits, so that they may be joined and divided into folds.
        epochs: passes over its training images, where a run does not say.
        epochs_to_fit: passes after which plain softmax fits its training images, which a comparison makes where it does
            not say; None if that was not measured, for as many as `epochs`.
        batch_size: images per step, where a run does not say.
        augment: augmentation of its training images, where a run does not say.
    """

    form: str
    open: Callable[[Request], Splits]
    depends_on_seed: bool = False
    own_splits: bool = False
    epochs: int = 15
    epochs_to_fit: int | None = None
    batch_size: int = 128
    augment: Augment = Augment.NONE
