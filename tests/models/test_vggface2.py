"""VGGFace2's SENet-50: both published layouts give what their own networks give; whatever else is refused."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_weights import IDENTITIES, blocks, made_arrays, module_name, write_made_weights
from torch import Tensor

from lossbench.errors import ModelError
from lossbench.models import SENET_50, vggface2
from lossbench.models.build import build_model
from lossbench.models.classifier import Classifier
from lossbench.models.weights import Weights, read_vggface2, to_file, vggface2_weights
from lossbench.models.weights_file import NUMPY_PICKLE, SAFETENSORS, WeightsFile, read_weights_file

MEAN_RGB = (131.0912, 103.8827, 91.4953)
FEW = 5  # identities, where their number plays no part
Arrays = dict[str, Any]


def photographs(side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(3, side, side, 3) RGB whose channels differ."""
    draw = np.random.default_rng(7)
    pixels = draw.integers(0, 256, (3, side, side, 3)) * np.array([1.0, 0.6, 0.3])
    return pixels.astype(np.uint8)


def published(layout: str, arrays: Arrays, x: Tensor) -> tuple[Tensor, Tensor]:
    """The network as published, over a file's own names: (B, 2048) features and (B, identities) logits.

    Written out from its description: strides on the first 1x1 of a stage, a max-pool in ceil mode, squeeze and
    excitation with biases before the addition.
    """
    tensors = {name: torch.from_numpy(np.array(array)).to(x.dtype) for name, array in arrays.items()}

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), stride=stride, padding=padding)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            tensors[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    x = norm(conv(x, module_name(layout, "stem"), stride=2, padding=3), module_name(layout, "stem_bn")).relu()
    x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
    for layer, block in blocks():
        name = {
            part: module_name(layout, part, layer, block)
            for part in ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "squeeze", "excite", "shortcut", "shortcut_bn")
        }
        stride = 2 if block == 0 and layer else 1
        out = norm(conv(x, name["conv1"], stride), name["bn1"]).relu()
        out = norm(conv(out, name["conv2"], padding=1), name["bn2"]).relu()
        out = norm(conv(out, name["conv3"]), name["bn3"])
        gate = conv(conv(out.mean(dim=(2, 3), keepdim=True), name["squeeze"]).relu(), name["excite"]).sigmoid()
        shortcut = norm(conv(x, name["shortcut"], stride), name["shortcut_bn"]) if block == 0 else x
        x = (out * gate + shortcut).relu()
    features = x.mean(dim=(2, 3))
    classifier = module_name(layout, "classifier")
    return features, F.linear(features, tensors[f"{classifier}.weight"].flatten(1), tensors[f"{classifier}.bias"])


def as_the_pickle_wants(pixels: np.ndarray[Any, Any], dtype: torch.dtype) -> Tensor:
    """BGR minus the mean of BGR, 0 to 255, undivided."""
    fed = pixels[..., ::-1].astype(np.float64) - np.array(MEAN_RGB[::-1])
    return torch.from_numpy(fed.transpose(0, 3, 1, 2).copy()).to(dtype)


def as_the_dag_file_wants(pixels: np.ndarray[Any, Any], dtype: torch.dtype) -> Tensor:
    """RGB minus the mean of RGB."""
    return torch.from_numpy((pixels.astype(np.float64) - np.array(MEAN_RGB)).transpose(0, 3, 1, 2).copy()).to(dtype)


FEED: dict[str, Callable[..., Tensor]] = {"pickle": as_the_pickle_wants, "dag": as_the_dag_file_wants}


def classifier_of(weights: Weights, size: int) -> Classifier:
    model = build_model(
        SENET_50,
        num_classes=8,
        image_size=size,
        seed=0,
        backbone_state=weights.state,
        preprocessing=weights.preprocessing,
    )
    return model.eval()


def embeddings(model: Classifier, pixels: np.ndarray[Any, Any]) -> Tensor:
    with torch.no_grad():
        return model(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).embeddings


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module", params=["pickle", pytest.param("dag", marks=pytest.mark.long)])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def arrays(layout: str) -> Arrays:
    return made_arrays(layout)


@pytest.fixture(scope="module")
def file(layout: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file as published: 331 arrays, 8,631 identities, 175 MB."""
    name = {"pickle": "senet50_ft_weight.pkl", "dag": "senet50_scratch_dag.pth"}[layout]
    path = write_made_weights(tmp_path_factory.mktemp("made") / name, layout)
    yield path
    path.unlink()  # pytest would keep it, three times


@pytest.fixture(scope="module")
def weights(file: Path) -> Weights:
    return read_vggface2(file)


@functools.cache
def few(layout: str) -> Arrays:
    """The same with few identities; copy before a change."""
    return made_arrays(layout, identities=FEW)


def opened(layout: str, change: Callable[[Arrays], object] = lambda arrays: None) -> WeightsFile:
    """What an opened file holds, after `change` was applied; no file is written."""
    content = dict(few(layout))
    change(content)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in content.items()}
    return WeightsFile(path=Path("w.pkl"), container=NUMPY_PICKLE, sha256="0" * 64, tensors=tensors, metadata={})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Files with few identities: the layouts, and each converted. Don't change them."""
    folder = tmp_path_factory.mktemp("small")
    files = {}
    for layout in ("pickle", "dag"):
        files[layout] = write_made_weights(folder / layout, layout, identities=FEW)
        files[f"{layout} converted"] = folder / f"{layout}.safetensors"
        files[f"{layout} converted"].write_bytes(to_file(read_vggface2(files[layout])))
    yield files
    for path in files.values():
        path.unlink()


# --- what is read ----------------------------------------------------------------------------------------------------


def test_the_made_files_have_what_the_published_ones_have(layout: str, arrays: Arrays) -> None:
    assert len(arrays) == 331
    assert arrays[f"{module_name(layout, 'classifier')}.bias"].shape == (8631,) == (IDENTITIES,)


def test_the_outputs_are_those_of_the_published_network(layout: str, arrays: Arrays, weights: Weights) -> None:
    pixels = photographs(64)
    model = classifier_of(weights, 64)
    expected, _ = published(layout, arrays, FEED[layout](pixels, torch.float32))
    assert expected.std(dim=0).max() > 0.01 * expected.abs().max()  # the images are told apart
    assert relative(embeddings(model, pixels), expected) < 1e-5
    precise, _ = published(layout, arrays, FEED[layout](pixels, torch.float64))
    assert relative(embeddings(model.double(), pixels), precise) < 1e-7  # the buffer holds the mean in float32


@pytest.mark.long
def test_at_its_own_size_too(layout: str, arrays: Arrays, weights: Weights) -> None:
    pixels = photographs(224)[:1]
    expected, _ = published(layout, arrays, FEED[layout](pixels, torch.float32))
    assert relative(embeddings(classifier_of(weights, 224), pixels), expected) < 1e-5


def test_the_wrong_order_of_channels_would_be_seen(layout: str, arrays: Arrays, weights: Weights) -> None:
    pixels = photographs(64)
    other = FEED["dag" if layout == "pickle" else "pickle"]
    expected, _ = published(layout, arrays, other(pixels, torch.float32))
    assert relative(embeddings(classifier_of(weights, 64), pixels), expected) > 0.01


def test_they_bring_their_preprocessing_and_their_origin(layout: str, file: Path, weights: Weights) -> None:
    model = classifier_of(weights, 64)
    assert model.mean.flatten().tolist() == pytest.approx(MEAN_RGB)
    assert model.std.flatten().tolist() == [1, 1, 1]
    assert (weights.preprocessing.image_size, weights.preprocessing.crop_share) == (224, 224 / 256)
    assert weights.kind == f"vggface2-{layout}"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    origin = {"file": file.name, "sha256": sha256, "source_file": file.name, "source_sha256": sha256}
    assert weights.origin == {**origin, "known_as": None, "identities": 8631}
    assert weights.note == (
        f"weights: {file.name} (vggface2-{layout}; sha256 {sha256[:12]}…, a digest not known to lossbench); "
        "its classifier of 8,631 people is dropped"
    )
    assert weights.content("vggface2:x")["spec"] == "vggface2:x"


def test_one_network_under_two_names_is_one_network() -> None:
    def blue_first(arrays: Arrays) -> None:
        arrays["conv1.weight"] = arrays["conv1.weight"][:, ::-1].copy()

    first, second = vggface2_weights(opened("pickle", blue_first)), vggface2_weights(opened("dag"))
    assert all(torch.equal(first.state[name], value) for name, value in second.state.items())
    assert first.preprocessing == second.preprocessing


def test_a_known_digest_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vggface2.KNOWN_DIGESTS, "0" * 64, "senet50_ft_weight.pkl as published")
    weights = vggface2_weights(opened("pickle"))
    assert weights.origin["known_as"] == "senet50_ft_weight.pkl as published"
    assert "known as senet50_ft_weight.pkl as published" in weights.note


def test_the_counters_of_newer_torch_may_be_there() -> None:
    def count(arrays: Arrays) -> None:
        for name in [n for n in arrays if n.endswith("running_var")]:
            arrays[name.replace("running_var", "num_batches_tracked")] = np.array(123)

    weights = vggface2_weights(opened("dag", count))
    counters = [value for name, value in weights.state.items() if name.endswith("num_batches_tracked")]
    assert len(counters) == 53
    assert all(value.dtype is torch.int64 and value == 0 for value in counters)


def test_the_name_of_a_file_says_nothing(small: dict[str, Path], tmp_path: Path) -> None:
    for layout, name in (("pickle", "w.pth"), ("dag", "w.pkl")):
        (tmp_path / name).hardlink_to(small[layout])
        assert read_vggface2(tmp_path / name).kind == f"vggface2-{layout}"


def test_the_pickle_s_names_in_a_torch_file_are_bgr_all_the_same(small: dict[str, Path], tmp_path: Path) -> None:
    torch.save({name: torch.from_numpy(array) for name, array in few("pickle").items()}, tmp_path / "w.pth")
    one, other = read_vggface2(tmp_path / "w.pth"), read_vggface2(small["pickle"])
    assert one.kind == other.kind == "vggface2-pickle"
    assert all(torch.equal(one.state[name], value) for name, value in other.state.items())


@functools.cache
def whole_weights(layout: str) -> Weights:
    return vggface2_weights(opened(layout))


def without_classifier(arrays: Arrays) -> None:
    for name in [n for n in arrays if n.startswith(("fc.", "classifier."))]:
        del arrays[name]


def reduced(features: int) -> Callable[[Arrays], None]:
    """`senet50_256` and `senet50_128`: a convolution in place of the classifier."""

    def change(arrays: Arrays) -> None:
        without_classifier(arrays)
        arrays["feat_extract.weight"] = np.zeros((features, 2048, 1, 1), np.float32)

    return change


def halved(arrays: Arrays) -> None:
    arrays.update({name: array.astype(np.float16) for name, array in arrays.items()})


def prefixed(prefix: str) -> Callable[[Arrays], None]:
    return lambda arrays: [arrays.update({prefix + name: arrays.pop(name)}) for name in list(arrays)]  # type: ignore[func-returns-value]


VARIANTS: dict[str, tuple[str, Callable[[Arrays], object], dict[str, Any]]] = {
    "senet50_256": ("dag", reduced(256), {"identities": None, "left_out": ("feat_extract.weight",)}),
    "senet50_128": ("dag", reduced(128), {"identities": None, "left_out": ("feat_extract.weight",)}),
    "without a classifier": ("pickle", without_classifier, {"identities": None}),
    "a classifier of another shape": ("dag", lambda a: a.update({"classifier.weight": a["classifier.bias"]}), {}),
    "of DataParallel": ("pickle", prefixed("module."), {"prefix": "module.", "identities": FEW}),
    "of a wrapped model": ("dag", prefixed("module.backbone."), {"prefix": "module.backbone.", "identities": FEW}),
    "with another tensor": ("pickle", lambda a: a.update(extra=np.zeros(2, np.float32)), {"left_out": ("extra",)}),
    "in half precision": ("dag", halved, {"identities": FEW}),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_only_the_backbone_must_be_there(case: str) -> None:
    layout, change, origin = VARIANTS[case]
    weights, whole = vggface2_weights(opened(layout, change)), whole_weights(layout)
    assert weights.kind == whole.kind
    assert {name: weights.origin.get(name) for name in origin} == origin
    for name, value in whole.state.items():
        expected = value.half().float() if case == "in half precision" and value.is_floating_point() else value
        assert torch.equal(weights.state[name], expected)
    said = "it has no classifier" if weights.origin["identities"] is None else f"classifier of {FEW} people is dropped"
    assert said in weights.note


def test_a_training_checkpoint_is_read_and_converted() -> None:
    whole = opened("dag", without_classifier)
    inside = {f"state_dict.module.{name}": value for name, value in whole.tensors.items()}
    weights = vggface2_weights(dataclasses.replace(whole, tensors=inside, groups=("state_dict",)))
    assert all(torch.equal(weights.state[n], value) for n, value in whole_weights("dag").state.items())
    assert weights.origin["prefix"] == "state_dict.module."
    blob = to_file(weights)
    metadata = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])["__metadata__"]
    converted = dataclasses.replace(whole, container=SAFETENSORS, tensors=weights.state, metadata=metadata)
    again = vggface2_weights(converted)
    assert (again.origin["identities"], again.origin["source_file"]) == (None, "w.pkl")


# --- converted files -------------------------------------------------------------------------------------------------


def test_a_converted_file_gives_the_same(layout: str, weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(to_file(weights))
    again = read_vggface2(path)
    assert all(torch.equal(again.state[name], value) for name, value in weights.state.items())
    assert (again.kind, again.model, again.preprocessing) == (weights.kind, weights.model, weights.preprocessing)
    assert again.origin["source_sha256"] == weights.origin["sha256"]
    assert again.origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"w.safetensors (vggface2-{layout}, converted from {weights.origin['file']}; sha256" in again.note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model": "resnet50"},
            "contains vggface2-dag weights of resnet50; expected VGGFace2 weights of legacy_seresnet50",
        ),
        ({"kind": "other"}, "contains other weights of legacy_seresnet50"),
        ({"preprocessing": "{}"}, r"has invalid metadata \(KeyError: 'channels'\); convert it again"),
        ({"preprocessing": "[]"}, r"has invalid metadata \(TypeError"),
        ({"identities": "many"}, r"has invalid metadata \(ValueError"),
        ({"source_sha256": None}, r"has invalid metadata \(KeyError: 'source_sha256'\)"),
    ],
)
def test_a_converted_file_that_says_something_else_is_refused(
    small: dict[str, Path], change: dict[str, Any], message: str
) -> None:
    file = read_weights_file(small["dag converted"])
    said = {key: value for key, value in (file.metadata | change).items() if value is not None}
    with pytest.raises(ModelError, match=message):
        vggface2_weights(dataclasses.replace(file, metadata=said))


def test_a_converted_file_is_as_strict(small: dict[str, Path]) -> None:
    file = read_weights_file(small["pickle converted"])
    tensors = {name: value for name, value in file.tensors.items() if name != "layer0.bn1.weight"}
    with pytest.raises(ModelError, match=r"does not fit legacy_seresnet50:\n  layer0.bn1.weight is missing$"):
        vggface2_weights(dataclasses.replace(file, tensors=tensors))


# --- what is refused -------------------------------------------------------------------------------------------------


def rename(old: str, new: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({new: arrays.pop(old)})


def put(name: str, change: Callable[[Any], Any]) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: change(arrays[name])})


WRONG = {
    "a missing array": ("pickle", lambda a: a.pop("layer3.5.conv4.bias"), "layer3.5.conv4.bias is missing"),
    "a renamed one": ("dag", rename("conv1_7x7_s2.weight", "conv1.weight"), "conv1_7x7_s2.weight is missing"),
    "the wrong shape": (
        "pickle", put("layer1.0.conv2.weight", lambda a: a[:, :32]),
        "layer1.0.conv2.weight has shape (64, 32, 3, 3), expected (64, 64, 3, 3)",
    ),
    "another type": (
        "pickle", put("bn1.weight", lambda a: a.astype(np.float64)), "bn1.weight is of type float64, expected float32"
    ),
    "whole numbers": ("dag", put("conv2_1_3x3.weight", lambda a: a.astype(np.int32)), "is of type int32"),
    "no numbers": ("pickle", put("bn1.bias", lambda a: a * np.nan), "bn1.bias has non-finite values"),
    "negative variances": (
        "dag", put("conv1_7x7_s2_bn.running_var", lambda a: -a),
        "conv1_7x7_s2_bn.running_var has negative variances",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_every_name_shape_and_type_is_checked(case: str) -> None:
    layout, change, message = WRONG[case]
    with pytest.raises(ModelError) as error:
        vggface2_weights(opened(layout, change))
    assert str(error.value).startswith(f"w.pkl is not VGGFace2's SENet-50 (vggface2-{layout}):\n")
    assert message in str(error.value)


def test_ten_differences_are_listed_and_the_rest_counted() -> None:
    def without_excitation(arrays: Arrays) -> None:  # what VGGFace2's ResNet-50 looks like
        for name in [n for n in arrays if ".conv4." in n or ".conv5." in n]:
            del arrays[name]

    with pytest.raises(ModelError) as error:
        vggface2_weights(opened("pickle", without_excitation))
    lines = str(error.value).splitlines()
    assert lines[1] == "  layer1.0.conv4.weight is missing"
    assert len(lines) == 12
    assert lines[-1] == "  … and 54 more"


def test_other_weights_are_told_from_these(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(
        ModelError,
        match=r"is not VGGFace2's SENet-50: it contains bias, weight …; expected the 382 tensors of "
        r"legacy_seresnet50 under their published names, starting with conv1.weight or conv1_7x7_s2.weight",
    ):
        read_vggface2(path)


class Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was-executed",)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(2**20))
        file.filelist[0].file_size = 2**30 + 1  # what its directory will say


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda path: None, "no such weight file"),
    "a directory": (lambda path: path.mkdir(), "is a directory; expected a weight file"),
    "nothing": (lambda path: path.write_bytes(b""), "is not a weight file: zero bytes; expected a pickle, .pth or"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html><p>Sign in"), "a web page, perhaps a download that"),
    "git lfs": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer"),
    "a picture": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(50)), "it starts with b'\\xff\\xd8"),
    "a zip bomb": (archive, "unpacks to 1,073,741,825 bytes; the limit is 1,073,741,824"),
    "a torch file that runs": (lambda path: torch.save({"a": Runs()}, path), "names posix.system, which is not"),
    "an old torch file that runs": (
        lambda path: torch.save(Runs(), path, _use_new_zipfile_serialization=False), "names posix.system"
    ),
    "a module": (lambda path: torch.save(torch.nn.Linear(1, 1), path), "names torch.nn.modules.linear.Linear"),
    "a tensor": (lambda path: torch.save(torch.zeros(2), path), "contains a Tensor; expected a state_dict of tensors"),
    "a checkpoint of checkpoints": (
        lambda path: torch.save({"a": {"state_dict": {"a": torch.zeros(1)}}, "epoch": 3}, path),
        "contains a dict under 'a', a int under 'epoch' and no tensors at its top or one level below",
    ),
    "sparse tensors": (
        lambda path: torch.save({"a": torch.eye(3).to_sparse()}, path), "contains a sparse tensor under 'a'"
    ),
    "a pickle that runs": (lambda path: path.write_bytes(pickle.dumps({"a": Runs()})), "names posix.system"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_other_files_are_refused_and_not_executed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write, message = FILES[case]
    path = tmp_path / "weights"
    write(path)
    with pytest.raises(ModelError, match=re.escape(message)) as error:
        read_vggface2(path)
    assert str(error.value).startswith(str(path))
    assert not (tmp_path / "was-executed").exists()


@pytest.mark.parametrize("which", ["pickle", "dag", "pickle converted", "dag converted"])
def test_a_truncated_file_is_said_to_be_one(which: str, small: dict[str, Path], tmp_path: Path) -> None:
    path, blob = tmp_path / "w", small[which].read_bytes()
    for end in (100_000, len(blob) // 2, len(blob) - 2):
        path.write_bytes(blob[:end])
        with pytest.raises(ModelError, match="is a truncated or damaged"):
            read_vggface2(path)


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pkl"
    with path.open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(ModelError, match="has 1,073,741,825 bytes; at most 1,073,741,824"):
        read_vggface2(path)
