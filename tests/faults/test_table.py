"""The table of faults names tests that exist, at least one for each fault."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_fault_has_a_test_that_exists() -> None:
    rows = [line for line in (TESTS.parent / "docs/faults.md").read_text().splitlines() if re.match(r"\| \d", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 24
    for row in rows:
        named = re.findall(r"`(\S+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.MULTILINE), (file, test)
