"""A run goes on only as itself, and says what is in its way."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.runs import Listens, StopsAt, assert_same, make_pictures, outcome, tiny

from lossbench.errors import CheckpointError, ConfigError, Interrupted, RecordError, RunFailed, StorageError
from lossbench.harness.checkpoints import belonging as identity_module
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.harness.training.failures import explained
from lossbench.runs.lock import locked

pytestmark = pytest.mark.slow


def interrupted(config: Any, out: Path, step: int = 5) -> Path:
    with pytest.raises(Interrupted):
        run(config, out, StopsAt(step))
    return out


def change_option(out: Path, name: str, value: str) -> None:
    """As someone who edits `config.toml`."""
    lines = [line for line in (out / "config.toml").read_text().splitlines() if not line.startswith(f"{name} =")]
    (out / "config.toml").write_text("\n".join([f"{name} = {value}", *lines]) + "\n")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("loss", '"softmax"', r"loss: the checkpoint has weighted-softmax \+ 0.3.*, this run softmax"),
        ("loss", '"weighted-cluster(delta=0.002)"', r"delta=0.001\), this run .*delta=0.002"),
        ("model", '"test_resnet"', "--model: the checkpoint has test_efficientnet, this run test_resnet"),
        ("epochs", "4", "--epochs: the checkpoint has 3, this run 4"),
        ("seed", "6", "--seed: the checkpoint has 5, this run 6"),
        ("lr", "0.02", "--lr: the checkpoint has 0.01, this run 0.02"),
        ("select", "true", "training images: "),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_run_is_refused_naming_what_differs(
    pictures: Path, tmp_path: Path, name: str, value: str, message: str
) -> None:
    out = interrupted(tiny(pictures), tmp_path / "run")
    change_option(out, name, value)
    with pytest.raises(CheckpointError, match=rf"step-000000005 belongs to a different run:\n(.*\n)*.*{message}"):
        resume(out)
    assert (out / "checkpoint/step-000000005/manifest.json").exists()
    assert not (out / "record.json").exists()


def test_other_data_other_classes_and_other_versions_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_pictures(tmp_path)
    out = interrupted(tiny(data), tmp_path / "run")
    rows = data.read_text()
    data.write_text(rows.replace("train3.png,a", "train3.png,b"))
    with pytest.raises(CheckpointError, match=r"training images: the checkpoint has [0-9a-f]{64}, this run "):
        resume(out)
    data.write_text(rows.replace(",c,", ",z,"))
    with pytest.raises(CheckpointError, match="class list: the checkpoint has a, b, c, this run a, b, z"):
        resume(out)
    data.write_text(rows)
    with monkeypatch.context() as patch:
        patch.setattr(identity_module, "loss_origin", lambda name: "my-losses 2.0")
        with pytest.raises(
            CheckpointError,
            match=r"origin and version of loss weighted-cluster: .* lossbench \S+, this run my-losses 2.0",
        ):
            resume(out)
    with monkeypatch.context() as patch:
        patch.setattr(identity_module, "version", lambda name: "9.9")
        with pytest.raises(CheckpointError, match=r"lossbench: the checkpoint has \S+, this run 9.9"):
            resume(out)
    with monkeypatch.context() as patch:  # the same run except for the last bits: reported and allowed
        patch.setattr(torch, "__version__", "9.9.9")
        listener = Listens()
        resume(out, listener)
        assert any("this run 9.9.9; the last bits of the result may differ" in text for text in listener.said)


def test_a_checkpoint_that_was_put_there_from_another_run_is_refused(pictures: Path, tmp_path: Path) -> None:
    mine = interrupted(tiny(pictures), tmp_path / "mine")
    other = interrupted(tiny(pictures, "softmax"), tmp_path / "other", 6)
    os.rename(other / "checkpoint/step-000000006", mine / "checkpoint/step-000000006")
    with pytest.raises(CheckpointError, match="step-000000006 belongs to a different run"):
        resume(mine)


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"--resume .*nowhere: not a run, because it has no config.toml"):
        resume(tmp_path / "nowhere")
    (tmp_path / "config.toml").write_text("loss = 1\n")
    with pytest.raises(ConfigError, match=r"config.toml: loss must be text, got 1"):
        resume(tmp_path)
    (tmp_path / "record.json").write_text("[" * 100_000)
    with pytest.raises(RecordError, match="is not a record of a run: it nests too deeply"):
        resume(tmp_path)


def test_options_beside_resume_are_refused_but_for_those_that_change_nothing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lossbench.cli import main

    out = interrupted(tiny(pictures), tmp_path / "run")
    for given, code in ((["--epochs", "4", "--lr", "1"], 2), (["--workers", "2", "--checkpoint-every", "3"], 0)):
        monkeypatch.setattr("sys.argv", ["lossbench", "run", "--resume", str(out), *given])
        with pytest.raises(SystemExit) as end:
            main()
        assert int(end.value.code or 0) == code
    assert (
        "different run (the learning rate falls to zero over the epochs that it started with). Start a new run, or "
        in capsys.readouterr().err
    )
    run(tiny(pictures), tmp_path / "whole")
    assert_same(outcome(out), outcome(tmp_path / "whole"))


# --- the disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process can write, in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("what", "limit", "path"),
    [("checkpoint", 400_000, "checkpoint/step-000000004"),
     ("record", 2_000, "record.json"),
     pytest.param("history", 500, "history.jsonl", marks=pytest.mark.long),
     pytest.param("weights", 100_000, "checkpoint/weights.safetensors", marks=pytest.mark.long)],
)  # fmt: skip
def test_a_full_disk_leaves_what_was_there_and_the_run_can_go_on(
    pictures: Path, tmp_path: Path, small_files: Any, monkeypatch: pytest.MonkeyPatch, what: str, limit: int, path: str
) -> None:
    """By a limit on the size of files: the kernel then refuses the write, as a full disk does."""

    from lossbench import files
    from lossbench.harness import finish as finish_module
    from lossbench.harness import run as run_module

    out = tmp_path / "run"
    every = "2" if what == "checkpoint" else "1000"
    if what != "checkpoint":
        interrupted(tiny(pictures, checkpoint_every=every), out)
    else:
        interrupted(tiny(pictures, checkpoint_every=every), out, 2)
    kept = sorted((p.relative_to(out), p.read_bytes()) for p in (out / "checkpoint").rglob("*") if p.is_file())
    history = (out / "history.jsonl").read_text() if (out / "history.jsonl").exists() else ""
    whole = {"history": "write_text", "record": "write_json"}.get(what)
    write = getattr(files, whole or "write_text")
    if whole:  # only from this file on, so that the others are written

        def limited(target: Path, *rest: Any, **options: Any) -> None:
            small_files(limit if target.name == Path(path).name else resource.RLIM_INFINITY)
            write(target, *rest, **options)

        monkeypatch.setattr(files, whole, limited)
    else:
        module, name = (finish_module, "_write_weights") if what == "weights" else (run_module, "train_epochs")
        real = getattr(module, name)

        def from_here(*given: Any) -> Any:
            small_files(limit)
            return real(*given)

        monkeypatch.setattr(module, name, from_here)
    with pytest.raises(StorageError) as full:
        resume(out)
    small_files(resource.RLIM_INFINITY)
    assert full.value.exit_code == 1
    assert str(full.value).startswith(f"cannot write {out}/{path}: the file-size limit is reached (File too large)")
    assert "Existing files are unchanged. Free some space; " in str(full.value)
    assert not (out / "record.json").exists()
    assert (out / "history.jsonl").read_text().startswith(history) if history else True
    still = {p.relative_to(out): p.read_bytes() for p in (out / "checkpoint").rglob("*") if p.is_file()}
    assert all(still[name] == content for name, content in kept)
    assert not [p for p in out.rglob("*") if p.name.startswith((".writing", ".history", ".record", ".weights"))]
    monkeypatch.undo()
    resume(out)
    run(tiny(pictures), tmp_path / "whole")
    assert_same(outcome(out), outcome(tmp_path / "whole"))


# --- the machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
     RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to ...")],
    ids=["python", "cuda", "cpu"],
)  # fmt: skip
def test_out_of_memory_says_what_to_change(pictures: Path, error: Exception) -> None:
    config = tiny(pictures).resolved(32)
    message = r"^out of memory at epoch 2, step 3, with --batch-size 8, --micro-batches 1, .* \(try 2\); .*--resume DIR"
    with pytest.raises(RunFailed, match=message), explained(config, lambda: "epoch 2, step 3"):
        raise error


def test_a_pipe_that_breaks_while_a_batch_is_handed_over_is_a_dead_worker(pictures: Path, tmp_path: Path) -> None:
    """A killed worker may be seen first where its tensor is fetched, before the system tells of its death."""
    config = tiny(pictures, workers=2).resolved(32)
    message = r"^a loader process died at step 3: process unknown exited\. .*try fewer --workers"
    with pytest.raises(RunFailed, match=message), explained(config, lambda: "step 3"):
        Client(str(tmp_path / "gone"), family="AF_UNIX")
    with pytest.raises(FileNotFoundError), explained(config, lambda: "step 3"):
        (tmp_path / "gone").read_text()


def test_out_of_memory_in_a_run_leaves_its_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hungry(StopsAt):
        def step(self, epoch: int) -> None:
            self.left -= 1
            if self.left == 0:
                torch.empty(10**15)

    out = tmp_path / "run"
    with pytest.raises(RunFailed, match=r"^out of memory at epoch 2, step 3, with --batch-size 8"):
        run(tiny(pictures, checkpoint_every="2"), out, Hungry(7))
    listener = Listens()
    resume(out, listener)
    assert "resuming from epoch 2, step 2 " in listener.said[-1]


def test_other_errors_of_torch_are_not_explained_away(pictures: Path) -> None:
    config = tiny(pictures).resolved(32)
    with pytest.raises(RuntimeError, match="a bug"), explained(config, lambda: "-"):
        raise RuntimeError("a bug")


def test_clocks_of_a_run_are_monotonic(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock jumps back by a day at each look: no time of the record and no checkpoint depends on it."""
    import time

    jumps = iter(range(10**9))
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real - 86_400 * next(jumps))
    out = tmp_path / "run"
    record = run(tiny(pictures, checkpoint_every="4"), out).to_json()
    assert all(value is None or value >= 0 for name, value in record["timing"].items() if "seconds" in name)
    assert record["timing"]["checkpoints"] == 3
    assert record["timing"]["checkpoint_seconds"] > 0


def test_a_lock_that_was_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 1 on elsewhere")
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_a_record_says_what_checkpoints_took(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(dataclasses.replace(tiny(pictures), checkpoint_every="1"), out)
    timing = json.loads((out / "record.json").read_text())["timing"]
    assert timing["checkpoints"] == 12
    assert 0 < timing["checkpoint_seconds"] < timing["total_seconds"]
    assert timing["resumed"] == 0
