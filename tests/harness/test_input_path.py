"""How batches get from the loader into the first convolution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lossbench.harness.evaluation.evaluate import predict
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.harness.training.trainer import Trainer
from lossbench.runs.options import RunConfig

DATA = "synthetic(images=24,test_images_per_class=1)"


@pytest.fixture(params=[0, 1], ids=["no worker", "a worker"])
def trainer(request: pytest.FixtureRequest) -> Trainer:
    config = RunConfig(
        loss="softmax", data=DATA, batch_size=8, epochs=1, image_size=32, device="cpu", workers=request.param
    )
    task = prepare(config, SilentReporter())
    task.train.prepare()
    return build_trainer(task, build_accelerator(task.config))


def test_convolutions_see_images_and_weights_with_channels_last(trainer: Trainer) -> None:
    seen: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        weight = next(module.parameters())
        seen.extend(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (inputs[0], weight))

    for module in trainer.step.model.backbone.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.register_forward_pre_hook(look)
    trainer.run_epoch(0, 1, SilentReporter())
    assert seen
    assert all(seen)


def test_the_wait_for_data_is_part_of_the_epoch(trainer: Trainer) -> None:
    trainer.run_epoch(0, 1, SilentReporter())
    assert 0 < trainer.clock.data_wait_seconds < trainer.train_seconds


def test_evaluation_sees_the_share_that_the_weights_want(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.harness.evaluation import evaluate

    shares: list[float] = []

    class Looking(evaluate.ImageBatches):
        def image(self, epoch: int, row: int) -> object:
            shares.append(self.crop_share)
            return super().image(epoch, row)

    monkeypatch.setattr(evaluate, "ImageBatches", Looking)
    model = trainer.step.model
    model.preprocessing = model.preprocessing.__class__(**{**vars(model.preprocessing), "crop_share": 0.875})
    table = trainer.batches.table
    predict(trainer.accelerator, trainer.step, table, image_size=32, batch_size=8, workers=0)
    assert shares == [0.875] * len(table)
