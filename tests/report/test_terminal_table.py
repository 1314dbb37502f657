"""A table on a terminal of any width: no line too long, nothing cut, numbers and names in one piece where they fit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lossbench.report.tables.table import Table
from lossbench.report.terminal.table import TerminalTable

WORDS = st.text(st.sampled_from("abcdefghij0123456789-_.äß漢"), min_size=1, max_size=30)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


def drawn(table: Table, width: int, highlights: dict[str, str] | None = None) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(TerminalTable(table, highlights))
    return console.export_text()


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 200])
@given(
    rows=st.lists(st.tuples(NAMES, WORDS, NAMES, WORDS), min_size=1, max_size=4),
    columns=st.tuples(NAMES, NAMES, NAMES, NAMES),
)
def test_nothing_is_cut_at_any_width(width: int, rows: list[tuple[str, ...]], columns: tuple[str, ...]) -> None:
    table = Table("t", "", columns, tuple(rows), text=frozenset({columns[2]}))
    lines = drawn(table, width).splitlines()
    console = Console(width=width)
    assert max(console.measure(line).maximum for line in lines if line) <= width
    text = squeezed("".join(lines))
    for row in rows:
        for cell in row:
            letters = sorted(squeezed(cell))
            assert all(text.count(letter) >= letters.count(letter) for letter in set(letters))


def pairs(names: int) -> Table:
    rows = tuple(
        (f"weighted-softmax + 0.{n}*triplet(margin=0.2) - softmax", "+1.2", "-0.4 to +2.8") for n in range(names)
    )
    return Table("pairs", "Every pair", ("difference", "mean", "95 % over seeds"), rows)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_names_and_numbers_stay_in_one_piece(width: int) -> None:
    text = drawn(pairs(3), width)
    for n in range(3):
        assert f"0.{n}*triplet(margin=0.2)" in text
    assert text.count("-0.4 to +2.8") == 3


def test_wide_columns_go_first_and_then_rows_become_blocks() -> None:
    columns = ("loss", "mean", "interval", "interval over images")
    rows = (("weighted-softmax", "71.2", "70.1 to 72.3", "69.0 to 73.4"),)
    table = Table("t", "Means", columns, rows, wide=frozenset({"interval over images"}))
    assert "over images" in drawn(table, 80)
    assert "over images" not in drawn(table, 44)
    assert "weighted-softmax  71.2  70.1 to 72.3" in drawn(table, 44)
    lines = [line.rstrip() for line in drawn(table, 30).splitlines()]
    assert lines == ["Means", "weighted-softmax", "  mean: 71.2", "  interval: 70.1 to 72.3"]


def test_a_table_without_headings_has_no_head() -> None:
    text = drawn(Table("t", "", ("", ""), (("accuracy", "0.5"), ("macro F1", "0.25"))), 60)
    assert text.splitlines() == ["accuracy   0.5", "macro F1  0.25"]


def test_rows_that_are_markup_are_printed_as_they_are() -> None:
    assert "[red]a[/red]" in drawn(Table("t", "", ("loss", "n"), (("[red]a[/red]", "1"),)), 60)
