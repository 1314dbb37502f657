"""The figures of a comparison as plain tables, which the terminal, Markdown and HTML draw each in its way."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..harness.metrics import wilson_interval
from .attribution import Split, shapley, split_gain
from .cost import cost, named_target
from .resampling import image_interval
from .statistics import ALPHA, FEWEST_SEEDS, PairedT, holm, paired_t
from .tail import calibration_by_class, geometry
from .thresholds import PRIORS
from .verdict import BASELINE, Comparison, Entrant
from .words import points, span


@dataclass(frozen=True)
class Table:
    """Attributes:
    key: for links and tests.
    title: one line.
    columns: headings; the first column holds names, the others numbers.
    rows: cells as they are printed.
    note: what a reader must know to read it.
    best: numbers of the rows to be set off.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[int] = frozenset()


def all_tables(comparison: Comparison) -> list[Table]:
    """Every table that the runs have the figures for, in reading order."""
    made = [
        ranking(comparison),
        pairs(comparison),
        loss_or_threshold(comparison),
        gains(comparison),
        sampler_effects(comparison),
        attribution(comparison),
        test_priors(comparison),
        costs(comparison),
        tuning(comparison),
        tail(comparison),
        confusion_difference(comparison),
        problems(comparison),
    ]
    return [table for table in made if table is not None and table.rows]


def ranking(comparison: Comparison) -> Table:
    """Entrants from the best mean to the worst, with both sources of uncertainty."""
    rows = []
    letters = _letters(comparison)
    for entrant in comparison.entrants:
        over_seeds = "-"
        if len(entrant.scores) >= FEWEST_SEEDS:
            low, high = _around(paired_t(list(entrant.scores.values())))
            over_seeds = f"{100 * low:.1f} to {100 * high:.1f}"
        rows.append(
            (
                entrant.label,
                f"{100 * entrant.mean:.1f}",
                "-" if entrant.sd is None else f"{100 * entrant.sd:.1f}",
                over_seeds,
                _over_images(entrant),
                str(len(entrant.scores)),
                letters.get(entrant.label, "-"),
            )
        )
    note = "Per cent. Losses that share a letter are not shown to differ."
    columns = ("loss", "balanced accuracy", "sd", "95 % over seeds", "95 % over test images", "seeds", "group")
    return Table("ranking", "Balanced accuracy", columns, tuple(rows), note, frozenset({0}))


def _over_images(entrant: Entrant) -> str:
    targets = [run.arrays["test_targets"] for run in entrant.runs.values()]
    if any(not np.array_equal(targets[0], other) for other in targets[1:]):
        return "-"
    low, high = image_interval(entrant.right(list(entrant.runs)), targets[0])
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _letters(comparison: Comparison) -> dict[str, str]:
    """Label -> the letters of its groups, counted on over the samplers."""
    found: dict[str, str] = {}
    number = 0
    for groups in comparison.groups.values():
        for group in groups:
            letter = chr(ord("a") + number % 26) + "'" * (number // 26)
            number += 1
            for label in group:
                found[label] = found.get(label, "") + letter
    return found


def pairs(comparison: Comparison) -> Table:
    """Each pair's difference, by seed."""
    rows = []
    for pair in comparison.pairs:
        verdict = "no claim" if pair.p is None else ("differ" if pair.different else "not shown")
        rows.append(
            (
                f"{pair.first} - {pair.second}",
                points(pair.mean),
                "-" if pair.interval is None else span(pair.interval),
                "-" if pair.images is None else span(pair.images),
                "-" if pair.p is None else _p(pair.p),
                verdict + (" *" if pair.different and pair.of_these_images else ""),
                "-" if pair.smallest is None else f"{100 * pair.smallest:.1f}",
                _seeds_needed(pair.seeds_needed, pair.p),
            )
        )
    note = (
        "Points of balanced accuracy, paired by seed. The first interval is Student's over seeds, for this pair alone; "
        "the second is a stratified bootstrap over test images with the runs as they are. p is Holm's, over all "
        f"{len(comparison.pairs)} pairs; below 0.05 the pair differs."
    )
    if any(pair.different and pair.of_these_images for pair in comparison.pairs):
        note += " * on these test images: with others of the same classes it could vanish."
    columns = ("difference", "mean", "95 % over seeds", "95 % over images", "p, Holm", "verdict",
               "shown 4 in 5", "seeds to show it")  # fmt: skip
    return Table("pairs", "Every pair", columns, tuple(rows), note)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _seeds_needed(needed: int | None, p: float | None) -> str:
    return "-" if p is None else ("> 1000" if needed is None else str(needed))


def loss_or_threshold(comparison: Comparison) -> Table:
    """Balanced accuracy under other decision rules, means over seeds."""
    rows = []
    for entrant in trained(comparison):
        found = list(entrant.thresholds.values())
        taus = [t.tau for t in found if t.tau is not None]
        rows.append(
            (
                entrant.label,
                _mean([t.as_trained for t in found]),
                _mean([t.tau_1 for t in found]),
                _mean([t.tuned for t in found]),
                f"{statistics.mean(taus):.2f}" if taus else "-",
                _mean([t.refit for t in found]),
            )
        )
    note = (
        "Per cent balanced accuracy, means over seeds. Post-hoc: tau times the log of the training frequencies is "
        "taken off the scores; tau is tuned on the selection split. Refit: a balanced linear classifier on the frozen "
        "embeddings."
    )
    columns = ("loss", "as trained", "post-hoc, tau 1", "post-hoc, tuned", "tau", "refit")
    return Table("thresholds", "Is it the loss, or the threshold?", columns, tuple(rows), note)


def gains(comparison: Comparison) -> Table | None:
    """Each loss's gain over plain softmax, split into prior shift and representation."""
    rows = []
    for sampler in comparison.records.samplers:
        own = [e for e in trained(comparison) if e.sampler == sampler]
        base = next((e for e in own if e.formula == BASELINE), None)
        for entrant in own:
            if base is None or entrant is base:
                continue
            splits = _splits(entrant, base)
            if splits:
                rows.append((entrant.label, *_split_cells(splits)))
    note = (
        "Points of balanced accuracy over plain softmax, mean and Student's 95 % interval over seeds. Representation: "
        "what is left when both get the tau that the selection split likes best. Prior shift: the rest, which a "
        "threshold gives as well. Refit: the gain of a balanced linear refit, another view of the representation."
    )
    columns = ("loss", "gain", "prior shift", "representation", "by the refit")
    return Table("gains", "What of a gain is representation?", columns, tuple(rows), note)


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
        _effect([s.gain for s in splits]),
        _effect([s.prior_shift for s in splits]),
        _effect([s.representation for s in splits]),
        _effect(refits) if refits else "-",
    )


def attribution(comparison: Comparison) -> Table | None:
    """What loss, sampler and threshold each give, over plain softmax under the first sampler as trained."""
    samplers = comparison.records.samplers
    base = comparison.baseline
    if base is None:
        return None
    several = len(samplers) > 1
    rows = []
    for entrant in trained(comparison):
        if entrant.sampler != samplers[0] or entrant is base:
            continue
        for other in samplers[1:] or (samplers[0],):
            parts = _parts(comparison, entrant, base, other)
            if parts:
                name = f"{entrant.loss}, {other}" if several else entrant.label
                factors = ("loss", "sampler", "threshold") if several else ("loss", "threshold")
                rows.append((name, *(_effect([p[f] for p in parts]) for f in ("all", *factors))))
    note = (
        f"Points of balanced accuracy over {base.label} as trained, when the loss, "
        + ("the sampler " if several else "")
        + "and the threshold (tau tuned on the selection split) are all changed: each one's part is its mean effect "
        "over all orders of changing them (Shapley), with Student's 95 % interval over seeds. The parts sum to the "
        "whole."
    )
    columns = ("to", "all", "loss", *(("sampler",) if several else ()), "threshold")
    return Table("attribution", "Loss, sampler or threshold?", columns, tuple(rows), note)


def _parts(comparison: Comparison, entrant: Entrant, base: Entrant, sampler: str) -> list[dict[str, float]]:
    """A dictionary a seed: the whole gain and each factor's part."""
    first = comparison.records.samplers[0]
    several = sampler != first
    cells = {}
    for on_loss, on_sampler in ((a, b) for a in (False, True) for b in ((False, True) if several else (False,))):
        loss, drawn = (entrant.loss if on_loss else base.loss), (sampler if on_sampler else first)
        found = next(
            (e for e in trained(comparison) if (e.loss, e.sampler) == (loss, drawn)),
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


def test_priors(comparison: Comparison) -> Table:
    """Accuracy if the test's classes were as frequent as in training, alike, or in reverse."""
    rows = []
    for entrant in trained(comparison):
        sweeps = [t.sweep for t in entrant.thresholds.values()]
        cells = [_mean([sweep[prior][n] for sweep in sweeps]) for prior in PRIORS for n in (0, 1)]
        rows.append((entrant.label, *cells))
    note = (
        "Per cent accuracy with recalls weighted by the prior, means over seeds. Adjusted: scores shifted from the "
        "training frequencies to the prior, as one could who knows it."
    )
    columns = ("loss", *(f"{prior}{more}" for prior in PRIORS for more in ("", ", adjusted")))
    return Table("priors", "Other test priors", columns, tuple(rows), note)


test_priors.__test__ = False  # type: ignore[attr-defined]  # no test, whatever pytest reads into its name


def costs(comparison: Comparison) -> Table:
    """Seconds, memory, and the time to an accuracy that every run reached."""
    entrants = trained(comparison)
    target = named_target([run.history for e in entrants for run in e.runs.values()])
    rows = []
    for entrant in entrants:
        runs = list(entrant.runs.values())
        found = cost([run.record for run in runs], [run.history for run in runs], target if target is not None else 2.0)
        rows.append(
            (
                entrant.label,
                f"{1000 * found.seconds_per_step:.1f}",
                f"{1000 * found.loss_seconds:.2f}",
                f"{found.loss_seconds / found.seconds_per_step:.2%}",
                f"{found.train_seconds:.1f}",
                f"{found.peak_bytes / 2**30:.2f}",
                "-" if found.seconds_to_target is None else f"{found.seconds_to_target:.1f}",
            )
        )
    named = "an accuracy" if target is None else f"{100 * target:.0f} % balanced accuracy"
    note = (
        f"Means over runs; peak memory is the largest. The last column is training time to {named} on the selection "
        "split."
    )
    columns = ("loss", "ms a step", "of it the loss", "share", "s of training", "peak GiB", "s to target")
    return Table("costs", "Cost", columns, tuple(rows), note)


def tail(comparison: Comparison) -> Table:
    """Recall by class, rarest last, with the interval of all seeds' runs, calibration and geometry of the worst."""
    data = comparison.entrants[0].any_run.record["data"]
    names = comparison.class_names
    order = sorted(range(len(names)), key=lambda c: -data["class_counts"][names[c]])
    shown = order if len(order) <= _MOST_CLASSES else [*order[:5], *order[-15:]]
    rows = []
    for entrant in comparison.entrants:
        matrix = entrant.confusion()
        recall = np.diagonal(matrix)
        worst = int(np.nanargmin(recall))
        cells = []
        for c in shown:
            images = data["test_class_counts"][names[c]]
            cells.append("-" if not images else f"{100 * recall[c]:.0f} ({_wilson(recall[c], images)})")
        rows.append((entrant.label, *cells, f"{names[worst]} {100 * recall[worst]:.0f}", *_calibration(entrant, order)))
    note = (
        "Recall in per cent, mean over seeds, with the Wilson interval of one run's test images; classes from the most "
        "to the least frequent in training. ECE: expected calibration error in per cent, of all images and of those of "
        "the rarest third of the classes. Scatter: within a class, root mean squared distance to its mean over the "
        "mean distance between class means; of all classes and of the rarest third."
    )
    columns = ("loss", *(names[c] for c in shown), "worst class", "ECE", "ECE, tail", "scatter", "scatter, tail")
    return Table("tail", "Class by class", columns, tuple(rows), note)


_MOST_CLASSES = 20


def recall_interval(recall: float, images: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a recall over so many test images of one run."""
    return wilson_interval(round(recall * images), images) or (0.0, 1.0)


def _wilson(recall: float, images: int) -> str:
    low, high = recall_interval(recall, images)
    return f"{100 * low:.0f} to {100 * high:.0f}"


def _calibration(entrant: Entrant, order: Sequence[int]) -> tuple[str, ...]:
    """ECE and scatter, over all classes and over the rarest third."""
    rare = list(order[-max(1, len(order) // 3) :])
    errors, scatters = [], []
    for run in entrant.runs.values():
        targets = run.arrays["test_targets"]
        scores = entrant.test_scores(run)
        errors.append(calibration_by_class(scores, targets))
        found = geometry(run.embeddings()["test_embeddings"], targets, len(order))
        scatters.append(np.full(len(order), np.nan) if found is None else found.scatter)
    error, scatter = np.mean(errors, axis=0), np.mean(scatters, axis=0)
    return (
        *(f"{100 * _nanmean(error[part]):.1f}" for part in (slice(None), rare)),
        *(f"{_nanmean(scatter[part]):.2f}" for part in (slice(None), rare)),
    )


def _nanmean(values: Any) -> float:
    kept = np.asarray(values)[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def confusion_difference(comparison: Comparison) -> Table | None:
    """Where the best loss as trained moves images to, against plain softmax: the largest changes."""
    base = comparison.baseline
    best = next((e for e in comparison.entrants if e is not base and not e.post_hoc), None)
    if base is None or best is None:
        return None
    change = best.confusion() - base.confusion()
    names = comparison.class_names
    ranked = np.dstack(np.unravel_index(np.argsort(-np.abs(np.nan_to_num(change)), axis=None), change.shape))[0]
    rows = [
        (f"{names[true]} called {names[called]}", f"{100 * base.confusion()[true, called]:.1f}",
         f"{100 * best.confusion()[true, called]:.1f}", points(change[true, called]))
        for true, called in ranked[:_CHANGES].tolist()
        if np.isfinite(change[true, called]) and abs(change[true, called]) >= 0.0005
    ]  # fmt: skip
    title = f"What {best.label} changes against {base.label}"
    note = "Per cent of the images of the true class, means over seeds; the largest changes."
    return Table("changes", title, ("images", base.label, best.label, "change"), tuple(rows), note)


_CHANGES = 10


def tuning(comparison: Comparison) -> Table | None:
    """Expected best of k trials, for each loss."""
    from .tuned import best_of_curve

    losses = list(dict.fromkeys(trial["loss"] for trial in comparison.trials))
    rows = []
    for loss in losses:
        mine = [trial for trial in comparison.trials if trial["loss"] == loss]
        scores = [t["score"] for t in mine if t["score"] is not None]
        if not scores:
            rows.append((loss, "-", "-", "-", str(len(mine))))
            continue
        best = max((t for t in mine if t["score"] is not None), key=lambda t: t["score"])
        curve = best_of_curve(scores)
        values = ", ".join(f"{k}={v:.3g}" for k, v in best["values"].items()) or "nothing to tune"
        rows.append((loss, f"{100 * curve[0]:.1f}", f"{100 * curve[-1]:.1f}", values, str(len(mine))))
    note = (
        "Per cent balanced accuracy on the selection split: what one random trial reaches, and the best of all. A wide "
        "gap says that the loss must be tuned to be good."
    )
    return Table("tuning", "Tuning", ("loss", "one trial", "best of all", "chosen", "trials"), tuple(rows), note)


def problems(comparison: Comparison) -> Table | None:
    """Runs that failed, diverged, are missing or damaged."""
    rows = [(f"{p.loss}, {p.sampler}, seed {p.seed}", p.status, p.message) for p in comparison.problems]
    note = "The verdict rests on the runs that are left, each pair on the seeds that both have."
    return Table("problems", "Runs that could not be used", ("run", "what", "why"), tuple(rows), note)


def sampler_effects(comparison: Comparison) -> Table | None:
    """What another sampler does to each loss, paired by seed."""
    first, *others = comparison.records.samplers
    found = {(e.loss, e.sampler): e for e in trained(comparison)}
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
        (name, points(float(test.mean)), span(_around(test)), _p(p), "differ" if p < ALPHA else "not shown")
        for name, test, p in zip(named, tests, adjusted, strict=True)
    )
    note = (
        f"Points of balanced accuracy over the same loss with the {first} sampler, paired by seed; p is Holm's over "
        "these rows."
    )
    columns = ("loss, sampler", "mean", "95 % over seeds", "p, Holm", "verdict")
    return Table("samplers", "What the sampler does", columns, rows, note)


def _around(test: PairedT) -> tuple[float, float]:
    half = float(test.half_width())
    return float(test.mean) - half, float(test.mean) + half


def trained(comparison: Comparison) -> list[Entrant]:
    """Entrants whose scores are judged as trained."""
    return [e for e in comparison.entrants if not e.post_hoc]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * statistics.mean(known):.1f}" if known and len(known) == len(values) else "-"


def _effect(values: Sequence[float]) -> str:
    """Mean in points, with Student's interval where there are enough seeds."""
    if len(values) < FEWEST_SEEDS:
        return points(statistics.mean(values))
    test = paired_t(values)
    return f"{points(float(test.mean))} ({span(_around(test))})"
