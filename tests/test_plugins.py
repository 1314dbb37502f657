"""Losses of other distributions: real wheels, made here by hand, installed by pip, and used from another process."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest
from wheels import LOSS, MARKED, Shell, Wheel, entry, install, loss_module

import lossbench

ORIGIN = (
    LOSS
    + """
class Origin:
    def names(self):
        return ["RoundLoss", "SquareLoss", "FlatLoss", "LostLoss"]

    def spec(self, name):
        if name == "SquareLoss":
            raise RuntimeError("no square")
        return "no spec" if name == "FlatLoss" else spec(f"shapes/{name}") if name == "RoundLoss" else {}[name]

ORIGIN = Origin()
"""
)


WHEELS = (
    Wheel("my-dist", loss_module("my-plugin"), entry("my-plugin", "my_dist")),
    # two distributions of one name
    Wheel("twin-a", loss_module("twin"), entry("twin", "twin_a")),
    Wheel("twin-b", loss_module("twin"), entry("twin", "twin_b")),
    Wheel("pretender", loss_module("softmax"), entry("softmax", "pretender")),
    Wheel(
        "shapes-adapter", ORIGIN.replace("NAME", "'unused'"), "[lossbench.origins]\nshapes = shapes_adapter:ORIGIN\n"
    ),
    # broken, each in its own way
    Wheel("bad-import", MARKED + "import no_such_module", entry("bad-import", "bad_import")),
    Wheel("bad-exit", MARKED + "import sys; sys.exit(3)", entry("bad-exit", "bad_exit")),
    Wheel("bad-object", loss_module("bad-object"), entry("bad-object", "bad_object", "SPECK")),
    Wheel("bad-type", MARKED + "SPEC = 'softmax'", entry("bad-type", "bad_type")),
    Wheel("bad-name", loss_module("other-name"), entry("bad-name", "bad_name")),
    Wheel("bad-version", loss_module("bad-version"), entry("bad-version", "bad_version"), ("lossbench>=99",)),
    Wheel(
        "bad-requirement",
        loss_module("bad-requirement"),
        entry("bad-requirement", "bad_requirement"),
        ("lossbench ?? 1",),
    ),
    Wheel("bad-origin", MARKED + "ORIGIN = 3", "[lossbench.origins]\nbad = bad_origin:ORIGIN\n"),
    Wheel(
        "bad-names",
        MARKED + "class ORIGIN:\n    names = staticmethod(lambda: 1 / 0)\n    spec = None.__class__\n",
        "[lossbench.origins]\nnameless = bad_names:ORIGIN\n",
    ),
    # not about lossbench's needs: an extra that is not asked for
    Wheel(
        "with-extra", loss_module("with-extra"), entry("with-extra", "with_extra"), ('lossbench>=99; extra == "new"',)
    ),
)
REASONS = {
    "bad-import": "'bad-import' of bad-import 1.2 (bad_import:SPEC) cannot be imported: ModuleNotFoundError: "
    "No module named 'no_such_module'",
    "bad-exit": "'bad-exit' of bad-exit 1.2 (bad_exit:SPEC) cannot be imported: SystemExit: 3",
    "bad-object": "cannot be imported: AttributeError: module 'bad_object' has no attribute 'SPECK'",
    "bad-type": "'bad-type' of bad-type 1.2 (bad_type:SPEC) must be a LossSpec, got str",
    "bad-name": "has a different name in its entry point than in its LossSpec, 'other-name'",
    "bad-version": f"needs lossbench>=99, but this is {lossbench.__version__}. Install compatible versions",
    "bad-requirement": "has an invalid requirement: 'lossbench ?? 1'",
    "bad/*": "'bad' of bad-origin 1.2 (bad_origin:ORIGIN) must have names() and spec(name)",
    "nameless/*": "cannot list its losses: ZeroDivisionError: division by zero",
    "shapes/SquareLoss": "cannot be adapted: RuntimeError: no square",
    "shapes/FlatLoss": "must be a LossSpec, got str",
    "shapes/LostLoss": "cannot be adapted: KeyError: 'LostLoss'",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all plugins, installed as pip installs."""
    refused = [wheel for wheel in WHEELS if wheel.distribution == "bad-requirement"]
    return install([w for w in WHEELS if w not in refused], tmp_path_factory.mktemp("plugins"), refused)


@pytest.fixture
def shell(site: Path, tmp_path: Path) -> Shell:
    return Shell(site, tmp_path)


def test_list_imports_no_plugin(shell: Shell) -> None:
    rows = shell.rows()
    row = rows["my-plugin", "my-dist"]
    assert (row["status"], row["summary"], row["version"]) == ("installed", None, "1.2")
    assert {rows[name, name]["status"] for name in REASONS if (name, name) in rows} == {"installed"}
    assert rows["shapes/*", "shapes-adapter"]["status"] == "installed"
    assert {rows["twin", "twin-a"]["status"], rows["twin", "twin-b"]["status"]} == {"ambiguous"}
    assert rows["softmax", "lossbench"]["status"] == "built-in"
    assert rows["softmax", "pretender"]["status"] == "ambiguous"
    assert not shell.imported


def test_load_judges_each_and_a_later_list_knows(shell: Shell) -> None:
    rows = shell.rows("--load")
    assert rows["my-plugin", "my-dist"]["status"] == "usable"
    assert rows["my-plugin", "my-dist"]["summary"] == "my-plugin of my_dist."
    assert rows["with-extra", "with-extra"]["status"] == "usable"
    assert rows["shapes/RoundLoss", "shapes-adapter"]["status"] == "usable"
    assert rows["twin", "twin-a"]["status"] == rows["softmax", "pretender"]["status"] == "ambiguous"
    broken = {row["name"]: row["reason"] for row in rows.values() if row["status"] == "broken"}
    assert broken.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in broken[name]
    assert "bad_version" not in shell.imported  # refused before its import
    imported = shell.imported

    for marker in (shell.home / "markers").iterdir():
        marker.unlink()
    later = shell.rows()
    assert later["my-plugin", "my-dist"]["summary"] == "my-plugin of my_dist."
    assert later["bad-exit", "bad-exit"]["status"] == "installed"
    assert REASONS["bad-exit"] in later["bad-exit", "bad-exit"]["reason"]
    assert imported
    assert not shell.imported


@pytest.mark.parametrize("content", ["", "[]", "{", '{"my-dist==1.2:my-plugin": 3}', '{"my-dist==1.2:my-plugin": {}}'])
def test_a_corrupted_memory_is_forgotten(shell: Shell, content: str) -> None:
    memory = shell.home / "cache/lossbench/plugins.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(content)
    assert shell.rows()["my-plugin", "my-dist"]["summary"] is None


def test_a_corrupted_memory_is_written_again(shell: Shell) -> None:
    memory = shell.home / "cache/lossbench/plugins.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("[]")
    shell("-c", "import lossbench; lossbench.loss_info('my-plugin')")
    assert shell.rows()["my-plugin", "my-dist"]["summary"] == "my-plugin of my_dist."
    assert [path.name for path in memory.parent.iterdir()] == ["plugins.json"]


def test_plugins_in_use(shell: Shell) -> None:
    """One process: asking loads what is asked for and nothing else, and errors name what to do."""
    shell("-c", dedent("""
        import os, pathlib
        import lossbench
        from lossbench.errors import PluginError, UnknownLossError

        context = lossbench.LossContext(num_classes=2, embedding_dim=2, class_counts=(3, 1))
        imported = lambda: {path.name for path in pathlib.Path(os.environ["MARKERS"]).iterdir()}

        def refused(error, name):
            try:
                lossbench.create_loss(name, context)
            except error as caught:
                return str(caught)
            raise AssertionError(f"{name} was accepted")

        assert "my-plugin" in lossbench.list_losses() and "twin" not in lossbench.list_losses()
        loss = lossbench.create_loss("my-plugin(slope=2) + 0.1*center", context)
        assert loss.terms[0].slope == 2 and type(loss.terms[0]).__module__ == "my_dist"
        assert lossbench.loss_info("my-dist/my-plugin") is lossbench.loss_info("my-plugin")
        assert imported() == {"my_dist"}, imported()

        said = refused(UnknownLossError, "twin")
        assert "2 distributions have a loss 'twin'; use one of: twin-a/twin, twin-b/twin" in said, said
        assert type(lossbench.create_loss("twin-b/twin", context)).__module__ == "twin_b"
        assert imported() == {"my_dist", "twin_b"}, imported()

        assert type(lossbench.create_loss("softmax", context)).__module__ == "lossbench.losses.softmax"
        assert type(lossbench.create_loss("pretender/softmax", context)).__module__ == "pretender"

        assert type(lossbench.create_loss("shapes/RoundLoss(slope=3)", context)).__module__ == "shapes_adapter"
        assert "Did you mean 'RoundLoss'" in refused(UnknownLossError, "shapes/RoundLos")
        assert "no square" in refused(PluginError, "shapes/SquareLoss")

        for name in ("bad-import", "bad-exit", "bad-object", "bad-type", "bad-version", "bad-requirement"):
            assert name in refused(PluginError, name)
        assert "pip uninstall bad-exit" in refused(PluginError, "bad-exit")
        assert "Did you mean 'my-plugin'" in refused(UnknownLossError, "my-plugn")

        errors = lossbench.plugin_errors()
        assert "bad-exit/bad-exit" in errors and "my-dist/my-plugin" not in errors
    """))  # fmt: skip


def test_a_distribution_twice_on_the_path_counts_once(shell: Shell, tmp_path: Path) -> None:
    again = tmp_path / "again"
    zipfile.ZipFile(WHEELS[0].write(tmp_path)).extractall(again)
    code = f"import sys; sys.path.append({str(again)!r}); import lossbench; lossbench.loss_info('my-plugin')"
    shell("-c", code)


def test_the_command_line_refuses_a_broken_plugin_without_a_traceback(shell: Shell) -> None:
    done = shell("-m", "lossbench", "info", "bad-exit", code=2)
    assert done.err.startswith("error: 'bad-exit' of bad-exit 1.2")
    assert "Traceback" not in done.err
    assert done.out == ""


def test_damaged_metadata_of_another_distribution_hides_no_loss(shell: Shell, tmp_path: Path) -> None:
    info = tmp_path / "damaged-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: damaged\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[lossbench.losses]\nno equals sign\n")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import lossbench; print(*lossbench.list_losses())"
    assert "my-plugin" in shell("-c", code).out.split()


@pytest.mark.slow
def test_a_plugin_trains(shell: Shell) -> None:
    shell(
        "-m", "lossbench", "run", "--loss", "my-plugin(slope=0.5)", "--data", "digits", "--epochs", "1",
        "--image-size", "32", "--device", "cpu", "--out", "out",
    )  # fmt: skip
    record = json.loads((shell.home / "out/record.json").read_text())
    assert record["formula"] == "my-plugin(slope=0.5)"
    assert record["metrics"]["balanced_accuracy"] > 0
