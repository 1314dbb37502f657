"""`lossbench.load_run`: what it predicts, from every form of an image, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.runs import make_pictures, tiny
from PIL import Image

import lossbench
from lossbench import LossbenchError, TrainedRun, load_run
from lossbench.data.square import square
from lossbench.errors import ConfigError, DataError, ModelError, NonFiniteError, RecordError
from lossbench.harness.run import run
from lossbench.loss import Loss
from lossbench.verdict.carried_prior import carried_prior


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 and 6 pictures; half of the third class is labeled as the first one, so that training is imbalanced."""
    path = make_pictures(tmp_path_factory.mktemp("pictures"), rows=60)
    path.write_text(re.sub(r"^(train\d*[13579]\.png,)c", r"\1a", path.read_text(), flags=re.MULTILINE))
    return path


@pytest.fixture(scope="module")
def directory(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny(manifest, "softmax + 0.01*center", epochs=1, carve=True)
    return run(config, tmp_path_factory.mktemp("trained") / "run").directory


@pytest.fixture(scope="module")
def trained(directory: Path) -> TrainedRun:
    return load_run(directory)


@pytest.fixture(scope="module")
def files(manifest: Path) -> list[Path]:
    return [manifest.parent / f"val{i}.png" for i in range(6)]


@pytest.fixture(scope="module")
def expected(directory: Path) -> np.ndarray[Any, Any]:
    """The softmax of the scores that the run stored for these files."""
    return softmax(stored(directory)["test_scores"])


def stored(directory: Path) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(directory / "predictions.npz") as arrays:
        return dict(arrays)


def softmax(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    odds = np.exp(scores - scores.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))


def ready(path: Path) -> np.ndarray[Any, Any]:
    """What the model reads of an image, by Pillow alone."""
    return np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


FORMS: dict[str, Callable[[list[Path]], Any]] = {
    "paths": lambda files: files,
    "names": lambda files: list(map(str, files)),
    "a generator": iter,
    "bytes": lambda files: [file.read_bytes() for file in files],
    "Pillow images": lambda files: [Image.open(file) for file in files],
    "a list of arrays": lambda files: [pixels(file) for file in files],
    "one array": lambda files: np.stack([pixels(file) for file in files]),
    "a list of tensors": lambda files: [torch.from_numpy(pixels(file).transpose(2, 0, 1).copy()) for file in files],
    "one tensor": lambda files: torch.from_numpy(np.stack([pixels(file).transpose(2, 0, 1) for file in files])),
    "an array of the run's size": lambda files: np.stack([ready(file) for file in files]),
    "a tensor of the run's size": lambda files: torch.from_numpy(np.stack([ready(file) for file in files])),
    "a mixture": lambda files: [files[0], str(files[1]), Image.open(files[2]), *map(pixels, files[3:])],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_image_gives_the_stored_probabilities(
    trained: TrainedRun, files: list[Path], expected: Any, form: str
) -> None:
    found = trained.predict_proba(FORMS[form](files))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_image_is_a_batch_of_one_and_no_image_is_a_batch_of_none(
    trained: TrainedRun, files: list[Path], expected: Any
) -> None:
    for one in (files[0], str(files[0]), pixels(files[0]), Image.open(files[0])):
        np.testing.assert_allclose(trained.predict_proba(one), expected[:1], atol=1e-5)
    for none in ([], np.empty((0, 3, 32, 32), np.uint8), torch.empty(0, 3, 32, 32, dtype=torch.uint8)):
        assert trained.predict_proba(none).shape == (0, 3)


def test_grayscale_transparency_and_rotation_are_read_as_from_a_file(trained: TrainedRun, files: list[Path]) -> None:
    gray = Image.open(files[0]).convert("L")
    repeated = gray.convert("RGB")
    assert np.array_equal(trained.prepare(np.asarray(gray)), trained.prepare(repeated))
    assert np.array_equal(trained.prepare(np.asarray(gray)[:, :, None]), trained.prepare(repeated))
    assert np.array_equal(trained.prepare(torch.from_numpy(np.array(gray))[None]), trained.prepare(repeated))
    clear = Image.open(files[0]).convert("RGBA")
    clear.putalpha(0)
    assert trained.prepare(clear).min() == 255
    assert trained.prepare(np.asarray(clear)).min() == 255
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.open(files[0]).save(file, "PNG", exif=exif)
    turned = trained.prepare(Image.open(io.BytesIO(file.getvalue())))
    assert np.array_equal(turned, trained.prepare(file.getvalue()))
    assert not np.array_equal(turned, trained.prepare(files[0]))


def test_it_describes_itself(trained: TrainedRun, directory: Path) -> None:
    assert trained.class_names == ("a", "b", "c")
    assert trained.preprocessing.image_size == trained.image_size == 32
    assert trained.record.formula == "softmax + 0.01*center"
    assert repr(trained) == f"TrainedRun(directory={directory!r})"
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8))
    with torch.no_grad():
        np.testing.assert_allclose(trained.module(images).numpy(), trained.predict_proba(images), atol=1e-6)


def test_the_shift_is_the_one_that_the_run_measured(
    trained: TrainedRun, directory: Path, files: list[Path], expected: Any
) -> None:
    arrays, counts = stored(directory), list(trained.record.data.training_counts.values())
    tau = carried_prior(arrays["selection_scores"], arrays["selection_targets"], counts)
    assert trained.measured_tau == tau
    assert tau
    shift = tau * np.log(np.array(counts) / sum(counts))
    np.testing.assert_allclose(trained.shift(), shift, rtol=1e-6)
    found = trained.predict_proba(files, shifted=True)
    np.testing.assert_allclose(found, softmax(arrays["test_scores"] - shift), atol=1e-5)
    assert np.abs(found - expected).max() > 1e-3


def test_a_run_without_a_selection_split_has_no_shift(manifest: Path, files: list[Path], tmp_path: Path) -> None:
    trained = load_run(run(tiny(manifest, "softmax", epochs=1), tmp_path / "run").directory)
    assert trained.measured_tau is None
    with pytest.raises(RecordError, match=r"has measured no shift: .* Train with --carve or --select"):
        trained.predict_proba(files, shifted=True)


def test_images_are_cropped_as_the_weights_demand(directory: Path, files: list[Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "run"))
    content = json.loads((copy / "record.json").read_text())
    content["model"]["preprocessing"]["crop_share"] = 0.5
    (copy / "record.json").write_text(json.dumps(content))
    trained = load_run(copy)
    with Image.open(files[0]) as image:
        assert np.array_equal(trained.prepare(files[0]), square(image, 32, share=0.5))
        assert np.array_equal(trained.prepare(np.asarray(image)), square(image, 32, share=0.5))


# --- what is refused -------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[list[Path]], Any], str]] = {
    "no file": (lambda files: [files[0], "nowhere.png"], r"^1 image\(s\) cannot be read:\n  image 1: nowhere"),
    "a folder": (lambda files: files[0].parent, "a directory; pass its files"),
    "a float array": (lambda files: np.zeros((8, 8, 3)), "of float64: expected uint8, 0 to 255; multiply values"),
    "a float batch": (lambda files: torch.zeros(2, 3, 32, 32), "a batch of torch.float32: expected uint8"),
    "an array of truth values": (lambda files: np.zeros((8, 8), dtype=bool), "of bool: expected uint8, 0 to 255"),
    "five channels": (lambda files: np.zeros((8, 8, 5), dtype=np.uint8), r"of shape \(8, 8, 5\): expected \(H, W, 3\)"),
    "a vector": (lambda files: np.zeros(8, dtype=np.uint8), r"an array of shape \(8,\) is not an image or a batch"),
    "five axes": (lambda files: torch.zeros(1, 1, 3, 8, 8), r"an array of shape \(1, 1, 3, 8, 8\) is not an image"),
    "no pixels": (lambda files: np.zeros((0, 8, 3), dtype=np.uint8), r"of shape \(0, 8, 3\): expected"),
    "a number": (lambda files: 7, "int is not an image; expected a path"),
    "a list of numbers": (lambda files: [7], "image 0: int is not an image"),
    "a batch in a list": (lambda files: [np.zeros((2, 3, 32, 32), dtype=np.uint8)], r"of shape \(2, 3, 32, 32\)"),
    "a Pillow image of floats": (lambda files: Image.new("F", (8, 8)), "a Pillow image of mode F: floating-point"),
    "a file that is cut": (lambda files: files[0].read_bytes()[:80], "truncated"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_an_image_is_refused(trained: TrainedRun, files: list[Path], case: str) -> None:
    given, message = BAD[case]
    with pytest.raises(DataError, match=message):
        trained.predict_proba(given(files))


def test_all_images_that_cannot_be_read_are_listed(trained: TrainedRun, files: list[Path]) -> None:
    with pytest.raises(DataError) as caught:
        trained.predict_proba(["x.png", files[0], np.zeros(3, dtype=np.uint8)])
    first, *lines = str(caught.value).splitlines()
    assert first == "2 image(s) cannot be read:"
    assert [line.partition(":")[0] for line in lines] == ["  image 0", "  image 2"]


def test_a_damaged_image_of_pillow_is_refused(trained: TrainedRun, files: list[Path]) -> None:
    content = files[0].read_bytes()
    with pytest.raises(DataError, match="a Pillow image that cannot be decoded"):
        trained.predict_proba(Image.open(io.BytesIO(content[: len(content) // 2])))


def test_directories_that_are_not_finished_runs_are_refused(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no finished run: no such directory"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="holds no finished run"):
        load_run(tmp_path)
    copy = Path(shutil.copytree(directory, tmp_path / "run"))
    (copy / "checkpoint/weights.safetensors").unlink()
    with pytest.raises(RecordError, match=r"its weights are missing; the record of an evaluation has none"):
        load_run(str(copy))
    (copy / "record.json").write_text('{"schema_version": 99}')
    with pytest.raises(RecordError, match="has schema version 99, this lossbench reads"):
        load_run(copy)
    with pytest.raises(ConfigError, match="device 'cuda:77' cannot be used"):
        load_run(directory, device="cuda:77")


SCORES: dict[str, tuple[Callable[[Loss, Any], Any], str]] = {
    "extras": (lambda loss, output: output.extras["view"], r"\(extras\['view'\]\). A stored model returns embeddings"),
    "an error": (lambda loss, output: output.nothing, "AttributeError: .* A stored model returns"),
    "another shape": (lambda loss, output: output.logits[0], r"have shape \(3,\) for 2 images of 3 classes"),
    "no tensor": (lambda loss, output: None, "have NoneType for 2 images"),
}  # fmt: skip


@pytest.mark.parametrize("case", SCORES)
def test_scores_that_need_more_than_a_model_returns_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    scores, message = SCORES[case]
    for kind in (Loss, lossbench.WeightedSum):
        monkeypatch.setattr(kind, "scores", scores)
    with pytest.raises(ModelError, match=message):
        load_run(directory)


def test_probabilities_that_are_not_finite_are_an_error(
    directory: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lossbench.WeightedSum, "scores", lambda loss, output: output.logits * float("nan"))
    with pytest.raises(NonFiniteError, match="the scores of 6 of 6 images are non-finite"):
        load_run(directory).predict_proba(files)


def test_the_file_of_a_loss_is_named_by_the_caller(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSBENCH_OBJECTS", "")
    (tmp_path / "own.py").write_text(
        "import torch.nn.functional as F\n\ndef mine(logits, targets):\n    return F.cross_entropy(logits, targets)\n"
    )
    name = f"{tmp_path}/own.py:mine"
    lossbench.create_loss(name, lossbench.LossContext(num_classes=2, embedding_dim=2, class_counts=(1, 1)))
    directory = run(tiny(manifest, name, epochs=1), tmp_path / "run").directory
    monkeypatch.setenv("LOSSBENCH_OBJECTS", "")
    with pytest.raises(LossbenchError, match="from which nothing is imported; pass --loss"):
        load_run(directory)
    assert load_run(directory, loss=name).predict_proba(manifest.parent / "val0.png").shape == (1, 3)
