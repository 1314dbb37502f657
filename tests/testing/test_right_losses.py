"""The kit accuses no right loss: losses of other kinds than the built-in ones, with the traits that they have."""

from __future__ import annotations

import more_right_losses
import pytest
import right_losses
import right_unusual
from on_request import long_but

from lossbench import LossSpec
from lossbench.testing import LAWS, Effort, configurations, judge_all

QUICK = [law for law in LAWS if not (law.compiles or law.needs_processes)]
EXPECTED = {"right-queue": {"equal-shards"}}  # it does say that each process has its own

# By default one of each kind: logits, cosines, embeddings with a state.
KINDS = {"right-focal", "right-hinge", "right-cosine-margin", "right-learned-centers"}
# By default one for each thing that is declared: failures, a bound, an axis of a state, cosines.
DECLARED = {
    f"unusual-{name}"
    for name in (
        "background",
        "clouded-logits",
        "distance-to-all-rows",
        "few-shot-boost",
        "own-cosine",
        "simplex",
        "trusts-the-frequent",
        "warms-up",
    )
}


def accused(spec: LossSpec, effort: Effort, laws: list[object]) -> dict[str, str]:
    results = judge_all(configurations(spec), effort, laws)  # type: ignore[arg-type]
    return {result.law: f"{result.loss}: {result.message}" for result in results if result.status == "failed"}


@pytest.mark.parametrize("spec", long_but(KINDS, right_losses.SPECS, "name"), ids=lambda spec: spec.name)
def test_a_right_loss_passes(spec: LossSpec) -> None:
    found = accused(spec, Effort(examples=5), QUICK)
    assert not found, found


@pytest.mark.long
@pytest.mark.parametrize("spec", right_losses.SPECS, ids=lambda spec: spec.name)
def test_a_right_loss_passes_in_two_processes_and_compiled(spec: LossSpec) -> None:
    found = accused(spec, Effort(seed=1, examples=10), [law for law in LAWS if law not in QUICK])
    assert set(found) == EXPECTED.get(spec.name, set()), found


@pytest.mark.long
@pytest.mark.parametrize("spec", more_right_losses.SPECS, ids=lambda spec: spec.name)
def test_another_unusual_right_loss_passes(spec: LossSpec) -> None:
    found = accused(spec, Effort(examples=10), QUICK)
    assert not found, found


@pytest.mark.parametrize("spec", long_but(DECLARED, right_unusual.SPECS, "name"), ids=lambda spec: spec.name)
def test_an_unusual_right_loss_passes_with_its_declaration(spec: LossSpec) -> None:
    examples = 5 if spec.name in DECLARED else 20
    found = accused(spec, Effort(examples=examples), QUICK)
    assert not found, found
