"""Equal tuning: every loss gets the same number of trials, evaluated on the selection split only.

Trials are random draws (Optuna's RandomSampler), so that the expected best of k trials can be computed for every k; a
sampler that learns from earlier trials would make them dependent. Trials have a separate seed, whose selection split
differs from those of the reported seeds.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, HyperparameterError
from ...expression import Formula
from ...objective import expand_formula
from ...runs.cells import Cell, trial_score
from ...runs.grid_file import GridTrial
from ...runs.option import Role
from ...runs.options import RunConfig, option_names

SEED = 1_000_000  # seed of trials, which no grid reaches
_FORM = "NAME=LOW:HIGH or NAME=LOW:HIGH:log, such as coefficient=0.01:1:log"


@dataclass(frozen=True)
class Range:
    """A range of values of an option of the run or a hyper-parameter of the loss."""

    name: str
    low: float
    high: float
    log: bool

    @property
    def is_option(self) -> bool:
        return self.name in option_names(Role.TUNABLE)


def parse_range(text: str) -> Range:
    """Parse `coefficient=0.01:1:log`.

    Raises:
        ConfigError: the text does not have the expected form.

    Example:
        >>> parse_range("coefficient=0.01:1:log")
        Range(name='coefficient', low=0.01, high=1.0, log=True)
    """
    name, _, span = text.partition("=")
    low, _, rest = span.partition(":")
    high, colon, scale = rest.partition(":")
    try:
        made = Range(name.strip().replace("-", "_"), float(low), float(high), scale.strip() == "log")
    except ValueError:
        raise ConfigError(f"--tune {text!r}: expected {_FORM}") from None
    if not made.name or (colon and not made.log):
        raise ConfigError(f"--tune {text!r}: expected {_FORM}")
    if not made.low < made.high < float("inf") or (made.log and made.low <= 0):
        above = ", and positive for log" if made.log else ""
        raise ConfigError(f"--tune {text!r}: the lower bound must be less than the upper bound{above}")
    return made


def tunable(formula: Formula, ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return the ranges that apply to a loss.

    Args:
        formula: as written.
        ranges: all ranges that the user asked for.
    """
    return tuple(r for r in ranges if r.is_option or _takes(formula, r))


def check_tunable(losses: Sequence[Formula], ranges: Sequence[Range]) -> None:
    """Refuse a range that applies to none of the losses.

    Raises:
        ConfigError: naming the range.
    """
    for wanted in ranges:
        if not any(tunable(formula, [wanted]) for formula in losses):
            raise ConfigError(
                f"--tune {wanted.name}: none of the losses has this parameter; tunable options: "
                f"{', '.join(option_names(Role.TUNABLE))}"
            )


def with_values(config: RunConfig, values: dict[str, float]) -> RunConfig:
    """Return the configuration with these values in its options and its loss."""
    tunable_options = option_names(Role.TUNABLE)
    options = {name: value for name, value in values.items() if name in tunable_options}
    rest = {name: value for name, value in values.items() if name not in tunable_options}
    loss = str(with_arguments(config.formula, rest)) if rest else config.loss
    return dataclasses.replace(config, loss=loss, **typing.cast(dict[str, Any], options))


def with_arguments(formula: Formula, arguments: dict[str, float]) -> Formula:
    """Return a formula of a single loss with these arguments added.

    Raises:
        HyperparameterError: the formula has several terms, or its loss does not take the arguments.

    Example:
        >>> from lossbench.expression import parse_formula
        >>> str(with_arguments(parse_formula("center(alpha=0.1)"), {"coefficient": 0.01}))
        'center(alpha=0.1, coefficient=0.01)'
    """
    terms = formula.terms
    if len(terms) > 1 or terms[0].coefficient is not None:
        raise HyperparameterError(f"{str(formula)!r} has several terms; tuning needs a formula of a single loss")
    tuned = Formula((replace(terms[0], arguments={**terms[0].arguments, **arguments}),))
    expand_formula(tuned)
    return tuned


def tune(
    cells: Sequence[Cell],
    ranges: Sequence[Range],
    trials: int,
    out: Path,
    run: Callable[[Sequence[Cell]], object],
) -> tuple[tuple[GridTrial, ...], dict[str, dict[str, float]]]:
    """Runs the trials of every loss, and chooses.

    Args:
        cells: one a loss and sampler, whose options the trials start from.
        ranges: what is tuned.
        trials: of each; a loss with nothing to tune has one.
        out: directory of the grid.
        run: runs cells, keeping those that are finished.

    Returns:
        The trials, and "loss, sampler" -> values of the best.
    """
    planned = []
    for cell in cells:
        own = tunable(cell.config.formula, ranges)
        for values in _draws(own, trials if own else 1):
            config = dataclasses.replace(with_values(cell.config, values), seed=SEED)
            planned.append((cell, values, dataclasses.replace(cell, config=config, sealed=True)))
    run([trial for *_, trial in planned])
    trials_run = tuple(
        GridTrial(loss=cell.loss, copy=cell.copy, sampler=cell.config.sampler, values=values, name=trial.name)
        for cell, values, trial in planned
    )
    best: dict[str, tuple[float, dict[str, float]]] = {}
    for cell, values, trial in planned:
        score, key = trial_score(trial.place(out)), f"{cell.entrant}, {cell.config.sampler}"
        if score is not None and (key not in best or score > best[key][0]):
            best[key] = score, values
    return trials_run, {key: values for key, (_, values) in best.items()}


def _draws(ranges: Sequence[Range], trials: int) -> list[dict[str, float]]:
    """Draw values, which are the same for all losses with the same ranges."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {r.name: optuna.distributions.FloatDistribution(r.low, r.high, log=r.log) for r in ranges}
    drawn = [study.ask(distributions).params for _ in range(trials)]  # type: ignore[arg-type]
    return [{name: float(f"{value:.4g}") for name, value in params.items()} for params in drawn]


def _takes(formula: Formula, wanted: Range) -> bool:
    try:
        with_arguments(formula, {wanted.name: wanted.high})
    except HyperparameterError:
        return False
    return True
