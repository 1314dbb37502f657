"""Every loss of the distribution, in every variant, obeys every law."""

from __future__ import annotations

from lossbench.testing import Check, Effort, parametrize_with_checks

LOSSES = ("contrastive-center", "island", "gaussian-affinity")


# Quick, for a suite that runs often. tests/losses/test_laws.py judges them as `lossbench check` does, on request.
@parametrize_with_checks(LOSSES, effort=Effort(examples=4, compile=False))
def test_laws(check: Check) -> None:
    check()
