"""Class weights from class counts.

    w_c = s n_c^-power,   s such that the training set's mean weight, sum_c n_c w_c / N, is 1

power = 1 gives N / (C n_c), "balanced"; 0 gives 1; 0.5 is a common compromise. N_min / n_c and N_max / n_c in the
literature are the same weights up to a constant. The constant matters: it scales the objective relative to weight decay
and to other terms. With a mean of 1, the learning rate of plain softmax remains suitable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import HyperparameterError
from ..types import LossContext
from .arguments import number
from .per_class import PerClass, training_counts


def class_weights(class_counts: tuple[int, ...], power: float = 1.0) -> Tensor:
    """Return weights whose mean over the training set is 1.

    Args:
        class_counts: C positive numbers of training images.
        power: 0 gives all images the same weight, 1 gives all classes the same total weight.

    Returns:
        (C,) float64 weights.

    Example:
        >>> class_weights((900, 90, 10))
        tensor([ 0.3704,  3.7037, 33.3333], dtype=torch.float64)
    """
    counts = torch.tensor(class_counts, dtype=torch.float64, device="cpu")
    raw = counts**-power
    return raw * (counts.sum() / (raw * counts).sum())


class ClassWeights(PerClass):
    """The weights of a task's classes.

    Args:
        context: supplies the class counts.
        power: of `class_weights`.

    Raises:
        ContextError: naming the classes without a training image.
        HyperparameterError: a power that is negative, or so large that float64 cannot hold n_c^-power.
    """

    def __init__(self, context: LossContext, power: float) -> None:
        counts, power = training_counts(context, "class weights"), number("power", power, minimum=0)
        if float(counts.min()) ** -power < 1e-250:  # weights would be 0/0
            raise HyperparameterError(f"power must be smaller for these class counts, got {power!r}")
        super().__init__(class_weights(context.class_counts, power))
