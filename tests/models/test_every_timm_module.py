"""Models of timm's modules are built and take a step, or are refused with a reason."""

from __future__ import annotations

import re

import pytest
import timm
import torch

from lossbench.errors import ConfigError, ModelError
from lossbench.harness.checks import check_gradients
from lossbench.models import build, own_backbones
from lossbench.models.build import build_model, check_model, parameters_without_gradient
from lossbench.models.own_backbones import OwnBackbone
from lossbench.models.own_images import own_image_size

_MOST_PARAMETERS = 12_000_000  # larger models take the same code and more time


# Parts of names that small models have, the smallest first.
_SMALL = ("test_", "femto", "atto", "pico", "nano", "xxs", "xx_small", "micro", "mini", "tiny", "xs", "_s", "small")


def small_models(modules: list[str]) -> list[str]:
    """Return a small model of each of timm's modules, by the names of its models."""
    found = []
    for module in modules:
        sizes = {}
        rank = {
            name: next((n for n, part in enumerate(_SMALL) if part in name), len(_SMALL))
            for name in timm.list_models(module=module)
        }
        for name in sorted(rank, key=lambda name: (rank[name], len(name), name))[:3]:
            with torch.device("meta"):
                try:
                    model = timm.create_model(name, num_classes=0)
                except Exception:  # only to sort; the test below asks lossbench
                    continue
            sizes[name] = sum(value.numel() for value in model.parameters())
        if sizes and min(sizes.values()) <= _MOST_PARAMETERS:
            found.append(min(sizes, key=lambda name: sizes[name]))
    return found


def one_step(name: str) -> str:
    """Build a model, train it for one step on two images, and return the reason if it is refused."""
    size = own_image_size(name)
    try:
        dim = check_model(name, size)
    except (ModelError, ConfigError) as refusal:
        return str(refusal)
    model = build_model(name, num_classes=3, image_size=size, seed=0).train()
    images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    output = model(images)
    assert output.embeddings.shape == (2, dim)
    torch.nn.functional.cross_entropy(output.logits, torch.tensor([0, 1])).backward()
    idle = {key for key, value in model.backbone.named_parameters() if value.requires_grad and value.grad is None}
    assert idle == set(parameters_without_gradient(name, size))
    gradients = [value.grad for value in model.parameters() if value.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    return ""


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit"])
def test_a_sample_of_models_takes_a_step(name: str) -> None:
    assert one_step(name) == ""


@pytest.mark.long
def test_a_model_of_every_eighth_module_takes_a_step_or_is_refused_with_a_reason() -> None:
    """Of every module, it would take some quarter of an hour: `small_models(timm.list_modules())`."""
    names, refused = small_models(timm.list_modules()[::8]), {}
    for name in names:
        if reason := one_step(name):
            refused[name] = reason
    assert len(names) >= 5
    assert len(refused) < len(names) / 2
    assert all(re.search(r"\w{3,}.*: .*\w{3,}|expected one vector", reason) for reason in refused.values())


def test_parameters_without_a_gradient_are_named_before_several_processes_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Idle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)
            self.fixed = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            embeddings: torch.Tensor = self.used(images.mean((2, 3)))
            return embeddings

    assert build.OWN_BACKBONES is own_backbones.OWN_BACKBONES
    monkeypatch.setitem(own_backbones.OWN_BACKBONES, "idle", OwnBackbone(build=Idle, image_size=8))
    assert parameters_without_gradient("idle", 8) == ("idle.weight", "idle.bias")

    class Task:
        class config:  # noqa: N801  # as the task's attribute is called
            model, image_size = "idle", 8

    check_gradients(Task, 1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"--model idle: 2 of its parameters receive no gradient: idle.weight, idle"):
        check_gradients(Task, 2)  # type: ignore[arg-type]
