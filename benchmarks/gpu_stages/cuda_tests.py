"""Stage `tests`: the tests of `tests/cuda`."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gpu_stages.results import Task

ROOT = Path(__file__).parents[2]
WRITE_EVERY = 1.0  # seconds; a file that is synced after each of hundreds of tests would take minutes


def run(task: Task) -> None:
    """Run them; each failure is stored at once."""
    os.chdir(ROOT)
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]  # lossbench is imported
    code = pytest.main(["tests/cuda", *quiet], plugins=[Watch(task)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        task.problem(f"pytest ended with {pytest.ExitCode(code).name}; see the log")
    if task.device == "cpu":
        task.note("Without a CUDA device every test is skipped: this shows only that they can be collected.")


class Watch:
    """A pytest plugin that counts outcomes by test function."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.counts: dict[str, Counter[str]] = {}
        self.written = 0.0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return  # set-up and clean-up that went well
        name = report.nodeid.rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
        self.counts.setdefault(name, Counter())[report.outcome] += 1
        if report.outcome == "failed":
            why = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
            self.task.problem(f"{report.nodeid}: {why[:300]}")
        if time.monotonic() - self.written > WRITE_EVERY:
            self.pytest_sessionfinish()

    def pytest_sessionfinish(self) -> None:
        self.written = time.monotonic()
        self.task.table(
            {"test": name, **{outcome: counts[outcome] for outcome in ("passed", "failed", "skipped")}}
            for name, counts in self.counts.items()
        )
