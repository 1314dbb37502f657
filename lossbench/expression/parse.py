"""Parse formulas, single calls, and lists of formulas."""

from __future__ import annotations

from ..errors import FormulaError
from .reader import MAX_LENGTH, Reader
from .terms import Formula, Value


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
    return Formula(Reader(text).formula())


def parse_call(text: str) -> tuple[str, dict[str, Value]]:
    """Parse one call without a coefficient, such as a data source with its parameters.

    Raises:
        FormulaError: pointing at the first invalid character.

    Example:
        >>> parse_call("synthetic(imbalance=100)")
        ('synthetic', {'imbalance': 100})
    """
    term = Reader(text).only_call()
    return term.name, dict(term.arguments)


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
