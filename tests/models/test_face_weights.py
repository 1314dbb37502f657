"""The recipes of docs/face-weights.md read files with exactly the names and shapes of the published ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from lossbench.models.any_weights import WeightsOptions, plan_weights
from lossbench.models.ir50 import IR50

PAGE = Path(__file__).parents[2] / "docs" / "face-weights.md"
RECIPES = dict(re.findall(r"^\| `([^`]+)` \|[^|]+\| `([^`]+)` \|$", PAGE.read_text(), flags=re.MULTILINE))
State = dict[str, Tensor]
_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))


def claimed(shapes: dict[str, tuple[int, ...]]) -> State:
    """Tensors of these shapes with the memory of one number."""
    return {
        name: torch.ones((), dtype=torch.int64 if name.endswith("tracked") else torch.float32).expand(shape)
        for name, shape in shapes.items()
    }


def shapes_of(build: Callable[[], torch.nn.Module]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build().state_dict().items()}


def ir50_shapes() -> dict[str, tuple[int, ...]]:
    """The state of face.evoLVe's IR-50, written out from its code."""
    shapes: dict[str, tuple[int, ...]] = {"input_layer.0.weight": (64, 3, 3, 3), "input_layer.2.weight": (64,)}

    def norm(name: str, size: int) -> None:
        shapes.update({f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    norm("input_layer.1", 64)
    inputs, number = 64, 0
    for channels, count in _STAGES:
        for _ in range(count):
            block = f"body.{number}"
            if inputs != channels:
                shapes[f"{block}.shortcut_layer.0.weight"] = (channels, inputs, 1, 1)
                norm(f"{block}.shortcut_layer.1", channels)
            norm(f"{block}.res_layer.0", inputs)
            shapes[f"{block}.res_layer.1.weight"] = (channels, inputs, 3, 3)
            shapes[f"{block}.res_layer.2.weight"] = (channels,)
            shapes[f"{block}.res_layer.3.weight"] = (channels, channels, 3, 3)
            norm(f"{block}.res_layer.4", channels)
            inputs, number = channels, number + 1
    norm("output_layer.0", 512)
    shapes |= {"output_layer.3.weight": (512, 512 * 7 * 7), "output_layer.3.bias": (512,)}
    norm("output_layer.4", 512)
    return shapes


def resnet18() -> dict[str, tuple[int, ...]]:
    return shapes_of(torchvision.models.resnet18)


def of_scn() -> dict[str, Any]:
    backbone = {name: shape for name, shape in resnet18().items() if not name.startswith("fc.")}
    people = {"fc.weight": (8631, 512), "fc.bias": (8631,), "feature.weight": (512, 512), "feature.bias": (512,)}
    return {"state_dict": {f"module.{n}": v for n, v in claimed(backbone | people).items()}, "epoch": 20, "prec1": 0.9}


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "state_vggface2_enet0_new.pt": lambda: claimed(
        shapes_of(lambda: timm.create_model("tf_efficientnet_b0", num_classes=0))
    ),
    "resnet18_msceleb.pth": lambda: {"state_dict": claimed(resnet18())},
    "ijba_res18_naive.pth.tar": of_scn,
    "backbone_ir50_ms1m_epoch120.pth": lambda: claimed(ir50_shapes()),
    "ir50.pth": lambda: {f"module.{name}": value for name, value in claimed(ir50_shapes()).items()},
}


def test_every_recipe_of_the_page_is_tested() -> None:
    assert {name for name, options in RECIPES.items() if "vggface2:" not in options} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_recipe_fills_the_backbone(name: str, tmp_path: Path) -> None:
    words = shlex.split(RECIPES[name])
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--weights"] == f"file:{name}"
    torch.save(FILES[name](), tmp_path / name)
    stated = WeightsOptions(mean=options["--weights-mean"], std=options["--weights-std"])
    planned = plan_weights("file", str(tmp_path / name), options["--model"], None, stated)
    assert planned.plan.fills
    assert planned.problem(allow_missing=False) is None
    assert all(re.search(r"(^|\.)(fc|feature|classifier)\.", name) for name in planned.plan.left_out)
    assert planned.images.preprocessing.image_size == (112 if options["--model"] == "ir50" else 224)


@pytest.mark.long
def test_ir50_computes_what_the_published_code_does() -> None:
    """Written out over the names of a file, in double precision and for random weights."""
    draw = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in ir50_shapes().items():
        value = torch.rand(shape, generator=draw, dtype=torch.float64) if shape else torch.tensor(0)
        state[name] = (value - 0.5) / (value[0].numel() ** 0.5) if len(shape) > 1 else value + 0.5 * bool(shape)
    model = IR50().eval().double()
    model.load_state_dict(state)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-5)

    x = torch.rand((1, 3, 112, 112), generator=draw, dtype=torch.float64)
    y = F.conv2d(x, state["input_layer.0.weight"], padding=1)
    y = F.prelu(norm(y, "input_layer.1"), state["input_layer.2.weight"])
    number = 0
    for _, count in _STAGES:
        for unit in range(count):
            name, stride = f"body.{number}", 2 if unit == 0 else 1
            short = y[:, :, ::stride, ::stride]
            if f"{name}.shortcut_layer.0.weight" in state:
                short = norm(F.conv2d(short, state[f"{name}.shortcut_layer.0.weight"]), f"{name}.shortcut_layer.1")
            y = F.conv2d(norm(y, f"{name}.res_layer.0"), state[f"{name}.res_layer.1.weight"], padding=1)
            y = F.prelu(y, state[f"{name}.res_layer.2.weight"])
            y = F.conv2d(y, state[f"{name}.res_layer.3.weight"], padding=1, stride=stride)
            y = norm(y, f"{name}.res_layer.4") + short
            number += 1
    y = F.linear(norm(y, "output_layer.0").flatten(1), state["output_layer.3.weight"], state["output_layer.3.bias"])
    with torch.no_grad():
        torch.testing.assert_close(model(x), norm(y, "output_layer.4"))
