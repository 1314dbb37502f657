"""The path with one buffer is torch's cross-entropy, wherever the paths switch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.ops import cross_entropy as module
from lossbench.ops.cross_entropy import IN_BLOCKS_FROM, IN_BLOCKS_FROM_OF_FEW_CLASSES, cross_entropy
from lossbench.testing.memory import PeakMemory

FEW, MANY = IN_BLOCKS_FROM_OF_FEW_CLASSES, IN_BLOCKS_FROM
SHAPES = [(FEW // 8 - 1, 8), (FEW // 8, 8), (MANY // 500 - 1, 500), (MANY // 500, 500), (3, MANY)]


def batch(shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(shape[0])
    logits = 10 * torch.randn(shape, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, shape[1], shape[:1], generator=generator)
    return logits, targets, torch.rand(shape[1], generator=generator, dtype=torch.float64) + 0.5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient_are_torch_s_also_the_second_time(shape: tuple[int, int], weighted: bool) -> None:
    logits, targets, weight = batch(shape)
    chosen = weight if weighted else None
    logits.requires_grad_()
    value = cross_entropy(logits, targets, chosen, reduction="mean")
    expected = F.cross_entropy(logits, targets, chosen, reduction="none").mean()
    torch.testing.assert_close(value, expected)
    (slope,) = torch.autograd.grad(expected, logits)
    for retain in (True, False):
        torch.testing.assert_close(torch.autograd.grad(3 * value, logits, retain_graph=retain)[0], 3 * slope)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_second_derivative_is_torch_s(weighted: bool) -> None:
    logits, targets, weight = batch((FEW // 8, 8))
    chosen = weight if weighted else None
    logits.requires_grad_()
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for value in (
        cross_entropy(logits, targets, chosen, reduction="mean"),
        F.cross_entropy(logits, targets, chosen, reduction="none").mean(),
    ):
        (slope,) = torch.autograd.grad(value, logits, create_graph=True)
        found.append(torch.autograd.grad((slope * direction).sum(), logits)[0])
    torch.testing.assert_close(*found)


def test_transforms_of_a_large_batch_get_torch_s_operators() -> None:
    logits, targets, weight = batch((FEW // 8, 8))

    def value(z: Tensor) -> Tensor:
        return cross_entropy(z, targets, weight, reduction="mean")

    (expected,) = torch.autograd.grad(value(leaf := logits.clone().requires_grad_()), leaf)
    torch.testing.assert_close(torch.func.grad(value)(logits), expected)
    torch.testing.assert_close(torch.vmap(torch.func.grad(value))(torch.stack([logits, logits]))[1], expected)


@pytest.mark.parametrize("bad", [-100, -1, 8])
def test_a_label_out_of_range_is_an_index_error(bad: int) -> None:
    logits, targets, _ = batch((FEW // 8, 8))
    targets[5] = bad
    with pytest.raises(IndexError, match=f"Target {bad} is out of bounds"):
        cross_entropy(logits.requires_grad_(), targets, reduction="mean")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_surfaces(bad: float) -> None:
    logits, targets, _ = batch((FEW // 8, 8))
    logits[5, 2] = bad
    assert cross_entropy(logits.requires_grad_(), targets, reduction="mean").isnan()


def test_large_logits_stay_exact() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]]).repeat(8000, 1).requires_grad_()
    targets = torch.ones(8000, dtype=torch.int64)
    value = cross_entropy(logits, targets, reduction="mean")
    value.backward()
    assert float(value.detach()) == 2e4
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0] * 8000, torch.tensor([1.0, -1.0, 0.0]))


def test_it_holds_one_buffer_of_the_logits_size() -> None:
    logits, targets, _ = batch((MANY // 500, 500))
    leaf = logits.float().requires_grad_()
    with PeakMemory() as memory:
        cross_entropy(leaf, targets, reduction="mean").backward()
    size = leaf.numel() * 4
    assert size <= memory.peak_bytes < 1.2 * size
    with PeakMemory() as memory:
        F.cross_entropy(leaf, targets).backward()
    assert memory.peak_bytes > 1.9 * size


def test_blocks_of_rows_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets, weight = batch((FEW // 8, 8))
    logits.requires_grad_()
    expected = torch.autograd.grad(cross_entropy(logits, targets, weight, reduction="mean"), logits)
    monkeypatch.setattr(module, "_BLOCK", 8 * 7)
    found = torch.autograd.grad(cross_entropy(logits, targets, weight, reduction="mean"), logits)
    torch.testing.assert_close(found, expected)
