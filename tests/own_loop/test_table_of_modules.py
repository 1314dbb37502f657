"""The table of `benchmarks/any_module.py`: every loss in each way that an ordinary module is used."""

from __future__ import annotations

import any_module
import pytest
from every_loss import NAMES

QUICK = ("pickle", "checkpointing")  # the others of the quick ones are in test_any_module.py


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_passes_the_quick_checks(name: str) -> None:
    assert [any_module.CHECKS[title](name) for title in QUICK] == [""] * len(QUICK)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # torch's own, while it exports and compiles
@pytest.mark.parametrize("title", ["compile", "export", "onnx"])
@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_compiled_and_every_model_exported(name: str, title: str) -> None:
    assert any_module.CHECKS[title](name) in ("", "not installed")
