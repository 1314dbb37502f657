"""The start of a run: what it imports before its first step, and the optimizer that makes that possible."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from lossbench.harness.training.eager import eager
from lossbench.harness.training.optimizer import build_optimizer
from lossbench.models.build import build_model
from lossbench.objective import create_loss
from lossbench.types import LossContext

SLOW_TO_IMPORT = (
    *("torch._dynamo", "torch.distributed.tensor", "sympy", "torchvision", "timm"),
    *("scipy", "sklearn", "hypothesis", "pandas", "matplotlib"),
)
FIRST_STEP = """
import sys
import lossbench.harness.run
from lossbench.harness.prepare import prepare
from lossbench.harness.reporter import SilentReporter
from lossbench.harness.training.build import build_accelerator, build_trainer
from lossbench.runs.options import RunConfig

task = prepare(RunConfig(loss="weighted-softmax + 0.3*weighted-cluster"), SilentReporter())
trainer = build_trainer(task, build_accelerator(task.config))
trainer.step.train()
trainer._take_step(next(iter(trainer.images)), trainer.batches.rows_of(0))
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


@pytest.mark.slow  # a fresh interpreter, because this one has imported everything
def test_a_run_takes_its_first_step_without_slow_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STEP, *SLOW_TO_IMPORT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [(AdamW, {"lr": 0.1, "fused": True}), (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "fused": True})],
)
def test_an_eager_optimizer_steps_as_torch_s(kind: type[Optimizer], options: dict[str, object]) -> None:
    model = nn.Linear(3, 2)
    twin = copy.deepcopy(model)
    ours, theirs = eager(kind)(model.parameters(), **options), kind(twin.parameters(), **options)  # type: ignore[call-arg]
    assert eager(kind) is eager(kind)
    assert isinstance(ours, kind)
    for number in range(4):
        if number == 2:  # continue from a state, as a resumed run does
            ours, state = eager(kind)(model.parameters(), **options), ours.state_dict()  # type: ignore[call-arg]
            ours.load_state_dict(state)
        for optimizer, module in ((ours, model), (theirs, twin)):
            module(torch.full((1, 3), float(number + 1))).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            assert module.weight.grad is None
    assert torch.equal(model.weight, twin.weight)
    assert torch.equal(model.bias, twin.bias)
    assert ours.state_dict()["param_groups"] == theirs.state_dict()["param_groups"]


@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_the_groups_of_weight_decay_are_timm_s(weight_decay: float) -> None:
    from timm.optim import param_groups_weight_decay

    model = build_model("senet-tiny", num_classes=3, image_size=48, seed=0)
    model.head.bias.requires_grad_(False)
    loss = create_loss("softmax", LossContext(num_classes=3, embedding_dim=128, class_counts=(3, 2, 1)))
    found = build_optimizer("sgd", model, loss, lr=0.1, weight_decay=weight_decay).param_groups
    expected = param_groups_weight_decay(model, weight_decay)
    assert [group["weight_decay"] for group in found] == [group["weight_decay"] for group in expected]
    for group, theirs in zip(found, expected, strict=True):
        assert [id(p) for p in group["params"]] == [id(p) for p in theirs["params"]]
