"""Stop a run at a non-finite loss or gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ...errors import NonFiniteError
from .finite import all_finite, largest
from .snapshots import Snapshots

_READ_EVERY = {"cuda": 10}  # reading a flag synchronizes the device; elsewhere it is read at each step
_SKIPS_IN_A_ROW = 20
_MOST_SKIPS = 100
_MOST_SHARE = 0.25  # of all steps


class FiniteGuard:
    """Checks losses and gradients. On the CPU it stops a run before a step with non-finite values.

    On a CUDA device a flag is set without synchronization, and read every ten steps and before anything is evaluated or
    written. While it is set, `found` prevents a fused optimizer from stepping. Buffers (running statistics, centers) go
    on changing until the flag is read; then they are restored to their values before the first non-finite step, from
    snapshots of the steps since the flag was last read.

    Args:
        module: module whose parameters and buffers are checked.
        device: device of the module.
        read_every: number of steps between reads of the flag.
        skips: skip such steps, up to a limit, instead of stopping; the flag is then read at each step.

    Attributes:
        found: 1 from the first non-finite step on, else 0.
        first_bad_step: the step that stopped the run or was first skipped; -1 if there is none.
        step: number of steps so far.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, read_every: int | None = None, *, skips: bool = False
    ) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.buffers = [b for b in module.buffers() if b.is_floating_point()]
        self.skips = skips
        self.read_every = 1 if skips else read_every or _READ_EVERY.get(device.type, 1)
        self.found = torch.zeros((), device=device)
        self._on_host = device.type == "cpu" and self.read_every == 1  # values can be read at once
        self.first_bad_step = -1
        self.step = 0
        self.skipped_in_a_row = self.skipped = self.counted = 0
        self._snapshots = Snapshots(self.buffers, self.read_every) if self.read_every > 1 or skips else None
        # Of the last steps, by step modulo `read_every`.
        self._bad = list(torch.zeros(self.read_every, device=device).unbind())
        self._values = list(torch.zeros(self.read_every, device=device).unbind())

    @torch.no_grad()
    def before_forward(self) -> None:
        """Save the buffers that the forward pass and the loss can change."""
        if self._snapshots is not None:
            self._snapshots.save(self.step, self.found)

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
        tensors = [*(p.grad for p in self.parameters if p.grad is not None), *outputs]
        if self._on_host:
            finite = math.isfinite(value) and all_finite(tensors)
            if finite and not self.skips:
                self.step += 1
                return False
            bad = torch.tensor(not finite)
        else:
            bad = largest(tensors) * 0 + value * 0 != 0  # 0 if everything is finite, else NaN
        if self.skips:
            return self._skips_step(bool(of_all(bad)), value)
        slot = self.step % self.read_every
        self._bad[slot].copy_(bad)
        self._values[slot].copy_(value)
        torch.maximum(self.found, self._bad[slot], out=self.found)
        self.step += 1
        if self.step % self.read_every == 0:
            self.check()
        return False

    def _skips_step(self, bad: bool, value: Tensor) -> bool:
        if bad and self.first_bad_step < 0:
            self.first_bad_step = self.step
        self.step += 1
        if bad and self.skipped >= _MOST_SKIPS:
            raise NonFiniteError(
                f"training stopped: {_MOST_SKIPS} steps had non-finite values and were skipped (--on-nonfinite skip), "
                "which is the limit. Try a lower --lr, a smaller coefficient, or --precision fp32"
            )
        return bad

    @torch.no_grad()
    def after_update(self, skipped: bool = False) -> None:
        """Restore the buffers if the step was skipped, by the guard or by the gradient scaler."""
        if skipped and self._snapshots is not None:
            self._snapshots.restore(self._snapshots.last)

    @torch.no_grad()
    def check(self) -> None:
        """Read the flag.

        Raises:
            NonFiniteError: naming the step.
        """
        if not bool(self.found):
            return
        recent = range(max(0, self.step - self.read_every), self.step)
        self.first_bad_step = next(step for step in recent if bool(self._bad[step % self.read_every]))
        if self._snapshots is not None:
            self._snapshots.restore(self.first_bad_step)
        value = float(self._values[self.first_bad_step % self.read_every])
        what = (
            f"a gradient or the model's output is non-finite (the loss is {value:.4g})"
            if math.isfinite(value)
            else f"the loss is {value}"
        )
        raise NonFiniteError(
            f"training stopped at step {self.first_bad_step}: {what}. This step did not change any weights. "
            "Try a lower --lr, a smaller coefficient, or --precision fp32"
        )

    def counts(self) -> dict[str, int]:
        """Return the counts for a checkpoint."""
        return {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "counted": self.counted,
        }

    def put_back(self, counts: Mapping[str, int]) -> None:
        """Restore the `counts` of an interrupted run."""
        self.step, self.skipped = counts["step"], counts["skipped"]
        self.skipped_in_a_row, self.counted = counts["skipped_in_a_row"], counts["counted"]

    def end_epoch(self) -> None:
        """Refuse to go on if too many steps were skipped so far.

        Raises:
            NonFiniteError: no step was taken, or more than a quarter were skipped by `skips`.
        """
        none_taken = self.skipped >= self.counted > 0
        if none_taken or (self.skips and self.skipped > _MOST_SHARE * self.counted):
            raise NonFiniteError(
                f"training stopped: {self.skipped} of {self.counted} steps were non-finite and skipped, "
                + ("so nothing was trained" if none_taken else f"more than {_MOST_SHARE:.0%}")
                + ". Pass a lower --lr, a smaller coefficient, or --precision fp32"
            )

    def count_skip(self, skipped: bool) -> None:
        """Count skipped steps, of the gradient scaler of fp16 or of `skips`.

        Raises:
            NonFiniteError: after twenty in a row.
        """
        self.counted += 1
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
