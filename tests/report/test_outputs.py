"""What `report` writes for other programs: CSV, LaTeX, figures."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import make_records

from lossbench.errors import ConfigError
from lossbench.report.latex.escape import escaped
from lossbench.report.latex.methods import bibliography, methods
from lossbench.report.outputs import Outputs
from lossbench.report.sections import draw_pictures, make_tables
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare

PDFLATEX = shutil.which("pdflatex")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    losses = {"softmax": 0.5, "weighted-softmax + 0.1*triplet(mining='hard')": 0.6}
    grid = make_records(tmp_path_factory.mktemp("made") / "grid", losses, seeds=3)
    shutil.rmtree(next((grid / "cells").glob("softmax*s2")))
    return compare(grid)


@pytest.fixture(scope="module")
def paper(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("paper")
    Outputs(latex=place, csv=place / "csv", figures=place / "svg").write(comparison)
    return place


def test_csv_holds_the_cells_of_every_table(comparison: Comparison, paper: Path) -> None:
    for table in make_tables(comparison):
        for file in (paper / "csv" / f"{table.key}.csv", paper / "tables" / f"{table.key}.csv"):
            with file.open(newline="") as opened:
                assert list(map(tuple, csv.reader(opened))) == [table.columns, *table.rows]


def test_latex_has_every_table_and_figure(comparison: Comparison, paper: Path) -> None:
    document = (paper / "report.tex").read_text()
    for table in make_tables(comparison):
        text = (paper / "tables" / f"{table.key}.tex").read_text()
        assert text.count("\\\\\n") == len(table.rows) + any(table.columns)
        assert f"\\input{{tables/{table.key}}}" in document
    figures = list((paper / "figures").glob("*.pdf"))
    assert len(figures) == len(draw_pictures(comparison)) == len(list((paper / "svg").glob("*.svg")))
    for file in figures:
        content = file.read_bytes()
        assert content.startswith(b"%PDF-")
        assert not re.search(rb"0\.00392\d+\s0\.0078\d+\s0\.\d+\s(rg|RG)", content)  # a placeholder of a color


def test_methods_state_what_was_done_and_cite_what_they_name(comparison: Comparison) -> None:
    text = " ".join(methods(comparison).split())
    assert "We compared 2 training losses" in text
    assert "3 seeds (0, 1, 2)" in text
    assert "Losses are compared by balanced accuracy" in text
    assert "1 run could not be used and was not replaced" in text
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(",")}
    listed = set(re.findall(r"@\w+\{(\w+),", bibliography(comparison)))
    assert cited == listed


@given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cc", "Cs"])))
def test_no_character_is_left_that_latex_acts_on(text: str) -> None:
    plain = re.sub(r"\\[a-z]+\{\}|\\[{}$&#_%]|\$-\$|\$\\[a-z]+\$|-\{\}-", "", escaped(text))
    assert not set(plain) & set("\\{}$&#^_~%")


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed: apt-get install texlive-latex-recommended")
def test_the_document_compiles(paper: Path) -> None:
    assert PDFLATEX is not None
    for command in (PDFLATEX, "bibtex", PDFLATEX, PDFLATEX):
        options = ["-interaction=nonstopmode", "-halt-on-error"] if command is PDFLATEX else []
        done = subprocess.run([command, *options, "report"], cwd=paper, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    assert b"undefined" not in done.stdout
    assert (paper / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_files_with_another_ending_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--html report\.txt: expected a name that ends in \.html"):
        Outputs(html=Path("report.txt")).check()
    with pytest.raises(ConfigError, match=r"--md report: expected a name that ends in \.md"):
        Outputs(md=Path("report")).check()


@pytest.mark.long
def test_runs_without_any_variance_have_an_interval_of_all_differences(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.5, "center": 0.5}, seeds=3)
    for cell in sorted((grid / "cells").glob("center*")):
        same = grid / "cells" / cell.name.replace("center", "softmax")
        for name in ("record.json", "predictions.npz"):
            shutil.copy(same / name, cell / name)
    comparison = compare(grid)
    pair = comparison.pair("softmax", "center")
    assert pair is not None
    assert pair.interval == (-1.0, 1.0)
    assert not pair.different
    Outputs(html=tmp_path / "r.html", md=tmp_path / "r.md").write(comparison)
    assert "-inf" not in (tmp_path / "r.md").read_text()


def test_scores_of_all_runs_are_never_held_at_once(comparison: Comparison) -> None:
    for run in comparison.records.runs:
        held = [value for value in vars(run).values() if isinstance(value, np.ndarray)]
        assert all(array.ndim == 1 for array in held)
    targets = {id(run.targets) for run in comparison.records.runs}
    assert len(targets) == 1
