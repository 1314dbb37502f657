"""Every law can fail: for each there is a loss that breaks it, and that few other laws accuse."""

from __future__ import annotations

import breakers
import pytest
from on_request import long_but

from lossbench.testing import LAWS, Configuration, Effort, Law, Result, configurations, find_law, judge, judge_all

# What starts processes or compiles is left out of the judgement by all laws.
QUICK = [law for law in LAWS if not (law.compiles or law.needs_processes)]
FEW = Effort(examples=4)
# They judge other laws again, on other batches.
AGAIN = {"blocks", "large-task", "large-values"}


def failures(configuration: Configuration, laws: list[Law], effort: Effort = FEW) -> dict[str, Result]:
    return {result.law: result for result in judge_all([configuration], effort, laws) if result.status == "failed"}


def configuration_of(breaker: breakers.Breaker) -> Configuration:
    return Configuration(spec=breaker.spec, started=breaker.started)


def test_every_law_has_a_breaker() -> None:
    assert sorted(breakers.BREAKERS) == sorted(law.name for law in LAWS)


SLOW = {law.name for law in LAWS if law not in QUICK}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in breakers.BREAKERS]


@pytest.mark.parametrize("name", NAMES)
def test_a_breaker_breaks_its_law(name: str) -> None:
    result = judge(configuration_of(breakers.BREAKERS[name]), find_law(name), Effort())
    assert result.status == "failed", result.message
    assert result.message


@pytest.mark.long
@pytest.mark.parametrize("name", breakers.BREAKERS)
def test_a_breaker_passes_the_other_laws(name: str) -> None:
    breaker = breakers.BREAKERS[name]
    found = failures(configuration_of(breaker), QUICK)
    others = set(found) - {name} - breaker.also - AGAIN
    assert not others, {law: found[law].message for law in others}


@pytest.mark.parametrize("loss", long_but([breakers.Softmax], [breakers.Softmax, breakers.Center, breakers.Pairs]))
def test_the_right_losses_they_derive_from_pass_every_law(loss: type[breakers.Softmax]) -> None:
    for configuration in configurations(breakers.spec_of(loss)):
        found = failures(configuration, QUICK, Effort(examples=10))
        assert not found, found
