"""Steps that are replayed as CUDA graphs, as far as that goes on the CPU: what is compiled, and what stays eager."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lossbench.data import Sampler
from lossbench.data.loading import EpochBatches
from lossbench.data.rendered_faces import RenderedFaces, open_rendered_faces
from lossbench.errors import ConfigError
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.training import build
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.harness.training.captured import captured_rows, compile_options
from lossbench.runs.options import RunConfig

GRAPH = {"compile": True, "compile_mode": "reduce-overhead"}


@pytest.mark.parametrize(
    ("options", "processes", "rows"),
    [
        ({}, 1, None),
        ({"compile": True}, 1, None),
        (GRAPH, 1, 10),
        ({**GRAPH, "micro_batches": 3}, 1, 4),
        (GRAPH, 3, 4),
        ({**GRAPH, "batch_size": 64}, 1, 24),  # of all images
    ],
)
def test_micro_batches_of_full_batches_are_captured(options: dict[str, Any], processes: int, rows: int | None) -> None:
    config = RunConfig(**{"loss": "softmax", "batch_size": 10, **options}).resolved(32)
    train, _ = open_rendered_faces(RenderedFaces(images=24, imbalance=1, test_images_per_class=1))
    batches = EpochBatches(train, config.batch_size, seed=0, sampler=Sampler.NATURAL, processes=processes)
    assert captured_rows(config, batches) == rows


def test_a_mode_of_compiling_needs_compiling() -> None:
    assert compile_options("reduce-overhead") == {"mode": "reduce-overhead", "dynamic": False}
    assert compile_options("default") == {}
    with pytest.raises(ConfigError, match="--compile-mode reduce-overhead applies with --compile only"):
        RunConfig(loss="softmax", compile_mode="reduce-overhead")


@pytest.mark.long  # tracing a network takes seconds
def test_the_smaller_last_batch_is_eager_and_outputs_are_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        def run(*arguments: Any) -> Any:
            called.extend(
                tensor.shape[0] for tensor in arguments if tensor.ndim == 4 and tensor.shape[1:] == (3, 32, 32)
            )
            return graph.forward(*arguments)

        return run

    monkeypatch.setattr(build, "compile_options", lambda mode: {"backend": backend, "dynamic": False})
    monkeypatch.setattr("lossbench.harness.checks.shutil.which", lambda name: name)
    data = "synthetic(images=27, test_images_per_class=1)"
    losses = []
    for more in ({}, GRAPH):
        config = RunConfig(loss="softmax", data=data, batch_size=8, epochs=1, image_size=32, device="cpu", **more)
        task = prepare(config, SilentReporter())
        task.train.prepare()
        torch._dynamo.reset()
        trainer = build_trainer(task, build_accelerator(task.config))
        losses.append(trainer.run_epoch(0, 1, SilentReporter()).loss)
    rows = len(task.train)
    assert rows % 8
    assert called == [8] * (rows // 8)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
