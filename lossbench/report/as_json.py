"""A comparison as JSON, in points (0 to 100) of the metric; null for what is unknown."""

from __future__ import annotations

from typing import Any

from ..verdict.comparison import Comparison
from ..verdict.entrants import Entrant
from ..verdict.pairs import Pair
from ..verdict.questions import Unanswered
from ..verdict.sentences import sentences


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """Return decision, sentences, entrants, pairs, claims and references, and the details behind them."""
    derived = (*(e for e in comparison.entrants if e.derived), *comparison.asked_for)
    decision, *rest = (sentence.text for sentence in sentences(comparison))
    references: list[dict[str, Any]] = [
        {"loss": reference.name, "mean": 100 * reference.value, "low": None, "high": None, "seeds": [],
         "failed_seeds": []}
        for reference in comparison.references
    ]  # fmt: skip
    return {
        "decision": decision,
        "sentences": rest,
        "notes": list(comparison.notes),
        "metric": comparison.metric.key,
        "entrants": [_entrant(entrant) for entrant in comparison.trained],
        "pairs": [_pair(pair) for pair in comparison.pairs],
        "claims": [*map(_pair, (*comparison.claims, *comparison.against)), *map(_unanswered, comparison.unanswered)],
        "references": [*map(_entrant, derived), *references],
        "control": [_pair(pair) for pair in comparison.control],
        "copies": [_entrant(entrant) for entrant in comparison.copies],
        "same": [_pair(pair) for pair in comparison.same],
        "groups": {sampler: [list(group) for group in groups] for sampler, groups in comparison.groups.items()},
        "problems": [vars(problem) for problem in comparison.problems],
        "trials": [vars(trial) for trial in comparison.trials],
        "data_sets": {name: comparison_content(alone) for name, alone in comparison.data_sets.items()},
    }


def _entrant(entrant: Entrant) -> dict[str, Any]:
    low, high = entrant.interval or (None, None)
    content: dict[str, Any] = {
        "loss": entrant.label,
        "mean": 100 * entrant.mean,
        "low": _points(low),
        "high": _points(high),
        "seeds": sorted(entrant.scores),
        "failed_seeds": sorted({*entrant.diverged, *entrant.collapsed}),
        "sd": _points(entrant.sd),
        "by_seed": {str(seed): 100 * score for seed, score in entrant.scores.items()},
    }
    if entrant.runs:
        content |= {
            "formula": entrant.formula,
            "sampler": entrant.sampler,
            "thresholds": {str(seed): found._asdict() for seed, found in entrant.thresholds.items()},
        }
    return content


def _pair(pair: Pair) -> dict[str, Any]:
    low, high = pair.interval or (None, None)
    detectable = pair.smallest if pair.smallest is not None and pair.smallest < 1 else None
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": 100 * pair.mean,
        "low": _points(low),
        "high": _points(high),
        "p": pair.p,
        "verdict": pair.verdict,
        "seeds": list(pair.seeds),
        "differences": [100 * value for value in pair.differences],
        "family": pair.family,
        "seed_share": pair.seed_share,
        "detectable": _points(detectable),
        "untested": pair.untested or None,
    }


def _unanswered(question: Unanswered) -> dict[str, Any]:
    """Return a planned question without runs in the form of a pair; `second` is null for `--against`."""
    unknown = ("difference", "low", "high", "p", "seed_share", "detectable")
    return {"first": question.first, "second": question.second or None, "verdict": "not-shown", "seeds": [],
            "differences": [], "family": 0, "untested": question.reason} | dict.fromkeys(unknown)  # fmt: skip


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share
