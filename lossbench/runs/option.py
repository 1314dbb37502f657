"""What is known about one option of a run, beside its value: help text, range, and what else depends on it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ..errors import ConfigError

_KEY, _MOST_BITS = "option", 200


class Role(StrEnum):
    """What an option is for, where something other than the run itself must know it."""

    ANY_TIME = "may change when a run is resumed"
    NO_EFFECT = "changes how a result is computed, but not the result"
    COMPARED = "differs between the runs of a comparison"
    SET_BY_COMPARE = "is set by `compare` and cannot be passed to it"
    TUNABLE = "can be tuned"
    REPORTED = "is printed in reports"
    OPENS_DATA = "is an argument of `open_data`"
    DIVIDES_DATA = "divides or restricts data that is trained on"
    LOCATES_DATA = "names where the data is, which may have moved when a run is resumed"
    READS_DATA = "changes which images a run sees, or how they are read"


@dataclass(frozen=True)
class Rule:
    """A condition on values.

    Attributes:
        holds: the condition.
        words: what a value must be, for messages.
        most: the greatest value of a number.
    """

    holds: Callable[[Any], bool]
    words: str
    most: float = math.inf


def at_least(minimum: int, most: float = math.inf) -> Rule:
    """Return the rule for a number with a lower bound, and an upper one that only mistakes and forgeries exceed."""
    return Rule(lambda value: value >= minimum, f"at least {minimum}", most)


def matching(pattern: re.Pattern[str], words: str) -> Rule:
    """Return the rule for a text of one form."""
    return Rule(lambda value: pattern.fullmatch(value) is not None, words)


POSITIVE = Rule(lambda value: 0 < value < float("inf"), "a positive number")
NOT_NEGATIVE = Rule(lambda value: 0 <= value < float("inf"), "0 or a positive number")


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known about one option.

    Attributes:
        help: a noun phrase that stands alone, for `--help`.
        panel: the group that `--help` prints it in; None for the options above the groups.
        metavar: the placeholder for its value in `--help`; None for the name of its type.
        rule: what values it takes; None for any value of its type.
        roles: what else depends on it.
    """

    help: str
    panel: str | None
    metavar: str | None
    rule: Rule | None
    roles: frozenset[Role]


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    panel: str | None = None,
    metavar: str | None = None,
    rule: Rule | None = None,
    choices: tuple[str, ...] = (),
    roles: Iterable[Role] = (),
) -> Any:
    """Return a dataclass field for an option; see `About` for the arguments.

    With `choices`, the words to choose from, the rule follows from them, and the help text ends with them.
    """
    if choices:
        rule = Rule(lambda value: value in choices, f"one of {', '.join(choices)}")
        help = f"{help}: {', '.join(choices[:-1])} or {choices[-1]}."
    about = About(help=help, panel=panel, metavar=metavar, rule=rule, roles=frozenset(roles))
    return dataclasses.field(default=default, metadata={_KEY: about})


@cache
def about(options: type, name: str) -> About:
    """Return what is known about one option.

    Args:
        options: a dataclass whose fields come from `option`.
        name: the field.
    """
    known = {field.name: field.metadata[_KEY] for field in dataclasses.fields(options)}
    found: About = known[name]
    return found


def flag(name: str) -> str:
    """Return an option as it is written on the command line.

    Example:
        >>> flag("batch_size")
        '--batch-size'
    """
    return f"--{name.replace('_', '-')}"


def check(named: str, value: Any, rule: Rule | None) -> None:
    """Check a value against the rule of its option; None passes.

    Args:
        named: the option as it is written, for the message.
        value: the value.
        rule: what it must be.

    Raises:
        ConfigError: with the option, the rule and the value.
    """
    if rule is None or value is None:
        return
    if not rule.holds(value):
        raise ConfigError(f"{named} must be {rule.words}, got {shown(value)}")
    if rule.most < math.inf and value > rule.most:
        raise ConfigError(f"{named} must be at most {rule.most:,}, got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value for a message; a number of thousands of digits is described.

    Example:
        >>> shown("a"), shown(-1), shown(2**20_000)
        ("'a'", '-1', 'a number of 20001 bits')
    """
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"a number of {value.bit_length()} bits"
    return repr(value)
