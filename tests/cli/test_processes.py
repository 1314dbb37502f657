"""`compare --processes N`: what is refused, what each cell gets, and which error of several processes is reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from lossbench.errors import ConfigError, DiskFullError, NonFiniteError, RunFailed
from lossbench.harness.grid import pool as pool_module
from lossbench.harness.grid import ranks
from lossbench.harness.grid.devices import check_devices
from lossbench.harness.grid.pool import Pool
from lossbench.harness.grid.ray_options import read_ray_options
from lossbench.harness.grid.slurm_options import read_slurm_options
from lossbench.harness.grid.worker_process import worker_environment
from lossbench.harness.training import build
from lossbench.runs.cells import FULL, Cell, state
from lossbench.runs.options import RunConfig

CELL = Cell(loss="softmax", config=RunConfig(loss="softmax"), matters={})
TOGETHER = dataclasses.replace(CELL, processes=2)


def test_each_worker_has_a_gpu_or_a_core_for_each_process_of_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    visible = [worker_environment(n, 3, 5, 2)["CUDA_VISIBLE_DEVICES"] for n in range(3)]
    assert visible == ["0,1", "2,3", "0,1"]  # the fifth has no partner
    assert [worker_environment(n, 4, 2)["CUDA_VISIBLE_DEVICES"] for n in range(4)] == ["0", "1", "0", "1"]
    assert worker_environment(0, 2, 0, 4)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,3,1")
    assert worker_environment(1, 2, 4, 2)["CUDA_VISIBLE_DEVICES"] == "3,1"


def test_a_cell_of_several_processes_is_another_cell() -> None:
    assert CELL.name == Cell.from_json({**CELL.to_json(), "processes": 1}).name
    assert TOGETHER.name != CELL.name
    assert Cell.from_json(json.loads(json.dumps(TOGETHER.to_json()))) == TOGETHER


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_devices("cuda:1", 2, 4), "--device cuda:1 is one; pass --device cuda or cpu"),
        (lambda: check_devices("auto", 4, 2), "this machine has 2; pass --processes 2, or --device cpu"),
        (lambda: read_slurm_options({"gpus": "1"}, 2), "--slurm gpus=1: .* pass gpus=2, or leave gpus out"),
        (lambda: read_slurm_options({"gpus": "4", "cells": "4"}, 2), "pass gpus=8"),
        (lambda: read_ray_options({"gpus": "0.5"}, 2), "--ray gpus=0.5: the 2 processes of a cell need 2 GPUs"),
    ],
)
def test_too_few_devices_are_one_error(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_cell_asks_its_engine_for_a_core_per_process() -> None:
    check_devices("auto", 2, None)  # of another machine
    check_devices("cpu", 2, 0)
    assert read_slurm_options({"cells": "3"}, 2).parameters["cpus_per_task"] == 6
    assert read_slurm_options({"gpus": "6", "cells": "3", "cpus": "1"}, 2).parameters["cpus_per_task"] == 1
    assert (read_ray_options({}, 3).cpus, read_ray_options({"gpus": "3"}, 3).gpus) == (3.0, 3.0)


ASKED = ("compare", "--losses", "softmax", "--seeds", 1, "--data", "synthetic(images=96)", "--out", "grid")
SHARES = ("--batch-size", 16, "--device", "cpu", "--model", "test_resnet", "--image-size", 32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--processes", 0), "Invalid value for '--processes'"),
        (("--processes", 2, "--device", "mps"), "each process needs a device of its own"),
        pytest.param(
            ("--processes", 9, *SHARES), "split into 9 parts and leaves batches of a single", marks=pytest.mark.long
        ),
    ],
)
def test_a_wrong_number_of_processes_is_one_error(lossbench: Any, given: tuple[Any, ...], message: str) -> None:
    ended = lossbench(*ASKED, *given)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("grid").exists()


@pytest.mark.parametrize(
    ("device", "processes", "gpu", "cpu"),
    [("auto", 2, False, True), ("auto", 1, False, False), ("auto", 2, True, False), ("cpu", 1, True, True)],
)
def test_several_processes_without_a_gpu_meet_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, device: str, processes: int, gpu: bool, cpu: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr(build, "Accelerator", lambda **given: given["cpu"])
    assert build.build_accelerator(RunConfig(loss="softmax", device=device)) is cpu  # type: ignore[comparison-overlap]


def end(error: str | None, message: str = "") -> dict[str, Any]:
    return {"event": "end", "error": error, "message": message}


def test_the_error_of_several_processes_is_that_of_lossbench() -> None:
    ranks._raise_for([end(None), end(None)], 2)
    with pytest.raises(NonFiniteError, match="at step 3"):
        ranks._raise_for([end("RuntimeError", "connection closed by peer"), end("NonFiniteError", "at step 3")], 2)
    with pytest.raises(DiskFullError):
        ranks._raise_for([end("DiskFullError", "cannot write")], 2)
    with pytest.raises(RunFailed, match="ValueError: of a plugin"):
        ranks._raise_for([end("ValueError", "of a plugin"), end("RuntimeError", "connection closed")], 2)
    with pytest.raises(ranks._RanksDied, match=r"\(RuntimeError: connection closed by peer\)"):
        ranks._raise_for([end("RuntimeError", "connection closed by peer")], 2)


class Full:
    """A worker process on a full disk."""

    def __init__(self, *given: object) -> None:
        pass

    def is_alive(self) -> bool:
        return True

    def ask(self, *given: object) -> tuple[str, str]:
        return FULL, "cannot write record.json: the disk is full"

    def close(self) -> None:
        pass


def test_a_full_disk_ends_a_job_and_leaves_its_cells_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WorkerProcess", Full)
    other = dataclasses.replace(CELL, copy=2, matters={"copy": 2})
    pool = Pool([CELL, other], tmp_path, lambda cell, event: None, attempt="first")
    with pytest.raises(DiskFullError, match=r"cannot write record\.json: the disk is full"):
        pool.run([{}])
    assert pool.left == 1
    assert [state(cell.place(tmp_path))[0] for cell in (CELL, other)] == ["missing", "missing"]
