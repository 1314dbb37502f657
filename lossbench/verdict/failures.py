"""Losses that diverged, collapsed or lack seeds, by name: a loss whose survivors look good has not won."""

from __future__ import annotations

import statistics as plain
from collections.abc import Sequence

from .comparison import Comparison
from .entrants import Entrant
from .format import listed, plural
from .sentence import Claim, Sentence

_MOST = 12  # losses that are described; the rest are counted


def failure_sentences(comparison: Comparison) -> list[Sentence]:
    """Return one sentence for each loss that diverged, collapsed, or lacks seeds that others have."""
    told = []
    several = len(comparison.records.samplers) > 1
    for entrant in (*comparison.trained, *comparison.copies):
        total = len(entrant.scores)
        name = entrant.label if several else entrant.name
        if entrant.diverged:
            seeds = tuple(sorted(entrant.diverged))
            others = plain.mean(entrant.scores[s] for s in entrant.predictions)
            text = (
                f"{name} diverged in {len(seeds)} of {plural(total, 'seed')} (seed {_numbers(seeds)}), each counted as "
                f"a constant answer; the other runs reach {100 * others:.1f} %."
            )
            told.append(Sentence("failures", text, (Claim(entrant.label, "diverged", seeds),)))
        if seeds := entrant.collapsed:
            scores = ", ".join(f"{100 * entrant.scores[s]:.1f} %" for s in seeds)
            steady = [entrant.scores[s] for s in entrant.predictions if s not in seeds]
            text = f"{name} collapsed in seed {_numbers(seeds)} ({scores}; median of the others "
            text += f"{100 * plain.median(steady):.1f} %)."
            told.append(Sentence("failures", text, (Claim(entrant.label, "collapsed", seeds),)))
        if skipped := skipped_steps(comparison, entrant):
            seeds = tuple(sorted(skipped))
            steps, of = (sum(counts) for counts in zip(*skipped.values(), strict=True))
            text = f"{name} skipped {steps:,} of {of:,} steps, which were non-finite, in seed {_numbers(seeds)}."
            told.append(Sentence("failures", text, (Claim(entrant.label, "skipped", seeds),)))
    told += _without_runs(comparison)
    told += _incomplete(comparison)
    if len(told) > _MOST:
        rest = told[_MOST:]
        names = ", ".join(dict.fromkeys(claim.subject for s in rest for claim in s.claims))
        claims = tuple(claim for s in rest for claim in s.claims)
        told = [*told[:_MOST], Sentence("failures", f"Also with failed or missing runs: {names}.", claims)]
    return told


def skipped_steps(comparison: Comparison, entrant: Entrant) -> dict[int, tuple[int, int]]:
    """Return seed -> skipped steps and all steps, for the runs of a loss that skipped non-finite steps."""
    own = (entrant.loss, entrant.copy, entrant.sampler)
    runs = [r for r in comparison.records.runs if (r.loss, r.copy, r.sampler) == own]
    found = {}
    for run in runs:
        timings = [part.record.timing for part in run.trained]
        if skipped := sum(t.steps_skipped for t in timings):
            found[run.seed] = skipped, sum(t.steps for t in timings)
    return found


def _without_runs(comparison: Comparison) -> list[Sentence]:
    """Losses none of whose runs can be used."""
    present = {(e.loss, e.sampler) for e in (*comparison.trained, *comparison.copies)}
    several = len(comparison.records.samplers) > 1
    seeds: dict[str, dict[int, str]] = {}
    for problem in comparison.problems:
        if (problem.loss, problem.sampler) not in present:
            label = f"{problem.loss}, {problem.sampler}" if several else problem.loss
            seeds.setdefault(label, {})[problem.seed] = problem.status
    return [
        Sentence(
            "failures",
            f"{label} has no usable run ({', '.join(sorted(set(by_seed.values())))}).",
            (Claim(label, "missing", tuple(sorted(by_seed))),),
        )
        for label, by_seed in seeds.items()
    ]


def _incomplete(comparison: Comparison) -> list[Sentence]:
    """Losses without seeds that another loss of the same sampler has."""
    told = []
    for sampler in comparison.records.samplers:
        entrants = comparison.of_sampler(sampler)
        seeds = sorted({s for e in entrants for s in e.scores})
        absent = {e.label: tuple(s for s in seeds if s not in e.scores) for e in entrants}
        for count in sorted({len(e.scores) for e in entrants if absent[e.label]}):
            own = [e for e in entrants if len(e.scores) == count]
            names = [e.label if len(comparison.records.samplers) > 1 else e.name for e in own]
            text = (
                f"{listed(names)} {'has' if len(own) == 1 else 'have'} {count} of {plural(len(seeds), 'seed')}; pairs "
                "use the seeds that both losses have."
            )
            claims = tuple(Claim(e.label, "missing", absent[e.label]) for e in own)
            told.append(Sentence("failures", text, claims))
    return told


def _numbers(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
