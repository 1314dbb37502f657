"""Include the distributions under `plugins/` in every test session, whether or not they are installed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from functools import cache
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
    "tests/cli/test_export.py",
    "tests/cli/test_predict.py",
    "tests/cli/test_run.py",
    "tests/cli/test_weights.py",
    "tests/cli/test_what_is.py",
    "tests/engines/test_cluster_page.py",
    "tests/engines/test_ray.py",
    "tests/engines/test_slurm.py",
    "tests/faults/test_cells.py",
    "tests/faults/test_signals.py",
    "tests/harness/test_trained_run.py",
    "tests/models/test_vggface2.py",
    "tests/report/test_outputs.py",
    "tests/report/test_page.py",
    "tests/report/test_run_page.py",
    "tests/scaffold/test_new.py",
}

# What a module imports that starts processes by `tests/warm.py`.
_STARTS_WARM = re.compile(r"^(?:from|import) (?:warm|wheels)\b", re.MULTILINE)

lay_out_plugins()


@cache
def _starts_warm(module: Path) -> bool:
    return _STARTS_WARM.search(module.read_text()) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute single tests, except for the modules above; modules with the most tests come first."""
    from xdist.scheduler import LoadScopeScheduling

    if gone := [module for module in sorted(TOGETHER) if not (config.rootpath / module).is_file()]:
        raise pytest.UsageError(f"conftest.py keeps modules together that do not exist: {', '.join(gone)}")

    class ByModuleWhereShared(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if _starts_warm(config.rootpath / module):
                return "tests/warm.py"  # all on one worker, so that its server is started once
            return module if module in TOGETHER else nodeid

    return ByModuleWhereShared(config, log)
