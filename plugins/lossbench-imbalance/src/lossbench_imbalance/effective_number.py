"""Class weights from the effective number of samples.

    E_c = (1 - beta^n_c) / (1 - beta)        w_c = s / E_c,   s such that the training set's mean weight is 1

beta = 0 gives all images the same weight; as beta approaches 1, w_c approaches N / (C n_c).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Return weights whose mean over the training set is 1.

    Args:
        counts: (C,) float64, positive training images of each class.
        beta: in [0, 1).

    Returns:
        (C,) float64 weights.

    Example:
        >>> effective_number_weights(torch.tensor([2.0, 1.0], dtype=torch.float64), 0.5)
        tensor([0.8571, 1.2857], dtype=torch.float64)
    """
    # 1 - beta^n without cancellation; beta = 0 gives 1.
    volume = -torch.expm1(counts * math.log(beta)) if beta > 0 else torch.ones_like(counts)
    raw = 1 / volume
    return raw * (counts.sum() / (raw * counts).sum())
