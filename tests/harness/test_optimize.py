"""Who is decayed, who learns at which rate, and how the rate goes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossbench import Loss, LossContext, ModelOutput, create_loss
from lossbench.harness.training.optimizer import build_optimizer, build_schedule, learning_rate_share
from lossbench.models.build import build_model

CONTEXT = LossContext(num_classes=3, embedding_dim=128, class_counts=(5, 5, 5))


class Learning(Loss):
    """A loss with two kinds of parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.proxies, self.offset = nn.Parameter(torch.zeros(3, 128)), nn.Parameter(torch.zeros(()))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.sum() + self.proxies.sum()

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.proxies], "weight_decay": 0.01, "lr_scale": 10.0}, {"params": [self.offset]}]


@pytest.fixture(scope="module")
def model() -> Any:
    return build_model("senet-tiny", num_classes=3, image_size=48, seed=0)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_matrices_are_decayed_and_biases_and_norms_are_not(name: str, model: Any) -> None:
    optimizer = build_optimizer(name, model, create_loss("softmax", CONTEXT), lr=0.1, weight_decay=0.5)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay.keys() == {id(p) for p in model.parameters()}
    for parameter_name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.5 if parameter.ndim > 1 else 0.0), parameter_name
    assert {0.0, 0.5} == set(decay.values())


def test_a_loss_sets_the_rate_and_decay_of_its_own_parameters(model: Any) -> None:
    loss = Learning()
    optimizer = build_optimizer("adamw", model, loss, lr=0.1, weight_decay=0.5)
    by_parameter = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert by_parameter[id(loss.proxies)]["lr"] == pytest.approx(1.0)
    assert by_parameter[id(loss.proxies)]["weight_decay"] == 0.01
    assert by_parameter[id(loss.offset)]["lr"] == 0.1
    assert by_parameter[id(model.head.weight)]["lr"] == 0.1


def test_the_default_groups_of_a_loss_are_not_decayed(model: Any) -> None:
    class Plain(Learning):
        param_groups = Loss.param_groups

    loss = Plain()
    optimizer = build_optimizer("sgd", model, loss, lr=0.1, weight_decay=0.5)
    assert optimizer.param_groups[-1]["weight_decay"] == 0
    assert {id(p) for p in optimizer.param_groups[-1]["params"]} == {id(loss.proxies), id(loss.offset)}


def test_the_rate_falls_from_the_head_to_the_first_layer(model: Any) -> None:
    optimizer = build_optimizer("sgd", model, Learning(), lr=0.1, weight_decay=0.5, layer_decay=0.5)
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    rates = {name: group_of[id(p)]["lr"] for name, p in model.named_parameters()}
    assert optimizer.param_groups[0]["lr"] == rates["head.weight"] == 0.1
    assert rates["backbone.layer4.0.conv1.weight"] == pytest.approx(0.05)
    assert rates["backbone.layer3.0.conv1.weight"] == pytest.approx(0.025)
    assert rates["backbone.conv1.0.weight"] == pytest.approx(0.1 * 0.5**5)
    for name, parameter in model.named_parameters():
        assert group_of[id(parameter)]["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_frozen_backbone_keeps_its_weights_and_then_warms_up(name: str) -> None:
    model, loss = build_model("senet-tiny", num_classes=3, image_size=48, seed=0), Learning()
    optimizer = build_optimizer(name, model, loss, lr=0.1, weight_decay=0.5, backbone_apart=True)
    schedule = build_schedule(optimizer, steps=10, warmup_steps=2, frozen_steps=3)
    moved = []
    for _ in range(5):
        before = {key: value.detach().clone() for key, value in model.named_parameters()}
        for parameter in (*model.parameters(), *loss.parameters()):
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        schedule.step()
        moved.append({key.partition(".")[0] for key, value in model.named_parameters() if (value != before[key]).any()})
    assert moved == [{"head"}] * 3 + [{"head", "backbone"}] * 2
    (backbone_rate,) = {group["lr"] for group in optimizer.param_groups if "of_backbone" in group}
    assert backbone_rate == pytest.approx(0.1 * learning_rate_share(5 - 3, 10 - 3, 2))


def test_all_groups_keep_their_ratio_through_the_schedule(model: Any) -> None:
    optimizer = build_optimizer("sgd", model, Learning(), lr=0.1, weight_decay=0.5)
    schedule = build_schedule(optimizer, steps=10, warmup_steps=2)
    rates = []
    for _ in range(10):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates[0][0] == pytest.approx(0.05)
    assert rates[1][0] == rates[2][0] == pytest.approx(0.1)
    assert all(rate[2] == pytest.approx(10 * rate[0]) for rate in rates)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine() -> None:
    share = [learning_rate_share(step, 100, 20) for step in range(101)]
    assert share[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert share[60] == pytest.approx(0.5)
    assert share[20] == 1
    assert share[100] == pytest.approx(0)
    assert all(later < earlier for earlier, later in pairwise(share[20:]))
    assert all(a + b == pytest.approx(1) for a, b in zip(share[20:], share[:19:-1], strict=False))  # symmetric


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (3, 5), (5, 5)])
def test_short_runs_have_a_rate_too(steps: int, warmup: int) -> None:
    assert all(0 < learning_rate_share(step, steps, warmup) <= 1 for step in range(steps))
