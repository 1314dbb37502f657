"""Files of strangers: whatever lies in them, nothing is executed, nothing hangs, and one error names the cause."""

from __future__ import annotations

import base64
import csv
import json
import os
import pickle
import random
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.runs import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from lossbench.data.decode import decode
from lossbench.data.manifest import read_csv_manifest
from lossbench.errors import CheckpointError, DataError, FormulaError, LossbenchError, ModelError, RecordError
from lossbench.expression import parse_formula
from lossbench.harness.checkpoints.folder import newest_checkpoint, write_checkpoint
from lossbench.harness.checkpoints.replay import replay
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.models.weights_file import read_weights_file
from lossbench.runs.finished_run import read_run
from lossbench.runs.options_file import read_options

# 500 in the suite; the profile "chaos" asks for 10,000.
MANY = settings(
    max_examples=max(500, settings().max_examples), deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=settings().max_examples < 500,
)  # fmt: skip


class Bomb:
    """Its pickle runs a command when it is loaded by `pickle.load`."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A folder that is made when something hostile was executed."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def bombs(folder: Path, mark: Path) -> list[Path]:
    """The same bomb as a pickle, as torch writes it, and as arrays of objects."""
    files = []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        files.append(folder / f"bomb{protocol}.pkl")
        files[-1].write_bytes(pickle.dumps({"fc.weight": Bomb(mark)}, protocol))
    for name, kept in (("zip.pth", True), ("legacy.pth", False)):
        files.append(folder / name)
        torch.save({"fc.weight": Bomb(mark)}, files[-1], _use_new_zipfile_serialization=kept)
    files.append(folder / "array.npy")
    np.save(files[-1], np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    return files


def test_pickle_bombs_do_nothing_wherever_a_file_is_asked_for(tmp_path: Path, mark: Path) -> None:
    for file in bombs(tmp_path, mark):
        with pytest.raises(ModelError, match=r"refused|damaged|is not a weight file|contains"):
            read_weights_file(file)
        with pytest.raises(ModelError, match="is not a safetensors file"):
            replay(file)
        with pytest.raises(DataError, match="not an image"):
            decode(file)
        with pytest.raises(LossbenchError):
            read_csv_manifest(file)
        finished = tmp_path / f"run-{file.name}"
        (finished / "checkpoint").mkdir(parents=True)
        (finished / "record.json").write_bytes(file.read_bytes())
        with pytest.raises(RecordError, match="is not a record of a run"):
            read_run(finished)
        checkpoint = write_checkpoint(tmp_path / "c", 1, lambda: {}, {"state": save({})})
        (checkpoint / "state.safetensors").write_bytes(file.read_bytes())
        said: list[str] = []
        assert newest_checkpoint(tmp_path / "c", said.append) is None
        assert len(said) == 1


def test_a_checkpoint_with_right_digests_and_wrong_content_is_refused(pictures: Path, tmp_path: Path) -> None:
    """A stranger can write digests, too."""
    out = tmp_path / "run"
    run(tiny(pictures, epochs=1), out)
    (out / "record.json").unlink()
    for content in ({}, {"run": 1}, {"run": {}, "epoch": "x"}, {"run": None, "epoch": -1, "processes": []}):
        write_checkpoint(out / "checkpoint", 1, lambda content=content: content, {"state": save({})})
        with pytest.raises(CheckpointError, match="step-000000001"):
            resume(out)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "sub/../../secret.png", "link.png", "linked/s.png"])
def test_a_manifest_can_t_leave_its_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "outside/s.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "m.csv").write_text(f"path,label\n{name},a\n")
    with pytest.raises(DataError, match=r"row 2: .*(outside the manifest's folder|no such file)"):
        read_csv_manifest(root / "m.csv")


def png_header(width: int, height: int) -> bytes:
    """A PNG of 67 bytes that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_header_of_100_000_pixels_each_way_takes_no_memory(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match=r"too many pixels|100000 x 100000 pixels"):
        decode(png_header(100_000, 100_000))
    assert time.monotonic() - began < 1


def test_a_formula_of_depth_10_000_is_one_clear_error() -> None:
    for text in ("(" * 10_000, "softmax(" * 1_000, "a(b=" * 2_000, "softmax" + "+softmax" * 10_000, "-" * 9_999):
        with pytest.raises(FormulaError):
            parse_formula(text)


def test_a_label_that_is_html_or_markup_is_only_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from lossbench.report.terminal.run import run_summary

    label = "<script>alert(1)</script>[bold red]x[/]"
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for number in range(16):
            Image.new("RGB", (24, 24), (number * 9, 0, 0)).save(tmp_path / f"{number}.png")
            writer.writerow([f"{number}.png", ("b", label)[number % 2], "val" if number > 11 else "train"])
    directory, record = run(tiny(tmp_path / "m.csv", epochs=1, batch_size=6), tmp_path / "run")
    assert record is not None
    Console(width=200).print(run_summary(record, directory))
    assert label in capsys.readouterr().out
    assert label in json.loads((tmp_path / "run/record.json").read_text())["data"]["class_names"]


# --- made at random --------------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.sampled_from(
        ["", "a.png", "../a.png", "/etc/passwd", "a\x00b", "b.png", "sub", "\ufeff", '"', "'", "label", "path"]
    ),
    st.text(max_size=8),
)
HEADERS = st.one_of(
    st.just(["path", "label"]), st.just(["path", "label", "split", "sha256"]), st.lists(CELLS, max_size=5)
)
TABLES = st.lists(st.lists(CELLS, max_size=5), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder / "sub").mkdir()
    return folder


def clean(error: LossbenchError, names: str) -> None:
    """One error that says where and what, and no more of the input than fits a screen."""
    assert names in str(error)
    assert len(str(error)) > len(names) + 5
    assert len(str(error)) < 20_000


@MANY
@given(header=HEADERS, table=TABLES, junk=st.one_of(st.none(), st.binary(max_size=40)))
def test_manifests(folder: Path, header: list[str], table: list[list[str]], junk: bytes | None) -> None:
    path = folder / "m.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([header, *table])
    if junk is not None:
        path.write_bytes(path.read_bytes() + junk)
    try:
        manifest = read_csv_manifest(path)
    except DataError as error:
        clean(error, str(path))
    else:
        assert all(str(file).startswith(os.path.realpath(folder)) for file in manifest.files)


@MANY
@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="softmax+*(),=.0123456789e-'\" \n_/", max_size=60),
        st.binary(max_size=60),
    )
)
def test_formulas(given_text: str | bytes) -> None:
    text = given_text if isinstance(given_text, str) else given_text.decode("latin1")
    try:
        formula = parse_formula(text)
    except FormulaError as error:
        clean(error, "character")
    else:
        assert parse_formula(str(formula)) == formula


JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)
RECORDS = st.one_of(
    JSONS.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["schema_version", "weights_sha256", "model"]), st.one_of(JSONS, st.just(1)))
    .map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@MANY
@given(content=RECORDS, kind=st.sampled_from(["record.json", "config.toml", "manifest.json", "weights.safetensors"]))
def test_records(tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str) -> None:
    directory = _place(tmp_path_factory)
    path = directory / {"manifest.json": "checkpoint/step-000000001/manifest.json"}.get(kind, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        if kind == "record.json":
            read_run(directory)
        elif kind == "config.toml":
            read_options(path, str(path))
        elif kind == "manifest.json":
            said: list[str] = []
            assert newest_checkpoint(directory / "checkpoint", said.append) is None
            assert "is damaged" in said[0]
        else:
            read_weights_file(path)
    except LossbenchError as error:
        clean(error, str(directory))


_PLACES: list[Path] = []


def _place(factory: pytest.TempPathFactory) -> Path:
    if not _PLACES:
        _PLACES.append(factory.mktemp("records"))
    return _PLACES[0]


SMALL = {
    "PNG": "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGNgYGD4D8UMMAYAJfQD/WtPMYgAAAAASUVORK5CYII=",
}


def _image(kind: str) -> bytes:
    import io

    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


IMAGES = {kind: _image(kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")}
IMAGES["PNG2"] = base64.b64decode(SMALL["PNG"] + "=" * (-len(SMALL["PNG"]) % 4))


@MANY
@given(
    kind=st.sampled_from(sorted(IMAGES)), seed=st.integers(0, 2**32), changes=st.integers(0, 6), cut=st.integers(0, 400)
)
def test_images(kind: str, seed: int, changes: int, cut: int) -> None:
    draw, blob = random.Random(seed), bytearray(IMAGES[kind])
    for _ in range(changes):
        blob[draw.randrange(len(blob))] = draw.randrange(256)
    content = bytes(blob[: len(blob) - cut] if cut < len(blob) else blob)
    try:
        image = decode(content)
    except DataError as error:
        clean(error, f"an image of {len(content)} bytes: ")
    else:
        assert image.mode == "RGB"
