"""The notebook of the documents runs from its first cell to its last, without Jupyter."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "folder-to-model.ipynb"


def code_cells() -> list[str]:
    content = json.loads(NOTEBOOK.read_text())
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def execute(cell: str, names: dict[str, Any]) -> None:
    """Execute a cell: lines that begin with `!` are commands with `{name}` filled in, the others are Python."""
    lines = cell.splitlines()
    for command in (line[1:].format_map(names) for line in lines if line.startswith("!")):
        program, *arguments = shlex.split(command)
        assert program == "lossbench"
        done = subprocess.run([sys.executable, "-m", program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    python = "\n".join(line for line in lines if not line.startswith("!"))
    exec(compile(python, NOTEBOOK.name, "exec"), names)


def test_the_notebook_holds_no_output_and_compiles() -> None:
    content = json.loads(NOTEBOOK.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    for cell in code_cells():
        compile("\n".join(line for line in cell.splitlines() if not line.startswith("!")), NOTEBOOK.name, "exec")


@pytest.mark.long
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in code_cells():
        execute(cell, names)
    assert "worst" in (tmp_path / "run.html").read_text().lower()
    assert (tmp_path / "report.html").exists()
    assert names["verdict"]["entrants"]
