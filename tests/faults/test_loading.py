"""Loader processes whose shared memory, open files or images run out, or that hang."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.runs import Listens, StopsAt, assert_same, outcome, tiny
from PIL import Image

from lossbench.data import loader
from lossbench.errors import ImagesLost, Interrupted, RunFailed
from lossbench.harness.checks import check_loading
from lossbench.harness.prepare import prepare
from lossbench.harness.readable_splits import Readable, read_splits
from lossbench.harness.reporter import Reporter, SilentReporter
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.harness.training.failures import explained
from lossbench.machine import doctor, limits
from lossbench.runs.options import RunConfig

MIB = 2**20


def reading(change: Callable[[int], None]) -> Callable[[RunConfig, Reporter], Readable]:
    """A `read` whose training images call `change` with their row before they are decoded."""

    def read(config: RunConfig, reporter: Reporter) -> Readable:
        splits, skipped = read_splits(config, reporter)
        before = splits.train.read

        def changed(row: int) -> Image.Image:
            change(row)
            return before(row)

        return dataclasses.replace(splits, train=dataclasses.replace(splits.train, read=changed)), skipped

    return read


# --- shared memory and open files ------------------------------------------------------------------------------------


def test_batches_that_do_not_fit_into_shared_memory_are_refused_before_the_run(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = prepare(tiny(pictures, workers=4), SilentReporter())
    needed = loader.bytes_in_transit(8, 32, 4)
    assert needed == 9 * 8 * (3 * 32 * 32 + 16)
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(limits, "shared_memory", lambda f=free: limits.SharedMemory(64 * MIB, f))
        monkeypatch.setattr("lossbench.harness.checks.shared_memory", limits.shared_memory)
        if fits:
            check_loading(task, 1)
            continue
        with pytest.raises(
            RunFailed, match=r"--workers 4: .* shared memory, and /dev/shm has 0 MiB free of 64\. Use"
        ) as e:
            check_loading(task, 1)
        assert e.value.exit_code == 1
        check_loading(dataclasses.replace(task, config=dataclasses.replace(task.config, workers=0)), 1)


def test_the_limit_on_open_files_is_raised_as_far_as_it_may_be(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = prepare(tiny(pictures, workers=4), SilentReporter())
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 100_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: raised.append(pair))
    check_loading(task, 1)
    assert raised == [(256 + loader.files_in_transit(4), 100_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 128))
    with pytest.raises(RunFailed, match=r"--workers 4: about 315 files are open at a time, and a process may open 128"):
        check_loading(task, 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(28, "No space left on device"), loader.NO_SHARED_MEMORY),
        (RuntimeError("unable to write to file </torch_9>: No space left on device (28)"), loader.NO_SHARED_MEMORY),
        (OSError(24, "Too many open files"), loader.NO_OPEN_FILES),
        (RuntimeError("Too many open files (24)"), loader.NO_OPEN_FILES),
        (RuntimeError("something else"), 1),
    ],
)
def test_a_loader_process_that_cannot_hand_over_a_batch_ends(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(loader.os, "_exit", codes.append)
    loader._not_handed_over(error, None)
    assert codes[0] == code


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "is killed by signal: Bus error. ",
            r"^shared memory is full at step 3: /dev/shm has .* --resume 'my runs/a' \(",
        ),
        (f"exited unexpectedly with exit code {loader.NO_SHARED_MEMORY}. ", "^shared memory is full at step 3: "),
        (f"exited unexpectedly with exit code {loader.NO_OPEN_FILES}. ", "^too many open files at step 3: a process "),
        ("is killed by signal: Killed. ", "^a loader process died at step 3: process 7 is killed by signal: Killed"),
    ],
)
def test_the_end_of_a_loader_process_is_explained(pictures: Path, how: str, message: str) -> None:
    config = tiny(pictures, workers=2).resolved(32)
    with pytest.raises(RunFailed, match=message), explained(config, lambda: "step 3", directory=Path("my runs/a")):
        raise RuntimeError(f"DataLoader worker (pid 7) {how}")
    with (
        pytest.raises(RunFailed, match=r"^no batch arrived for 10 minutes at step 3"),
        explained(config, lambda: "step 3"),
    ):
        raise RuntimeError("DataLoader timed out after 600 seconds")


def test_a_batch_that_is_not_handed_over_ends_the_run_and_it_can_be_resumed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full /dev/shm, as its loader process sees it: what is put into the queue cannot be pickled."""
    out = tmp_path / "run"
    full = tmp_path / "full"
    as_is = loader._as_is

    class Full:
        def __reduce__(self) -> str:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(loader, "_as_is", lambda batch: Full() if full.exists() else as_is(batch))
    full.touch()
    with pytest.raises(RunFailed, match=r"^shared memory is full at epoch 1, step 0: .* resume with: "):
        run(tiny(pictures, workers=1), out)
    full.unlink()
    resume(out)
    run(tiny(pictures), tmp_path / "whole")
    assert_same(outcome(out), outcome(tmp_path / "whole"))


def test_doctor_shows_shared_memory_and_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[tuple[str, str, str]] = []
    monkeypatch.setattr(doctor, "shared_memory", lambda: limits.SharedMemory(64 * MIB, 60 * MIB))
    doctor._add_limits(lambda *row: rows.append(row))
    assert rows[0][:2] == ("missing", "shared memory")
    assert rows[0][2].startswith("/dev/shm: 64 MiB, 60 free; too little for --workers")
    assert rows[1][1] == "open files"


# --- waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_is_heeded_while_a_batch_is_waited_for(pictures: Path, tmp_path: Path, workers: int) -> None:
    hangs, out = tmp_path / "hangs", tmp_path / "run"

    def wait(row: int) -> None:
        while hangs.exists():
            time.sleep(0.05)

    class HangsAfter(SilentReporter):
        steps = 0

        def step(self, epoch: int) -> None:
            self.steps += 1
            if self.steps == 4:
                hangs.touch()
                threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()

    began = time.monotonic()
    try:
        with pytest.raises(Interrupted, match=r"^stopped by SIGTERM at epoch 2, step 0; resume with: "):
            run(tiny(pictures, workers=workers), out, HangsAfter(), read=reading(wait))
    finally:
        hangs.unlink()
    assert time.monotonic() - began < 60
    assert list((out / "checkpoint").glob("step-*"))
    resume(out)
    run(tiny(pictures), tmp_path / "whole")
    assert_same(outcome(out), outcome(tmp_path / "whole"))


def test_a_run_that_is_stopped_leaves_no_loader_process(pictures: Path, tmp_path: Path) -> None:
    """At its exit, Python would wait for it without a limit; here the error still holds the run's frames."""
    with pytest.raises(Interrupted) as stopped:
        run(tiny(pictures, workers=1), tmp_path / "run", StopsAt(2))
    assert multiprocessing.active_children() == []
    assert stopped.value.exit_code == 128 + signal.SIGTERM


# --- images that vanish ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_vanish_end_a_run_with_a_checkpoint(pictures: Path, tmp_path: Path, workers: int) -> None:
    data = tmp_path / "mounted"
    shutil.copytree(pictures.parent, data)
    out = tmp_path / "run"

    class Unmounts(SilentReporter):
        steps = 0

        def step(self, epoch: int) -> None:
            self.steps += 1
            if self.steps == 4:
                data.rename(tmp_path / "unmounted")

    config = tiny(data / "all.csv", workers=workers)
    with pytest.raises(ImagesLost) as lost:
        run(config, out, Unmounts())
    assert lost.value.exit_code == 1
    text = str(lost.value)
    assert ".png: no such file, at epoch " in text
    assert text.endswith(f"Resume with: lossbench run --resume {out}")
    assert not any(word in text for word in ("Traceback", "--skip-unreadable", "\n"))
    (tmp_path / "unmounted").rename(data)
    listens = Listens()
    resume(out, listens)
    assert not any("from the beginning" in said for said in listens.said)


def test_images_that_vanish_before_they_are_cached(pictures: Path, tmp_path: Path) -> None:
    def vanish(row: int) -> None:
        from lossbench.errors import DataError

        raise DataError("a.png: no such file")

    with pytest.raises(ImagesLost, match=r"^a.png: no such file, at its beginning\. It could be read before"):
        run(tiny(pictures, cache=True), tmp_path / "run", read=reading(vanish))


def test_a_message_about_an_image_names_no_option(tmp_path: Path) -> None:
    """`predict` and others that decode images have no --skip-unreadable."""
    from lossbench.data.decode import decode
    from lossbench.errors import DataError

    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError) as unreadable:
        decode(tmp_path / "a.png")
    assert str(unreadable.value) == f"{tmp_path}/a.png: zero bytes"
