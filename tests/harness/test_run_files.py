"""Records, histories, predictions and comparisons: read back as they were written, strictly, without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_records import made_record, make_records

from lossbench.errors import RecordError
from lossbench.runs.grid_file import GridCell, read_grid_file, write_grid_file
from lossbench.runs.history import read_history, write_history
from lossbench.runs.predictions import read_predictions, write_predictions
from lossbench.runs.record import read_record, write_record

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two runs; don't change it."""
    return make_records(tmp_path_factory.mktemp("grid") / "grid", {"softmax": 0.5, "center": 0.5}, seeds=1, images=24)


def test_what_is_written_is_read_back(grid: Path, tmp_path: Path) -> None:
    cell = grid / "cells" / "center-natural-s0"
    record, rows = read_record(cell), read_history(cell)
    predictions = read_predictions(cell, record, embeddings=True)
    write_record(tmp_path, record)
    write_history(tmp_path, rows)
    write_predictions(tmp_path, predictions)
    write_grid_file(tmp_path, read_grid_file(grid))
    assert read_record(tmp_path) == record
    assert read_history(tmp_path) == rows
    assert read_grid_file(tmp_path) == read_grid_file(grid)
    again = read_predictions(tmp_path, record, embeddings=True)
    assert again.centers is not None
    np.testing.assert_array_equal(again.test.scores, predictions.test.scores)
    np.testing.assert_array_equal(again.test.vectors, predictions.test.vectors)
    for name in ("record.json", "history.jsonl", "compare.json"):
        original = (grid if name == "compare.json" else cell) / name
        assert (tmp_path / name).read_text() == original.read_text()


def test_a_record_of_another_schema_version_says_what_to_do(tmp_path: Path) -> None:
    content = made_record(GridCell(loss="softmax", sampler="natural", seed=0, name="run")).to_json()
    for version in (1, 3):
        (tmp_path / "record.json").write_text(json.dumps(content | {"schema_version": version}))
        with pytest.raises(RecordError, match=f"has schema version {version}, this lossbench reads 2: another release"):
            read_record(tmp_path)


def test_a_field_of_a_later_release_is_ignored(tmp_path: Path) -> None:
    content = made_record(GridCell(loss="softmax", sampler="natural", seed=0, name="run")).to_json()
    (tmp_path / "record.json").write_text(json.dumps(content | {"later": 1, "data": content["data"] | {"later": {}}}))
    assert read_record(tmp_path).to_json() == content


def test_reading_needs_no_torch() -> None:
    names = ("record", "history", "predictions", "grid_file", "cells", "options", "options_file", "lock", "layout")
    code = f"import sys; {'; '.join(f'import lossbench.runs.{name}' for name in names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_records_are_read_by_attributes_alone() -> None:
    literal = re.compile(r"\brecord\[\"|\.record\[|record\.json\"\)\.read")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "lossbench").rglob("*.py")
        if "runs" not in path.parts and literal.search(path.read_text())
    ]
    assert not found
