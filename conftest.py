"""Include the distributions under `plugins/` in every test session, whether or not they are installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# One thread for each test and each program that it starts: with more, workers and BLAS threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "tests"))

from plugin_sites import lay_out_plugins

pytest_plugins = ["suite_defaults", "made_detector"]

# Modules that can be imported only with an extra, which the search for examples in docstrings leaves out without it.
collect_ignore = [] if importlib.util.find_spec("skorch") else ["lossbench/skorch.py"]

# Modules whose tests share a costly fixture: each runs on one worker. Listed here because xdist 3.8 silently ignores
# `xdist_group` under pytest 9.2 (pytest-xdist issue 1386).
TOGETHER = {
    "tests/cli/test_compare.py",
    "tests/cli/test_run.py",
    "tests/cli/test_weights.py",
    "tests/cli/test_what_is.py",
    "tests/engines/test_ray.py",
    "tests/engines/test_slurm.py",
    "tests/faults/test_signals.py",
    "tests/models/test_vggface2.py",
    "tests/report/test_outputs.py",
    "tests/report/test_page.py",
    "tests/scaffold/test_new.py",
}

# Modules that start processes by `tests/warm.py`: all on one worker, so that its server is started once.
WARM = {
    "plugins/lossbench-metric-learning/tests/test_two_processes.py",
    "tests/distributed/test_two_processes.py",
    "tests/faults/test_strangers.py",
    "tests/faults/test_systems.py",
    "tests/own_loop/test_attach_processes.py",
    "tests/plugins/test_broken.py",
    "tests/test_plugins.py",
    "tests/testing/test_kit.py",
}

lay_out_plugins()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute single tests, except for the modules above; modules with the most tests come first."""
    from xdist.scheduler import LoadScopeScheduling

    if gone := [module for module in sorted(TOGETHER | WARM) if not (config.rootpath / module).is_file()]:
        raise pytest.UsageError(f"conftest.py keeps modules together that do not exist: {', '.join(gone)}")

    class ByModuleWhereShared(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if module in WARM:
                return "tests/warm.py"
            return module if module in TOGETHER else nodeid

    return ByModuleWhereShared(config, log)
