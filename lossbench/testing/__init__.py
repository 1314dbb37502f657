"""The laws of a loss, as checks that anyone can run on any loss. Needs torch and hypothesis alone.

from lossbench.testing import parametrize_with_checks

@parametrize_with_checks([SPEC])
def test_laws(check):
    check()
"""

from .cases import Case, cases, fixed_case
from .configuration import Subject, subjects
from .judge import Effort, Result, judge, judge_all
from .law import LAWS, Law, find_law
from .pytest_support import Check, checks, parametrize_with_checks
from .resolve import resolve
from .violation import NotApplicableError, Violation

__all__ = [
    "LAWS",
    "Case",
    "Check",
    "Effort",
    "Law",
    "NotApplicableError",
    "Result",
    "Subject",
    "Violation",
    "cases",
    "checks",
    "find_law",
    "fixed_case",
    "judge",
    "judge_all",
    "parametrize_with_checks",
    "resolve",
    "subjects",
]
