"""Pictures that all tests of this folder train on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.runs import make_pictures, tiny

from lossbench.harness.run import run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 31 and 6 pictures; don't change it."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def finished_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of softmax with a selection split; a test that changes it puts it back."""
    return run(tiny(pictures, "softmax", epochs=1, carve=True), tmp_path_factory.mktemp("finished") / "run").directory


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A suite that a shell starts in the background inherits that Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
