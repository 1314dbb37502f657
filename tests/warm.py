"""Python processes that start at once: forks of a process that has imported what takes seconds, such as torch.

A test's own process cannot be forked instead: autograd refuses to work in a fork of a process that has used it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

_CONTEXT = multiprocessing.get_context("forkserver")
# Beside lossbench, what it imports only when a run needs it.
_LATER = ["timm", "torch._dynamo", "torch.distributed.fsdp", "sklearn.pipeline", "sklearn.linear_model"]
_CONTEXT.set_forkserver_preload(["lossbench.harness.run", "lossbench.testing", *_LATER])


class Done(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Warm:
    """A running process."""

    process: ForkServerProcess
    out: Path
    err: Path

    def wait(self, seconds: float = 180) -> Done:
        """Return how it ended.

        Raises:
            TimeoutError: it did not end in time; it is killed.
        """
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"still running after {seconds:g} s: {self.err.read_text()[-2000:]}")
        return Done(self.process.exitcode, self.out.read_text(), self.err.read_text())


def start(
    folder: Path, program: str | Path, *arguments: object, name: str = "0", environment: Mapping[str, str] | None = None
) -> Warm:
    """Start `python PROGRAM ARGUMENTS`, or `python -m PROGRAM` for the name of a module.

    What the server has imported is imported already. Of the variables that Python reads, only PYTHONPATH has an effect.

    Args:
        folder: where its output is written, and its working directory.
        program: a file, or the name of a module.
        arguments: arguments of the program.
        name: name of the process, different from that of others in the folder.
        environment: variables beyond those of this process.
    """
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    variables = {**os.environ, **(environment or {})}
    process = _CONTEXT.Process(
        target=_run, args=(str(program), [*map(str, arguments)], variables, str(folder), str(out), str(err))
    )
    process.start()
    return Warm(process, out, err)


def start_ranks(folder: Path, program: str | Path, *arguments: object, ranks: int = 2) -> list[Done]:
    """Run a program in processes of one group, as torchrun does, and return how they ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
    group["MASTER_PORT"] = str(port)
    running = [
        start(folder, program, *arguments, name=f"rank{rank}",
              environment={**group, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(ranks)
    ]  # fmt: skip
    return [each.wait() for each in running]


def _run(program: str, arguments: list[str], variables: dict[str, str], folder: str, out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for path, descriptor in ((out, 1), (err, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.path[:0] = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
    importlib.invalidate_caches()
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
