"""The laws of a loss, as checks that anyone can run on any loss. Needs torch and hypothesis alone.

from lossbench.testing import parametrize_with_checks

@parametrize_with_checks([SPEC])
def test_laws(check):
    check()
"""

from .cases import Case, cases, fixed_case
from .judge import Effort, Result, judge, judge_all
from .law import LAWS, Law, NotApplicableError, Violation
from .subject import Subject, subjects

__all__ = [
    "LAWS",
    "Case",
    "Effort",
    "Law",
    "NotApplicableError",
    "Result",
    "Subject",
    "Violation",
    "cases",
    "find_law",
    "fixed_case",
    "judge",
    "judge_all",
    "subjects",
]


def find_law(name: str) -> Law:
    """A law by its name or number.

    Raises:
        UsageError: there is none.

    Example:
        >>> find_law("53").name
        'label-out-of-range'
    """
    from ..errors import UsageError, did_you_mean

    for law in LAWS:
        if name in (law.name, str(law.number)):
            return law
    raise UsageError(f"there is no law {name!r}. {did_you_mean(name, [law.name for law in LAWS])}")
