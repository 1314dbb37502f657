"""Defaults of the test suite, loaded by the root `conftest.py`.

Without paths, pytest starts one worker per core (at most eight) and lists every skip with its reason; with paths it
starts no workers and lists nothing, so that one file runs as fast as it can. `-n` overrides the number of workers.

Tests marked `long`, `clients` or `engines` are left out unless `-m` names the marker, a test is given by its full
name (`file.py::test`), or `--all` is passed. The last line says how many were left out.

Collection runs without garbage collection, which would take a third of its time, and what it made is not looked at
again by later collections.

What a test that kills runs passes to `record_property("lost", text)` is printed after the tests.

`--time-limit SECONDS` (`scripts/check`) runs quick tests before slow ones and skips those that start later than that.
"""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

ON_REQUEST = ("long", "clients", "engines")
MAX_WORKERS = 8
LOST, MOST_TOLD = "lost", 3  # record_property(LOST, text): printed after the tests
gc.disable()  # until the tests are collected
LEFT_OUT = pytest.StashKey[Counter[str]]()
STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--all` and `--time-limit`."""
    names, group = ", ".join(ON_REQUEST), parser.getgroup("general")
    group.addoption("--all", action="store_true", help=f"also run tests marked {names}")
    group.addoption("--time-limit", type=float, metavar="SECONDS", help="skip tests that have not started by then")


@pytest.hookimpl(tryfirst=True)  # before xdist counts its workers
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Choose workers and report for a run of the whole suite."""
    config.stash[LEFT_OUT], config.stash[STARTED] = Counter(), time.monotonic()
    option = config.option
    if config.args_source is pytest.Config.ArgsSource.ARGS or hasattr(config, "workerinput"):
        return
    option.reportchars = option.reportchars or "a"
    if getattr(option, "numprocesses", 0) is None and not option.usepdb and not option.collectonly:
        option.numprocesses, option.maxprocesses = "logical", option.maxprocesses or MAX_WORKERS


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect garbage again once the tests are collected."""
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put quick tests first if time is limited, and deselect the tests that run on request only."""
    if config.option.time_limit is not None:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    if config.option.all or any("::" in argument for argument in config.args):
        return
    left_out = [name for name in ON_REQUEST if not re.search(rf"\b{name}\b", config.option.markexpr)]
    counted: Counter[str] = Counter()
    kept, deselected = [], []
    for item in items:
        marked = next((name for name in left_out if item.get_closest_marker(name)), None)
        if marked is None:
            kept.append(item)
        else:
            deselected.append(item)
            counted[marked] += 1
    if deselected:
        items[:] = kept
        config.hook.pytest_deselected(items=deselected)
    config.stash[LEFT_OUT].update(counted)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = dict(counted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that starts after the time limit."""
    limit = item.config.option.time_limit
    if limit is not None and time.monotonic() > item.config.stash[STARTED] + limit:
        item.config.stash[LEFT_OUT]["by --time-limit"] += 1
        pytest.skip(f"not started within {limit:g} s")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Read the counts of an xdist worker; each worker collects the whole suite, so their counts are equal."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what tests that kill runs lost, and how many tests were left out."""
    for report in terminalreporter.getreports("passed"):
        if told := [str(text) for name, text in report.user_properties if name == LOST]:
            more = f"; {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
            terminalreporter.write_line(f"{report.nodeid}: {'; '.join(told[:MOST_TOLD])}{more}")
    if counted := config.stash.get(LEFT_OUT, None):
        counts = ", ".join(f"{number} {name}" for name, number in counted.items())
        terminalreporter.write_line(f"left out: {counts}; run marked tests with --all or -m NAME")
