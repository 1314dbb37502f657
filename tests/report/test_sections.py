"""One list of sections: what is added to it is in every form of the report."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from made_records import make_records
from rich.console import Console
from typer.testing import CliRunner

from lossbench.cli.app import app
from lossbench.report import sections
from lossbench.report.figures.drawing import new_figure
from lossbench.report.figures.picture import Picture
from lossbench.report.markdown import markdown
from lossbench.report.page import page
from lossbench.report.sections import Section
from lossbench.report.tables.table import Table
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("made") / "grid", {"softmax": 0.5, "weighted-softmax": 0.6}, seeds=3)


def seed_table(comparison: Comparison) -> Table:
    rows = tuple((entrant.label, f"{len(entrant.scores)} runs") for entrant in comparison.entrants)
    return Table("of-seeds", "Runs of each loss", ("loss", "number of runs"), rows, "One run per seed.")


def seed_picture(comparison: Comparison) -> Picture:
    figure, axis = new_figure(2.0)
    axis.bar(range(len(comparison.entrants)), [len(entrant.scores) for entrant in comparison.entrants])
    return Picture("of-seeds-figure", "Runs drawn", figure, "Runs of each loss")


ADDED = Section("seeds", "Seeds of the comparison", (seed_table,), (seed_picture, lambda _: None))


def on_terminal(comparison: Comparison, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison_summary(comparison))
    return console.export_text()


def test_a_section_that_is_added_in_one_place_is_in_every_form(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison, first = compare(grid), sections.SECTIONS[0]
    monkeypatch.setattr(sections, "SECTIONS", (first,))
    for text in (on_terminal(comparison), markdown(comparison), page(comparison)):
        assert "Runs of each loss" not in text
    monkeypatch.setattr(sections, "SECTIONS", (first, ADDED))
    in_markdown, html = markdown(comparison), page(comparison)
    for text in (on_terminal(comparison), in_markdown, html):
        assert "Runs of each loss" in text
        assert "number of runs" in text
        assert "One run per seed." in text
    assert "## Seeds of the comparison" in in_markdown
    assert '<section id="seeds">' in html
    assert "Runs drawn" in html
    result = CliRunner().invoke(app, ["report", str(grid), "--figures", str(tmp_path / "figures")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "figures" / "of-seeds-figure.svg").exists()


def test_a_section_can_stay_off_the_terminal(grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = compare(grid)
    monkeypatch.setattr(sections, "SECTIONS", (replace(ADDED, on_terminal=False),))
    assert "Runs of each loss" not in on_terminal(comparison)
    assert "Runs of each loss" in markdown(comparison)


def test_every_section_has_a_key_of_its_own() -> None:
    keys = [section.key for section in sections.SECTIONS]
    assert len(set(keys)) == len(keys)


def test_tables_and_figures_have_keys_of_their_own(grid: Path) -> None:
    comparison = compare(grid)
    for made in (sections.make_tables(comparison), sections.draw_pictures(comparison)):
        keys = [item.key for item in made]
        assert len(set(keys)) == len(keys)
