"""A loss or gradient that is not finite stops a run before it has changed anything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import step_operators
import torch
from torch import Tensor, nn

from lossbench import LossContext, ModelOutput
from lossbench.errors import NonFiniteError
from lossbench.harness.training.finite import largest
from lossbench.harness.training.guard import FiniteGuard
from lossbench.harness.training.optimizer import mask_steps
from lossbench.losses.center import CenterLoss

CPU = torch.device("cpu")


class Small(nn.Module):
    """Batch statistics, weights and a loss whose centers move."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 2)
        self.loss = CenterLoss(LossContext(num_classes=2, embedding_dim=4, class_counts=(4, 4)))

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ModelOutput]:
        embeddings = self.features(images)
        output = ModelOutput(embeddings, self.head(embeddings))
        value = nn.functional.cross_entropy(output.logits, targets) + 0.1 * self.loss(output, targets)
        return value, ModelOutput(embeddings.detach(), output.logits.detach())


def nan_image(images: Tensor) -> Tensor:
    images[0, 0] = torch.nan
    return images


def step(module: Small, guard: FiniteGuard, optimizer: torch.optim.Optimizer, images: Tensor, corrupt: bool) -> None:
    """As the trainer does it."""
    targets = torch.tensor([0, 1] * 4)
    guard.before_forward()
    value, output = module(images, targets)
    value.backward()
    if corrupt:
        next(module.parameters()).grad[0, 0] = torch.inf
    guard.after_backward(value.detach().double())
    optimizer.step()
    optimizer.zero_grad()
    module.loss.update_state(output, targets)
    guard.after_update()


def state_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Copies of weights, buffers and the optimizer's state."""
    moments = [v for state in optimizer.state.values() for v in state.values()]
    return [tensor.detach().clone() for tensor in (*module.state_dict().values(), *moments)]


def assert_same(first: list[Tensor], second: list[Tensor]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def images_of(number: int) -> Tensor:
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_on_the_cpu_a_run_stops_before_the_step_that_would_take_it(kind: str) -> None:
    module = Small()
    guard = FiniteGuard(module, CPU)
    optimizer = torch.optim.AdamW(module.parameters())
    for number in range(3):
        step(module, guard, optimizer, images_of(number), corrupt=False)
    weights = copy.deepcopy([p.detach() for p in module.parameters()])
    bad = nan_image(images_of(3)) if kind == "loss" else images_of(3)
    said = "the loss is nan" if kind == "loss" else r"a gradient or the model's output is non-finite \(the loss is \d"
    with pytest.raises(NonFiniteError, match=rf"^training stopped at step 3: {said}"):
        step(module, guard, optimizer, bad, corrupt=kind == "gradient")
    assert_same(weights, [p.detach() for p in module.parameters()])


@pytest.mark.parametrize("large", [False, True], ids=["snapshots", "large buffers"])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_when_the_flag_is_read_all_is_as_before_the_first_bad_step(
    kind: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, where reading the flag at each step would synchronize the device."""
    monkeypatch.setattr("lossbench.harness.training.snapshots._LARGE", 1 if large else 2**20)
    module = Small()
    guard = FiniteGuard(module, CPU, read_every=10)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    mask_steps(optimizer, guard.found)
    for number in range(12):  # past the first reading
        step(module, guard, optimizer, images_of(number), corrupt=False)
    before = state_of(module, optimizer)
    step(module, guard, optimizer, images_of(2), corrupt=False)
    assert not torch.equal(before[0], state_of(module, optimizer)[0])  # a good step does change them
    before = state_of(module, optimizer)
    bad = nan_image(images_of(4)) if kind == "loss" else images_of(4)
    step(module, guard, optimizer, bad, corrupt=kind == "gradient")
    for number in range(5, 10):  # good batches again, up to the step before the reading
        step(module, guard, optimizer, images_of(number), corrupt=False)
    assert torch.equal(before[0], state_of(module, optimizer)[0])  # weights do not change before the reading either
    with pytest.raises(NonFiniteError, match="stopped at step 13"):
        step(module, guard, optimizer, images_of(10), corrupt=False)
    kept = state_of(module, optimizer)
    whole = {name for name, b in module.named_buffers() if not b.is_floating_point()}
    assert whole == {"features.1.num_batches_tracked"}  # a count, which nothing depends on
    names = [*module.state_dict(), *["optimizer"] * (len(kept) - len(module.state_dict()))]
    for name, one, other in zip(names, before, kept, strict=True):
        if name not in whole:
            torch.testing.assert_close(one, other, rtol=0, atol=0, msg=name)


def test_the_flag_can_be_read_at_any_time() -> None:
    module = Small()
    guard = FiniteGuard(module, CPU, read_every=10)
    guard.check()
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    mask_steps(optimizer, guard.found)
    step(module, guard, optimizer, nan_image(images_of(0)), corrupt=False)
    assert not optimizer.state or all(not v.any() for s in optimizer.state.values() for v in s.values())
    with pytest.raises(NonFiniteError, match="stopped at step 0: the loss is nan"):
        guard.check()


def test_a_step_that_the_scaler_left_out_moves_no_running_statistics() -> None:
    module = Small()
    guard = FiniteGuard(module, CPU, read_every=10)
    before = [b.clone() for b in guard.buffers]
    guard.before_forward()
    module(nan_image(images_of(0)), torch.tensor([0, 1] * 4))
    assert not torch.isfinite(guard.buffers[0]).all()
    guard.after_update(skipped=True)
    assert_same(before, guard.buffers)


def test_twenty_skipped_steps_in_a_row_stop_and_others_are_counted() -> None:
    guard = FiniteGuard(Small(), CPU)
    for skipped in [True] * 19 + [False] + [True] * 19:
        guard.count_skip(skipped)
    assert guard.skipped == 38
    with pytest.raises(NonFiniteError, match="20 consecutive steps had non-finite gradients in fp16"):
        guard.count_skip(True)


@pytest.mark.parametrize(
    ("corrupt", "finite"),
    [(lambda t: t, True), (lambda t: t.fill_(1e38), True), (lambda t: t[0].fill_(torch.nan), False),
     (lambda t: t[-1].fill_(-torch.inf), False)],
    ids=["fine", "large", "nan", "inf"],
)  # fmt: skip
def test_each_entry_is_seen_and_nothing_overflows(corrupt: Callable[[Tensor], Any], finite: bool) -> None:
    tensors = [torch.zeros(3), torch.zeros(50)]
    corrupt(tensors[1])
    assert bool(largest(tensors).isfinite()) is finite
    assert largest([]) == 0


@pytest.mark.parametrize("hidden", [torch.nan, torch.inf])
def test_a_loss_can_t_hide_that_the_model_s_output_is_not_finite(hidden: float) -> None:
    """A comparison with NaN is false: a loss that keeps what is above zero gives a finite value and gradient."""
    module = Small()
    guard = FiniteGuard(module, CPU)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    outputs = [torch.ones(2, 3), torch.ones(2, 2)]
    guard.after_backward(torch.tensor(0.25), outputs)
    outputs[1][0, 1] = hidden
    with pytest.raises(NonFiniteError, match=r"at step 1: a gradient or the model's output .*\(the loss is 0\.25\)"):
        guard.after_backward(torch.tensor(0.25), outputs)


@pytest.mark.parametrize("loss", [pytest.param("softmax", marks=pytest.mark.long), "weighted-cluster"])
def test_a_step_on_an_accelerator_has_few_operators_beyond_model_loss_and_optimizer(loss: str) -> None:
    extra = step_operators.extra_operators(loss, "senet-tiny", 48)
    assert extra.total() <= 20, extra
