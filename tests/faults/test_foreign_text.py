"""Names of classes, losses and files that try to be more than text: on a terminal, in Markdown, HTML and drawings."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from made_records import NAMES, make_records
from rich.live import Live

from lossbench import cli as cli_package
from lossbench.cli.terminal import Console, print_plain
from lossbench.cli.watch_grid import GridWatch
from lossbench.cli.watch_run import RichReporter, _bar
from lossbench.printable import printable
from lossbench.report.csv_table import csv_table
from lossbench.report.latex.methods import bibliography, methods
from lossbench.report.latex.table import latex_table
from lossbench.report.markdown import markdown
from lossbench.report.page import page
from lossbench.report.sections import draw_pictures, make_tables
from lossbench.report.tables.table import Table
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare

EVIL = (
    "\x1b[2J\x1b]0;title\x07", "a\u202egnp.exe\u2066", "\x00\x08\x0b\x0c\x9b31m\ufffe\ud800",
    "<script>alert(1)</script>",
    "[link](javascript:alert(1))", "$\\frac{1}{\\input{x}", "#0a0b00]]>&amp;<!--", "=HYPERLINK(\"http://x\")\rover\u2028next",
)  # fmt: skip
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\ufffe\ud800-\udfff]")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison whose classes have such names."""
    grid = make_records(tmp_path_factory.mktemp("evil") / "grid", {"softmax": 0.6, "center": 0.6}, seeds=3, images=80)
    for file in grid.glob("cells/*/record.json"):
        text = file.read_text()
        for name, evil in zip(NAMES, EVIL, strict=True):
            text = text.replace(json.dumps(name), json.dumps(evil))
        content = json.loads(text)
        content["data"]["notes"] = [f"a note of {evil}" for evil in EVIL]
        file.write_text(json.dumps(content))
    return compare(grid)


def test_what_is_not_seen_is_escaped_and_what_is_read_stays() -> None:
    assert printable("\x1b[2J\u202e\ud800\x9b") == "\\x1b[2J\\u202e\\ud800\\x9b"
    assert printable("Freude, 喜び, فرح, 👩\u200d🔬\tand\nmore") == "Freude, 喜び, فرح, 👩\u200d🔬\tand\nmore"


def test_a_terminal_obeys_none_of_it(comparison: Comparison) -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(comparison_summary(comparison))
    for evil in EVIL:
        console.print(evil, markup=False)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert not UNSAFE.search(printed)
    assert "\\x1b[2J" in printed


def test_markdown_shows_it_as_text(comparison: Comparison) -> None:
    text = markdown(comparison)
    assert not UNSAFE.search(text)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\[link\]\(", text)


def test_a_page_shows_it_as_text(comparison: Comparison) -> None:
    html = page(comparison)
    assert not UNSAFE.search(html)
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_drawings_are_well_formed_whatever_a_class_is_called(comparison: Comparison) -> None:
    drawn = [picture.svg for picture in draw_pictures(comparison)]
    assert not UNSAFE.search("".join(drawn))
    texts = [text for svg in drawn for text in ElementTree.fromstring(svg).itertext()]  # made here a moment ago
    assert any("#0a0b00" in text for text in texts)  # looks like a color that stands for a variable of the page
    assert not any("var(--" in text for text in texts)


def test_no_cell_of_a_csv_file_is_a_formula(comparison: Comparison) -> None:
    cells = [
        cell for table in make_tables(comparison) for row in csv.reader(csv_table(table).splitlines()) for cell in row
    ]
    assert '\'=HYPERLINK("http://x")\\rover\\u2028next' in cells
    for cell in cells:
        assert not UNSAFE.search(cell)
        assert cell[:1] not in "=+@-" or re.fullmatch(r"[-+]?[\d.,]*(e-\d+)?( to [-+][\d.]+)?( \(.*\))?", cell), cell


@pytest.mark.parametrize(
    ("cell", "written"),
    [("=1+1", "'=1+1"), ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"), ("@SUM(1)", "'@SUM(1)"),
     ("\t=1", "'\t=1"), ("+softmax", "'+softmax"), ("-0.5", "-0.5"), ("-0.5 to +1.2", "-0.5 to +1.2"), ("-", "-"),
     ("+1.2 %", "+1.2 %"), ("-1e-05", "-1e-05"), ("softmax + 1*center", "softmax + 1*center")],
)  # fmt: skip
def test_a_formula_gets_an_apostrophe_and_a_number_stays(cell: str, written: str) -> None:
    text = csv_table(Table("key", "", ("name",), ((cell,),)))
    assert list(csv.reader(text.splitlines()))[1] == [written]


def test_latex_prints_it_as_text(comparison: Comparison) -> None:
    text = "\n".join(map(latex_table, make_tables(comparison)))
    assert not UNSAFE.search(text)
    assert r"\textbackslash{}input\{x\}" in text
    assert r"\input" not in text.replace(r"\textbackslash{}input", "")


def test_a_loss_that_is_called_like_a_citation_cites_nothing(comparison: Comparison) -> None:
    name = r"~\cite{nowhere}"
    pairs = comparison.pairs
    named = dataclasses.replace(pairs[0], one=dataclasses.replace(pairs[0].one, label=name))
    evil = dataclasses.replace(comparison, claims=(named,))
    assert r"\cite{nowhere}" not in methods(evil)
    assert "nowhere" not in bibliography(evil)


def test_live_tables_and_bars_obey_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "".join(EVIL) + "[link=http://x]y[/link]"
    cell = SimpleNamespace(entrant=evil, name="a", config=SimpleNamespace(sampler=evil, seed=0, fold=None))
    watch = GridWatch(evil, [cell])  # type: ignore[list-item]
    for console in (watch.console, RichReporter().console):
        assert type(console) is Console
    printed = io.StringIO()
    console = Console(file=printed, width=200, force_terminal=True, color_system=None)
    with Live(watch, console=console, auto_refresh=False) as live, _bar(console, "steps") as bar:
        bar.add_task(evil)
        watch.console = console
        watch(cell, {"event": "warning", "text": evil})  # type: ignore[arg-type]
        live.refresh()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", printed.getvalue())  # what rich itself sends
    assert not UNSAFE.search(shown)
    assert "\\x1b[2J" in shown
    assert "[link=http://x]" in shown


def test_lines_that_commands_print_are_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_plain(tmp_path / "".join(EVIL[:3]))
    assert not UNSAFE.search(capsys.readouterr().out)
    commands = "\n".join(path.read_text() for path in Path(cli_package.__file__ or "").parent.glob("*.py"))
    assert not re.search(
        r"import Console$|typer\.echo|secho", commands.replace("from .terminal import Console", ""), re.M
    )


def test_an_error_message_is_printed_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unittest import mock

    from lossbench.cli import main

    with (
        mock.patch("sys.argv", ["lossbench", "report", str(tmp_path / "\x1b[2J\u202e")]),
        pytest.raises(SystemExit) as end,
    ):
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert not UNSAFE.search(said)
    assert "\\x1b[2J" in said
