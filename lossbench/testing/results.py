"""The result of one law on one configuration of a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from .violation import Kind

Status = Literal["passed", "failed", "skipped", "xfailed"]
CAN_BE_JUDGED = "can-be-judged"
"""The law in the row of a loss that cannot be loaded or built; it stands for all laws."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One law on one configuration of a loss.

    Attributes:
        loss: the configuration.
        number, law, group: of the law.
        status: passed, failed, skipped or xfailed.
        message: why it failed or was skipped.
        counterexample: the smallest batch found that breaks the law, as text.
        silent: for a failure, whether the loss went on with a wrong result.
        kind: for a failure, how grave it is.
        cause: for a failure by an exception, what identifies it.
        kit_failed: whether the kit itself failed, so that the law was not judged.
        examples: number of batches that were judged.
        seconds: duration.
    """

    loss: str
    number: int
    law: str
    group: str
    status: Status
    message: str = ""
    counterexample: str | None = None
    silent: bool = False
    kind: Kind | None = None
    cause: str | None = None
    kit_failed: bool = False
    examples: int = 0
    seconds: float = 0.0


def expect(result: Result, reason: str | None, fails_elsewhere: Callable[[], bool] = lambda: False) -> Result:
    """Return the result of a law that is known to be broken for a reason.

    Args:
        result: of the law.
        reason: why the loss is known to break it; None if it is not.
        fails_elsewhere: whether the law fails in another configuration of the loss. An expected failure that does not
            happen in any configuration is a failure.
    """
    if reason is None or result.status == "skipped":
        return result
    if result.status == "failed":
        return replace(result, status="xfailed", message=f"{reason} ({result.message})")
    if result.status == "passed" and fails_elsewhere():
        return result
    return replace(
        result, status="failed", kind="wrong result",
        message=f"expected to fail ({reason}), but holds: remove it from expected_failures",
    )  # fmt: skip
