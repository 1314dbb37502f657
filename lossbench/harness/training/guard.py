"""The stop at a loss or gradient that is NaN or infinite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import NonFiniteError

_READ_EVERY = {"cuda": 10}  # reading a flag stops the device; elsewhere it is read each step
_SKIPS_IN_A_ROW = 20
_MOST_SKIPS = 100


class FiniteGuard:
    """Watches losses and gradients. On the CPU it stops a run before the step that would take a non-finite number.

    On a CUDA device a flag is set without waiting for it, and read every ten steps and before anything is
    evaluated or written. While it is set, `found` keeps a fused optimizer from stepping, and buffers (running
    statistics, centers) are put back.

    Args:
        module: whose parameters and buffers are watched.
        device: where it lives.
        read_every: read the flag every so many steps.
        skips: leave such steps out, up to a bound, instead of stopping; the flag is then read at each step.
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
        """Keeps the buffers that the forward pass and the loss are about to change."""
        if self.read_every > 1 or self.skips:
            self._kept = [b.clone() for b in self.buffers]

    @torch.no_grad()
    def after_backward(
        self, value: Tensor, outputs: Sequence[Tensor] = (), of_all: Callable[[Tensor], Tensor] = lambda flag: flag
    ) -> bool:
        """Sets the flag, and reads it when it is time.

        Args:
            value: of the objective.
            outputs: the model's: a loss may hide that they are not finite, by comparisons that are false for NaN.
            of_all: whether a flag is set in any process; asked where steps are left out, which all must do alike.

        Returns:
            Whether the step is to be left out.

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
                f"training stopped: {_MOST_SKIPS} steps were not finite and left out (--on-nonfinite skip), which is "
                "too many to go on. Try a lower --lr, a smaller coefficient, or --precision fp32"
            )
        return bad

    @torch.no_grad()
    def after_update(self, skipped: bool = False) -> None:
        """Puts buffers back where the flag is set, or where the gradient scaler left the step out."""
        for buffer, kept in zip(self.buffers, self._kept, strict=False):
            buffer.copy_(torch.where(self.found.bool() | skipped, kept, buffer))

    def check(self) -> None:
        """Reads the flag.

        Raises:
            NonFiniteError: naming the step.
        """
        if bool(self.found):
            value = float(self.last_value)
            what = (
                f"the loss is {value}"
                if not torch.isfinite(self.last_value)
                else f"a gradient or the model's output is not finite (the loss is {value:.4g})"
            )
            raise NonFiniteError(
                f"training stopped at step {int(self.first_bad_step)}: {what}. No weights were changed by that step. "
                "Try a lower --lr, a smaller coefficient, or --precision fp32"
            )

    def counts(self) -> dict[str, int]:
        """What a checkpoint holds of it."""
        return {"step": self.step, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}

    def put_back(self, counts: Mapping[str, int]) -> None:
        """Goes on from the `counts` of an interrupted run."""
        self.step, self.skipped = counts["step"], counts["skipped"]
        self.skipped_in_a_row = counts["skipped_in_a_row"]

    def count_skip(self, skipped: bool) -> None:
        """Counts the steps that were left out, by the gradient scaler of fp16 or by `skips`.

        Raises:
            NonFiniteError: twenty in a row.
        """
        self.skipped += skipped
        self.skipped_in_a_row = self.skipped_in_a_row + 1 if skipped else 0
        if self.skipped_in_a_row >= _SKIPS_IN_A_ROW:
            raise NonFiniteError(
                f"training stopped: {_SKIPS_IN_A_ROW} steps in a row were not finite and left out. Try a lower --lr"
                if self.skips
                else f"training stopped: {_SKIPS_IN_A_ROW} steps in a row had gradients that are not finite in fp16. "
                "Try --precision bf16 or fp32, or a lower --lr"
            )


def all_finite(tensors: Sequence[Tensor]) -> Tensor:
    """() bool: whether every entry is finite. By largest magnitudes, which, unlike norms, can't overflow.

    On the CPU by sums first, which are eight times faster: they are not finite if an entry is not, and only where they
    overflow as well is there a closer look.
    """
    if not tensors:
        return torch.ones((), dtype=torch.bool)
    if tensors[0].device.type == "cpu":
        finite = torch.stack([tensor.sum().float() for tensor in tensors]).isfinite().all()
        if finite:
            return finite
    largest = torch._foreach_norm(list(tensors), float("inf"))
    return torch.stack([peak.float() for peak in largest]).isfinite().all()
