"""Stop a run at a non-finite loss or gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import NonFiniteError

_READ_EVERY = {"cuda": 10}  # reading a flag synchronizes the device; elsewhere it is read at each step
_SKIPS_IN_A_ROW = 20
_MOST_SKIPS = 100


class FiniteGuard:
    """Checks losses and gradients. On the CPU it stops a run before a step with non-finite values.

    On a CUDA device a flag is set without synchronization, and read every ten steps and before anything is evaluated or
    written. While it is set, `found` prevents a fused optimizer from stepping, and buffers (running statistics,
    centers) are restored.

    Args:
        module: module whose parameters and buffers are checked.
        device: device of the module.
        read_every: number of steps between reads of the flag.
        skips: skip such steps, up to a limit, instead of stopping; the flag is then read at each step.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, read_every: int | None = None, *, skips: bool = False
    ) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.buffers = [b for b in module.buffers() if b.is_floating_point()]
        self.skips = skips
        self.read_every = 1 if skips else read_every or _READ_EVERY.get(device.type, 1)
        self.found = torch.zeros((), device=device)
        self.first_bad_step = torch.full((), -1, device=device, dtype=torch.int64)
        self.last_value = torch.zeros((), device=device)
        self.step = 0
        self._kept: list[Tensor] = []
        self.skipped_in_a_row = self.skipped = 0

    def before_forward(self) -> None:
        """Save the buffers that the forward pass and the loss can change."""
        if self.read_every > 1 or self.skips:
            self._kept = [b.clone() for b in self.buffers]

    @torch.no_grad()
    def after_backward(
        self, value: Tensor, outputs: Sequence[Tensor] = (), of_all: Callable[[Tensor], Tensor] = lambda flag: flag
    ) -> bool:
        """Set the flag, and read it if it is due.

        Args:
            value: value of the objective.
            outputs: outputs of the model: a loss can hide non-finite ones by comparisons, which are false for NaN.
            of_all: function that returns whether a flag is set in any process, called if steps are skipped, because
                all processes must skip the same steps.

        Returns:
            Whether to skip the step.

        Raises:
            NonFiniteError: naming the step.
        """
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        finite = value.isfinite() & all_finite([*gradients, *outputs])
        bad = self.found.bool() | ~finite
        if self.skips:
            return self._leaves_out(bool(of_all(bad)), value)
        self.first_bad_step = torch.where(bad & (self.first_bad_step < 0), self.step, self.first_bad_step)
        self.last_value = torch.where(self.found.bool(), self.last_value, value.detach())
        self.found.copy_(bad)
        if self.read_every == 1 or self.step % self.read_every == self.read_every - 1:
            self.check()
        self.step += 1
        return False

    def _leaves_out(self, bad: bool, value: Tensor) -> bool:
        self.last_value = value.detach()
        if bad and self.first_bad_step < 0:
            self.first_bad_step.fill_(self.step)
        self.step += 1
        if bad and self.skipped >= _MOST_SKIPS:
            raise NonFiniteError(
                f"training stopped: {_MOST_SKIPS} steps had non-finite values and were skipped (--on-nonfinite skip), "
                "which is the limit. Try a lower --lr, a smaller coefficient, or --precision fp32"
            )
        return bad

    @torch.no_grad()
    def after_update(self, skipped: bool = False) -> None:
        """Restore buffers if the flag is set or the gradient scaler skipped the step."""
        for buffer, kept in zip(self.buffers, self._kept, strict=False):
            buffer.copy_(torch.where(self.found.bool() | skipped, kept, buffer))

    def check(self) -> None:
        """Read the flag.

        Raises:
            NonFiniteError: naming the step.
        """
        if bool(self.found):
            value = float(self.last_value)
            what = (
                f"the loss is {value}"
                if not torch.isfinite(self.last_value)
                else f"a gradient or the model's output is non-finite (the loss is {value:.4g})"
            )
            raise NonFiniteError(
                f"training stopped at step {int(self.first_bad_step)}: {what}. This step did not change any weights. "
                "Try a lower --lr, a smaller coefficient, or --precision fp32"
            )

    def counts(self) -> dict[str, int]:
        """Return the counts for a checkpoint."""
        return {"step": self.step, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}

    def put_back(self, counts: Mapping[str, int]) -> None:
        """Restore the `counts` of an interrupted run."""
        self.step, self.skipped = counts["step"], counts["skipped"]
        self.skipped_in_a_row = counts["skipped_in_a_row"]

    def count_skip(self, skipped: bool) -> None:
        """Count skipped steps, of the gradient scaler of fp16 or of `skips`.

        Raises:
            NonFiniteError: after twenty in a row.
        """
        self.skipped += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
        if self.skipped_in_a_row >= _SKIPS_IN_A_ROW:
            raise NonFiniteError(
                f"training stopped: {_SKIPS_IN_A_ROW} consecutive steps had non-finite values and were skipped. "
                "Try a lower --lr"
                if self.skips
                else f"training stopped: {_SKIPS_IN_A_ROW} consecutive steps had non-finite gradients in fp16. "
                "Try --precision bf16 or fp32, or a lower --lr"
            )


def all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """Return a scalar bool tensor: whether every entry is finite.

    Uses largest magnitudes, which, unlike norms, cannot overflow. On the CPU, sums are checked first, which is eight
    times
    faster: a sum is non-finite if an entry is, and only if a sum is non-finite are the magnitudes checked.
    """
    if not tensors:
        return torch.ones((), dtype=torch.bool)
    if tensors[0].device.type == "cpu":
        finite = torch.stack([tensor.sum().float() for tensor in tensors]).isfinite().all()
        if finite:
            return finite
    largest = torch._foreach_norm(list(tensors), float("inf"))
    return torch.stack([peak.float() for peak in largest]).isfinite().all()
