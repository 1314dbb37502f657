"""Read a formula token by token, with the position for messages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NoReturn

from ..errors import FormulaError
from .terms import COUNTS, Plain, Term, Value

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


class Reader:
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
