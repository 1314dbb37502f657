"""Every loss of the distribution, in every variant, obeys every law."""

from __future__ import annotations

from lossbench.testing import Check, parametrize_with_checks

LOSSES = ("contrastive-center", "island", "gaussian-affinity")


@parametrize_with_checks(LOSSES)
def test_laws(check: Check) -> None:
    check()
