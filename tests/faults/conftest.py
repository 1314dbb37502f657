"""Pictures that all tests of this folder train on."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.runs import make_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 31 and 6 pictures; don't change it."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))
