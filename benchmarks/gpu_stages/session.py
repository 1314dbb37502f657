"""A session of `benchmarks/gpu.py`: its command line, its stages in order of worth, and their time."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from gpu_stages.importable import missing_packages
from gpu_stages.process import run_stage, start_server
from gpu_stages.results import FINISHED, Task, new_stage, read_results, write_results
from lossbench.errors import LossbenchError
from lossbench.machine.facts import machine
from lossbench.machine.git_state import git_state

LEAST_SECONDS = 5.0
CARRIED = Path("carried/ferplus.zip")  # in a folder that git ignores
# Name, module, title, and the most seconds that it may take of the time that is left.
STAGES = (
    ("tests", "cuda_tests", "Tests of tests/cuda", 120.0),
    ("losses", "losses", "Losses on the device", 60.0),
    ("bench", "suite", "Goals of lossbench bench", 60.0),
    ("step", "step", "Training step beside timm's recipe", 90.0),
    ("resume", "resume", "Killed and resumed", 60.0),
    ("fp16", "overflow", "Overflow in fp16", 30.0),
    ("ferplus", "grid", "The reference grid on FER+", float("inf")),
)


def main(description: str | None) -> int:
    """Run the stages; return the exit code."""
    if sys.argv[1:2] == ["pack"]:
        return pack_main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="directory of the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="time for all stages (default: 9)")
    parser.add_argument("--data", type=Path, help=f"packed FER+ (default: {CARRIED}, if it is there)")
    parser.add_argument("--only", nargs="+", choices=[stage[0] for stage in STAGES], help="run only these stages")
    parser.add_argument("--smoke", action="store_true", help="try every stage at the smallest size, on the CPU")
    given = parser.parse_args()
    given.out = given.out.resolve()
    if problem := refusal(given):
        print(f"error: {problem}", file=sys.stderr)
        return 2
    given.out.mkdir(parents=True, exist_ok=True)
    write_results(given.out, header(given))
    end = time.monotonic() + 60 * given.minutes
    start_server()
    for name, module, title, limit in STAGES:
        if given.only and name not in given.only:
            continue
        seconds = min(limit, end - time.monotonic())
        if seconds >= LEAST_SECONDS:
            print(f"{name}: {title}, at most {seconds:.0f} s", file=sys.stderr, flush=True)
            status = run_stage(task_of(given, name, seconds), module)
            print(f"{name}: {status}", file=sys.stderr, flush=True)
        write_summary(given.out)
    print((given.out / "summary.md").read_text())
    stages = read_results(given.out)["stages"]
    wanted = [stages[name] for name, *_ in STAGES if not given.only or name in given.only]
    return 0 if all(stage["status"] == FINISHED and not stage["problems"] for stage in wanted) else 1


def refusal(given: argparse.Namespace) -> str | None:
    """Return what is wrong with a call and what to do, or None."""
    if given.minutes <= 0:
        return f"--minutes must be a positive number, got {given.minutes:g}"
    if given.data is not None and not given.data.is_file():
        return f"--data {given.data}: no such file; make it with: python benchmarks/gpu.py pack ferplus:DIR {CARRIED}"
    if (given.out / "results.json").exists():
        return f"{given.out} has results; pass a new directory"
    if missing := missing_packages():
        return f"packages are missing; install them with: pip install {' '.join(missing)}"
    import torch

    missing_device = not given.smoke and not torch.cuda.is_available()
    told = "no CUDA device was found; run this on a machine with one, or pass --smoke to try every stage on the CPU"
    return told if missing_device else None


def header(given: argparse.Namespace) -> dict[str, Any]:
    """Return the content of `results.json` before the first stage."""
    state = git_state(Path(__file__).parent)
    return {
        "command": f"python benchmarks/gpu.py OUT --minutes {given.minutes:g}" + " --smoke" * given.smoke,
        "smoke": given.smoke,
        "machine": machine(),
        "revision": None if state is None else state.get("commit"),
        "stages": {name: {"title": title} | new_stage() for name, _, title, _ in STAGES},
    }


def task_of(given: argparse.Namespace, name: str, seconds: float) -> Task:
    """Return the task of a stage; a trial makes its own packed data."""
    work = given.out.with_name(f"{given.out.name}-work")
    work.mkdir(exist_ok=True)
    data = given.data or (CARRIED if CARRIED.is_file() else None)
    if given.smoke and name == "ferplus":
        from gpu_stages.pack import make_small, pack

        data = work / "small.zip"
        pack(f"ferplus:{make_small(work / 'small')}", data)
    device = "cpu" if given.smoke else "cuda"
    return Task(name, given.out, work, device, given.smoke, seconds, None if data is None else data.resolve())


def write_summary(out: Path) -> None:
    """Write the page."""
    from gpu_stages.summary import summary

    (out / "summary.md").write_text(summary(read_results(out)))


def pack_main(arguments: list[str]) -> int:
    """Write the packed data; return the exit code."""
    parser = argparse.ArgumentParser(prog="gpu.py pack", description="Write FER+ as one file of at most 45 MiB.")
    parser.add_argument("data", metavar="ferplus:DIR")
    parser.add_argument("file", type=Path, nargs="?", default=CARRIED, help=f"default: {CARRIED}")
    given = parser.parse_args(arguments)
    from gpu_stages.pack import pack

    try:
        print(pack(given.data, given.file))
    except LossbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
