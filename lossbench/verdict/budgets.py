"""Does the verdict hold when losses are trained longer? Comparisons at several multiples of the epochs."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ConfigError
from .comparison import Comparison
from .sentences import verdict_words

_MOST = 100  # times as many epochs
_NAMED = 3  # pairs in one sentence


def parse_budgets(text: str) -> tuple[float, ...]:
    """Return the multiples of the epochs that a user writes.

    Raises:
        ConfigError: a part is not a positive number followed by x, or is listed twice.

    Example:
        >>> parse_budgets("1x, 3x")
        (1.0, 3.0)
    """
    found = []
    for part in (part.strip() for part in text.split(",")):
        try:
            factor = float(part.removesuffix("x"))
        except ValueError:
            factor = math.nan
        if not part.endswith("x") or not 0 < factor <= _MOST:
            raise ConfigError(f'--budgets {text!r}: {part!r} is not a budget; expected multiples such as "1x,3x"')
        found.append(factor)
    if len(set(found)) < len(found):
        raise ConfigError(f"--budgets {text!r}: each budget is listed once")
    return tuple(found)


def budget_content(name: str, epochs: int, base: Comparison, longer: Comparison) -> dict[str, Any]:
    """Return what another budget decides, and the pairs whose verdict it changes.

    Args:
        name: such as "3x".
        epochs: of the budget.
        base: comparison at the first budget.
        longer: the same comparison at this budget.
    """
    before = {frozenset((p.first, p.second)): p for p in base.pairs}
    changed = []
    for pair in longer.pairs:
        other = before.get(frozenset((pair.first, pair.second)))
        if other is None:
            continue
        turned = pair.different and other.different and pair.better.label != other.better.label
        if turned or pair.verdict != other.verdict:
            changed.append({"first": pair.first, "second": pair.second, "before": other.verdict, "now": pair.verdict})
    return {"budget": name, "epochs": epochs, "decision": verdict_words(longer)[0], "changed": changed}


def budget_text(content: dict[str, Any]) -> str:
    """Return the sentence on a budget."""
    changed = content["changed"]
    named = "; ".join(
        f"{c['first']} and {c['second']} {c['before'].replace('-', ' ')} before, {c['now'].replace('-', ' ')} now"
        for c in changed[:_NAMED]
    )
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    holds = (
        f"The verdict on {len(changed)} pair(s) changes: {named}{more}." if changed else "Every pair's verdict holds."
    )
    return f"Budget {content['budget']} ({content['epochs']} epochs): {content['decision']}. {holds}"
