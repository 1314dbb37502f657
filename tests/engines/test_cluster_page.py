"""The commands of docs/cluster.md, as they stand there, on a Slurm and a Ray of one machine.

Left out are only the lines that install packages: `.ci/run` does so.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import make_faces

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cluster.md").read_text()
INSTALLS = re.compile(r"(pip|apt-get) install ")


def commands(section: str, number: int = 0) -> list[str]:
    """The commands of one of the code blocks of a section."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[number]).splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory in which the commands work: the manifest that they name, and the scripts of the project."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    make_faces(tmp_path / "faces", {"amber": 24, "blue": 12, "cyan": 10})
    return tmp_path


def run(folder: Path, lines: list[str], **variables: str) -> str:
    """Run commands in one shell, which ends at the first that fails; return what they printed."""
    script = "set -euxo pipefail\n" + "\n".join(line for line in lines if not INSTALLS.match(line))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=own, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return f"{done.stdout}\n{done.stderr}"


def processes_of(grid: Path) -> list[int]:
    """The number of processes of each finished cell."""
    records = [json.loads(record.read_text()) for record in grid.glob("cells/*/record.json")]
    return [record["environment"]["processes"] for record in records]


@pytest.fixture
def started(slurm_packages: None, folder: Path) -> Iterator[dict[str, str]]:
    """The Slurm that the page starts, and the variable that it prints."""
    _, start, stop = commands("Slurm", 1)
    printed = run(folder, [start, 'echo "conf is $SLURM_CONF"'])
    try:
        yield {"SLURM_CONF": re.findall(r"^conf is (.*)", printed, re.MULTILINE)[0]}
    finally:
        run(folder, [stop])


def test_grids_on_slurm(folder: Path, started: dict[str, str]) -> None:
    printed = run(folder, commands("Slurm"), **started)
    assert "submitted 4 Slurm jobs" in printed
    assert "To write the report" in printed
    assert processes_of(folder / "grid") == [1] * 10
    run(folder, commands("Several GPUs per cell"), **started)
    assert processes_of(folder / "together") == [2] * 2
    run(folder, commands("By hand"), **started)
    assert processes_of(folder / "grid-by-hand") == [1] * 2


def test_one_run_on_several_machines(folder: Path) -> None:
    run(folder, commands("One run on several machines"), HEAD="127.0.0.1")
    assert json.loads((folder / "run/record.json").read_text())["environment"]["processes"] == 4


def test_one_run_as_a_job_of_slurm(folder: Path, started: dict[str, str]) -> None:
    run(folder, commands("One run on several machines", 1), **started)
    assert json.loads((folder / "run-by-slurm/record.json").read_text())["environment"]["processes"] == 2


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is missing: pip install 'lossbench[ray]'")
def test_grids_on_ray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # by default, tasks give way to everything else
    _, alone, on_cluster = commands("Ray")
    run(folder, [alone])
    assert processes_of(folder / "grid-ray") == [1] * 4
    # The GPU is only a name.
    node = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        run(folder, [on_cluster], RAY_ADDRESS=cluster.address)
    finally:
        cluster.shutdown()
    assert processes_of(folder / "grid-ray") == [1] * 6


def test_the_page_installs_what_the_project_names() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = re.findall(r"^pip install 'lossbench\[(\w+)\]'$", PAGE, re.MULTILINE)
    assert set(installed) == {"slurm", "ray"} <= extras.keys()
    (packages,) = re.findall(r"^apt-get install (.*)$", PAGE, re.MULTILINE)
    assert f"--no-install-recommends {packages};" in (ROOT / ".ci/run").read_text()
