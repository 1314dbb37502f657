"""Make lossbench, its plugins and these scripts importable by every process, where nothing is installed."""

from __future__ import annotations

import atexit
import importlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_NEEDED = ("optuna", "pytorch-metric-learning")  # imported only to tune, and to compare with; MAP@R is left out


def make_importable() -> None:
    """Extend the path of this process and of those that it starts."""
    own = [str(ROOT), *(str(ROOT / name) for name in ("tests", "benchmarks"))]
    sys.path[:] = [*own, *(entry for entry in sys.path if entry not in own)]
    sites = importlib.import_module("plugin_sites")  # of tests/
    if not _is_installed("lossbench"):
        site = Path(tempfile.mkdtemp(prefix="lossbench-"))
        atexit.register(shutil.rmtree, site, ignore_errors=True)
        sites.write_metadata(ROOT, site)
        own.append(str(site))
        sys.path.append(str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*own, os.environ.get("PYTHONPATH")]))
    sites.lay_out_plugins()


def missing_packages() -> list[str]:
    """Return the requirements of lossbench, and pytest, that are not installed and are needed here."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[<>=!~ \[;]", text, maxsplit=1)[0] for text in (*required, "pytest")]
    return [name for name in names if name not in NOT_NEEDED and not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
