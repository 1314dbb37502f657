"""The laws of a loss, as checks that anyone can run on any loss. Requires torch and hypothesis only.

from lossbench.testing import parametrize_with_checks

@parametrize_with_checks([SPEC])
def test_laws(check):
    check()
"""

from .applies import reason_to_skip
from .cases import Case, cases, fixed_case
from .configuration import Configuration
from .configuration import Configuration as Subject
from .effort import Effort
from .judge import judge, judge_all
from .law import LAWS, Law, find_law, find_laws
from .pytest_support import Check, checks, parametrize_with_checks
from .resolve import resolve
from .results import Result
from .variants import configurations
from .variants import configurations as subjects
from .violation import NotApplicableError, Violation

__all__ = [
    "LAWS",
    "Case",
    "Check",
    "Configuration",
    "Effort",
    "Law",
    "NotApplicableError",
    "Result",
    "Subject",
    "Violation",
    "cases",
    "checks",
    "configurations",
    "find_law",
    "find_laws",
    "fixed_case",
    "judge",
    "judge_all",
    "parametrize_with_checks",
    "reason_to_skip",
    "resolve",
    "subjects",
]
