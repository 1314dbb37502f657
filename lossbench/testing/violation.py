"""What a law raises."""

from __future__ import annotations

from typing import Literal

Kind = Literal["wrong result", "precision", "unclear refusal"]
"""How grave a violation is; the gravest first."""


class Violation(AssertionError):  # noqa: N818  # says what happened
    """A loss breaks a law.

    Args:
        message: the finding and what was expected.
        silent: whether the loss went on with a wrong result, instead of refusing with an unclear error.
        kind: how grave the violation is; by default a wrong result if it is silent, else an unclear refusal.
    """

    def __init__(self, message: str, *, silent: bool = True, kind: Kind | None = None) -> None:
        super().__init__(message)
        self.silent = silent
        self.kind: Kind = kind or ("wrong result" if silent else "unclear refusal")


class NotApplicableError(Exception):
    """A law has nothing to judge in a loss; the message says why."""
