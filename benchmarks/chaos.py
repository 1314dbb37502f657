"""Kill runs at random instants and resume them: each result must be bit-identical to an uninterrupted run.

    nice python benchmarks/chaos.py benchmarks/results/chaos.md --kills 110

Every trial is a real `lossbench run` or `lossbench compare` of one of the set-ups in `chaos_setups.py`. It receives
SIGKILL at a random instant, one to four times, and is resumed after each. After each kill all files must be readable:
options, history, checkpoints. At the end weights, metrics, predictions and history (except times) are compared bit by
bit. Processes are forks of this one, so that torch is imported once. `--hostile` also feeds 10,000 generated manifests,
formulas, records and images to their readers, and damages the files of a finished run and of a comparison 10,000 times
each, with the tests' generators.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import chaos_setups
import numpy as np
import torch
from chaos_setups import EPOCHS, SETUPS, Setup
from safetensors.torch import load_file

from lossbench.harness.checkpoints.folder import newest_checkpoint
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig
from lossbench.runs.options_file import read_options

_SHARE = 0.7  # of the duration of a run, up to which a kill waits; later instants are reached by resumed runs
_LATER = ("timm", "torch._dynamo", "sklearn.pipeline", "sklearn.linear_model")  # what a run imports when it needs it
_TIMES = ("seconds", "images_per_second")
_TESTS = Path(__file__).parents[1] / "tests"
_HOSTILE = ("test_hostile.py", "test_damaged_runs.py")


def main() -> int:
    """Kill, resume, compare and write the results; return 1 if a result differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", type=Path, help="Markdown file to write")
    parser.add_argument("--kills", type=int, default=110, help="number of kills, spread evenly over the set-ups")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants")
    parser.add_argument("--only", metavar="PATTERN", default="", help="regular expression for the names of set-ups")
    parser.add_argument("--hostile", action="store_true", help="also generate 10,000 hostile inputs of each kind")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(_TESTS))
    from plugin_sites import lay_out_plugins  # type: ignore[import-not-found]

    lay_out_plugins()
    chaos_setups.register_losses()
    for name in _LATER:  # or each fork imports them, and is killed before it begins
        importlib.import_module(name)
    began = time.monotonic()
    setups = [setup for setup in SETUPS if re.search(asked.only, setup.name)]
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), random.Random(asked.seed))
        for setup in setups:
            while trials.kills[setup.name] < asked.kills / len(setups):
                trials.one(setup)
                print(
                    f"{time.monotonic() - began:.0f} s: {setup.name}, {trials.kills[setup.name]} kills", file=sys.stderr
                )
    lines = trials.report(time.monotonic() - began)
    code = 0 if trials.wrong == [] else 1
    if asked.hostile:
        files = [str(_TESTS / "faults" / name) for name in _HOSTILE]
        command = [sys.executable, "-m", "pytest", *files, "--hypothesis-profile", "chaos", "-q", "-n", "0"]
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
        warm: whether a run in this process first loads everything that a run imports.
    """

    def __init__(
        self, folder: Path, draw: random.Random, device: str = "cpu", epochs: int = EPOCHS, warm: bool = True
    ) -> None:
        self.folder, self.draw, self.device, self.epochs, self.warm = folder, draw, device, epochs, warm
        self.data = chaos_setups.make_pictures(folder)
        self.kills: Counter[str] = Counter()  # by set-up
        self.trials: Counter[str] = Counter()
        self.identical: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.references: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}  # from which instants are drawn

    def one(self, setup: Setup) -> None:
        """Run, kill one to four times, and compare the result."""
        expected, name = self._reference(setup), setup.name
        self.trials[name] += 1
        out, every = self.folder / f"{self.trials.total()}", self.draw.choice((1, 2, 5))
        log = out.with_suffix(".log")
        for _ in range(self.draw.choice((1, 2, 3, 4))):
            delay = self.draw.uniform(0, (0.8 if setup.phase else _SHARE) * self.seconds[name])
            phase = chaos_setups.killed_within(setup.phase, delay) if setup.phase else None
            began = time.monotonic()
            processes = chaos_setups.start(setup, self._arguments(setup, every, out), log, phase)
            if setup.phase:
                kills = -processes[0].wait() // 9  # the process kills itself
            else:
                time.sleep(delay)
                ended = all(process.poll() is not None for process in processes)
                if ended:  # the machine is faster or less busy than before
                    self.seconds[name] = min(self.seconds[name], time.monotonic() - began)
                kills = chaos_setups.kill(processes, self.draw)
            self.kills[name] += kills
            self._look(out, setup, kills)
        processes = chaos_setups.start(setup, self._arguments(setup, every, out), log)
        if chaos_setups.end(processes, seconds=600) != 0:
            self.wrong.append(f"{name}: it did not resume: {processes[0].said()[-500:]}")
        elif differing := [part for part, value in outcomes(setup, out).items() if value != expected.get(part)]:
            self.wrong.append(f"{name}: different {', '.join(differing)}")
        else:
            self.identical[name] += 1

    def _arguments(self, setup: Setup, every: int, out: Path) -> list[str]:
        return setup.arguments(self.data, out, every=every, epochs=self.epochs, device=self.device)

    def _reference(self, setup: Setup) -> dict[str, Any]:
        """Return the result of an uninterrupted run of a set-up."""
        if setup.name not in self.references:
            out = self.folder / f"reference-{len(self.references)}"
            if self.warm and not self.references:  # everything that a run imports is loaded before the fork
                run(RunConfig(loss="softmax", data=f"csv:{self.data}", epochs=1, device="cpu"), self.folder / "warm")
            began, phase = time.monotonic(), out.with_suffix(".phase")
            prepare = chaos_setups.timed(setup.phase, phase) if setup.phase else None
            processes = chaos_setups.start(setup, self._arguments(setup, 5, out), out.with_suffix(".log"), prepare)
            assert chaos_setups.end(processes) == 0, processes[0].said()
            self.seconds[setup.name] = time.monotonic() - (float(phase.read_text()) if setup.phase else began)
            self.references[setup.name] = outcomes(setup, out)
        return self.references[setup.name]

    def _look(self, out: Path, setup: Setup, kills: int) -> None:
        """Check that all files are readable after a kill."""
        if not kills:
            self.found["ended before its kill"] += 1
            return
        runs = [directory for directory in setup.runs(out) if (directory / "config.toml").exists()]
        if not runs:
            self.found["killed before its config.toml"] += 1
        for directory in runs:
            said: list[str] = []
            try:
                read_options(directory / "config.toml", "config.toml")
                if (directory / "history.jsonl").exists():
                    [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
                newest = newest_checkpoint(directory / "checkpoint", said.append)
            except Exception as error:
                self.wrong.append(f"{setup.name}: unreadable after a kill: {error!r}")
                continue
            self.wrong += said
            if (directory / "record.json").exists():
                self.found["its record was complete"] += 1
            elif newest is None:
                self.found["killed before its first checkpoint"] += 1
            else:
                beside = any(path.name.startswith(".writing") for path in (directory / "checkpoint").iterdir())
                self.found[f"killed while {'a checkpoint was written' if beside else 'training or evaluating'}"] += 1

    def report(self, seconds: float) -> list[str]:
        """Return the result as lines of Markdown."""
        rows = [
            f"| {name} | {count} | {self.kills[name]} | {self.identical[name]} |" for name, count in self.trials.items()
        ]
        total = f"| all | {self.trials.total()} | {self.kills.total()} | {self.identical.total()} |"
        events = [f"| {what} | {count} |" for what, count in sorted(self.found.items())]
        wrong = [f"- {text}" for text in self.wrong] or ["All files were readable, and all results were bit-identical."]
        return [
            f"{self.kills.total()} kills of {self.trials.total()} runs in {seconds / 60:.1f} minutes; "
            f"{len(self.wrong)} lost.",
            "", "| set-up | runs | kills | bit-identical |", "|-|-:|-:|-:|", *rows, total,
            "", "State of each run directory after a kill:",
            "", "| state | count |", "|-|-:|", *events, "", *wrong,
        ]  # fmt: skip


def outcomes(setup: Setup, out: Path) -> dict[str, Any]:
    """Return everything of the finished runs of a set-up that must not depend on interruptions."""
    return {f"{run.name if run != out else ''} {part}".strip(): value
            for run in setup.runs(out) for part, value in outcome(run).items()}  # fmt: skip


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
        "skipped": record["timing"]["steps_skipped"],
        **{
            name: record[name] for name in ("metrics", "confusion_matrix", "selected_epoch", "formula", "data", "model")
        },
    }


def _head(asked: argparse.Namespace) -> list[str]:
    more = (f" --only {asked.only!r}" if asked.only else "") + (" --hostile" if asked.hostile else "")
    return [
        "# Killed at random instants",
        "",
        "Generated by",
        "",
        f"    python benchmarks/chaos.py benchmarks/results/chaos.md --kills {asked.kills} --seed {asked.seed}{more}",
        "",
        f"with torch {torch.__version__}, Python {platform.python_version()}, one thread, {os.cpu_count()} cores. Each "
        f"run is {EPOCHS} epochs (`compare`: two runs) of a tiny network on {chaos_setups.ROWS} "
        "images in batches of 8, with a checkpoint every 1, 2 or 5 steps.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
