"""A run that is interrupted and goes on ends as if it had not been, to the last bit."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.runs import EPOCHS, LOSSES, STEPS, Listens, StopsAt, assert_same, outcome, tiny
from safetensors.torch import load, save
from torch import Tensor

from lossbench.errors import Interrupted
from lossbench.harness.checkpoints.state import gather_own, gather_shared, restore_own, restore_shared
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.harness.task import Task
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.harness.training.trainer import Trainer

pytestmark = pytest.mark.slow

State = tuple[dict[str, Any], bytes, dict[str, Any], bytes]


def state_of(trainer: Trainer) -> State:
    """As a checkpoint holds it."""
    shared, tensors = gather_shared(trainer)
    own, own_tensors = gather_own(trainer)
    return shared, save(tensors), own, save(own_tensors)


def bits(state: State) -> tuple[Any, ...]:
    """What must be equal: all but times."""
    shared, tensors, own, own_tensors = state
    timeless = {k: v for k, v in own.items() if "seconds" not in k}
    kept = {k: v.numpy().tobytes() for k, v in load(own_tensors).items() if not k.startswith("clock.")}
    return shared, tensors, timeless, kept


def train(task: Task, trainer: Trainer, start: int, after_step: Callable[[], None]) -> list[dict[str, Any]]:
    """What is left from a step on; gives the rows of the history, without times."""
    rows = []
    for epoch in range(start // STEPS, EPOCHS):

        def hook() -> float:
            after_step()
            return 0.0

        row = trainer.run_epoch(epoch, EPOCHS, SilentReporter(), hook)
        trainer.end_epoch()
        rows.append({k: v for k, v in row.to_json().items() if k not in ("seconds", "images_per_second")})
    return rows


@pytest.mark.parametrize(
    "loss", [pytest.param(loss, marks=() if loss == "weighted-cluster" else pytest.mark.long) for loss in LOSSES]
)
def test_going_on_from_every_step_gives_the_same_bits(pictures: Path, loss: str) -> None:
    """Three epochs of four steps; each of the eleven states between is put into a fresh trainer."""
    task = prepare(tiny(pictures, loss), SilentReporter())
    accelerator = build_accelerator(task.config)
    torch.manual_seed(1)
    trainer = build_trainer(task, accelerator)
    states: list[State] = []
    rows = train(task, trainer, 0, lambda: states.append(state_of(trainer)))
    final = bits(state_of(trainer))
    assert len(states) == EPOCHS * STEPS
    assert len({state[1] for state in states}) == len(states)  # something did move
    for step, (shared, tensors, own, own_tensors) in enumerate(states[:-1], start=1):
        torch.manual_seed(999)  # whatever was drawn before does not matter
        fresh = build_trainer(task, accelerator)
        # A state taken after an epoch's last step still belongs to that epoch, whose row is yet to be written.
        epoch = (step - 1) // STEPS
        for told in range(epoch + 1):
            fresh.step.loss.begin_epoch(told, EPOCHS)
        restore_shared(fresh, shared, load(tensors))
        restore_own(fresh, own, load(own_tensors))
        assert bits(state_of(fresh)) == bits(states[step - 1]), step
        assert train(task, fresh, epoch * STEPS, lambda: None) == rows[epoch:], step
        assert bits(state_of(fresh)) == final, step


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a selection split that was never interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(tiny(pictures, select=True), out)
    return out


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("steps", [(3,), (1, 1, 1), (2, 1), (4, 4, 3)], ids=str)
def test_interruptions_change_nothing(
    pictures: Path, whole: Path, tmp_path: Path, steps: tuple[int, ...], workers: int
) -> None:
    """Once, twice and three times, also within one epoch and at its end."""
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match=rf"^stopped by SIGTERM at epoch 1, step {steps[0]}; .*--resume {out}$"):
        run(tiny(pictures, select=True, workers=workers), out, StopsAt(steps[0]))
    for more in steps[1:]:
        with pytest.raises(Interrupted):
            resume(out, StopsAt(more))
    listener = Listens()
    record = resume(out, listener).to_json()
    assert record["timing"]["resumed"] == len(steps)
    assert record["timing"]["checkpoints"] == len(steps)
    assert listener.said[-1].startswith(f"resuming from epoch {1 + (sum(steps) - 1) // STEPS}, step ")
    assert_same(outcome(out), outcome(whole))
    assert not [path for path in out.rglob("*") if path.name.startswith((".", "step-"))]


def test_the_first_ctrl_c_writes_a_checkpoint_with_exit_code_130(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"^stopped by Ctrl-C at epoch 2, step 1; ") as end:
        run(tiny(pictures), tmp_path / "run", StopsAt(5, signal.SIGINT))
    assert end.value.exit_code == 130
    assert (tmp_path / "run/checkpoint/step-000000005/manifest.json").exists()


def test_without_a_checkpoint_a_run_begins_anew(pictures: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.toml").write_text((whole / "config.toml").read_text())
    listener = Listens()
    resume(out, listener)
    assert listener.said[0] == f"{out} has no checkpoint; starting from the beginning"
    assert_same(outcome(out), outcome(whole))


def test_a_finished_run_gives_its_result(whole: Path) -> None:
    before = outcome(whole)
    record = resume(whole).to_json()
    assert record["metrics"] == before["metrics"]
    assert record["directory"] == str(whole)


def test_tensors_keep_their_memory_layout(pictures: Path) -> None:
    """Kernels choose by layout, and another choice is another last bit."""
    task = prepare(tiny(pictures), SilentReporter())
    accelerator = build_accelerator(task.config)
    trainer, fresh = build_trainer(task, accelerator), build_trainer(task, accelerator)
    trainer.run_epoch(0, EPOCHS, SilentReporter())
    shared, tensors = gather_shared(trainer)
    restore_shared(fresh, shared, tensors)

    def strides(one: Trainer) -> list[tuple[int, ...]]:
        moments = [v for s in one.optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        return [t.stride() for t in (*one.step.parameters(), *one.step.buffers(), *moments)]

    assert strides(fresh) == strides(trainer)
