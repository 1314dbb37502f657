"""What all tests share: hypothesis profiles, one thread, the golden cases."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=1000)  # pytest --hypothesis-profile deep
settings.load_profile("suite")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder of golden cases, which lies beside the repository and not in it."""
    folder = Path(__file__).parents[2] / "shared/oracles"
    if not (folder / "cases.json").exists():
        pytest.skip(f"no golden cases at {folder}")
    return folder
