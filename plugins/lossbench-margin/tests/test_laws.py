"""Every loss of the distribution, in every variant, obeys every law."""

from __future__ import annotations

from lossbench.testing import Check, parametrize_with_checks

LOSSES = ("norm-face", "cos-face", "arc-face", "supervised-contrastive")


@parametrize_with_checks(LOSSES)
def test_laws(check: Check) -> None:
    check()
