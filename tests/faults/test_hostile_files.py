"""Files made to run code, to take all memory or to be waited for: each is one clear error, at once."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.runs import StopsAt, tiny
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lossbench import load_run
from lossbench.data.affectnet.annotations import _read
from lossbench.data.affectnet.full import _lines as full_lines
from lossbench.data.affectnet.npy import parse_npy
from lossbench.data.csv_rows import read_records
from lossbench.data.ferplus.pixels import read_pixels
from lossbench.data.rafdb import _lines as raf_lines
from lossbench.errors import ConfigError, DataError, LossbenchError, ModelError, NonFiniteError, UsageError
from lossbench.harness.checkpoints.replay import replay
from lossbench.harness.grid.worker_process import WorkerProcess
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.runs.cells import claim
from lossbench.runs.options import RunConfig
from lossbench.runs.options_file import read_options
from lossbench.testing.certificate import read_certificate, verify
from lossbench.verdict.predictions.counts import read_counts
from lossbench.verdict.predictions.table import read_tables

HUGE = "9" * 5000  # more digits than Python reads
TOO_MUCH = "softmax + 1*pml/SoftTripleLoss(centers_per_class=1000000)"

# --- tables of predictions -------------------------------------------------------------------------------------------


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value))
    return file.getvalue()


def lying(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def npz(file: Path, **members: bytes) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def described(kind: str, shape: str) -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


def table(seed: str) -> str:
    return f"loss,seed,sample,target,predicted\nx,{seed},1,a,a\n"


TABLES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "a seed of 5,000 digits": ("t.csv", lambda f: f.write_text(table(HUGE)), "row 2: seed must be an integer"),
    "a seed with two signs": ("t.csv", lambda f: f.write_text(table("--5")), "seed must be an integer, got '--5'"),
    "a pipe": ("t.csv", os.mkfifo, "no such file"),
    "a device": ("t.npz", lambda f: f.symlink_to("/dev/zero"), "no such file"),
    "a shape that nobody has": (
        "t.npz", lambda f: npz(f, loss=lying(described("<U9", "(1000000000000,)"))), "would unpack",
    ),
    "a bomb": (
        "t.npz", lambda f: npz(f, loss=lying(described("<f8", "(12500000,)"), bytes(10**8))), "would unpack",
    ),
    "text of 400 KB": ("t.npz", lambda f: npz(f, loss=lying(described("<U99999", "(1,)"))), "at most 16,384 are read"),
    "no characters": (
        "t.npz", lambda f: npz(f, loss=lying(described("<U1", "(2,)"), b"\xff" * 8)), "numbers that are not characters",
    ),
    "records": ("t.npz", lambda f: npz(f, loss=npy(np.zeros(3, [("a", "i4")]))), "an array with the header"),
    "no arrays": ("t.npz", lambda f: zipfile.ZipFile(f, "w").close(), "arrays must have one value per row"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_hostile_table_is_one_error(tmp_path: Path, case: str) -> None:
    name, make, message = TABLES[case]
    make(tmp_path / name)
    with pytest.raises(ConfigError, match=message):
        read_tables([tmp_path / name])


@pytest.mark.parametrize("count", [HUGE, "9" * 400, "²"])
def test_a_count_that_no_data_set_has_is_refused(tmp_path: Path, count: str) -> None:
    (tmp_path / "n.csv").write_text(f"class,training_count\na,{count}\n")
    with pytest.raises(ConfigError, match="training_count of class 'a' must be a positive integer"):
        read_counts(tmp_path / "n.csv")


# --- certificates ----------------------------------------------------------------------------------------------------

CERTIFICATE = {
    "schema_version": 1, "quote": "", "target": "softmax", "takes": None, "traits": [], "versions": {}, "form": None,
    "effort": {"examples": 3, "seed": 0, "deep": False, "compile": False}, "source_sha256": "", "results": [],
}  # fmt: skip
CERTIFICATES: dict[str, tuple[dict[str, Any], str]] = {
    "a file without an object": ({"target": "evil.py"}, "repeat it: lossbench verify CERTIFICATE evil.py"),
    "a file with hyper-parameters": ({"target": " evil.py (a=1)"}, "repeat it: lossbench verify"),
    "a number of results": ({"results": 5}, "results is of another type"),
    "a list of targets": ({"target": ["softmax"]}, "target is of another type"),
    "rows that are numbers": ({"results": [1]}, "the certificate is damaged"),
    "memory without end": ({"target": "pml/SubCenterArcFaceLoss(sub_centers=1000000000)"}, "it would take .* bytes"),
    "a number without end": ({"schema_version": 10**400}, "is a certificate of schema 1000"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_hostile_certificate_is_one_error_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    changes, message = CERTIFICATES[case]
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("open('was-run', 'w').close()\nclass Loss: pass\n")
    Path("c.json").write_text(json.dumps(CERTIFICATE | changes))
    with pytest.raises(UsageError, match=message):
        verify(read_certificate(Path("c.json")))
    assert not Path("was-run").exists()


# --- options ---------------------------------------------------------------------------------------------------------

OPTIONS = {
    f"epochs = {HUGE}": "is not valid TOML",
    f"loss = 0x{'f' * 20_000}": "loss must be text, got a number of 80000 bits",
    f"epochs = 0x{'f' * 20_000}": "--epochs must be at most 1,000,000, got a number of 80000 bits",
    "workers = 100000": "--workers must be at most 1,024, got 100000",
    "image_size = 1000000": "--image-size must be at most 4,096",
    "seed = 9223372036854775807": "--seed must be at most",
    f"a = {'[' * 10_000}": "is not valid TOML",
    "a.b = 1": "there is no option 'a'",
}


@pytest.mark.parametrize("text", OPTIONS, ids=lambda text: text[:20])
def test_hostile_options_are_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(ConfigError, match=OPTIONS[text]):
        RunConfig(**{"loss": "softmax"} | read_options(tmp_path / "f.toml", "--config f.toml"))


# --- data ------------------------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path], object]] = {
    "a manifest": lambda file: list(read_records(file)),
    "AffectNet's list": lambda file: list(full_lines(file)),
    "FER2013's table": lambda file: list(read_pixels(file)),
    "RAF-DB's list": raf_lines,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_list_of_images_that_is_no_file_is_not_waited_for(
    tmp_path: Path, reader: Callable[[Path], object], make: Callable[[Path], object]
) -> None:
    make(tmp_path / "list")
    with pytest.raises(DataError, match="cannot read: not a regular file"):
        reader(tmp_path / "list")


def test_an_annotation_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1_exp.npy")
    assert list(_read(str(tmp_path), "_exp.npy", parse_npy, ["1"])) == [("1", "zero bytes")]


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(finished_run: Path, tmp_path: Path) -> Path:
    """A finished run to change."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


RECORDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a model of a billion parameters": (
        lambda r: r["model"].update(name="vit_giant_patch14_dinov2"),
        "does not fit its record: cls_token of vit_giant_patch14_dinov2 has shape",
    ),
    "a formula that takes gigabytes": (lambda r: r.update(formula=TOO_MUCH), "it would take 3,072,000,000 bytes"),
    "a list of 3,000 weights": (
        lambda r: r.update(formula=f"weighted-softmax(weights=[{', '.join('1' * 3000)}])"),
        "weights must be a list of 3",
    ),
    "a formula that nests": (lambda r: r.update(formula=f"softmax(a={'[' * 9000}"), "expected a value"),
    "a longer formula": (lambda r: r.update(formula="softmax + " * 1100 + "softmax"), "at most 10000 characters"),
    "a wider embedding": (lambda r: r["model"].update(embedding_dim=10**12), "expected a number of at least 1 and at"),
}  # fmt: skip


@pytest.mark.parametrize("case", RECORDS)
def test_what_a_record_asks_for_is_bounded_by_its_weights(copy: Path, case: str) -> None:
    change, message = RECORDS[case]
    content = json.loads((copy / "record.json").read_text())
    change(content)
    (copy / "record.json").write_text(json.dumps(content))
    with pytest.raises(LossbenchError, match=message):
        load_run(copy)


def test_what_a_stored_batch_asks_for_is_bounded_by_its_content(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lossbench.losses.softmax import SoftmaxLoss

    calls = iter(range(10**6))
    before = SoftmaxLoss.forward
    monkeypatch.setattr(
        SoftmaxLoss, "forward", lambda self, *given: before(self, *given) * (1 if next(calls) < 3 else float("nan"))
    )
    with pytest.raises(NonFiniteError):
        run(tiny(pictures, "softmax"), tmp_path / "run")
    bundle = tmp_path / "run/bad-batch.safetensors"
    with safe_open(bundle, "pt") as file:
        facts = json.loads(file.metadata()["lossbench"])
    save_file(load_file(bundle), tmp_path / "b", {"lossbench": json.dumps(facts | {"formula": TOO_MUCH})})
    with pytest.raises(ModelError, match="it would take 3,072,000,000 bytes at once"):
        replay(tmp_path / "b")


def test_the_tensors_of_a_file_are_counted_before_they_are_looked_at(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    head = json.dumps({f"t{number}": empty for number in range(50_001)}).encode()
    (tmp_path / "b").write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(ModelError, match="its head lists 50,001 tensors"):
        replay(tmp_path / "b")


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "the lock is a directory": (lambda run: (run / ".lock").mkdir(), "lock cannot be opened: Is a directory"),
    "the lock is a link": (lambda run: (run / ".lock").symlink_to(run / "victim"), "lock cannot be opened: Too many"),
    "the checkpoints are a link": (
        lambda run: (run / "checkpoint").symlink_to(run / "victims"), "checkpoint is a symbolic link",
    ),
    "the checkpoints are a file": (lambda run: (run / "checkpoint").touch(), "checkpoint is not a directory"),
    "the checkpoints are a pipe": (lambda run: os.mkfifo(run / "checkpoint"), "checkpoint is not a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_resuming_touches_nothing_outside_the_run(copy: Path, case: str) -> None:
    make, message = PLACES[case]
    (copy / "record.json").unlink()
    shutil.rmtree(copy / "checkpoint")
    (copy / "victim").write_text("kept")
    (copy / "victims/step-000000001").mkdir(parents=True)
    (copy / "victims/.writing-x").mkdir()
    make(copy)
    with pytest.raises(UsageError, match=message):
        resume(copy, StopsAt(1))
    assert (copy / "victim").read_text() == "kept"
    assert sorted(path.name for path in (copy / "victims").iterdir()) == [".writing-x", "step-000000001"]


@pytest.mark.parametrize("what", ["cells", "cells/a", "cells/.a.claim"])
def test_a_grid_is_not_written_through_links(tmp_path: Path, what: str) -> None:
    (tmp_path / "victim").write_text("kept") if what.endswith("claim") else (tmp_path / "victim").mkdir()
    link = tmp_path / "grid" / what
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="nothing is written through links"), claim(tmp_path / "grid/cells/a"):
        pass
    assert not (tmp_path / "victim").is_file() or (tmp_path / "victim").read_text() == "kept"


def test_logs_of_a_grid_are_not_written_through_links(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="logs is a symbolic link"):
        WorkerProcess(tmp_path, 0, {})
    assert list((tmp_path / "victim").iterdir()) == []
