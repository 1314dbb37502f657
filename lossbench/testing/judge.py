"""Judging a loss by the laws."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch

from . import laws as _laws  # noqa: F401  # importing them fills LAWS
from .applies import reason_to_skip
from .configuration import Configuration
from .declarations import judge_excuse, judge_undeclared, try_undeclared
from .effort import Effort
from .law import LAWS, Law
from .outcome import Outcome, search_violation
from .results import Result, expect


def judge_all(
    configurations: Iterable[Configuration], effort: Effort | None = None, laws: Iterable[Law] | None = None
) -> Iterator[Result]:
    """Yield the results of every law on every configuration, as they come.

    A loss's exception with one cause is one finding: the first law that meets it fails, the others are skipped.
    A law in `LossSpec.expected_failures` is xfailed where it fails, and fails if it holds in every configuration.

    Args:
        configurations: configurations of losses.
        effort: how hard to search.
        laws: judge only these.
    """
    chosen = list(LAWS if laws is None else laws)
    judged = list(configurations)
    causes: dict[tuple[int, str], str] = {}
    for configuration in judged:
        expected = configuration.spec.expected_failures
        failed: set[str] = set()
        for each in chosen:
            result = judge(configuration, each, effort, frozenset(failed))
            failed |= {each.name} if result.status == "failed" else set()
            if result.cause is not None:
                first = causes.setdefault((id(configuration.spec), result.cause), each.name)
                if first != each.name and each.name not in expected:
                    reason = f"the refusal that `{first}` reports: {result.message}"
                    result = replace(result, status="skipped", message=reason, kind=None, silent=False)
            if each.name in expected:
                others = [c for c in judged if c.spec is configuration.spec and c is not configuration]
                result = expect(result, expected[each.name], lambda o=others, e=each: fails_in(o, e, effort))  # type: ignore[misc]
            yield result


def fails_in(configurations: Sequence[Configuration], law: Law, effort: Effort | None) -> bool:
    """Return whether a law fails in one of some configurations."""
    return any(judge(configuration, law, effort).status == "failed" for configuration in configurations)


def judge(
    configuration: Configuration, law: Law, effort: Effort | None = None, failed: frozenset[str] = frozenset()
) -> Result:
    """Return the result of one law on one configuration. Whatever a loss raises becomes a result.

    Args:
        configuration: of the loss.
        law: the law.
        effort: how hard to search.
        failed: laws that it is known to break on ordinary batches; laws that judge others again leave them out.

    Example:
        >>> from lossbench import loss_info
        >>> from lossbench.testing import find_law, judge
        >>> judge(Configuration(spec=loss_info("softmax")), find_law("not-negative")).status
        'passed'
    """
    effort = effort or Effort()
    began = time.perf_counter()
    generator, gradients = torch.get_rng_state(), torch.is_grad_enabled()
    dtype = torch.get_default_dtype()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a loss's warnings are not the kit's
            found = _outcome(configuration, law, effort, failed)
    finally:
        torch.set_rng_state(generator)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
    return Result(
        loss=str(configuration),
        number=law.number,
        law=law.name,
        group=law.group,
        seconds=time.perf_counter() - began,
        **vars(found),
    )


def _outcome(configuration: Configuration, law: Law, effort: Effort, failed: frozenset[str]) -> Outcome:
    if reason := reason_to_skip(configuration, law, effort):
        return Outcome("skipped", reason)
    if law.excused is not None and configuration.declares(law.excused):
        return judge_excuse(configuration, law, law.excused, effort)
    if law.trait is None or configuration.declares(law.trait):
        return search_violation(configuration, law, effort, failed)
    if configuration.undeclared_is_unknown:
        return try_undeclared(configuration, law, effort)
    return judge_undeclared(configuration, law, effort)
