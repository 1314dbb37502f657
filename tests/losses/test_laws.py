"""Every built-in loss, fresh, started and in its last epoch, obeys every law that applies; none is expected to fail."""

from __future__ import annotations

import every_loss
import pytest

from lossbench import LossSpec, loss_info
from lossbench.losses import BUILT_INS
from lossbench.testing import LAWS, Check, Effort, checks, configurations, judge_all

SPECS = [loss_info(b.name) for b in BUILT_INS]
# With the defaults and few batches, for a suite that runs often; every variant, and the losses of the plugins, are
# judged as `lossbench check` does on request.
DEFAULTS = [configuration for spec in SPECS for configuration in configurations(spec, {})]
CHECKS = checks(DEFAULTS, effort=Effort(examples=5, compile=False))
COMPILED = checks(SPECS, laws=[law.name for law in LAWS if law.compiles])


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_laws(check: Check) -> None:
    result = check.result()
    assert result.status == "passed", result.message  # a skipped law is not a check, so nothing may be skipped


def _parameter(check: Check) -> object:
    """Compiling takes long: one configuration of one loss by default, the others on request."""
    first = next(c for c in COMPILED if c.configuration.spec.name == "weighted-cluster")
    return pytest.param(check, id=str(check), marks=pytest.mark.slow if check is first else pytest.mark.long)


@pytest.mark.parametrize("check", [_parameter(check) for check in COMPILED])
def test_it_compiles(check: Check) -> None:
    result = check.result()
    assert result.status == "passed", result.message


@pytest.mark.long
@pytest.mark.parametrize("name", every_loss.NAMES)
def test_laws_hold_as_check_judges_them(name: str) -> None:
    results = judge_all(configurations(loss_info(name)), Effort(compile=False), LAWS)
    assert [f"{each.loss}: {each.message}" for each in results if each.status == "failed"] == []


# Laws that do not apply to every loss, and the losses that they apply to.
MUST_BE_JUDGED = {
    "gradient-of-state": {"center", "weighted-cluster"},
    "mean-of-rows": {"softmax", "weighted-softmax", "center", "weighted-cluster"},
    "equal-shards": {"softmax", "weighted-softmax", "center", "weighted-cluster"},
    "change-of-unit": {"center", "triplet", "weighted-cluster"},
    "upper-bound": {"triplet"},
    "limits": {"weighted-softmax", "weighted-cluster"},
    "equal-counts-are-no-counts": {"softmax", "weighted-softmax", "weighted-cluster"},
    "state-of-absent-class": {"center"},
    "naive-loop": {spec.name for spec in SPECS},
    "compiled-in-one-graph": {spec.name for spec in SPECS},
    "learns-the-weighted-prior": {"softmax", "weighted-softmax"},
    "only-equality-of-labels": {"triplet"},
    "scale": {"triplet"},
    "extreme-norms": {"softmax", "weighted-softmax", "triplet"},
}


@pytest.mark.parametrize("law", MUST_BE_JUDGED)
def test_a_law_applies_where_it_matters(law: str) -> None:
    assert {check.configuration.spec.name for check in CHECKS + COMPILED if check.law.name == law} == MUST_BE_JUDGED[
        law
    ]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_trait_that_is_not_declared_does_not_hold(spec: LossSpec) -> None:
    found = checks([spec], effort=Effort(examples=30, deep=True, compile=False))
    # What is declared is judged above.
    undeclared = [c for c in found if c.law.trait is not None and not c.configuration.declares(c.law.trait)]
    results = [check.result() for check in undeclared]
    assert bool(results) is (spec.name != "softmax")  # which declares every trait that applies to logits
    assert [result for result in results if result.status == "failed"] == []
