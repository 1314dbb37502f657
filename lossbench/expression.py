"""The formula language: `weighted-softmax + 0.5*center(alpha=0.1)`.

    formula = term {"+" term}
    term    = [number "*"] call
    call    = (name | path "." "py" ":" name) ["(" [argument {"," argument}] ")"]
    argument = name "=" value
    value   = plain | "[" [plain {"," plain}] "]"
    plain   = number | "text" | 'text' | true | false | none | counts | word

The word `counts` stands for the class counts of the task.

Formulas are parsed, never evaluated, and cannot be nested, so that no input can run code or exhaust the stack.
Coefficients are finite and positive; terms cannot be subtracted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NoReturn

from .errors import FormulaError

Plain = bool | int | float | str | None
Value = Plain | tuple[Plain, ...]


class ClassCounts(str):
    """The word `counts` in a formula, which stands for the class counts of the task."""


COUNTS = ClassCounts("counts")

MAX_LENGTH = 10_000
_SPACE = " \t\n\r\f\v"  # whitespace below; a no-break space is an error
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<path>[^\s+*(),=\[\]"']+\.py:[A-Za-z_][\w.]*+|[A-Za-z_][\w.]*+:[A-Za-z_][\w.]*+)
      | (?P<number>[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?+(?![\w.]))
      | (?P<name>[A-Za-z_][\w.]*(?:-\w+)*(?:/[A-Za-z_]\w*(?:-\w+)*)?)
      | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
      | (?P<symbol>[-+*(),=\[\]])
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS: Mapping[str, Plain] = MappingProxyType(
    {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
)


@dataclass(frozen=True)
class Term:
    """`coefficient * name(arguments)`; a coefficient of None is not written and means one."""

    name: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    coefficient: float | None = None

    def __str__(self) -> str:
        coefficient = "" if self.coefficient is None else f"{repr(self.coefficient).removesuffix('.0')}*"
        arguments = ", ".join(f"{name}={written(value)}" for name, value in self.arguments.items())
        return f"{coefficient}{self.name}" + (f"({arguments})" if arguments else "")


@dataclass(frozen=True)
class Formula:
    """A sum of terms; `str(formula)` parses back to the same formula."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))


def parse_formula(text: str) -> Formula:
    """Parse a formula.

    Raises:
        FormulaError: pointing at the first invalid character.

    Example:
        >>> formula = parse_formula("softmax + 3e-3*center(alpha=0.5)")
        >>> formula.terms[1]
        Term(name='center', arguments={'alpha': 0.5}, coefficient=0.003)
        >>> str(formula)
        'softmax + 0.003*center(alpha=0.5)'
    """
    return Formula(_Reader(text).formula())


def parse_call(text: str) -> tuple[str, dict[str, Value]]:
    """Parse one call without a coefficient, such as a data source with its parameters.

    Raises:
        FormulaError: pointing at the first invalid character.

    Example:
        >>> parse_call("synthetic(imbalance=100)")
        ('synthetic', {'imbalance': 100})
    """
    term = _Reader(text).only_call()
    return term.name, dict(term.arguments)


def is_object_path(name: str) -> bool:
    """Return whether a name is `module:object` or `file.py:object` rather than a name of the registry.

    Example:
        >>> is_object_path("mine.py:Focal"), is_object_path("pml/CircleLoss")
        (True, False)
    """
    return ":" in name


def split_losses(text: str) -> tuple[str, ...]:
    """Return the formulas of a list, split at the commas outside parentheses and quotes.

    Raises:
        FormulaError: a formula is empty, or parentheses do not close.

    Example:
        >>> split_losses("softmax, center(alpha=0.1, coefficient=0.01), softmax + 0.1*center")
        ('softmax', 'center(alpha=0.1, coefficient=0.01)', 'softmax + 0.1*center')
    """
    if len(text) > 10 * MAX_LENGTH:
        raise FormulaError(f"--losses has {len(text):,} characters; expected at most {10 * MAX_LENGTH:,}")
    parts, depth, quote = [""], 0, ""
    for letter in text:
        quote = "" if letter == quote else quote or (letter if letter in "\"'" else "")
        depth += 0 if quote else {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    losses = tuple(part.strip() for part in parts)
    if depth or not all(losses):
        what = "its parentheses do not match" if depth else "there is nothing between two commas"
        raise FormulaError(
            f'--losses {text!r}: {what}; expected comma-separated formulas: "softmax, center(alpha=0.5)"'
        )
    return losses


def filled(arguments: Mapping[str, Value], class_counts: tuple[int, ...]) -> dict[str, Value]:
    """Return arguments with the class counts of a task in place of `counts`.

    Example:
        >>> filled(parse_call("focal(weight=counts, margins=[0.5, 0.3])")[1], (90, 10))
        {'weight': (90, 10), 'margins': (0.5, 0.3)}
    """
    return {name: class_counts if isinstance(value, ClassCounts) else value for name, value in arguments.items()}


def written(value: Value) -> str:
    """Return a value as it is written in a formula."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, ClassCounts):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"' if '"' not in value else f"'{value}'"
    return repr(value).lower() if value is None or isinstance(value, bool) else repr(value)


class _Reader:
    """One pass over the tokens that tracks the position for messages."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise FormulaError(f"a formula can have at most {MAX_LENGTH} characters, got {len(text)}")
        self.text = text
        self.kind, self.token, self.position = "", "", 0
        self.tokens = self._tokens()
        self._advance()

    def formula(self) -> tuple[Term, ...]:
        terms = [self._term()]
        while self.kind != "end":
            if self.token.startswith("+") and self.kind == "number":  # "a +0.1*b": the sign belongs to the sum
                self.token, self.position = self.token[1:], self.position + 1
            elif not self._take("+"):
                self._fail("expected '+' or the end")
            terms.append(self._term())
        return tuple(terms)

    def only_call(self) -> Term:
        term = self._call(None)
        if self.kind != "end":
            self._fail("expected the end")
        return term

    def _term(self) -> Term:
        if self.kind != "number":
            return self._call(None)
        coefficient = float(self.token)
        if not (math.isfinite(coefficient) and coefficient > 0):
            self._fail("a coefficient must be finite and positive")
        self._advance()
        if not self._take("*"):
            self._fail("expected '*' after the coefficient")
        return self._call(coefficient)

    def _call(self, coefficient: float | None) -> Term:
        name = self._name("the name of a loss")
        arguments: dict[str, Value] = {}
        if self._take("("):
            while not self._take(")"):
                if arguments and not self._take(","):
                    self._fail("expected ',' or ')'")
                if self.token in arguments:
                    self._fail(f"{self.token!r} is given twice")
                argument = self._name("the name of a hyper-parameter")
                if not self._take("="):
                    self._fail(f"expected '=' and a value after {argument!r}")
                arguments[argument] = self._value()
        return Term(name, arguments, coefficient)

    def _name(self, what: str) -> str:
        if self.kind != "name":
            self._fail(f"expected {what}")
        name = self.token
        self._advance()
        return name

    def _value(self) -> Value:
        if not self._take("["):
            return self._plain()
        values: list[Plain] = []
        while not self._take("]"):
            if values and not self._take(","):
                self._fail("expected ',' or ']'")
            values.append(self._plain())
        return tuple(values)

    def _plain(self) -> Plain:
        token, kind = self.token, self.kind
        if kind == "number":
            value: Plain = int(token) if re.fullmatch(r"[+-]?\d{1,19}", token) else float(token)
            if not math.isfinite(float(token)):
                self._fail("a value must be finite")
        elif kind == "text":
            value = token[1:-1]
        elif kind == "name":
            value = COUNTS if token == COUNTS else _WORDS.get(token, token)
        else:
            self._fail("expected a value")
        self._advance()
        return value

    def _take(self, symbol: str) -> bool:
        if self.kind == "symbol" and self.token == symbol:
            self._advance()
            return True
        return False

    def _advance(self) -> None:
        self.kind, self.token, self.position = next(self.tokens)

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        position, end = 0, len(self.text.rstrip(_SPACE))
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                start = end - len(self.text[position:end].lstrip(_SPACE))
                self.kind, self.token, self.position = "unreadable", self.text[start], start
                self._fail("unexpected character")
            kind = "name" if match.lastgroup == "path" else match.lastgroup
            yield kind, match[match.lastgroup], match.start(match.lastgroup)
            position = match.end()
        while True:
            yield "end", "", end

    def _fail(self, problem: str) -> NoReturn:
        here = max(0, self.position - 30)
        shown = self.text[here : self.position + 30].replace("\n", " ")
        found = "the end" if self.kind == "end" else repr(self.token)
        raise FormulaError(
            f"{problem}, found {found} at character {self.position + 1} of the formula\n"
            f"  {shown}\n  {' ' * (self.position - here)}^\n"
            "A formula is a sum of losses, such as: softmax + 0.1*center(alpha=0.5)"
        )
