"""The script for a short session on a GPU: tried as a whole on the CPU, and its parts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from gpu_stages import pack, process, session
from gpu_stages.losses import all_contenders, error_of
from gpu_stages.results import OUT_OF_TIME, Task, new_stage, read_results, write_results
from gpu_stages.summary import summary

from lossbench.bench.workload import Workload
from lossbench.data.sources import open_data
from lossbench.errors import ConfigError

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.long
def test_every_stage_runs_at_the_smallest_size(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out"), "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = (tmp_path / "out" / process.LOG).read_text()
    assert done.returncode == 0, (done.stdout, done.stderr, log[-3000:])
    stages = read_results(tmp_path / "out")["stages"]
    assert list(stages) == [stage[0] for stage in session.STAGES]
    for name, stage in stages.items():
        assert (stage["status"], stage["problems"]) == ("finished", []), (name, log[-3000:])
        assert stage["rows"], name
        assert f"## {stage['title']}" in done.stdout
    assert any(row["event"].startswith("killed") for row in stages["resume"]["rows"])
    (grid,) = stages["ferplus"]["rows"]
    assert grid["finished cells"] == grid["of"] == 2
    # Few and small files, easily copied from the machine with the GPU.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "log.txt", "results.json", "senet-tiny-records.zip", "senet-tiny.html", "senet-tiny.md", "summary.md",
    ]  # fmt: skip


def task(tmp_path: Path, seconds: float = 60.0) -> Task:
    write_results(tmp_path, {"stages": {"demo": {"title": "Demo"} | new_stage()}})
    return Task("demo", tmp_path, tmp_path, "cpu", True, seconds)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_stage_is_killed_at_its_limit_and_its_findings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "METHOD", "fork")
    monkeypatch.setattr(process, "_become", _stuck)
    assert process.run_stage(task(tmp_path, seconds=1.0), "unused") == OUT_OF_TIME
    stage = read_results(tmp_path)["stages"]["demo"]
    assert (stage["status"], stage["rows"]) == (OUT_OF_TIME, [{"found": 1}])


def _stuck(task: Task, module: str) -> None:
    os.setsid()
    task.add({"found": 1})
    time.sleep(600)


def test_without_a_gpu_there_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu.py", str(tmp_path / "out")])
    assert session.main("") == 2
    assert "no CUDA device was found; run this on a machine with one, or pass --smoke" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes must be a positive number, got 0"),
        (["--data", "no.zip"], "no.zip: no such file; make it with: python benchmarks/gpu.py pack ferplus:DIR"),
    ],
)
def test_bad_calls(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu.py", str(tmp_path / "out"), "--smoke", *arguments])
    assert session.main("") == 2
    assert message in capsys.readouterr().err


def test_packed_data_is_the_same_data(tmp_path: Path) -> None:
    source = f"ferplus:{pack.make_small(tmp_path / 'small')}"
    assert pack.pack(source, tmp_path / "a.zip").startswith("Packed FER+: 96 images of Training and 24 images of Priv")
    again = open_data(f"ferplus:{pack.unpack(tmp_path / 'a.zip', tmp_path / 'a')}")
    before = open_data(source)
    for ours, theirs in ((again.train, before.train), (again.test, before.test)):
        assert ours.class_names == theirs.class_names
        assert ours.targets.tolist() == theirs.targets.tolist()
        assert [ours.read(n).tobytes() for n in (0, 7)] == [theirs.read(n).tobytes() for n in (0, 7)]


def test_data_that_is_too_large_becomes_jpeg_or_is_refused(tmp_path: Path) -> None:
    source = f"ferplus:{pack.make_small(tmp_path / 'small')}"
    pack.pack(source, tmp_path / "png.zip")
    size = (tmp_path / "png.zip").stat().st_size
    assert "as JPEG of quality 92" in pack.pack(source, tmp_path / "jpg.zip", limit=size - 1)
    with pytest.raises(ConfigError, match=r"bytes as JPEG of quality 92; at most 1,000 are carried"):
        pack.pack(source, tmp_path / "none.zip", limit=1000)
    with pytest.raises(ConfigError, match="expected ferplus:DIR, got 'digits'"):
        pack.pack("digits", tmp_path / "none.zip")


def test_errors_of_a_loss_are_seen(tmp_path: Path) -> None:
    (softmax,) = (each for each in all_contenders() if each.name == "softmax")
    workload = Workload(8, 4, 6)
    assert error_of(softmax, workload, torch.float32) < 1e-6
    assert 0 < error_of(softmax, workload, torch.bfloat16) < 0.02


def test_the_summary_has_problems_and_tables(tmp_path: Path) -> None:
    demo = {"title": "Demo"} | new_stage() | {"rows": [{"loss": "a", "x": 1.5}, {"loss": "b|c"}], "problems": ["bad"]}
    machine = {"gpu": "H200", "processor": "P", "cpu_cores": 2, "python": "3.12", "packages": {"torch": "2.11"}}
    text = summary({"command": "c", "smoke": False, "machine": machine, "revision": None, "stages": {"demo": demo}})
    assert "# Results on a GPU" in text
    assert "- bad" in text
    assert "| a | 1.5 |" in text
    assert "| b\\|c | - |" in text
