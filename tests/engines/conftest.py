"""Fixtures of the tests on real engines."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import elsewhere, lossbench

__all__ = ["elsewhere", "lossbench"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def slurm_packages() -> None:
    """Skips unless a Slurm can be started here and jobs can be submitted."""
    if os.geteuid() != 0:
        pytest.skip("only root can start slurmd")
    if missing := [name for name in ("munged", "slurmctld", "slurmd") if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} not found: apt-get install slurm-wlm munge")
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("submitit is missing: pip install 'lossbench[slurm]'")


@pytest.fixture(scope="module")
def slurm(slurm_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A running Slurm."""
    folder, script = tmp_path_factory.mktemp("slurm"), ROOT / "scripts/slurm-here"
    started = subprocess.run([script, "start", folder], capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 0, started.stderr
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            patch.setenv("OMP_NUM_THREADS", "1")
            yield
            subprocess.run(["scancel", "--user=root"], timeout=60, check=False)
    finally:
        subprocess.run([script, "stop", folder], timeout=60, check=True)
