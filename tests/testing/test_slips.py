"""Mistakes of authors are found, without a naive loop, by the law that is there to find them."""

from __future__ import annotations

import late_slips  # noqa: F401  # enters its mistakes into the table
import more_slips  # noqa: F401
import pytest
import slips
import wrong_rules  # noqa: F401

from lossbench.testing import configurations, find_law, judge

LONG = {"CountsPairsInHalf", "MasksByBatchSize"}  # more than a second each
NAMES = [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in slips.SLIPS]


@pytest.mark.parametrize("name", NAMES)
def test_a_slip_is_found(name: str) -> None:
    spec, law = slips.SLIPS[name]
    results = [judge(configuration, find_law(law)) for configuration in configurations(spec)]
    assert any(result.status == "failed" for result in results), [result.message for result in results]
    assert not any("TypeError" in result.message for result in results), "the slip itself has a mistake"
