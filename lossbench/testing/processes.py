"""Two real processes joined by gloo, in which a law judges what a loss does on the shards of a batch.

They are started once, at the first law that needs them, and end with the program.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..children import child_environment
from .cases import Case
from .configuration import Configuration
from .violation import NotApplicableError, Violation

RANKS = 2
_PATIENCE_SECONDS = 120

Found = dict[str, Tensor]


def on_two_ranks(configuration: Configuration, case: Case, split: int, state: Mapping[str, Tensor]) -> list[Found]:
    """What each of two processes finds for its part of a batch, in float64.

    Args:
        configuration: the loss.
        case: the whole batch.
        split: how many rows the first process gets.
        state: that both begin with.

    Returns:
        For each rank: "value" and "gradient:NAME" on its own rows before a step, and "state:NAME" after a step.

    Raises:
        NotApplicableError: the loss cannot be sent to another process.
        Violation: the loss fails in a process.
    """
    plain = replace(configuration, started=False)
    return _pair().ask((plain, case, split, {name: tensor.tolist() for name, tensor in state.items()}))


class _Pair:
    """The two processes and the pipes to and from them; they end when their input ends.

    They are programs of their own, not forks, so that a script without an `if __name__ == "__main__"` works too.
    """

    def __init__(self) -> None:
        self.meeting = tempfile.TemporaryDirectory()
        address = f"file://{Path(self.meeting.name) / 'rendezvous'}"
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-c", f"from {__name__} import serve; serve({rank}, {address!r})"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(),
            )
            for rank in range(RANKS)
        ]

    def ask(self, task: object) -> list[Found]:
        answers = []
        try:
            packed = pickle.dumps(task)
        except Exception as error:  # pickling fails in many ways
            raise NotApplicableError(f"it cannot be sent to another process ({error}); {_IN_A_MODULE}") from error
        for process in self.processes:
            assert process.stdin is not None
            # With the path as it is now: the loss may lie where it has grown since the processes were started.
            Connection(os.dup(process.stdin.fileno()), readable=False).send((list(sys.path), packed))
        for process in self.processes:
            assert process.stdout is not None
            pipe = Connection(os.dup(process.stdout.fileno()), writable=False)
            if not pipe.poll(_PATIENCE_SECONDS):
                self.stop()
                raise RuntimeError(f"no answer from two processes in {_PATIENCE_SECONDS} s")
            answers.append(pipe.recv())
        for answer in answers:
            if isinstance(answer, str):
                raise Violation(f"in one of two processes it fails: {answer}", silent=False)
        return [{name: torch.tensor(v, dtype=torch.float64) for name, v in answer.items()} for answer in answers]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        _pair.cache_clear()


_IN_A_MODULE = "define it at the top of a module"


@cache
def _pair() -> _Pair:
    return _Pair()


def serve(rank: int, address: str) -> None:
    """Answers the parent's tasks until its pipe closes."""
    tasks, answers = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # what a loss prints must not come between the answers
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=RANKS)
    while True:
        try:
            sys.path[:], packed = tasks.recv()
            answers.send(_shard(rank, *pickle.loads(packed)))
        except EOFError:
            return
        except Exception as error:
            answers.send(f"{type(error).__name__}: {error}")


def _shard(rank: int, configuration: Configuration, case: Case, split: int, state: dict[str, Any]) -> dict[str, Any]:
    from .trial import Trial

    rows = slice(0, split) if rank == 0 else slice(split, None)
    mine = replace(case, targets=case.targets[rows], logits=case.logits[rows], embeddings=case.embeddings[rows])
    trial = Trial(configuration, mine)
    loss, output = trial.build(), trial.output()
    loss.load_state_dict({name: torch.tensor(rows, dtype=torch.float64) for name, rows in state.items()})
    value, gradients = trial.gradients(loss, output, trial.targets)
    loss.update_state(output, trial.targets)
    found = {"value": value.tolist(), **{f"gradient:{name}": g.tolist() for name, g in gradients.items()}}
    return found | {f"state:{name}": tensor.tolist() for name, tensor in loss.state_dict().items()}
