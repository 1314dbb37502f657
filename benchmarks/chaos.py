"""Kill runs at random instants and resume them: each result must be bit-identical to an uninterrupted run.

    python benchmarks/chaos.py benchmarks/results/chaos.md --kills 200

Every trial is a real `lossbench run` (the five losses and 0 and 2 loader workers in turn) that receives SIGKILL at a
random instant, one to three times, each followed by `lossbench run --resume`. After each kill all files must be
readable: options, history, checkpoints. At the end weights, metrics, predictions and history (except times) are
compared bit by bit. Processes are forks of this one, so that torch is imported once. `--hostile` also feeds 10,000
generated manifests, formulas, records and images, from the tests' generators.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forked_runs import ForkedRun
from PIL import Image
from safetensors.torch import load_file

from lossbench.harness.checkpoints.folder import newest_checkpoint
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig
from lossbench.runs.options_file import read_options

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
EPOCHS, ROWS = 6, 62
_TIMES = ("seconds", "images_per_second")


def main() -> int:
    """Kill, resume, compare and write the results; return 1 if a result differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", type=Path, help="Markdown file to write")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    parser.add_argument("--hostile", action="store_true", help="also run 10,000 hostile inputs of each kind")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), random.Random(asked.seed))
        while trials.kills < asked.kills:
            trials.one()
    lines = trials.report(time.monotonic() - began)
    code = 0 if trials.wrong == [] else 1
    if asked.hostile:
        tests = Path(__file__).parents[1] / "tests/faults/test_hostile.py"
        command = [sys.executable, "-m", "pytest", str(tests), "--hypothesis-profile", "chaos", "-q", "-n", "0"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        lines += ["", f"Hostile inputs, 10,000 of each kind: {done.stdout.strip().splitlines()[-1]}"]
        code = code or done.returncode
    asked.result.write_text("\n".join([*_head(asked), *lines, ""]))
    print("\n".join(lines))
    return code


class Trials:
    """Trials with kills.

    Args:
        folder: folder for data and runs.
        draw: random numbers.
        device: device of the runs.
        epochs: of each run.
    """

    def __init__(self, folder: Path, draw: random.Random, device: str = "cpu", epochs: int = EPOCHS) -> None:
        self.folder, self.draw, self.device, self.epochs = folder, draw, device, epochs
        self.data = make_pictures(folder)
        self.kills = self.count = 0
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.references: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0

    def one(self) -> None:
        """Run, kill one to three times, and compare the result."""
        loss, workers = LOSSES[self.count % len(LOSSES)], 2 * (self.count // len(LOSSES) % 2)
        every = self.draw.choice((1, 2, 5))
        self.count += 1
        out = self.folder / f"run{self.count}"
        expected = self._reference(loss)
        for _ in range(self.draw.choice((1, 1, 2, 3))):
            process = ForkedRun(["run", *self._arguments(loss, workers, every, out)], out.with_suffix(".log"))
            began = time.monotonic()
            time.sleep(self.draw.uniform(0, 1.1 * self.seconds))
            ended = process.poll() is not None
            process.send(signal.SIGKILL) if not ended else None
            code = process.wait()
            if ended:  # the machine is faster or less busy than before
                self.seconds = min(self.seconds, time.monotonic() - began)
            self.kills += code == -signal.SIGKILL
            self._look(out, loss, workers, code)
        process = ForkedRun(["run", *self._arguments(loss, workers, every, out)], out.with_suffix(".log"))
        what = f"run {self.count}, {loss}, {workers} workers"
        if process.wait() != 0:
            self.wrong.append(f"{what}: it did not resume: {process.said()[-500:]}")
        elif differing := [name for name, value in outcome(out).items() if value != expected[name]]:
            self.wrong.append(f"{what}: different {', '.join(differing)}")
        else:
            self.found["ended bit-identical"] += 1

    def _arguments(self, loss: str, workers: int, every: int, out: Path) -> list[str]:
        if (out / "config.toml").exists():
            return ["--resume", str(out)]
        return [
            "--loss", loss, "--data", f"csv:{self.data}", "--model", "test_efficientnet", "--image-size", "32",
            "--epochs", str(self.epochs), "--batch-size", "8", "--lr", "0.01", "--device", self.device, "--select",
            "--workers", str(workers), "--checkpoint-every", str(every), "--out", str(out),
        ]  # fmt: skip

    def _reference(self, loss: str) -> dict[str, Any]:
        """Return the result of an uninterrupted run of a loss."""
        if loss not in self.references:
            out = self.folder / f"reference-{loss}"
            if not self.references:  # everything that a run imports is loaded before the fork
                run(RunConfig(loss="softmax", data=f"csv:{self.data}", epochs=1, device="cpu"), self.folder / "warm")
            began = time.monotonic()
            process = ForkedRun(["run", *self._arguments(loss, 0, 5, out)], out.with_suffix(".log"))
            assert process.wait() == 0, process.said()
            self.references[loss] = outcome(out)
            self.seconds = time.monotonic() - began  # duration of a run, from which instants are drawn
        return self.references[loss]

    def _look(self, out: Path, loss: str, workers: int, code: int) -> None:
        """Check that all files are readable after a kill."""
        if code != -signal.SIGKILL:
            self.found["ended before its kill"] += 1
            return
        if not (out / "config.toml").exists():
            self.found["killed before its config.toml"] += 1
            return
        said: list[str] = []
        try:
            read_options(out / "config.toml", "config.toml")
            if (out / "history.jsonl").exists():
                [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
            newest = newest_checkpoint(out / "checkpoint", said.append)
        except Exception as error:
            self.wrong.append(f"{loss}, {workers} workers: unreadable after a kill: {error!r}")
            return
        self.wrong += said
        if (out / "record.json").exists():
            self.found["killed after its record"] += 1
        elif newest is None:
            self.found["killed before its first checkpoint"] += 1
        else:
            beside = any(path.name.startswith(".writing") for path in (out / "checkpoint").iterdir())
            self.found[f"killed while {'a checkpoint was written' if beside else 'training or evaluating'}"] += 1

    def report(self, seconds: float) -> list[str]:
        """Return the result as lines of Markdown."""
        rows = [f"| {what} | {count} |" for what, count in sorted(self.found.items())]
        wrong = [f"- {text}" for text in self.wrong] or ["All files were readable, and all results were bit-identical."]
        return [
            f"{self.kills} kills of {self.count} runs in {seconds / 60:.1f} minutes.",
            "", "| event | count |", "|-|-|", *rows, "", *wrong,
        ]  # fmt: skip


def make_pictures(folder: Path) -> Path:
    """Create a manifest of small images of three classes, with a split."""
    draw = np.random.default_rng(0)
    lines = ["path,label,split"]
    for split, count in (("train", ROWS), ("val", 12)):
        for i in range(count):
            pixels = draw.integers(0, 120, (24, 24, 3), dtype=np.uint8)
            pixels[:, :, i % 3] += 60
            Image.fromarray(pixels).save(folder / f"{split}{i}.png")
            lines.append(f"{split}{i}.png,{'abc'[i % 3]},{split}")
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    return folder / "all.csv"


def outcome(out: Path) -> dict[str, Any]:
    """Return everything of a finished run that must not depend on interruptions."""
    record = json.loads((out / "record.json").read_text())
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    with np.load(out / "predictions.npz", allow_pickle=False) as file:
        predictions = {name: value.tobytes() for name, value in file.items()}
    return {
        "weights": {n: t.numpy().tobytes() for n, t in load_file(out / "checkpoint/weights.safetensors").items()},
        "history": [{name: value for name, value in row.items() if name not in _TIMES} for row in history],
        "predictions": predictions,
        **{
            name: record[name] for name in ("metrics", "confusion_matrix", "selected_epoch", "formula", "data", "model")
        },
    }


def _head(asked: argparse.Namespace) -> list[str]:
    return [
        "# Killed at random instants",
        "",
        "Made by",
        "",
        f"    python benchmarks/chaos.py benchmarks/results/chaos.md --kills {asked.kills} --seed {asked.seed}"
        + (" --hostile" if asked.hostile else ""),
        "",
        f"with torch {torch.__version__}, Python {platform.python_version()}, one thread, {os.cpu_count()} cores. "
        f"{', '.join(LOSSES)} in turn, 0 and 2 loader workers in turn, {EPOCHS} epochs of a tiny network on {ROWS} "
        "images, a selection split, a checkpoint every 1, 2 or 5 steps.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
