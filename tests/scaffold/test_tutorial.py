"""docs/plugins.md, carried out: each command in its order, the loss written as the page writes it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_sites import write_metadata

import lossbench
from lossbench.scaffold import KINDS, write_package

REPOSITORY = Path(lossbench.__file__).parents[1]
PAGE = (REPOSITORY / "docs/plugins.md").read_text()
TUTORIAL = PAGE.partition("## From a formula")[2].partition("\n## ")[0]

# One process for all of them, as starting one takes long. The laws are looked for quickly: that each holds of a
# scaffold is another test's business.
RUN = """
import sys
from unittest import mock
import pytest
from lossbench.cli import main
from lossbench.testing.effort import Effort

with mock.patch("lossbench.testing.pytest_support.Effort", lambda: Effort(examples=3, compile=False)):
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--import-mode=importlib"]
    assert pytest.main([*options, "poly-one", "--rootdir", "poly-one", "-c", "poly-one/pyproject.toml"]) == 0
for line in sys.argv[1:]:
    sys.argv = line.split("|")
    print("$", *sys.argv, flush=True)
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
"""


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_page_has_every_kind() -> None:
    for kind, what in KINDS.items():
        assert f"| {kind} | {what} |" in PAGE


@pytest.mark.long
def test_the_tutorial_leads_to_trained_runs(tmp_path: Path) -> None:
    written, installed, tested, *rest = commands()
    assert written == ["lossbench", "new", "poly-one", "--kind", "per-sample-logits"]
    assert installed == ["pip", "install", "-e", "poly-one"]
    assert tested == ["python", "-m", "pytest", "poly-one"]
    write_package("poly-one", "per-sample-logits", tmp_path)
    write_metadata(tmp_path / "poly-one", tmp_path)  # what an editable install leaves: metadata, and a path
    (code,) = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
    (tmp_path / "poly-one" / "poly_one.py").write_text(code)
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, tmp_path / "poly-one", REPOSITORY))),
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    quick = ["--examples", "3", "--no-compile"]
    lines = ["|".join([*line, *(quick if line[1] == "check" else [])]) for line in rest]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *lines], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "poly-one obeys all" in done.stdout
    for name, formula in (("poly-one", "poly-one(epsilon=2)"), ("poly-one-center", "poly-one + 0.001*center")):
        record = json.loads((tmp_path / "runs" / name / "record.json").read_text())
        assert record["formula"] == formula
        assert record["metrics"]["balanced_accuracy"] > 0
