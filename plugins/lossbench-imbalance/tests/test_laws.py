"""Every loss of the distribution, in every variant, obeys every law."""

from __future__ import annotations

from lossbench.testing import Check, parametrize_with_checks

LOSSES = (
    "softmax-focal",
    "class-balanced",
    "balanced-softmax",
    "logit-adjusted",
    "ldam",
    "vector-scaling",
    "seesaw",
    "label-smoothing",
    "generalised-cross-entropy",
)


@parametrize_with_checks(LOSSES)
def test_laws(check: Check) -> None:
    check()
