"""An author's way, from an idea in one file to a package: it works, and takes few lines beyond the formula."""

from __future__ import annotations

import json
from pathlib import Path

import authors_way
import pytest


def test_an_author_writes_few_lines_beyond_the_formula() -> None:
    counted = authors_way.lines()
    assert counted["file"] == authors_way.lines_beyond_the_formula(authors_way.IDEA) > 5
    assert sum(counted.values()) <= 40
    page = (Path(authors_way.__file__).parents[1] / "docs" / "plugins.md").read_text()
    said = f"{counted['file'] + 1} lines beyond the formula until the first trained run, {sum(counted.values())} in all"
    assert said in " ".join(page.split())


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_the_way_leads_from_a_file_to_a_package(tmp_path: Path) -> None:
    taken = dict(authors_way.carry_out(tmp_path))
    assert list(taken) == ["check", "run", "compare", "bench", "package"]
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["formula"] == authors_way.LOSS
    assert len(list((tmp_path / "grid").rglob("record.json"))) == 4
