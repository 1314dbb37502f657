"""The page of one run, and images in pages: what they show, and that they are off unless asked for."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Chromium
from faults.runs import make_pictures, tiny
from PIL import Image

from lossbench.errors import ConfigError, DataError
from lossbench.files import plain
from lossbench.harness.run import run as train
from lossbench.report.galleries import difference_galleries, run_galleries
from lossbench.report.outputs import Outputs
from lossbench.report.run_page import run_page
from lossbench.report.tables.one_run import the_run
from lossbench.verdict.comparison import Comparison
from lossbench.verdict.judge import compare

OTHER = "weighted-softmax(power=5)"  # so strongly weighted that its predictions differ
MARKUP = "<img src=x onerror=alert(1)>"  # the name of a class


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 test images of three classes; the first class is markup, the last one is rare in training."""
    folder = tmp_path_factory.mktemp("pictures")
    path = make_pictures(folder, rows=60)
    text = re.sub(r"^(train\d*[13579]\.png,)c", r"\1a", path.read_text(), flags=re.MULTILINE)
    for i in range(6, 12):
        shutil.copy(folder / f"val{i - 6}.png", folder / f"val{i}.png")
        text += f"val{i}.png,{'abc'[(i + 1) % 3]},val\n"  # labeled wrongly
    path.write_text(re.sub(r",a,", f",{MARKUP},", text))
    return path


@pytest.fixture(scope="module")
def runs(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained")
    for loss in ("softmax", OTHER):
        train(tiny(manifest, loss, model="test_resnet", epochs=2, carve=True), place / plain(loss))
    return place


@pytest.fixture(scope="module")
def alone(runs: Path) -> Comparison:
    return compare(runs / "softmax")


def thumbnails_in(html: str) -> list[str]:
    return re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', html)


def test_the_page_says_what_was_trained_and_how_well(alone: Comparison) -> None:
    html, record = run_page(alone), the_run(alone).record
    text = unescape(re.sub(r"<[^>]+>", "", html))
    assert f"softmax: {100 * record.metrics.balanced_accuracy:.1f} % balanced accuracy" in text
    for told in ("What was trained", "Class by class", "Confusion matrix", "Reliability", "Training loss",
                 "Is it the loss or the decision threshold?", "One run with seed 5"):  # fmt: skip
        assert told in text, told
    for name, recall in record.metrics.per_class_recall.items():
        row = next(row for row in re.findall(r"<tr.*?</tr>", html) if unescape(row).count(f">{name}<") == 1)
        assert f"<td>{100 * (recall or 0):.1f}</td>" in row
    assert MARKUP not in html
    assert "<img" not in html


@pytest.fixture(scope="module")
def with_images(alone: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the run with images."""
    file = tmp_path_factory.mktemp("page") / "page.html"
    Outputs(html=file, images=True).write(alone)
    return file


def test_images_are_small_and_their_names_are_text(alone: Comparison, with_images: Path) -> None:
    html = with_images.read_text()
    found = thumbnails_in(html)
    assert len(found) == sum(len(gallery.tiles) for gallery in run_galleries(the_run(alone))) > 0
    for thumbnail in found:
        content = base64.b64decode(thumbnail)
        assert len(content) < 10_000
        assert max(Image.open(io.BytesIO(content)).size) == 112
    assert MARKUP not in html


def test_the_worst_errors_come_first_and_rare_classes_are_whole(alone: Comparison) -> None:
    run = the_run(alone)
    test = run.predictions.test
    assert test.sample_ids is not None
    odds = np.exp(test.scores - test.scores.max(axis=1, keepdims=True), dtype=np.float64)
    own = (odds / odds.sum(axis=1, keepdims=True))[np.arange(12), test.targets]
    wrong = [row for row in np.argsort(own, kind="stable").tolist() if test.scores[row].argmax() != test.targets[row]]
    worst, *rare = run_galleries(run)
    assert [tile.name for tile in worst.tiles] == [str(test.sample_ids[row]) for row in wrong]
    assert all(tile.wrong and tile.caption[1].startswith("true: ") for tile in worst.tiles)
    counts = run.record.data.training_counts
    assert [gallery.title.partition(":")[0] for gallery in rare] == sorted(counts, key=lambda name: counts[name])
    assert [len(gallery.tiles) for gallery in rare] == [4, 4, 4]


def test_a_comparison_shows_the_images_on_which_two_losses_differ(runs: Path) -> None:
    comparison = compare(runs)
    both = {e.loss: e.any_run for e in comparison.trained}
    right = {loss: run.predicted == run.targets for loss, run in both.items()}
    ids = both["softmax"].predictions.test.sample_ids
    assert ids is not None
    expected = {
        name: {str(ids[row]) for row in np.flatnonzero(right[one] & ~right[other])}
        for name, one, other in (("repaired-softmax", "softmax", OTHER), (f"repaired-{OTHER}", OTHER, "softmax"))
    }  # fmt: skip
    found = {gallery.key: {tile.name for tile in gallery.tiles} for gallery in difference_galleries(comparison)}
    assert found == {name: rows for name, rows in expected.items() if rows}
    assert found
    named = difference_galleries(comparison, between=f"{OTHER}, softmax")
    assert {gallery.key for gallery in named} == set(found)
    for between, message in (
        ("softmax", "expected two different losses"),
        ("softmax, softmax", "expected two different losses"),
        ("softmax, centre", "no loss is named 'centre'; expected one of "),
    ):
        with pytest.raises(ConfigError, match=f"--images-between.*{message}"):
            difference_galleries(comparison, between=between)


def test_the_report_of_a_run_compares_nothing_in_any_form(runs: Path, alone: Comparison, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from lossbench.cli.app import app

    call = ["report", str(runs / "softmax"), "--md", str(tmp_path / "r.md"), "--latex", str(tmp_path / "latex")]
    done = CliRunner().invoke(app, [*call, "--csv", str(tmp_path / "csv")])
    assert done.exit_code == 0, done.output
    score = f"softmax: {100 * the_run(alone).record.metrics.balanced_accuracy:.1f} % balanced accuracy"
    texts = {
        "terminal": CliRunner().invoke(app, ["report", str(runs / "softmax")]).output,
        "markdown": (tmp_path / "r.md").read_text(),
        "latex": " ".join(path.read_text() for path in sorted((tmp_path / "latex").rglob("*.tex"))),
    }
    for form, text in texts.items():
        assert "Recall by class" in text, form
        for word in ("compared 1", "nothing to compare", "Losses and pairs", "Verdict", "Every pair"):
            assert word not in text, (form, word)
    assert score in texts["terminal"]
    assert f"## Result\n\n{score}" in texts["markdown"]
    assert "We trained one model with the loss softmax and seed 5." in texts["latex"]
    keys = {path.stem for path in (tmp_path / "csv").iterdir()}
    assert keys == {"objectives", "setup", "metrics", "recall", "thresholds", "priors", "commands", "environment"}
    drawn = {path.stem for path in (tmp_path / "latex/figures").iterdir()}
    assert {"by-class", "reliability", "loss-by-epoch"} <= drawn
    content = json.loads(CliRunner().invoke(app, ["report", str(runs / "softmax"), "--json"]).output)
    assert content["decision"] == score
    assert content["pairs"] == content["claims"] == []


def test_images_that_are_gone_or_damaged_are_named(
    runs: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.copytree(manifest.parent, tmp_path / "moved"))
    run = the_run(compare(runs / "softmax"))
    for file in moved.glob("val*.png"):
        file.write_bytes(b"")
    galleries = run_galleries(run, f"csv:{moved}/all.csv")
    assert {tile.source for gallery in galleries for tile in gallery.tiles} == {""}
    assert "cannot be read" in run_page(compare(runs / "softmax"), galleries)
    with pytest.raises(DataError, match=r"cannot be opened: .*\n?.*Pass --data with where they are now"):
        run_galleries(run, f"csv:{tmp_path}/nowhere.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": True}, "--images embeds test images in the page: add --html FILE.html"),
        ({"html": Path("x.html"), "data": "csv:x.csv"}, "add --images, or omit --data"),
        ({"html": Path("x.html"), "between": "a, b"}, "add --images, or omit --images-between"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Outputs(**options).check()


@pytest.mark.long
def test_the_command_writes_the_page_of_a_run_and_of_a_comparison(runs: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from lossbench.cli.app import app

    page = tmp_path / "page.html"
    for arguments, eyebrow, images in (
        ([runs / "softmax"], "lossbench · run", 0),
        ([runs, "--images"], "lossbench · verdict", sum(len(g.tiles) for g in difference_galleries(compare(runs)))),
    ):
        done = CliRunner().invoke(app, ["report", "--html", str(page), *map(str, arguments)])
        assert done.exit_code == 0, done.output
        assert eyebrow in page.read_text()
        assert len(thumbnails_in(page.read_text())) == images


@pytest.mark.slow
def test_the_page_in_a_browser(browser: Chromium, with_images: Path) -> None:
    html, file = with_images.read_text(), with_images
    for width, dark in ((1200, False), (390, True)):
        browser.open(file, width=width, height=900, dark=dark)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith("data:")] == [file.as_uri()]
        assert browser.value("document.images.length") == len(thumbnails_in(html))
        assert browser.value("[...document.images].filter(i => !i.complete || i.naturalWidth != 112).length") == 0
        assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.value(
            "[...document.querySelectorAll('svg[role=img]')].filter(s => s.getBoundingClientRect().width < 100).length"
        ) == 0  # fmt: skip
