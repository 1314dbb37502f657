"""Save the buffers of a module before each of the last steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LARGE = 2**20  # bytes of a buffer


class Snapshots:
    """Values of buffers before each of the last steps, saved with one operator.

    Large buffers, such as the centers of 100,000 classes, are kept once: their values before the first step with the
    flag set.

    Args:
        buffers: buffers to save.
        steps: number of steps to keep.
    """

    def __init__(self, buffers: Sequence[Tensor], steps: int) -> None:
        large = [b.numel() * b.element_size() > _LARGE for b in buffers]
        self.large = [b for b, is_large in zip(buffers, large, strict=True) if is_large]
        self.small = [b for b, is_large in zip(buffers, large, strict=True) if not is_large]
        self._kept_large = [b.clone() for b in self.large]
        self._kept = [[b.clone() for b in self.small] for _ in range(steps)]
        self.last = 0  # the step that was saved last

    def save(self, step: int, found: Tensor) -> None:
        """Save the buffers before a step.

        Args:
            step: number of the step.
            found: flag on the device; large buffers are saved while it is 0.
        """
        self.last = step
        if self.small:
            torch._foreach_copy_(self._kept[step % len(self._kept)], self.small)
        for kept, buffer in zip(self._kept_large, self.large, strict=True):
            torch.where(found > 0, kept, buffer, out=kept)

    def restore(self, step: int) -> None:
        """Restore the buffers to their values before a step."""
        if self.small:
            torch._foreach_copy_(self.small, self._kept[step % len(self._kept)])
        for kept, buffer in zip(self._kept_large, self.large, strict=True):
            buffer.copy_(kept)
