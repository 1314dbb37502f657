"""Is it the loss, the sampler or the decision threshold?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ...runs.grid_file import BASELINE
from ...verdict.attribution import Split, shapley, split_gain
from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from ...verdict.format import around, effect, mean_percent, p_value, points, power, span
from ...verdict.metric import BALANCED_ACCURACY
from ...verdict.statistics import ALPHA, FEWEST_SEEDS, holm, paired_t
from ...verdict.thresholds import PRIORS
from .table import Table


def loss_or_threshold(comparison: Comparison) -> Table:
    """Return the metric under other decision rules, means over seeds."""
    rows = []
    for entrant in comparison.trained:
        found = list(entrant.thresholds.values())
        taus = [t.tau for t in found if t.tau is not None]
        rows.append(
            (
                entrant.label,
                mean_percent([t.as_trained for t in found]),
                mean_percent([t.tau_1 for t in found]),
                mean_percent([t.tuned for t in found]),
                power(statistics.mean(taus), 2) if len(taus) == len(found) else "-",
                mean_percent([t.best_shift for t in found]),
                mean_percent([t.refit for t in found]),
            )
        )
    note = (
        f"Per cent {BALANCED_ACCURACY.name}, means over seeds. Post-hoc: tau times the log of the training frequency "
        "is subtracted from the scores. tau 1 is for plain softmax with the natural sampler alone. The measured tau is "
        "the power of the training prior that a run's scores carry, by the likelihood of held-out images of every "
        "class; - if a class has none. Best shift: the best tau for the test images themselves, a bound and not a "
        "result. Refit: a balanced linear classifier on the frozen embeddings, which understates the representation, "
        "since the backbone has memorized the images it is fitted on."
    )
    columns = ("loss", "as trained", "post-hoc, tau 1", "post-hoc, measured", "tau measured", "best shift", "refit")
    return Table(
        "thresholds",
        "Is it the loss or the decision threshold?",
        columns,
        tuple(rows),
        note,
        wide=frozenset({"best shift"}),
    )


def gains(comparison: Comparison) -> Table | None:
    """Return each loss's gain over plain softmax, split into prior shift and representation."""
    rows = []
    for sampler in comparison.records.samplers:
        own = [e for e in comparison.trained if e.sampler == sampler]
        base = next((e for e in own if e.formula == BASELINE), None)
        for entrant in own:
            if base is None or entrant is base:
                continue
            splits = _splits(entrant, base)
            if splits:
                rows.append((entrant.label, *_split_cells(splits)))
    note = (
        f"Points of {comparison.metric.name} over plain softmax with the same sampler, mean and Student's 95 % "
        "interval over seeds. Representation: the gain that remains when both use their measured tau. Prior shift: "
        "the rest, which a threshold would also give. Refit: the gain of a balanced linear refit, another view of the "
        "representation."
    )
    columns = ("loss", "gain", "prior shift", "representation", "by the refit")
    return Table("gains", "Which part of a gain is representation?", columns, tuple(rows), note)


def sampler_effects(comparison: Comparison) -> Table | None:
    """Return the effect of another sampler on each loss, paired by seed."""
    first, *others = comparison.records.samplers
    found = {(e.loss, e.sampler): e for e in comparison.trained}
    named, tests = [], []
    for sampler in others:
        for loss in comparison.records.losses:
            one, base = found.get((loss, sampler)), found.get((loss, first))
            seeds = sorted(set(one.scores) & set(base.scores)) if one and base else []
            if one and base and len(seeds) >= FEWEST_SEEDS:
                named.append(f"{loss}, {sampler}")
                tests.append(paired_t([one.scores[s] - base.scores[s] for s in seeds]))
    adjusted = holm([float(test.p) for test in tests]).tolist() if tests else []
    rows = tuple(
        (name, points(float(test.mean)), span(around(test)), p_value(p), "differ" if p < ALPHA else "not shown")
        for name, test, p in zip(named, tests, adjusted, strict=True)
    )
    note = (
        f"Points of {comparison.metric.name} over the same loss with the {first} sampler, paired by seed; p is Holm's "
        "over these rows."
    )
    columns = ("loss, sampler", "mean", "95 % over seeds", "p, Holm", "verdict")
    return Table("samplers", "What the sampler does", columns, rows, note)


def attribution(comparison: Comparison) -> Table | None:
    """Return the gains from loss, sampler and threshold over plain softmax with the first sampler as trained."""
    samplers = comparison.records.samplers
    base = comparison.baseline
    if base is None:
        return None
    several = len(samplers) > 1
    rows = []
    for entrant in comparison.trained:
        if entrant.sampler != samplers[0] or entrant is base:
            continue
        for other in samplers[1:] or (samplers[0],):
            parts = _parts(comparison, entrant, base, other)
            if parts:
                name = f"{entrant.loss}, {other}" if several else entrant.label
                factors = ("loss", "sampler", "threshold") if several else ("loss", "threshold")
                rows.append((name, *(effect([p[f] for p in parts]) for f in ("all", *factors))))
    changed = "loss, sampler and threshold" if several else "loss and threshold"
    note = (
        f"Points of {comparison.metric.name} over {base.label} as trained, when {changed} (measured tau) "
        "are all changed: each one's part is its mean effect over all orders of changing them (Shapley), with "
        "Student's 95 % interval over seeds. The parts sum to the whole."
    )
    columns = ("to", "all", "loss", *(("sampler",) if several else ()), "threshold")
    return Table("attribution", "Loss, sampler or threshold?", columns, tuple(rows), note)


def prior_sweep(comparison: Comparison) -> Table:
    """Return the accuracy if test classes were as frequent as in training, uniform, or reversed."""
    rows = []
    for entrant in comparison.trained:
        sweeps = [t.sweep for t in entrant.thresholds.values()]
        cells = [mean_percent([sweep[prior][n] for sweep in sweeps]) for prior in PRIORS for n in (0, 1)]
        rows.append((entrant.label, *cells))
    note = (
        "Per cent accuracy with recalls weighted by the prior, means over seeds. Adjusted: scores shifted from the "
        "prior that they carry to the test prior; - where the carried prior is neither measured nor that of "
        "plain softmax with the natural sampler."
    )
    columns = ("loss", *(f"{prior}{more}" for prior in PRIORS for more in ("", ", adjusted")))
    return Table("priors", "Other test priors", columns, tuple(rows), note)


def _splits(entrant: Entrant, base: Entrant) -> list[Split]:
    made = []
    for seed in sorted(set(entrant.thresholds) & set(base.thresholds)):
        own, other = entrant.thresholds[seed], base.thresholds[seed]
        if own.tuned is not None and other.tuned is not None:
            made.append(
                split_gain((own.as_trained, own.tuned, own.refit), (other.as_trained, other.tuned, other.refit))
            )
    return made


def _split_cells(splits: Sequence[Split]) -> tuple[str, ...]:
    refits = [s.refit for s in splits if s.refit is not None]
    return (
        effect([s.gain for s in splits]),
        effect([s.prior_shift for s in splits]),
        effect([s.representation for s in splits]),
        effect(refits) if refits else "-",
    )


def _parts(comparison: Comparison, entrant: Entrant, base: Entrant, sampler: str) -> list[dict[str, float]]:
    """Return one dictionary per seed: the whole gain and the part of each factor."""
    first = comparison.records.samplers[0]
    several = sampler != first
    cells = {}
    for on_loss, on_sampler in ((a, b) for a in (False, True) for b in ((False, True) if several else (False,))):
        loss, drawn = (entrant.loss if on_loss else base.loss), (sampler if on_sampler else first)
        found = next(
            (e for e in comparison.trained if (e.loss, e.sampler) == (loss, drawn)),
            None,
        )
        if found is None:
            return []
        cells[on_loss, on_sampler] = found.thresholds
    seeds = set.intersection(*(set(t) for t in cells.values()))
    made = []
    for seed in sorted(seeds):
        value: dict[frozenset[str], float] = {}
        for (on_loss, on_sampler), per_seed in cells.items():
            on = frozenset(["loss"] * on_loss + ["sampler"] * on_sampler)
            tuned = per_seed[seed].tuned
            if tuned is None:
                return []
            value[on], value[on | {"threshold"}] = per_seed[seed].as_trained, tuned
        factors = ("loss", "sampler", "threshold") if several else ("loss", "threshold")
        parts = shapley(factors, value)
        made.append({**parts, "all": sum(parts.values())})
    return made
