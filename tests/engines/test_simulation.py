"""The simulated grid: real claims and files, a simulated clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_simulation import CELL_SECONDS, grid_of, made_cells, simulate

from lossbench.runs.grid_file import write_grid_file
from lossbench.runs.grid_status import read_status


def test_workers_that_die_and_are_preempted_run_every_cell_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster_simulation.PREEMPTION_SECONDS", CELL_SECONDS)
    monkeypatch.setattr("cluster_simulation.DEATH_SECONDS", CELL_SECONDS)
    cells = made_cells(40)
    write_grid_file(tmp_path, grid_of(cells))
    found = simulate(cells, tmp_path, 5)
    assert found.finished == {cell.name for cell in cells}
    assert found.twice == 0
    assert found.continued > 0
    assert read_status(tmp_path).counts["done"] == 40
