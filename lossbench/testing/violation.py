"""What a law raises."""

from __future__ import annotations


class Violation(AssertionError):  # noqa: N818  # says what happened
    """A loss breaks a law.

    Args:
        message: what was found and what was expected.
        silent: whether the loss went on with a wrong result, instead of refusing with an unclear error.
    """

    def __init__(self, message: str, *, silent: bool = True) -> None:
        super().__init__(message)
        self.silent = silent


class NotApplicableError(Exception):
    """A law has nothing to judge in a loss; the message says why."""
