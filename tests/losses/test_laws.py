"""Every built-in loss, in every variant, fresh and started, obeys every law; none is expected to fail."""

from __future__ import annotations

import pytest

from lossbench import loss_info
from lossbench.losses import BUILT_INS
from lossbench.testing import Check, Effort, checks, find_law, parametrize_with_checks

SPECS = [loss_info(b.name) for b in BUILT_INS]


@parametrize_with_checks(SPECS)
def test_laws(check: Check) -> None:
    check()


# The laws from which a loss can be excluded by what it declares, and the losses that none of this excludes.
MUST_BE_JUDGED = {
    "gradient-of-state": {"center", "weighted-cluster"},
    "mean-of-rows": {"softmax", "weighted-softmax", "center", "weighted-cluster"},
    "equal-shards": {"softmax", "weighted-softmax", "center", "weighted-cluster"},
    "change-of-unit": {"center", "triplet", "weighted-cluster"},
    "upper-bound": {"triplet"},
    "limits": {"weighted-softmax", "weighted-cluster"},
    "equal-counts-are-no-counts": {"weighted-softmax", "weighted-cluster"},
    "state-of-absent-class": {"center"},
    "naive-loop": {spec.name for spec in SPECS},
    "compiled-in-one-graph": {spec.name for spec in SPECS},
    "learns-the-weighted-prior": {"softmax", "weighted-softmax"},
    "only-equality-of-labels": {"triplet"},
    "scale": {"triplet"},
    "extreme-norms": {"softmax", "weighted-softmax", "triplet"},
}


@pytest.mark.parametrize("law", MUST_BE_JUDGED)
def test_a_law_is_not_skipped_where_it_matters(law: str) -> None:
    found = checks(SPECS, effort=Effort(examples=3))
    judged = [check for check in found if check.law is find_law(law)]

    def holds_somewhere(loss: str) -> bool:
        return any(check.result().status == "passed" for check in judged if check.subject.spec.name == loss)

    passed = {spec.name for spec in SPECS if holds_somewhere(spec.name)}
    assert passed == MUST_BE_JUDGED[law]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_trait_that_is_not_declared_does_not_hold(spec: object) -> None:
    deep = Effort(examples=30, deep=True, compile=False)
    found = checks([spec], effort=deep)  # type: ignore[list-item]
    # What is declared is judged above.
    undeclared = [c for c in found if c.law.trait is not None and not c.subject.declares(c.law.trait)]
    results = [check.result() for check in undeclared]
    assert results
    assert [result for result in results if result.status == "failed"] == []
