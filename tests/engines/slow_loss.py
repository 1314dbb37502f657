"""Softmax whose steps take STEP_SECONDS each and are counted in STEP_FILE: a long cell that needs no CPU."""

from __future__ import annotations

import os
import time
from typing import Any

from lossbench.losses.softmax import SoftmaxLoss


class Slow(SoftmaxLoss):
    """Softmax, slower."""

    def update_state(self, output: Any, targets: Any) -> None:
        super().update_state(output, targets)
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
        if file := os.environ.get("STEP_FILE"):
            with open(file, "a") as steps:
                steps.write(f"{os.uname().nodename} {os.getpid()}\n")
