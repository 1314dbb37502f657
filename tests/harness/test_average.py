"""The moving average of the weights: its values, what is evaluated, and that a checkpoint keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from faults.runs import make_pictures, tiny
from safetensors.torch import load_file

from lossbench.errors import ConfigError
from lossbench.harness.checkpoints.state import gather_shared, restore_shared
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.run import run
from lossbench.harness.training.average import averaged
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.harness.training.trainer import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


def trainer_of(data: Path, ema: float) -> Trainer:
    task = prepare(tiny(data, "softmax", epochs=1, ema=ema), SilentReporter())
    return build_trainer(task, build_accelerator(task.config))


def weight_of(model: Any) -> torch.Tensor:
    return model.head.weight.detach().clone()


def test_the_average_is_that_of_the_formula_and_a_checkpoint_keeps_it(data: Path) -> None:
    trainer = trainer_of(data, 0.75)
    assert trainer.average is not None
    expected, seen = weight_of(trainer.step.model), []

    def after_step() -> float:
        nonlocal expected
        seen.append(weight_of(trainer.step.model))
        expected = 0.75 * expected + 0.25 * seen[-1]
        return 0.0

    trainer.run_epoch(0, 1, SilentReporter(), after_step)
    assert len(seen) == 4
    torch.testing.assert_close(weight_of(trainer.average.module), expected)

    with averaged(trainer.step.model, trainer.average):
        assert torch.equal(weight_of(trainer.step.model), weight_of(trainer.average.module))
    assert torch.equal(weight_of(trainer.step.model), seen[-1])

    other = trainer_of(data, 0.75)
    restore_shared(other, *gather_shared(trainer))
    assert other.average is not None
    for name, value in trainer.average.module.state_dict().items():
        assert torch.equal(other.average.module.state_dict()[name], value), name


def test_the_average_is_what_a_run_evaluates_and_writes(data: Path, tmp_path: Path) -> None:
    last, average = (
        run(tiny(data, "softmax", epochs=1, carve=True, ema=ema), tmp_path / str(ema)) for ema in (0.0, 0.999)
    )
    weights = [
        load_file(each.directory / "checkpoint/weights.safetensors")["model.head.weight"] for each in (last, average)
    ]
    start = weight_of(trainer_of(data, 0.0).step.model)
    moved = [float((weight - start).norm()) for weight in weights]
    assert 0 < moved[1] < 0.05 * moved[0]  # four steps of a thousandth
    assert last.record is not None
    assert average.record is not None
    assert average.record.config["ema"] == 0.999
    history = [(each.directory / "history.jsonl").read_text().partition('"seconds"')[0] for each in (last, average)]
    assert history[0] == history[1]  # training itself is the same


def test_a_decay_of_one_is_refused(data: Path) -> None:
    with pytest.raises(ConfigError, match="--ema must be at least 0 and below 1, got 1"):
        tiny(data, ema=1.0)
