"""Weights of any model: which tensors a backbone receives, what its images are, and what is refused."""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from lossbench.errors import ConfigError, ModelError
from lossbench.models import hub
from lossbench.models.any_weights import PlannedWeights, WeightsOptions, plan_weights
from lossbench.models.build import build_model
from lossbench.models.check_tensors import Form
from lossbench.models.key_plan import plan_keys

MODEL = "test_resnet"  # of timm, 0.5 M parameters
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Weights of MODEL with a classifier; don't change them."""
    backbone = build_model(MODEL, num_classes=2, image_size=64, seed=9).backbone.state_dict()
    return {**backbone, "fc.weight": torch.zeros(1000, 384), "fc.bias": torch.zeros(1000)}


def planned(path: Path, model: str = MODEL, size: int | None = None, **options: Any) -> PlannedWeights:
    return plan_weights("file", str(path), model, size, WeightsOptions(**options))


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def assert_same(found: State, state: State) -> None:
    assert set(found) == {name for name in state if not name.startswith("fc.")}
    assert all(torch.equal(value, state[name]) for name, value in found.items() if not name.endswith("tracked"))


# --- the plan --------------------------------------------------------------------------------------------------------

WRAPPED: dict[str, tuple[Callable[[State], dict[str, Any]], str]] = {
    "as it is": (lambda s: s, ""),
    "DataParallel": (lambda s: {f"module.{n}": v for n, v in s.items()}, "module."),
    "two wrappers": (lambda s: {f"module.backbone.{n}": v for n, v in s.items()}, "module.backbone."),
    "an encoder beside a head": (
        lambda s: {**{f"encoder.{n}": v for n, v in s.items()}, "head.weight": torch.ones(7)}, "encoder."
    ),
    "compiled": (lambda s: {f"_orig_mod.model.{n}": v for n, v in s.items()}, "_orig_mod.model."),
    "a checkpoint": (
        lambda s: {"state_dict": {f"module.{n}": v for n, v in s.items()}, "epoch": 3, "arch": "x",
                   "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}},
        "state_dict.module.",
    ),
    "a checkpoint with options": (
        lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("a")),
                   "best": np.float64(1.5), "curve": np.arange(3.0)},
        "model.",
    ),
    "averaged weights first": (
        lambda s: {"state_dict": {n: torch.zeros_like(v) for n, v in s.items()}, "state_dict_ema": s},
        "state_dict_ema.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRAPPED)
def test_prefixes_and_one_level_of_nesting_are_unwrapped(case: str, state: State, tmp_path: Path) -> None:
    wrap, prefix = WRAPPED[case]
    found = planned(saved(wrap(state), tmp_path / "w.pth"))
    assert found.plan.prefix == prefix
    assert found.plan.fills
    weights = found.weights(allow_missing=False)
    assert_same(weights.state, state)
    left_out = {name.removeprefix(prefix) for name in weights.origin["left_out"]}
    assert {"fc.weight", "fc.bias"} <= left_out
    assert weights.origin["taken"] == len([n for n in state if not n.startswith("fc.") and not n.endswith("tracked")])
    if prefix:
        assert f"without the prefix {prefix!r}" in weights.note


def test_safetensors_and_half_precision(state: State, tmp_path: Path) -> None:
    halves = {n: v.half() if v.is_floating_point() else v for n, v in state.items() if not n.endswith("tracked")}
    save_file(halves, tmp_path / "w.safetensors")
    found = planned(tmp_path / "w.safetensors").weights(allow_missing=False)
    assert all(value.dtype is torch.float32 for n, value in found.state.items() if not n.endswith("tracked"))
    assert torch.equal(found.state["conv1.0.weight"], state["conv1.0.weight"].half().float())
    assert found.state["bn1.num_batches_tracked"] == 0


def test_the_model_starts_from_them(state: State, tmp_path: Path) -> None:
    weights = planned(saved(state, tmp_path / "w.pth"), size=64).weights(allow_missing=False)
    model = build_model(
        MODEL, num_classes=3, image_size=64, seed=0, backbone_state=weights.state, preprocessing=weights.preprocessing
    )
    assert torch.equal(model.backbone.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


def test_missing_and_mismatched_tensors_are_refused_unless_allowed(state: State, tmp_path: Path) -> None:
    short = {n: v for n, v in state.items() if n != "bn1.weight"} | {"conv1.0.weight": torch.zeros(24, 1, 3, 3)}
    found = planned(saved(short, tmp_path / "w.pth"))
    assert found.plan.missing == ("bn1.weight",)
    assert list(found.plan.mismatched) == ["conv1.0.weight"]
    with pytest.raises(ModelError) as error:
        found.weights(allow_missing=False)
    for part in ("does not fill the backbone of test_resnet", "bn1.weight is missing", "conv1.0.weight has shape (24",
                 "--allow-missing-weights"):  # fmt: skip
        assert part in str(error.value)
    weights = found.weights(allow_missing=True)
    assert "1 missing (bn1.weight); 1 mismatched (conv1.0.weight)" in weights.note
    assert weights.origin["missing"] == ("bn1.weight",)
    fresh = build_model(MODEL, num_classes=3, image_size=64, seed=5).backbone.state_dict()
    model = build_model(MODEL, num_classes=3, image_size=64, seed=5, backbone_state=weights.state)
    assert torch.equal(model.backbone.state_dict()["conv1.0.weight"], fresh["conv1.0.weight"])
    assert torch.equal(model.backbone.state_dict()["layer1.0.conv1.weight"], state["layer1.0.conv1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"a.b": torch.zeros(2)}, "none of its tensors fits test_resnet; it contains a.b; expected conv1"),
        (lambda s: {f"student.{n}": v for n, v in s.items()}, "pass --weights-prefix student."),
        (lambda s: {"layer1.0.conv4.weight": torch.zeros(1)}, "pass --weights vggface2:FILE"),
        (lambda s: {**s, "bn1.weight": s["bn1.weight"] * torch.nan}, "bn1.weight has non-finite values"),
        (lambda s: {**s, "bn1.running_var": -1 - s["bn1.running_var"]}, "bn1.running_var has negative variances"),
        (lambda s: {**s, "bn1.bias": s["bn1.bias"].double()}, "bn1.bias is of type float64, expected float32"),
        (
            lambda s: {n: v.to(torch.int8) for n, v in s.items()},
            "0 tensors fit, 75 do not:\n  conv1.0.weight is of type int8, expected float32",
        ),
        (lambda s: {"checkpoint": {"model": s}}, "contains a dict under 'checkpoint' and no tensors"),
        (lambda s: {"epoch": 3}, "no tensors at its top or one level below"),
        (lambda s: {"model.a": torch.zeros(1), "model": {"a": torch.zeros(1)}}, "two tensors named 'model.a'"),
    ],
)  # fmt: skip
def test_what_does_not_suit_is_one_error(change: Any, message: str, state: State, tmp_path: Path) -> None:
    path = saved(change(state), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"w\.pth") as error:
        planned(path).weights(allow_missing=False)
    assert message in str(error.value)
    if "0 tensors fit" in message:  # nothing would be taken
        with pytest.raises(ModelError, match="of type int8") as error:
            planned(path).weights(allow_missing=True)
        assert "--allow-missing-weights" not in str(error.value)
        assert "--weights-prefix" not in str(error.value)


def test_a_prefix_can_be_chosen(state: State, tmp_path: Path) -> None:
    both = {"student": state, "teacher": {n: torch.zeros_like(v) for n, v in state.items()}}
    path = saved(both, tmp_path / "w.pth")
    assert planned(path).plan.others == ("teacher.",)
    assert "as many are under 'teacher.': see --weights-prefix" in planned(path).plan.summary()
    assert not planned(path, prefix="teacher.").weights(False).state["conv1.0.weight"].any()
    with pytest.raises(ModelError, match=r"no tensor's name starts with 'x.'; the names start with student., teacher."):
        planned(path, prefix="x.")


NAMES = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=6, unique=True)


@given(NAMES, st.lists(st.sampled_from(["module.", "model.", "backbone.", "encoder."]), max_size=3))
def test_every_tensor_is_counted_once(names: list[str], wrappers: list[str]) -> None:
    forms = {f"layer.{name}": Form((len(name),)) for name in names}
    prefix = "".join(wrappers)
    tensors = {prefix + name: torch.zeros(form.shape) for name, form in forms.items()} | {"fc": torch.zeros(1)}
    plan = plan_keys(tensors, forms)
    assert (plan.prefix, plan.left_out, plan.missing, plan.mismatched) == (prefix, ("fc",), (), {})
    assert plan.taken == {prefix + name: name for name in forms}


# --- images ----------------------------------------------------------------------------------------------------------


def test_options_come_before_the_file_and_the_file_before_timm(state: State, tmp_path: Path) -> None:
    path = saved(state, tmp_path / "w.pth")
    timm = planned(path).images
    assert timm.preprocessing.mean == pytest.approx([127.5] * 3)
    assert timm.preprocessing.image_size == 160
    assert timm.sources["mean"] == "timm's test_resnet.r160_in1k"
    options = planned(path, mean="131.0912,103.8827,91.4953/255", std="1/255")
    assert options.images.preprocessing.mean == (131.0912, 103.8827, 91.4953)
    assert options.images.preprocessing.std == (1, 1, 1)
    assert options.images.sources["mean"] == "options"
    assert "160 px from timm's test_resnet.r160_in1k" in options.weights(False).note
    run = {f"model.backbone.{n}": v for n, v in state.items()}
    run |= {"model.mean": torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1), "model.std": torch.full((1, 3, 1, 1), 9.0)}
    copied = planned(saved(run, tmp_path / "run.pth"))
    assert (copied.images.preprocessing.mean, copied.images.sources["std"]) == ((1, 2, 3), "the file")


def test_bgr_weights_are_turned_with_their_mean(state: State, tmp_path: Path) -> None:
    """One image gives the embeddings that the network gives for the image in its own order."""
    found = planned(saved(state, tmp_path / "w.pth"), size=64, channels="bgr", mean="0.1,0.2,0.3", std="0.4,0.5,0.6")
    weights = found.weights(False)
    model = build_model(
        MODEL, num_classes=2, image_size=64, seed=0, backbone_state=weights.state, preprocessing=weights.preprocessing
    ).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    original = build_model(MODEL, num_classes=2, image_size=64, seed=9).backbone.eval()
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    with torch.no_grad():
        expected = original((images.flip(1) / 255 - mean) / std)
        torch.testing.assert_close(model(images).embeddings, expected, rtol=1e-4, atol=1e-4)
    assert weights.origin["channels"] == "bgr"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mean": "131,104,91"},
            "--weights-mean 131,104,91: above 1; for values on the scale 0 to 255, write 131,104,",
        ),
        ({"mean": "1,2"}, "--weights-mean must be one number or three"),
        ({"mean": "nan"}, "--weights-mean must be one number or three"),
        ({"std": "0.5/1"}, "--weights-std must be one number or three"),
        ({"std": "0"}, "--weights-std 0: must be above 0"),
    ],
)
def test_wrong_values_are_one_error(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        planned(Path("w.pth"), **options)
    assert message in str(error.value)


# --- hf:REPO ---------------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, and a hub that refuses connections."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


def add_repository(cache: Path, state: State, **config: Any) -> Path:
    folder = cache / "models--me--faces"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    save_file(state, snapshot / "model.safetensors")
    (snapshot / "config.json").write_text(json.dumps(config))
    return snapshot


def test_a_cached_repository_is_read_without_a_network(cache: Path, state: State) -> None:
    wants = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "input_size": [3, 96, 96]}
    add_repository(cache, state, architecture=MODEL, pretrained_cfg=wants)
    for spec in ("me/faces", f"me/faces@{COMMIT}"):
        found = plan_weights("hf", spec, MODEL, None, WeightsOptions())
        weights = found.weights(False)
        assert_same(weights.state, state)
        assert (weights.kind, weights.origin["repository"]) == ("hub", f"me/faces@{COMMIT}")
        assert weights.preprocessing.mean == pytest.approx((25.5, 51, 76.5))
        assert weights.preprocessing.image_size == 96
        assert weights.origin["images_from"]["mean"] == "the repository's config.json"
    with pytest.raises(ModelError, match="is of test_resnet, and --model is resnet18: pass --model test_resnet"):
        plan_weights("hf", "me/faces", "resnet18", None, WeightsOptions())


def test_a_repository_that_is_not_cached_is_one_quick_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ModelError, match=r"(?s)hf:me/faces: its weights are not in the cache .*127.0.0.1:9 cannot be r"
    ):
        hub.hub_files("me/faces")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set.*hf download me/faces.*--weights file:PATH"):
        hub.hub_files("me/faces")
    for wrong in ("", "a/b/c", "../x", "a b"):
        with pytest.raises(ModelError, match="--weights hf:"):
            hub.hub_files(wrong)


def test_a_damaged_configuration_is_one_error(cache: Path, state: State) -> None:
    snapshot = add_repository(cache, state, architecture=MODEL, pretrained_cfg={"mean": "much"})
    with pytest.raises(ModelError, match=r"the repository's config.json is not a timm configuration \(ValueError"):
        plan_weights("hf", "me/faces", MODEL, None, WeightsOptions())
    (snapshot / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is not JSON"):
        plan_weights("hf", "me/faces", MODEL, None, WeightsOptions())


def test_the_hub_is_asked_once_where_it_cannot_be_reached(cache: Path) -> None:
    with hub.quick_hub():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
