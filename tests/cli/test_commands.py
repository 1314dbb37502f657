"""The commands that train nothing: list, info, doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from lossbench import registry

LOSSES = ("center", "softmax", "triplet", "weighted-cluster", "weighted-softmax")


def test_list_shows_the_five_losses(lossbench: Any) -> None:
    rows = json.loads(lossbench("list", "--json").out)
    built_in = {row["name"]: row for row in rows if row["status"] == "built-in"}
    assert set(built_in) == set(LOSSES)
    assert all({"name", "summary", "origin", "status"} <= row.keys() for row in rows)
    text = lossbench("list").out
    assert all(row["summary"] in text for row in built_in.values())


def test_list_and_info_show_the_laws_that_a_loss_breaks_by_definition(
    lossbench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"not-negative": "the entropy is subtracted"}
    monkeypatch.setattr("lossbench.registry.specs._registered", {})
    registry.register_loss(replace(registry.loss_info("softmax"), name="entropic", expected_failures=known))
    (row,) = (row for row in json.loads(lossbench("list", "--json").out) if row["name"] == "entropic")
    assert row["expected_failures"] == known
    assert json.loads(lossbench("info", "entropic", "--json").out)["expected_failures"] == known
    for text in (lossbench("list").out, lossbench("info", "entropic").out):
        assert "not-negative" in text
        assert "by definition: the entropy is subtracted" in " ".join(text.split())


@pytest.mark.parametrize("loss", LOSSES)
def test_info_shows_formula_and_hyperparameters(lossbench: Any, loss: str) -> None:
    content = json.loads(lossbench("info", loss, "--json").out)
    assert content["hyperparameters"] == registry.loss_info(loss).hyperparameters
    assert content["required"] == []
    assert content["status"] == "built-in"
    assert " = " in content["formula"]
    text = lossbench("info", loss).out
    assert content["formula"].splitlines()[0] in text
    assert f"trained as        {content['joint'] or loss}" in text


def test_doctor_says_what_there_is(lossbench: Any) -> None:
    done = lossbench("doctor", "--json")
    content = json.loads(done.out)
    assert (done.code, content["usable"]) == (0, True)
    found = {row["what"]: row for row in content["findings"]}
    assert {"lossbench", "torch", "timm", "cpu"} <= found.keys()
    assert found["torch"] == {"state": "ok", "what": "torch", "detail": torch.__version__.partition("+")[0]}
    assert {row["state"] for row in content["findings"]} <= {"ok", "missing", "broken"}
    text = lossbench("doctor").out
    assert all(what in text for what in found)


def test_doctor_ends_with_1_where_a_run_can_t_work(lossbench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.machine import doctor

    monkeypatch.setitem(doctor.RUN_PACKAGES, "timm", "no_such_module")
    done = lossbench("doctor", "--json")
    assert done.code == 1
    broken = [row for row in json.loads(done.out)["findings"] if row["state"] == "broken"]
    assert [row["what"] for row in broken] == ["timm"]
    assert "pip install" in broken[0]["detail"]


def test_the_version_is_told(lossbench: Any) -> None:
    from lossbench import __version__

    assert lossbench("--version").out == f"lossbench {__version__}\n"


@pytest.mark.parametrize("command", ["--help", "run --help", "data inspect --help", "list", "list --json"])
def test_what_needs_no_torch_imports_none(command: str) -> None:
    """Torch takes seconds to import; a fresh process shows what was imported."""
    script = (
        "import sys\nsys.argv[0] = 'lossbench'\nfrom lossbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "loaded = {'torch', 'timm', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "softmax" in done.stdout or "--help" in done.stdout
