"""Numbers that a task determines for each class: log-priors, margins, weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import ContextError
from ..types import LossContext


class PerClass(nn.Module):
    """One fixed number per class, stored in float32 for training and returned exactly in float64 on request.

    It moves with the loss and is not part of the saved state, because it is derived from the context.

    Args:
        values: (C,) float64.

    Example:
        >>> PerClass(torch.tensor([0.1, 0.2], dtype=torch.float64))(torch.float32)
        tensor([0.1000, 0.2000])
    """

    value: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.exact: tuple[float, ...] = tuple(values.tolist())
        self.register_buffer("value", torch.tensor(self.exact, dtype=torch.float32), persistent=False)

    def reset_parameters(self) -> None:
        """Compute the buffer again, as after `to_empty`."""
        self.value = torch.tensor(self.exact, dtype=torch.float32, device=self.value.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PerClass:
        # Moves with the loss, but neither `half()` nor `to_empty()` changes the numbers.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.reset_parameters()
        return self

    def forward(self, dtype: torch.dtype) -> Tensor:
        """(C,) in `dtype`."""
        if dtype is torch.float64:
            return torch.tensor(self.exact, dtype=dtype, device=self.value.device)
        return self.value.to(dtype)


def drawn_counts(context: LossContext, what: str) -> Tensor:
    """Return the images of each class that the sampler draws per epoch, (C,) in float64, all positive.

    Args:
        context: supplies the counts.
        what: what needs the counts, for the message, such as "class weights".

    Raises:
        ContextError: naming the classes without a training image.

    Example:
        >>> drawn_counts(LossContext(num_classes=2, embedding_dim=1, class_counts=(9, 1)), "margins")
        tensor([9., 1.], dtype=torch.float64)
    """
    empty = [context.class_label(c) for c, count in enumerate(context.class_counts) if count == 0]
    if empty:
        raise ContextError(
            f"{what} need a training image of every class, there is none of {', '.join(empty)}; "
            f"drop the class, add images, or use a loss without {what}"
        )
    return torch.tensor(context.class_counts, dtype=torch.float64, device="cpu")  # also under a meta device
