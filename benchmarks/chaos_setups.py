"""The set-ups of `chaos.py`: what is trained, and at which instants it is killed."""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from forked_runs import ForkedRun
from PIL import Image
from torch import Tensor

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need
from lossbench.losses.softmax import SoftmaxLoss
from lossbench.registry import register_loss

EPOCHS, ROWS = 3, 54
_PEER_SECONDS = 5.0  # for a process to notice that its peer is gone


@dataclass(frozen=True)
class Setup:
    """One kind of trial.

    Attributes:
        name: for the table.
        options: of the command, besides those that all set-ups share.
        command: "run" or "compare".
        processes: that share the run.
        phase: "module.function" of `lossbench.harness` within which the run is killed; None for any instant.
    """

    name: str
    options: tuple[str, ...]
    command: str = "run"
    processes: int = 1
    phase: str | None = None

    def arguments(self, data: Path, out: Path, *, every: int, epochs: int, device: str) -> list[str]:
        """Return the command line that starts the work in `out`, or resumes it."""
        if self.command == "run" and (out / "config.toml").exists():
            return ["run", "--resume", str(out)]
        return [
            self.command, "--data", f"csv:{data}", "--model", "test_efficientnet", "--image-size", "32",
            "--batch-size", "8", "--lr", "0.01", "--device", device, "--epochs", str(epochs),
            "--checkpoint-every", str(every), "--augment", "standard",
            *self.options, "--out", str(out),
        ]  # fmt: skip

    def runs(self, out: Path) -> list[Path]:
        """Return the directories of runs in `out`."""
        return [out] if self.command == "run" else sorted(path for path in out.glob("cells/*") if path.is_dir())


def _run(loss: str, *more: str) -> tuple[str, ...]:
    return ("--loss", loss, *more)


SETUPS = (
    Setup("softmax, no loader workers", _run("softmax", "--select")),
    Setup("triplet, 2 loader workers", _run("triplet", "--select", "--workers", "2")),
    Setup("LDAM's schedule", _run("ldam(defer=0.5)", "--select")),
    Setup("learned proxies", _run("softmax + 0.1*pml/ProxyNCALoss")),
    Setup("micro-batches, balanced sampler", _run("weighted-softmax", "--micro-batches", "2", "--sampler", "balanced")),
    Setup("skipped steps", _run("now-and-then-nan", "--on-nonfinite", "skip")),
    Setup("bf16, cache", _run("weighted-cluster", "--precision", "bf16", "--cache", "--select")),
    Setup("two processes", _run("center", "--select"), processes=2),
    Setup("killed in the evaluation", _run("weighted-cluster", "--select"), phase="run.finish"),
    Setup("killed in the refit", _run("center"), phase="finish.refit"),
    Setup("compare", ("--losses", "softmax, center", "--seeds", "1"), command="compare"),
)


class NowAndThenNaN(Loss):
    """Softmax that is NaN on batches of 8 rows whose first two are of the last class, about one in nine.

    The batch of its trial before a run has other rows.
    """

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.softmax, self.last = SoftmaxLoss(context), context.num_classes - 1

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        value: Tensor = self.softmax(output, targets)
        fails = len(targets) == 8 and targets[:2].tolist() == [self.last] * 2
        return value * float("nan") if fails else value


def register_losses() -> None:
    """Make the loss of "skipped steps" known to the processes that are forked from now on."""
    spec = LossSpec(
        name="now-and-then-nan", factory=NowAndThenNaN, summary="-", reference="-", needs=frozenset({Need.LOGITS})
    )
    register_loss(spec)


def start(setup: Setup, arguments: list[str], log: Path, prepare: Callable[[], None] | None = None) -> list[ForkedRun]:
    """Start the processes of a trial."""
    if setup.processes == 1:
        return [ForkedRun(arguments, log, prepare=prepare)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(setup.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(setup.processes)]
    return [ForkedRun(arguments, log, environment=own) for own in ranks]


def end(processes: list[ForkedRun], seconds: float = 240.0) -> int:
    """Wait for all processes of a trial; return the first exit code that is not 0."""
    codes = [process.wait(seconds) for process in processes]
    return next((code for code in codes if code), 0)


def kill(processes: list[ForkedRun], draw: random.Random) -> int:
    """Kill some or all processes of a trial, wait for the others, and return the number of kills."""
    victims = draw.sample(processes, draw.randint(1, len(processes)))
    workers = [] if len(processes) > 1 else _workers(processes[0])
    if workers and draw.random() < 0.3:  # of compare: it starts another, and is killed itself a little later
        with contextlib.suppress(psutil.NoSuchProcess):
            workers[0].kill()
        time.sleep(draw.uniform(0, 1))
    for process in victims:
        if process.poll() is None:
            process.send(signal.SIGKILL)
    end = time.monotonic() + _PEER_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < end:
        time.sleep(0.05)
    for process in processes:  # a peer that waits for one that never came; torchrun ends it, too
        if process.poll() is None:
            process.send(signal.SIGKILL)
        process.wait()
    psutil.wait_procs(workers, timeout=60)
    return sum(process.code == -signal.SIGKILL for process in processes)


def _workers(process: ForkedRun) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            child
            for child in psutil.Process(process.pid).children()
            if "lossbench.harness.grid.worker" in child.cmdline()
        ]
    return []


def killed_within(phase: str, delay: float) -> Callable[[], None]:
    """Return what a process does before its command, so that it is killed a given time after a function begins."""

    def prepare() -> None:
        with _wrapped(phase) as began:
            began.append(lambda: threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start())

    return prepare


def timed(phase: str, file: Path) -> Callable[[], None]:
    """Return what a process does before its command, so that the time from a function's start to the end is written."""

    def prepare() -> None:
        with _wrapped(phase) as began:
            began.append(lambda: file.write_text(str(time.monotonic())))

    return prepare


@contextlib.contextmanager
def _wrapped(phase: str) -> Iterator[list[Callable[[], Any]]]:
    module, _, name = phase.partition(".")
    harness = importlib.import_module(f"lossbench.harness.{module}")
    before, began = getattr(harness, name), list[Callable[[], Any]]()

    def wrapper(*given: Any, **named: Any) -> Any:
        for act in began:
            act()
        return before(*given, **named)

    setattr(harness, name, wrapper)
    yield began


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
