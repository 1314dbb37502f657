"""The exponential moving average of a model's weights, which is evaluated in place of the last weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...models.classifier import Classifier

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


def build_average(model: Classifier, decay: float) -> ModelEmaV3 | None:
    """Return timm's average, which starts from the present weights; None for a decay of 0.

    Args:
        model: the classifier, on its device and not yet compiled.
        decay: share of the average that remains after a step.
    """
    if decay == 0:
        return None
    from timm.utils import ModelEmaV3  # here, because it is slow to import

    return ModelEmaV3(model, decay=decay)


@contextlib.contextmanager
def averaged(model: Classifier, average: ModelEmaV3 | None) -> Iterator[None]:
    """Give the model its averaged weights and batch-normalization statistics within the context."""
    if average is None:
        yield
        return
    own = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.module.state_dict())
    try:
        yield
    finally:
        model.load_state_dict(own)
