"""Sums of rows per class, without a one-hot matrix and, on a GPU, in a fixed order."""

from __future__ import annotations

from torch import Tensor


def class_sums(
    rows: Tensor, targets: Tensor, num_classes: int, *, alpha: float = 1, into: Tensor | None = None
) -> Tensor:
    """Return (C, ...) sums of the rows of each class; zero for a class without rows.

    On the CPU `index_add_` is fastest. On a GPU it uses atomics, whose order changes from call to call; there
    `index_put_` sorts the labels and adds the rows of each class in order, without waiting for the host. A product
    with a one-hot matrix would be faster for few classes, but 0 * NaN spreads one bad row over all classes.

    Args:
        rows: (B, ...).
        targets: (B,) class numbers in [0, C).
        num_classes: C.
        alpha: factor of the rows.
        into: (C, ...) tensor to which the sums are added in place.

    Example:
        >>> import torch
        >>> class_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 2]), 3)
        tensor([2., 0., 5.])
    """
    total = rows.new_zeros((num_classes, *rows.shape[1:])) if into is None else into
    if rows.device.type == "cuda":
        return total.index_put_((targets,), rows if alpha == 1 else alpha * rows, accumulate=True)
    return total.index_add_(0, targets, rows, alpha=alpha)
