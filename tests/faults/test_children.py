"""Processes that lossbench starts import what it imports, and nothing of the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lossbench.children import child_environment, safe_children
from lossbench.cli import main
from lossbench.data.loader import BatchLoader, _set_up_worker
from lossbench.harness.grid.worker_process import WorkerProcess, worker_environment
from lossbench.testing import processes

IMPORT = "import colorsys, decoy; print(colorsys.__file__, decoy.__file__)"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: it holds a module with a library's name. `decoy` is on the path of this process."""
    folder, own = tmp_path / "hostile", tmp_path / "own"
    for place in (folder, own):
        place.mkdir()
        (place / "decoy.py").touch()
    (folder / "colorsys.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(own)])
    return folder


def started(monkeypatch: pytest.MonkeyPatch, start: Any) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of the process that `start` would start."""
    found = []
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda command, **options: found.append((command, options["env"])))
        start()
    return found[0]


def start_worker() -> None:
    WorkerProcess(Path.cwd(), 0, worker_environment(0, 1, 0))


def start_pair() -> None:
    processes._Pair().meeting.cleanup()


@pytest.mark.parametrize("start", [start_worker, start_pair])
def test_a_child_has_the_path_of_its_parent(hostile: Path, monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    command, environment = started(monkeypatch, start)
    assert command[:2] == [sys.executable, "-P"]
    done = subprocess.run([*command[:2], "-c", IMPORT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(hostile) not in done.stdout


def test_an_empty_entry_of_the_path_is_the_parents_directory(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/elsewhere"])
    assert child_environment()["PYTHONPATH"].split(os.pathsep) == [str(hostile), "/elsewhere"]


class Surroundings:
    """A data set whose batches are what its process has on its path."""

    def __getitems__(self, keys: list[int]) -> tuple[str | None, list[str]]:
        return os.environ.get("PYTHONSAFEPATH"), list(sys.path)


def test_a_loader_process_has_the_path_of_its_parent(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    loader = BatchLoader(Surroundings(), [[0]], workers=1, pin_memory=False)  # type: ignore[arg-type]
    try:
        assert list(loader) == [("1", sys.path)]
    finally:
        loader.close()
    assert "PYTHONSAFEPATH" not in os.environ


def test_a_process_that_a_library_starts_imports_nothing_of_the_working_directory(hostile: Path) -> None:
    command = [sys.executable, "-c", "import colorsys"]  # as multiprocessing starts its own
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    with safe_children():
        assert subprocess.run(command, check=False).returncode == 0


def test_a_command_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    monkeypatch.setattr(sys, "argv", ["lossbench", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert dict(os.environ) == before


def test_a_loader_process_whose_run_was_killed_before_it_started_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "_exit", lambda code: (_ for _ in ()).throw(SystemExit(code)))
    with pytest.raises(SystemExit) as end:
        _set_up_worker(os.getpid(), 0)  # its parent is another process
    assert end.value.code == 1
