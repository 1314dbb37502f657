"""What was done, in a paragraph for a paper, with the references that it cites."""

from __future__ import annotations

import re

from ... import __version__
from ...verdict.comparison import Comparison
from ...verdict.control_sentence import shift_of
from ...verdict.format import listed, plural
from ...verdict.statistics import ALPHA
from ..tables.provenance import facts
from .escape import escaped
from .references import REFERENCES


def methods(comparison: Comparison) -> str:
    """Return paragraphs on data, training and statistics as LaTeX, from the records of the comparison or run."""
    if comparison.is_one_run:
        return _one_run(comparison)
    paragraphs = [_runs(comparison), _statistics(comparison), *_control(comparison), *_failures(comparison)]
    return "\n\n".join([*paragraphs, _software()]) + "\n"


def bibliography(comparison: Comparison) -> str:
    """Return BibTeX entries for everything that the methods cite."""
    cited = [key.strip() for keys in re.findall(r"\\cite\{([^}]*)\}", methods(comparison)) for key in keys.split(",")]
    return "\n\n".join(REFERENCES[key] for key in dict.fromkeys(cited)) + "\n"


def _software() -> str:
    return escaped(f"All statistics were computed with lossbench {__version__}.")


def _one_run(comparison: Comparison) -> str:
    run = comparison.trained[0].any_run
    text = f"We trained one model with the loss {run.record.formula} and seed {run.seed}."
    done = escaped(" ".join([text, *_facts(comparison)]))
    interval = _cited(
        f"The 95 % interval of {comparison.metric.name} covers new test images of the same classes; it is Wilson's "
        "with an effective number of images that accounts for classes",
        "korn1998",
        ". It does not cover new seeds, and nothing is compared.",
    )
    return f"{done}\n\n{interval}\n\n{_software()}\n"


def _runs(comparison: Comparison) -> str:
    losses = list(dict.fromkeys(entrant.name for entrant in comparison.trained))
    samplers = comparison.records.samplers
    seeds = sorted({seed for entrant in comparison.trained for seed in entrant.scores})
    under = f" under the samplers {listed(samplers)}" if len(samplers) > 1 else ""
    text = f"We compared {len(losses)} training losses ({listed(losses)}){under}"
    text += f" with {plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})."
    return escaped(" ".join([text, *_facts(comparison)]))


def _facts(comparison: Comparison) -> list[str]:
    return [f"{name[0].upper()}{name[1:]}: {value}." for name, value in facts(comparison) if name != "seeds"]


def _statistics(comparison: Comparison) -> str:
    metric = comparison.metric.name
    tested = [pair for pair in comparison.pairs if pair.interval is not None]
    text = [
        escaped(
            f"Losses are compared by {metric} on the test split. Differences are paired by seed, on the seeds that "
            "both losses have."
        )
    ]
    if not tested:
        return f"{text[0]} No pair was tested."
    family = max(pair.family for pair in tested)
    folds = comparison.folds
    trained = (
        f"for training on {folds - 1} of {folds} folds; each seed divides the images differently, every image is "
        "tested once per seed, and folds are not counted as seeds"
        if folds
        else "for this training set"
    )
    text.append(
        _cited(
            "All runs classify the same test images, so seeds and images are crossed, as readers and cases are in "
            "multi-reader multi-case studies",
            "dorfman1992,hillis2007",
            ": the variance of a mean difference is estimated from the seeds, from the test images within each class, "
            "and from their interaction. Intervals cover new seeds and new test images of the same classes, "
            f"{trained}.",
        )
    )
    text.append(
        _cited(
            f"The intervals of the {family} pairs of a family hold simultaneously with probability "
            f"{100 * (1 - ALPHA):g} % (each at level {ALPHA:g}/{family}); two losses are reported as different exactly "
            "when the interval of their difference excludes 0, and losses that share a letter are not shown to differ",
            "piepho2004",
        )
        if family > 1
        else escaped(
            f"The interval holds with probability {100 * (1 - ALPHA):g} %; the losses are reported as different "
            "exactly when it excludes 0."
        )
    )
    text.append(
        _cited(
            "The interval of a single loss is Wilson's with an effective number of images that accounts for classes "
            "and seeds",
            "korn1998",
        )
    )
    names = [(pair.first, pair.second) for pair in comparison.claims]
    names += [(first, second) for first, second, _ in comparison.unanswered if second]
    if names:
        claims = listed([f"{first} > {second}" for first, second in names])
        text.append(
            _cited(
                f"Planned before the results were known: {claims}; these claims are tested apart from all pairs by "
                "Holm's procedure",
                "holm1979",
            )
        )
    if comparison.against:
        text.append(
            escaped(
                f"As planned, every other loss is tested against {comparison.against[0].second}, in a family of "
                f"{len(comparison.against)} pairs."
            )
        )
    if len(comparison.looks) > 1:
        text.append(
            _cited(
                f"Verdicts were read at {listed([str(seeds) for seeds in comparison.looks])} seeds; later looks are "
                "tested at levels from alpha spending",
                "lan1983",
            )
        )
    margins = sorted({pair.margin for pair in tested if pair.margin is not None})
    if margins:
        text.append(
            _cited(
                f"Losses are called equal if the whole interval lies within {100 * margins[0]:g} points, which is the "
                "two one-sided tests procedure",
                "schuirmann1987",
            )
        )
    if comparison.trials:
        text.append(
            _cited(
                f"Hyper-parameters were tuned by random search with {len(comparison.trials)} trials on a selection "
                "split held out from training",
                "dodge2019",
                "; the test split was not used.",
            )
        )
    return " ".join(text)


def _control(comparison: Comparison) -> list[str]:
    if not comparison.control:
        return []
    return [
        _cited(
            "As a control, the log class frequencies of training times tau are subtracted from the scores of plain "
            f"softmax after training ({shift_of(comparison.control[0].other)})",
            "menon2021",
            f"; each loss as trained is tested against it in a family of {len(comparison.control)} pairs.",
        )
    ]


def _failures(comparison: Comparison) -> list[str]:
    if not comparison.problems:
        return []
    count = len(comparison.problems)
    verb = "was" if count == 1 else "were"
    return [
        escaped(
            f"{plural(count, 'run')} could not be used and {verb} not replaced. A run that diverged counts as a "
            "constant answer, and a loss that failed in some seeds is never said to be better."
        )
    ]


def _cited(before: str, keys: str, after: str = ".") -> str:
    """Return escaped text with a citation in it."""
    return f"{escaped(before)}~\\cite{{{keys}}}{escaped(after)}"
