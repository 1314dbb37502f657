"""Every loss of the distribution, in every variant, obeys every law."""

from __future__ import annotations

from lossbench.testing import Check, Effort, parametrize_with_checks

LOSSES = ("contrastive-center", "island", "gaussian-affinity")


# Quick, for a suite that runs often; `lossbench check` looks at 25 batches a law, and compiles.
@parametrize_with_checks(LOSSES, effort=Effort(examples=8, compile=False))
def test_laws(check: Check) -> None:
    check()
