"""CONTRIBUTING.md: each row of "to add X, touch Y" names what exists, and an addition there is enough."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from made_records import make_records

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
ROWS = [line.split("|")[1:4] for line in TEXT.splitlines() if re.match(r"\| (a|an) ", line)]
KINDS = [row[0].strip() for row in ROWS]
PLACES = sorted({place for row in ROWS for place in re.findall(r"`([\w./]+\.\w+(?:: \w+)?)`", row[1])})


def test_every_kind_has_a_row() -> None:
    assert KINDS == [
        "a built-in loss",
        "a plugin",
        "a face detector",
        "a data source",
        "a metric of the verdict",
        "a backbone",
        "a law",
        "an option of a run",
        "a section of a report",
        "a command",
    ]
    assert len(PLACES) > 12


@pytest.mark.parametrize("place", PLACES)
def test_every_place_exists(place: str) -> None:
    path, _, name = place.partition(": ")
    if Path(path).stem == "NAME":
        assert (ROOT / path).parent.is_dir()
        return
    assert (ROOT / path).is_file()
    if name:
        assert name in defined(ROOT / path)


def defined(path: Path) -> set[str]:
    """Return the names that a module defines at its top level."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_every_command_exists() -> None:
    for command in re.findall(r"`((?:scripts/|\.ci/)\w+)`", TEXT):
        assert (ROOT / command).stat().st_mode & 0o100, command


def test_a_built_in_loss_is_as_long_as_stated() -> None:
    from lossbench.losses import BUILT_INS

    stated = int(re.search(r"One loss per file\*\*, at most (\d+) lines", TEXT)[1])  # type: ignore[index]
    lengths = [len((ROOT / f"{loss.module.replace('.', '/')}.py").read_text().splitlines()) for loss in BUILT_INS]
    assert max(lengths) <= stated


# --- an addition in the place that the table names, and nowhere else -------------------------------------------------
# A loss: tests/scaffold. A detector: tests/cli/test_crop.py. An option: tests/cli/test_options.py.
# A law: tests/testing/test_breakers.py wants its breaker.


def test_a_data_source_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.data import Augment, sources
    from lossbench.errors import DataError
    from lossbench.runs.options import RunConfig

    def open_two(request: sources.Request) -> sources.Splits:
        return sources.SOURCES["digits"].open(sources.Request(**{**vars(request), "spec": "digits"}))

    added = sources.Source(form="two(dial=value, ...)", open=open_two, epochs=3, batch_size=7, augment=Augment.CROP)
    monkeypatch.setitem(sources.SOURCES, "two", added)
    assert sources.open_data("two").train.class_counts == sources.open_data("digits").train.class_counts
    options = RunConfig(loss="softmax", data="two").resolved(48)
    assert (options.epochs, options.batch_size, options.augment) == (3, 7, "crop")
    with pytest.raises(DataError, match=r"Did you mean 'two'.*two\(dial=value, \.\.\.\)"):
        sources.open_data("twoo")


def test_a_metric_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.errors import ConfigError
    from lossbench.verdict import metric

    added = metric.Metric("worst", "worst recall", lambda counts: float((counts.diagonal() / counts.sum(1)).min()))
    monkeypatch.setattr(metric, "METRICS", (*metric.METRICS, added))
    assert metric.metric_named("worst") is added
    with pytest.raises(ConfigError, match="macro-f1, worst"):
        metric.metric_named("best")


def test_a_backbone_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    from lossbench.models import build, own_images
    from lossbench.models.own_backbones import OwnBackbone

    def flat() -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 5))

    monkeypatch.setitem(build.OWN_BACKBONES, "flat", OwnBackbone(flat, 20))
    assert own_images.own_image_size("flat") == 20
    assert build.check_model("flat", 20) == 5
    assert build.build_model("flat", num_classes=3, image_size=20, seed=0).head.out_features == 3


def test_a_section_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lossbench.report import sections
    from lossbench.report.markdown import markdown
    from lossbench.report.page import page
    from lossbench.report.tables.table import Table
    from lossbench.verdict.judge import compare

    grid = make_records(tmp_path / "grid", {"softmax": 1.0, "center": 0.5}, seeds=3, images=80)

    def greeting(comparison: Any) -> Table:
        return Table("greeting", "", ("word",), (("hello",),))

    monkeypatch.setattr(
        sections, "SECTIONS", (*sections.SECTIONS, sections.Section("greeting", "A greeting", (greeting,)))
    )
    compared = compare(grid)
    for text in (markdown(compared), page(compared)):
        assert "A greeting" in text
        assert "hello" in text


def test_a_command_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from lossbench.cli.app import app

    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))

    @app.command("greet")
    def greet(name: str) -> None:
        """Print a greeting."""
        print(f"hello {name}")

    assert CliRunner().invoke(app, ["greet", "you"]).output == "hello you\n"
    assert "Print a greeting." in CliRunner().invoke(app, ["greet", "--help"]).output
