"""What a file names is not run, imported or contacted; code that misbehaves is named; exit codes tell the truth."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults.runs import Listens, StopsAt, tiny
from safetensors.torch import load_file, save_file
from warm import Done, start

from lossbench import load_run, time_limit
from lossbench.errors import (
    CheckpointError,
    Interrupted,
    ModelError,
    NonFiniteError,
    PluginError,
    RunFailed,
    StorageError,
    UsageError,
)
from lossbench.harness.checkpoints.folder import write_checkpoint
from lossbench.harness.checkpoints.replay import replay
from lossbench.harness.grid.worker_process import worker_environment
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.losses.softmax import SoftmaxLoss
from lossbench.models.build import build_model
from lossbench.runs.record import read_record


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; don't change it."""
    return run(tiny(pictures, epochs=1), tmp_path_factory.mktemp("finished") / "run").directory


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def edit_record(directory: Path, **changes: Any) -> None:
    content = json.loads((directory / "record.json").read_text())
    for name, value in changes.items():
        part, _, field = name.partition("__")
        content[part] = {**content[part], field: value} if field else value
    (directory / "record.json").write_text(json.dumps(content))


def write_module(folder: Path, name: str, mark: Path) -> None:
    (folder / name).write_text(f"open({str(mark)!r}, 'w').close()\nclass Loss: pass\n")


# --- names -----------------------------------------------------------------------------------------------------------

MODELS = (
    "hf-hub:someone/model",
    "hf_hub:someone/model",
    "local-dir:/etc",
    "timm/resnet18",
    "resnet18.hf-hub:a",
    "../x",
)


@pytest.mark.parametrize("name", MODELS)
def test_a_record_s_model_is_of_timm_s_list_or_refused(copy: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("it was looked up"))
    edit_record(copy, model__name=name)
    with pytest.raises(ModelError, match="is not in timm's list of models"):
        load_run(copy)
    with pytest.raises(ModelError, match="is not in timm's list of models"):
        build_model(name, num_classes=2, image_size=32, seed=0)


@pytest.mark.parametrize("formula", ["evil.py:Loss", "evil:Loss", "./evil.py:Loss", "evil.py", "os:system"])
def test_a_record_s_formula_names_registered_losses_alone(
    copy: Path, tmp_path: Path, formula: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, "evil.py", tmp_path / "was-run")
    monkeypatch.chdir(tmp_path)
    edit_record(copy, formula=formula)
    with pytest.raises(UsageError):
        load_run(copy)
    assert not (tmp_path / "was-run").exists()


def test_a_certificate_s_file_is_run_only_if_the_user_repeats_it(tmp_path: Path) -> None:
    from lossbench.testing.certificate import read_certificate, verify

    write_module(tmp_path, "evil.py", tmp_path / "was-run")
    target = f"{tmp_path / 'evil.py'}:Loss"
    content = {
        "schema_version": 1, "quote": "", "target": target, "takes": None, "traits": [], "versions": {},
        "effort": {"examples": 3, "seed": 0, "deep": False, "compile": False}, "source_sha256": "", "results": [],
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="repeat it: lossbench verify CERTIFICATE"):
        verify(read_certificate(tmp_path / "c.json"))
    assert not (tmp_path / "was-run").exists()
    with pytest.raises(UsageError):
        verify(read_certificate(tmp_path / "c.json"), target=target)
    assert (tmp_path / "was-run").exists()
    content |= {"target": "softmax", "effort": {"examples": 10**12, "seed": 0, "deep": False, "compile": False}}
    with pytest.raises(UsageError, match="the certificate is damaged"):
        verify(content)


@pytest.mark.long
def test_a_worker_imports_what_its_parent_imports_and_not_the_working_directory(tmp_path: Path) -> None:
    write_module(tmp_path, "filelock.py", tmp_path / "was-run")
    write_module(tmp_path, "h2.py", tmp_path / "was-run")
    code = "import sys, filelock, lossbench.harness.grid.worker; print(filelock.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=worker_environment(0, 1, 0), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stdout
    assert not (tmp_path / "was-run").exists()


# --- forged numbers --------------------------------------------------------------------------------------------------

FORGED = {
    "an epoch beyond the run": {"epoch": 10**12},
    "a negative epoch": {"epoch": -1},
    "a history of other epochs": {"history": []},
    "text for seconds": {"seconds": "1"},
    "a negative count": {"checkpoints": -5},
    "a step beyond the epoch": {"processes": 10**15},
    "an endless number": {"resumed": 10**300},
    "nothing for seconds": {"checkpoint_seconds": None},
}


@pytest.fixture(scope="module")
def interrupted(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(Interrupted):
        run(tiny(pictures, select=True), out, StopsAt(6))
    return out


@pytest.mark.parametrize("case", FORGED)
def test_forged_numbers_of_a_checkpoint_are_refused_at_once(interrupted: Path, tmp_path: Path, case: str) -> None:
    directory = Path(shutil.copytree(interrupted, tmp_path / "run"))
    (old,) = (directory / "checkpoint").iterdir()
    content = json.loads((old / "manifest.json").read_text())
    files = content.pop("files")
    for name in ("sha256", "schema_version"):
        content.pop(name)
    for name, value in FORGED[case].items():
        if name == "processes":
            content[name][0]["step"] = value
        else:
            content[name] = value
    blobs = {name.removesuffix(".safetensors"): (old / name).read_bytes() for name in files}
    shutil.rmtree(old)
    write_checkpoint(directory / "checkpoint", 6, lambda: content, blobs)
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="its manifest"):
        resume(directory)
    assert time.monotonic() - began < 20


BUNDLES = {
    "epoch": 10**12,
    "micro_batches": -1,
    "step": "3",
    "epochs": 0,
    "sample_ids": "abc",
    "formula": "evil.py:Loss",
}


@pytest.mark.parametrize("name", BUNDLES)
def test_forged_numbers_of_a_stored_batch_are_refused_at_once(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_module(tmp_path, "evil.py", tmp_path / "was-run")
    monkeypatch.chdir(tmp_path)
    from safetensors import safe_open

    path = _bundle(pictures, tmp_path)
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["lossbench"])
    facts[name] = BUNDLES[name]
    save_file(load_file(path), tmp_path / "forged.safetensors", {"lossbench": json.dumps(facts)})
    began = time.monotonic()
    with pytest.raises(UsageError):
        replay(tmp_path / "forged.safetensors")
    assert time.monotonic() - began < 20
    assert not (tmp_path / "was-run").exists()


def _bundle(pictures: Path, folder: Path) -> Path:
    before = SoftmaxLoss.forward
    calls = iter(range(10**6))
    SoftmaxLoss.forward = lambda self, *given: (
        before(self, *given)
        * (  # type: ignore[method-assign]
            float("nan") if next(calls) == 6 else 1.0
        )
    )
    try:
        with pytest.raises(NonFiniteError):
            run(tiny(pictures, "softmax"), folder / "stopped")
    finally:
        SoftmaxLoss.forward = before  # type: ignore[method-assign]
    return folder / "stopped/bad-batch.safetensors"


def test_a_stored_batch_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bad-batch.safetensors")
    with pytest.raises(ModelError, match="is not a regular file"):
        replay(tmp_path / "bad-batch.safetensors")


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def softmax(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let softmax do something of its own from a call on."""

    def patch(act: Any, first: int = 0) -> None:
        before, calls = SoftmaxLoss.forward, iter(range(10**9))

        def forward(self: Any, *given: Any) -> Any:
            value = before(self, *given)
            return act(value) if next(calls) >= first else value

        monkeypatch.setattr(SoftmaxLoss, "forward", forward)

    return patch


def test_a_run_none_of_whose_steps_was_taken_fails(pictures: Path, tmp_path: Path, softmax: Any) -> None:
    softmax(lambda value: value * float("nan"), first=2)
    with pytest.raises(NonFiniteError, match="4 of 4 steps were non-finite and skipped, so nothing was trained"):
        run(tiny(pictures, "softmax", on_nonfinite="skip"), tmp_path / "run")


def test_skipped_steps_are_bounded_by_share_and_told(pictures: Path, tmp_path: Path, softmax: Any) -> None:
    calls = iter(range(10**9))
    softmax(lambda value: value * float("nan") if next(calls) % 2 else value, first=1)
    with pytest.raises(NonFiniteError, match="2 of 4 steps were non-finite and skipped, more than 25%"):
        run(tiny(pictures, "softmax", on_nonfinite="skip"), tmp_path / "run")


@pytest.mark.parametrize("what", ["removed", "renamed", "replaced"])
def test_a_directory_that_goes_away_ends_the_run_and_is_not_made_again(
    pictures: Path, tmp_path: Path, what: str
) -> None:
    out = tmp_path / "runs" / "run"

    class Takes(Listens):
        def step(self, epoch: int) -> None:
            if epoch == 1 and (out / "history.jsonl").exists():
                out.rename(tmp_path / "elsewhere")
                if what == "removed":
                    shutil.rmtree(tmp_path / "elsewhere")
                if what == "replaced":
                    out.mkdir()

    with pytest.raises(StorageError, match="was removed, renamed or replaced") as end:
        run(tiny(pictures), out, Takes())
    assert end.value.exit_code == 1
    assert [path.name for path in out.rglob("*")] == []
    assert out.exists() == (what == "replaced")


def test_code_that_exits_is_a_failed_run(pictures: Path, tmp_path: Path, softmax: Any) -> None:
    softmax(lambda value: sys.exit(0), first=4)
    with pytest.raises(RunFailed, match=r"called exit \(0\), so .* has no record"):
        run(tiny(pictures, "softmax"), tmp_path / "run")


PLUGIN = """
import os, sys, time
print("noise at import")
os.write(1, b"noise of C\\n")
from lossbench.losses.softmax import SoftmaxLoss
calls = iter(range(10**9))
before = SoftmaxLoss.forward
def forward(self, *given):
    print("noise in a step")
    number = next(calls)
    if {act!r} == "exit" and number > 3:
        os._exit(0)
    if {act!r} == "hang":
        while True:
            try:
                time.sleep(1000)
            except Exception:
                pass
    return before(self, *given)
SoftmaxLoss.forward = forward
from lossbench import time_limit
time_limit.TRIAL_SECONDS = 2.0
from lossbench.cli import main
main()
"""


def command(act: str, pictures: Path, out: Path, *more: str) -> Done:
    given = ["--loss", "softmax", "--data", f"csv:{pictures}", "--model", "test_efficientnet", "--image-size", "32",
             "--epochs", "1", "--batch-size", "8", "--device", "cpu", "--out", str(out), *more]  # fmt: skip
    program = out.parent / "program.py"
    program.write_text(PLUGIN.replace("{act!r}", repr(act)))
    return start(out.parent, program, "run", *given).wait()


@pytest.mark.slow
def test_noise_of_a_plugin_does_not_spoil_json(pictures: Path, tmp_path: Path) -> None:
    done = command("work", pictures, tmp_path / "run", "--json")
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if not line.startswith("noise at import")]
    assert json.loads(lines[-1])["formula"] == "softmax"
    assert "noise in a step" not in done.out
    assert "noise in a step" in done.err


@pytest.mark.slow
def test_a_process_that_is_ended_without_a_record_has_not_exit_code_0(pictures: Path, tmp_path: Path) -> None:
    done = command("exit", pictures, tmp_path / "run")
    assert done.code == 1
    assert "ended the process; it has no record" in done.err
    assert not (tmp_path / "run" / "record.json").exists()


@pytest.mark.slow
def test_a_loss_that_hangs_in_its_trial_is_named(pictures: Path, tmp_path: Path) -> None:
    done = command("hang", pictures, tmp_path / "run")
    assert done.code == 2
    assert "softmax" in done.err
    assert "its first call did not end within 2 s" in done.err
    assert not (tmp_path / "run").exists()


def test_a_loss_that_never_returns_is_named(pictures: Path, softmax: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossbench.harness.prepare import prepare
    from lossbench.harness.reporter import SilentReporter

    monkeypatch.setattr(time_limit, "TRIAL_SECONDS", 0.5)
    softmax(lambda value: time.sleep(1000))
    with pytest.raises(PluginError, match=r"its first call did not end within 0\.5 s"):
        prepare(dataclasses.replace(tiny(pictures, "softmax")), SilentReporter())


def test_a_record_without_skips_says_so(finished: Path) -> None:
    assert read_record(finished).timing.steps_skipped == 0
