"""`pytest --lossbench my-loss`: run the laws as test items, without a test file.

pytest loads this module in every environment with lossbench, so it imports nothing until the option is used;
`lossbench.testing`, which has the rest, imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing.pytest_support import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("lossbench", "the laws of a loss")
    group.addoption("--lossbench", action="append", default=[], metavar="LOSS", help="test this loss; repeatable")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist starts workers, whose usage errors it does not show
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse what cannot be tested, where other processes collect the items."""
    if session.config.getoption("dist", "no") != "no":
        _checks(session.config.getoption("--lossbench"))


@pytest.hookimpl(tryfirst=True)  # before -k and -m select
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add an item for each law and configuration of each named loss."""
    wanted = config.getoption("--lossbench")
    items += [LawItem.from_parent(session, name=str(check), check=check) for check in _checks(wanted)]


def _checks(wanted: list[str]) -> list[Check]:
    if not wanted:
        return []
    from .errors import LossbenchError
    from .testing.pytest_support import checks

    try:
        return checks(wanted)
    except LossbenchError as error:
        raise pytest.UsageError(str(error)) from None


class LawItem(pytest.Item):
    """A law on a configuration of a loss."""

    def __init__(self, *, check: Check, **given: Any) -> None:
        super().__init__(**given)
        self.check = check

    def runtest(self) -> None:
        """Judges."""
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the message of a violation without a traceback."""
        from .testing.violation import Violation

        return str(excinfo.value) if isinstance(excinfo.value, Violation) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Return the location of the item."""
        return "lossbench", None, self.name
