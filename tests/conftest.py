"""Settings that all tests share: hypothesis profiles, one thread, a cache directory of their own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("suite", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=1000)  # pytest --hypothesis-profile deep
settings.register_profile("chaos", deadline=None, max_examples=10_000)  # as benchmarks/chaos.py --hostile
settings.load_profile("suite")

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A directory without write permission; the tests run as `nobody` while it exists if they were started by root."""
    as_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        if as_root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if as_root:
                os.seteuid(0)
            os.chmod(name, 0o700)
