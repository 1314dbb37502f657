"""The suite's defaults: which tests are left out, and when workers start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import os
import pytest

def test_plain():
    print("worker", os.environ.get("PYTEST_XDIST_WORKER", "none"))

@pytest.mark.slow
def test_that_trains():
    import time; time.sleep(1)

@pytest.mark.slow
def test_that_trains_too(): ...

def test_quick(): ...

@pytest.mark.long
def test_search(): ...

@pytest.mark.clients
def test_client(): ...
"""
SETTINGS = "[pytest]\ntestpaths = .\nmarkers =\n    slow\n    long\n    clients\n    engines\n"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text(SETTINGS)
    return folder


def run(suite: Path, *arguments: str) -> str:
    """Return what pytest prints in the small suite, with the defaults of this one."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ("-p", "xdist", "-p", "suite_defaults", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-s", *plugins, *arguments]
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_path_starts_no_workers_and_says_what_was_left_out(suite: Path) -> None:
    printed = run(suite, "test_some.py")
    assert "worker none" in printed
    assert "4 passed, 2 deselected" in printed
    assert "left out: 1 long, 1 clients; run marked tests with --all or -m NAME" in printed


def test_the_whole_suite_starts_workers_and_says_the_same(suite: Path) -> None:
    printed = run(suite, "--maxprocesses", "1")
    assert "1 worker" in printed
    assert "left out: 1 long, 1 clients" in printed


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (("--all",), "6 passed"),
        (("-m", "long"), "1 passed, 5 deselected"),
        (("-m", "long or clients"), "2 passed, 4 deselected"),
        (("test_some.py::test_search",), "1 passed"),
    ],
    ids=str,
)
def test_what_is_named_runs(suite: Path, arguments: tuple[str, ...], outcome: str) -> None:
    assert outcome in run(suite, *arguments, "-n", "0")


def test_a_time_limit_runs_quick_tests_first_and_says_what_did_not_start(suite: Path) -> None:
    printed = run(suite, "test_some.py", "--time-limit", "0.9")
    assert "3 passed, 1 skipped, 2 deselected" in printed
    assert "left out: 1 long, 1 clients, 1 by --time-limit" in printed
