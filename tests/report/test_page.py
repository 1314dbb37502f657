"""The page stands alone, says what the verdict says, and is whole in a real browser."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from chromium import Chromium
from made_records import make_records
from PIL import Image

from lossbench.report.page import page
from lossbench.report.sections import make_tables
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare
from lossbench.verdict.sentences import verdict_words

LOSSES = {"softmax": 0.5, "weighted-softmax": 0.6, "weighted-cluster": 0.7}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    grid = make_records(tmp_path_factory.mktemp("made") / "grid", LOSSES, seeds=3)
    shutil.rmtree(grid / "cells" / "softmax-natural-s2")
    return compare(grid)


@pytest.fixture(scope="module")
def html(comparison: Comparison) -> str:
    return page(comparison)


def test_the_page_says_what_the_verdict_says(comparison: Comparison, html: str) -> None:
    text = unescape(re.sub(r"<[^>]+>", "", html))
    for sentence in (*verdict_words(comparison), *comparison.notes):
        assert sentence in text
    for table in make_tables(comparison):
        assert table.title in text
        for row in table.rows:
            assert all(cell in text for cell in row), table.key
    assert "lossbench compare --losses 'softmax, weighted-softmax, weighted-cluster' --seeds 3" in text
    assert "softmax, natural, seed 2" in text


def test_the_page_stands_alone(html: str) -> None:
    assert len(html) < 5_000_000
    assert "<script" not in html
    addresses = re.findall(r"(?:src|href)=\"([^\"]*)\"", html)
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.findall(r"url\((?!#)[^)]*\)", html)
    assert "@import" not in html
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html


def test_colors_are_the_page_s_own(html: str) -> None:
    assert not re.search(r"#0[0-9a-c]0[0-9a-d]0?[0-9a-f]", "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL)))
    assert "var(--s0)" in html
    assert "prefers-color-scheme: dark" in html


@pytest.mark.long
def test_the_same_runs_give_the_same_page(comparison: Comparison, html: str) -> None:
    assert page(comparison) == html


def test_names_are_text_and_never_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\alpha_2$", "{{ 7*7 }}", "a&b")
    names = (*hostile, "f", "g", "h")
    monkeypatch.setattr("made_records.NAMES", names)
    grid = make_records(tmp_path / "grid", {"softmax": 0.5, "center(alpha=0.1)": 0.5}, seeds=2)
    html = page(compare(grid))
    assert "<script" not in html
    assert "<img" not in html
    text = unescape(html)
    assert "{{ 7*7 }}" in text
    assert "$\\alpha_2$" in text


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390], ids=["desktop", "phone"])
def test_the_page_in_a_browser(browser: Chromium, html: str, tmp_path: Path, width: int, dark: bool) -> None:
    file = tmp_path / "report.html"
    file.write_text(html)
    browser.open(file, width=width, height=900, dark=dark)
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [file.as_uri()]
    # Every picture has a size and something in it; every embedded image was decoded.
    pictures = browser.value("document.querySelectorAll('figure svg').length")
    assert pictures >= 3 + 4 + 3
    assert browser.value(
        "[...document.querySelectorAll('svg[role=img]')].filter(s => s.getBoundingClientRect().width < 100"
        " || s.querySelectorAll('path, text, image').length < 3).length"
    ) == 0  # fmt: skip
    assert browser.value("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
    # Nothing but tables in their own scroll boxes is wider than the window.
    assert browser.value("document.documentElement.scrollWidth") <= width
    blocks = "[...document.querySelectorAll('h1, p, figure, dl')]"
    assert browser.value(f"Math.max(...{blocks}.map(e => e.getBoundingClientRect().right))") <= width + 1
    paper, ink = (browser.value(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    shade = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (paper, ink)]
    dim, bright = shade if dark else shade[::-1]
    assert dim < 200
    assert bright > 500
    label = browser.value("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert abs(sum(map(int, re.findall(r"\d+", label)[:3])) - shade[0]) > 200  # legible on the paper
    browser.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.width == width
        assert picture.height > 2000
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["wide", "phone"])
def test_decision_picture_and_limits_are_on_the_first_screen(
    browser: Chromium, html: str, tmp_path: Path, width: int, height: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(html)
    browser.open(file, width=width, height=height, dark=False)
    for part in ("h1", ".lead svg", ".limits", ".notes summary"):
        box = f"document.querySelector('{part}').getBoundingClientRect()"
        assert browser.value(f"{box}.top") >= 0, part
        assert browser.value(f"{box}.bottom") <= height, part
    assert browser.value("document.querySelector('.lead svg').getBoundingClientRect().height") > 120
    assert browser.value("document.querySelector('.notes summary').getBoundingClientRect().height") < 30
    assert not browser.value("document.querySelector('.notes').open")


@pytest.mark.slow
def test_the_browser_would_see_what_is_wrong(browser: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text(
        "<img src='missing.png'><script>nothing.here()</script><link rel=stylesheet href='http://localhost:9/x.css'>"
    )
    browser.open(file, width=390, height=800, dark=False)
    assert any("nothing is not defined" in error for error in browser.errors)
    assert len(browser.requests) >= 3
    assert browser.value("[...document.images].filter(i => !i.naturalWidth).length") == 1
