"""Comparisons drawn at random, judged without files: holes, ties, collapses, divergence, samplers, questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .comparison import Comparison
from .derived import POST_HOC, derived_name
from .entrants import Entrant
from .judge import judge_entrants
from .questions import Questions
from .records import Records
from .runs import Problem


def random_comparison(seed: int) -> Comparison:
    """Return a judged comparison that is a function of the seed."""
    draw = np.random.default_rng(seed)
    samplers = ("natural", "balanced")[: draw.integers(1, 3)]
    losses = ["softmax", *(f"loss{n}" for n in range(draw.integers(1, 7)))]
    seeds = int(draw.choice([1, 2, 3, 3, 5, 5, 8, 10]))
    counts = draw.choice([1, 2, 5, 20, 60], size=draw.integers(2, 6))
    targets = np.repeat(np.arange(len(counts)), counts)
    level = draw.choice([1 / len(counts), 0.6, 0.9])
    apart = draw.choice([0.0, 0.02, 0.2])
    entrants, problems = [], []
    for sampler in samplers:
        for loss in losses:
            own = level + apart * draw.standard_normal()
            predictions, diverged = {}, set()
            for run in range(seeds):
                fate = draw.random()
                if fate < 0.04:
                    diverged.add(run)
                elif fate > 0.06:
                    skill = own + draw.choice([0.0, 0.01, 0.05]) * draw.standard_normal() if fate > 0.1 else 0.2
                    wrong = draw.random(len(targets)) > skill
                    predictions[run] = np.where(wrong, (targets + 1) % len(counts), targets)
            label = loss if len(samplers) == 1 else f"{loss}, {sampler}"
            problems += [Problem(loss, sampler, run, "diverged", "nan") for run in diverged]
            problems += [Problem(loss, sampler, r, "missing", "-") for r in range(seeds)
                         if r not in diverged and r not in predictions]  # fmt: skip
            if predictions:
                entrants.append(_entrant(label, loss, sampler, predictions, targets, frozenset(diverged)))
    if draw.random() < 0.3 and len(entrants) > 1:  # a tie
        entrants[1] = _entrant(entrants[1].label, entrants[1].loss, entrants[1].sampler, entrants[0].predictions,
                               targets, entrants[0].diverged)  # fmt: skip
    softmax = next((e for e in entrants if e.loss == "softmax"), None)
    if softmax is not None and draw.random() < 0.7:
        shifted = {s: np.where(draw.random(len(p)) < 0.1, targets, p) for s, p in softmax.predictions.items()}
        entrants.append(_entrant(derived_name(softmax.label, POST_HOC), "softmax", softmax.sampler, shifted, targets,
                                 softmax.diverged, POST_HOC))  # fmt: skip
    if not entrants:
        return random_comparison(seed + 1_000_003)
    records = Records(Path("made"), tuple(losses), samplers, (), tuple(problems), None)
    labels = [e.label for e in entrants]
    chosen = [tuple(draw.choice(labels, 2, replace=False)) for _ in range(draw.integers(0, 3))] if labels[1:] else []
    questions = Questions(
        claims=tuple({frozenset(c): c for c in chosen}.values()),
        against=str(draw.choice(labels)) if draw.random() < 0.3 else None,
        margin=float(draw.choice([0.02, 0.3])) if draw.random() < 0.5 else None,
    )
    return judge_entrants(records, entrants, questions=questions)


def _entrant(label: str, loss: str, sampler: str, predictions: Any, targets: Any, diverged: frozenset[int],
             derived: str = "") -> Entrant:  # fmt: skip
    same = dict.fromkeys(predictions, targets)
    classes = int(targets.max()) + 1
    return Entrant(label, loss, sampler, predictions, same, classes, derived=derived, diverged=diverged)
