"""A comparison as JSON."""

from __future__ import annotations

from typing import Any

from ..verdict.comparison import Comparison
from ..verdict.pairs import Pair
from ..verdict.sentences import verdict_words


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """Return words, entrants, pairs, groups and problems; shares, not points; None where undefined."""
    return {
        "words": verdict_words(comparison),
        "notes": list(comparison.notes),
        "entrants": [
            {
                "label": e.label,
                "formula": e.formula,
                "sampler": e.sampler,
                "post_hoc": e.post_hoc,
                "balanced_accuracy": e.mean,
                "sd": e.sd,
                "by_seed": {str(seed): score for seed, score in e.scores.items()},
                "thresholds": {str(seed): t._asdict() for seed, t in e.thresholds.items()},
            }
            for e in (*comparison.entrants, *comparison.copies)
        ],
        "pairs": [_pair(pair) for pair in comparison.pairs],
        "control": [_pair(pair) for pair in comparison.control],
        "same": [_pair(pair) for pair in comparison.same],
        "groups": {sampler: [list(group) for group in groups] for sampler, groups in comparison.groups.items()},
        "problems": [vars(problem) for problem in comparison.problems],
        "trials": [vars(trial) for trial in comparison.trials],
    }


_PAIR = ("first", "second", "seeds", "differences", "mean", "sd", "interval", "p", "verdict", "family", "seed_share",
         "smallest", "untested")  # fmt: skip


def _pair(pair: Pair) -> dict[str, Any]:
    found = {name: getattr(pair, name) for name in _PAIR}
    return found | {"smallest": pair.smallest if pair.smallest is not None and pair.smallest < 1 else None}
