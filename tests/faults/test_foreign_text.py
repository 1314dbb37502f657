"""Names of classes, losses and files that try to be more than text: on a terminal, in Markdown, HTML and drawings."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_records import NAMES, make_records

from lossbench.cli.terminal import Console
from lossbench.printable import printable
from lossbench.report.markdown import markdown
from lossbench.report.page import page
from lossbench.report.sections import draw_pictures
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare

EVIL = (
    "\x1b[2J\x1b]0;title\x07", "a\u202egnp.exe\u2066", "\x00\x08\x0b\x0c\x9b31m", "<script>alert(1)</script>",
    "[link](javascript:alert(1))", "$\\frac{1}{", "]]>&amp;<!--", "line\rover\u2028next",
)  # fmt: skip
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028]")


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
    drawn = draw_pictures(comparison)
    assert drawn
    for picture in drawn:
        ElementTree.fromstring(picture.svg)  # made here a moment ago
        assert not UNSAFE.search(picture.svg)


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
