"""The cost of losses, the gain from tuning, and the runs that could not be used."""

from __future__ import annotations

from ...verdict.comparison import Comparison
from ...verdict.cost import cost, named_target
from ...verdict.metric import BALANCED_ACCURACY
from .table import Table


def costs(comparison: Comparison) -> Table:
    """Return time, memory, and the time to an accuracy that every run reached."""
    entrants = comparison.trained
    target = comparison.target or named_target([run.history for e in entrants for run in e.trained])
    rows = []
    for entrant in entrants:
        runs = entrant.trained
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
                f"{found.reached} of {len(runs)}",
            )
        )
    named = "an accuracy" if target is None else f"{100 * target:.0f} % {BALANCED_ACCURACY.name}"
    note = (
        f"Means over runs; peak memory is the largest. The target is {named} on the selection split: mean training "
        "time of the runs that reached it."
    )
    columns = ("loss", "ms per step", "loss alone", "share", "training s", "peak GiB", "s to target", "reached it")
    wide = frozenset({"share", "training s", "reached it"})
    return Table("costs", "Cost", columns, tuple(rows), note, wide=wide)


def tuning(comparison: Comparison) -> Table | None:
    """Return the expected best of k trials for each loss."""
    from ...verdict.best_of_trials import best_of_curve

    rows = []
    for loss, mine in comparison.trials_of().items():
        scores = [t.score for t in mine if t.score is not None]
        if not scores:
            rows.append((loss, "-", "-", "-", str(len(mine))))
            continue
        best = max((t for t in mine if t.score is not None), key=lambda t: t.score or 0.0)
        curve = best_of_curve(scores)
        values = ", ".join(f"{k}={v:.3g}" for k, v in best.values.items()) or "nothing to tune"
        rows.append((loss, f"{100 * curve[0]:.1f}", f"{100 * curve[-1]:.1f}", values, str(len(mine))))
    note = (
        f"Per cent {BALANCED_ACCURACY.name} on the selection split, of one random trial and of the best trial. A wide "
        "gap means that the loss needs tuning."
    )
    return Table("tuning", "Tuning", ("loss", "one trial", "best of all", "chosen", "trials"), tuple(rows), note)


def problems(comparison: Comparison) -> Table | None:
    """Return the runs that failed, diverged, are missing or damaged."""
    rows = [(p.run, p.status, p.message) for p in comparison.problems]
    note = "The verdict rests on the remaining runs; each pair uses the seeds that both losses have."
    columns = ("run", "status", "reason")
    return Table("problems", "Runs that could not be used", columns, tuple(rows), note, text=frozenset(columns[1:]))
