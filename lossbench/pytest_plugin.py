"""`pytest --lossbench my-loss`: the laws as test items, without a test file.

pytest loads this in every suite where lossbench is installed, so it imports nothing until asked; `testing`, where the
rest lies, takes torch with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing.pytest_support import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("lossbench", "the laws of a loss")
    group.addoption("--lossbench", action="append", default=[], metavar="LOSS", help="judge this loss; repeatable")


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds an item for each law and configuration of each loss that was named."""
    wanted = config.getoption("--lossbench")
    if not wanted:
        return
    from .errors import LossbenchError
    from .testing.pytest_support import checks

    try:
        found = checks(wanted)
    except LossbenchError as error:
        raise pytest.UsageError(str(error)) from None
    items += [LawItem.from_parent(session, name=str(check), check=check) for check in found]


class LawItem(pytest.Item):
    """One law on one configuration."""

    def __init__(self, *, check: Check, **given: Any) -> None:
        super().__init__(**given)
        self.check = check

    def runtest(self) -> None:
        """Judges."""
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A violation speaks for itself."""
        from .testing.violation import Violation

        return str(excinfo.value) if isinstance(excinfo.value, Violation) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it comes from."""
        return "lossbench", None, self.name
