"""Every loss of the distribution, fresh, started and in its last epoch, obeys every law."""

from __future__ import annotations

from lossbench import loss_info
from lossbench.testing import Check, Effort, configurations, parametrize_with_checks

LOSSES = ("contrastive-center", "island", "gaussian-affinity")


# With the defaults and few batches, for a suite that runs often; tests/losses/test_laws.py judges every variant as
# `lossbench check` does, on request.
DEFAULTS = [configuration for name in LOSSES for configuration in configurations(loss_info(name), {})]


@parametrize_with_checks(DEFAULTS, effort=Effort(examples=2, compile=False))
def test_laws(check: Check) -> None:
    check()
