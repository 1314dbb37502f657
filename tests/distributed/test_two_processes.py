"""Two real processes on the CPU: they agree with each other, and with one process where that is promised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from warm import start, start_ranks

from lossbench.harness.checkpoints.bad_batch import read_bad_batch
from lossbench.harness.checkpoints.replay import replay

pytestmark = pytest.mark.slow

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
GATHERED = "gathered"  # triplet with --gather
NORMALISED = "weighted-cluster"  # also trained with batch normalization
TRAINED = [(loss, "test_vit") for loss in LOSSES] + [(NORMALISED, "test_resnet")]
# Ten steps of nine rows, an uneven share each; the last step has three rows.
ROWS, BATCH = 84, 9

TRAIN = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.runs.options import RunConfig
from lossbench.harness.evaluation.evaluate import predict, share_running_statistics
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter

manifest, out, losses, normalised = sys.argv[1:]
for loss in losses.split(","):
    gather = loss == "gathered"
    for model, image_size in (("test_vit", 32), ("test_resnet", 64))[: 1 + (loss == normalised)]:
        config = RunConfig(
            loss="triplet" if gather else loss, data=f"csv:{manifest}", model=model, image_size=image_size,
            batch_size=9, epochs=1, precision="fp64", device="cpu", gather=gather,
        )
        task = prepare(config, SilentReporter())
        accelerator = build_accelerator(task.config)
        trainer = build_trainer(task, accelerator)
        trainer.run_epoch(0, 1, SilentReporter())
        share_running_statistics(trainer.step)
        state = {k: v.contiguous() for k, v in trainer.step.state_dict().items()}
        test = predict(accelerator, trainer.step, task.test, image_size=image_size, batch_size=9, workers=0)
        assert list(test.sample_ids) == list(task.test.sample_ids) and len(test.scores) == len(task.test)
        import torch
        state["scores"] = torch.from_numpy(test.scores)
        rank, of = accelerator.process_index, accelerator.num_processes
        save_file(state, Path(out) / f"{loss}-{model}-{rank}-of-{of}.safetensors")
        if gather:
            from lossbench.harness.checkpoints.bad_batch import write_bad_batch
            (Path(out) / f"stopped-{rank}-of-{of}").mkdir()
            write_bad_batch(Path(out) / f"stopped-{rank}-of-{of}", task, trainer, "as if it were non-finite")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """States of every loss, and of one with batch normalization, by one process and by two."""
    folder = tmp_path_factory.mktemp("two")
    manifest = make_manifest(folder)
    script = folder / "train.py"
    script.write_text(TRAIN)
    call = (script, manifest, folder, ",".join((*LOSSES, GATHERED)), NORMALISED)
    for done in (start(folder, *call).wait(), *start_ranks(folder, *call)):
        assert done.code == 0, done.err[-3000:]
    return folder


def make_manifest(folder: Path) -> Path:
    """Small pictures of three classes, not quite told apart by color (else no triplet is active), with splits."""
    draw = np.random.default_rng(0)
    lines = ["path,label,split"]
    for split, count in (("train", ROWS), ("val", 25)):
        for i in range(count):
            label = i % 3 if i % 2 else 0
            tint = draw.integers(0, 100, 3, dtype=np.uint8)
            pixels = draw.integers(0, 100, (32, 32, 3), dtype=np.uint8) + tint
            pixels[:, :, label] += 40
            Image.fromarray(pixels).save(folder / f"{split}{i}.png")
            lines.append(f"{split}{i}.png,{'abc'[label]},{split}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines))
    return manifest


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_replay_computes_a_gathered_loss_on_the_rows_of_all_processes(trained: Path) -> None:
    (alone,) = (trained / "stopped-0-of-1").iterdir()
    for rank in range(2):
        (together,) = (trained / f"stopped-{rank}-of-2").iterdir()
        assert read_bad_batch(together).facts["sample_ids"] == read_bad_batch(alone).facts["sample_ids"]
        found, expected = (replay(path)["value"]["float64"] for path in (together, alone))
        assert found == pytest.approx(expected, abs=1e-6)
        assert len(read_bad_batch(together).targets) == ROWS % BATCH


def states(trained: Path, loss: str, model: str, processes: int) -> list[dict[str, torch.Tensor]]:
    return [load_file(trained / f"{loss}-{model}-{rank}-of-{processes}.safetensors") for rank in range(processes)]


@pytest.mark.parametrize(("loss", "model"), TRAINED)
def test_ranks_agree_bit_for_bit(trained: Path, loss: str, model: str) -> None:
    first, second = states(trained, loss, model, 2)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "triplet"])
def test_a_shardable_loss_without_batch_statistics_equals_one_process(trained: Path, loss: str) -> None:
    (alone,) = states(trained, loss, "test_vit", 1)
    together = states(trained, loss, "test_vit", 2)[0]
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=0, atol=1e-6)
    if "center" in loss or "cluster" in loss:
        assert any(name.endswith("centers") for name in alone)


def test_triplets_within_a_rank_are_another_objective(trained: Path) -> None:
    """The counterpart of the promise above: what the run prints as not promised does differ."""
    (alone,) = states(trained, "triplet", "test_vit", 1)
    together = states(trained, "triplet", "test_vit", 2)[0]
    assert (together["model.head.weight"] - alone["model.head.weight"]).abs().max() > 1e-6


def test_gathered_triplets_are_those_of_one_process(trained: Path) -> None:
    (alone,) = states(trained, GATHERED, "test_vit", 1)
    first, second = states(trained, GATHERED, "test_vit", 2)
    for name in alone:
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], alone[name], rtol=0, atol=1e-6)


@pytest.mark.long
def test_accelerate_launches_the_command_line(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["-m", "lossbench", "run", "--device", "cpu", "--loss", "triplet", "--data", f"csv:{manifest}"]
    command += ["--image-size", "32", "--batch-size", "10", "--epochs", "1", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(re.findall("^balanced accuracy", done.stdout, re.MULTILINE)) == 1  # one of them prints
    assert "2 processes share each batch of 10" in done.stderr
    assert "batch normalization uses each process's own rows" in done.stderr
    assert "triplet is computed by each process on its own rows" in done.stderr
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["environment"]["processes"] == 2
    assert sum(map(sum, record["confusion_matrix"])) == 25
