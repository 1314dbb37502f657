"""Distances to centers and between them: values and gradients of the naive forms, at sizes of several blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lossbench import LossContext, ModelOutput, loss_info
from lossbench.ops import center_distances as spread
from lossbench.ops import with_gradient
from lossbench.ops.centers import center_separation, own_distance_and_separation, squared_distance_to_own_center
from lossbench.ops.class_sums import class_sums
from lossbench.testing.memory import PeakMemory


def batch(size: int = 9, classes: int = 5, dim: int = 3, unstarted: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    c = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    c[:unstarted] = torch.nan
    return x, torch.arange(size) % classes, c


def naive(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """By B x C x D and C x C x D, over started classes."""
    has_center = ~c[:, 0].isnan()
    every = (x.unsqueeze(1) - torch.where(has_center.unsqueeze(1), c, 0)).square().sum(dim=2)
    own = torch.where(has_center, every, 0).gather(1, y.unsqueeze(1)).squeeze(1)
    begun = torch.where(has_center.unsqueeze(1), c, 0)
    between = (begun.unsqueeze(1) - begun.unsqueeze(0)).square().sum(dim=2)
    return own, torch.where(has_center.unsqueeze(1) & has_center, between, 0).sum(dim=1)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("unstarted", [0, 2])
def test_values_and_gradients_are_those_of_the_naive_form(
    unstarted: int, in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "may_write_in_place", lambda: in_place)
    x, y, c = batch(unstarted=unstarted)
    x.requires_grad_()
    c.requires_grad_()
    found = []
    for function in (own_distance_and_separation, naive):
        squares, separation = function(x, y, c)
        mixed = (squares * torch.arange(9)).sum() + (separation * torch.arange(5)).sum() + (squares**2).sum()
        gradients = torch.autograd.grad(mixed, (x, c))
        found.append((squares, separation, gradients[0], gradients[1].nan_to_num()))
    torch.testing.assert_close(*found)


def test_first_and_second_derivatives_by_differences() -> None:
    x, y, c = batch(unstarted=0)
    inputs = x.requires_grad_(), c.requires_grad_()

    def both(x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return own_distance_and_separation(x, y, c)

    assert gradcheck(both, inputs)
    assert gradgradcheck(both, inputs)


def test_a_second_backward_gives_the_same() -> None:
    x, y, c = batch()
    inputs = x.requires_grad_(), c.requires_grad_()
    squares, separation = own_distance_and_separation(x, y, c)
    value = squares.sum() + separation.sum()
    first = torch.autograd.grad(value, inputs, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(value, inputs), strict=True):
        assert one.equal(other)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_nan_surfaces_also_before_its_class_has_a_center(in_place: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "may_write_in_place", lambda: in_place)
    x, y, c = batch()
    x[0, 1] = torch.nan  # of class 0, which has not started
    x[5] = 1e200
    squares = squared_distance_to_own_center(x, y, c)
    assert squares.isnan().tolist() == [True, *[False] * 8]
    assert squares[5] == 0


def test_transforms() -> None:
    x, y, c = batch()

    def value(x: Tensor, y: Tensor) -> Tensor:
        squares, separation = own_distance_and_separation(x, y, c)
        return (squares / (1 + separation).index_select(0, y)).sum()

    (expected,) = torch.autograd.grad(value(leaf := x.clone().requires_grad_(), y), leaf)
    stacked = torch.stack([x, x.flip(0)]), torch.stack([y, y.flip(0)])
    torch.testing.assert_close(torch.func.grad(value)(x, y), expected)
    found = torch.vmap(torch.func.grad(value))(*stacked)
    torch.testing.assert_close(found, torch.stack([expected, expected.flip(0)]))
    direction = torch.randn_like(x)
    twice = torch.func.grad(lambda x: (torch.func.grad(value)(x, y) * direction).sum())(x)
    (slope,) = torch.autograd.grad(value(leaf, y), leaf, create_graph=True)
    torch.testing.assert_close(twice, torch.autograd.grad((slope * direction).sum(), leaf)[0])


@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_sums_of_a_gpu_are_those_of_the_cpu(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator that a GPU gets exists on the CPU as well, where its sums can be compared."""
    rows = torch.randn(20, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(20) % 6
    expected = class_sums(rows, labels, 8)
    by_segments = rows.new_zeros(8, *shape).index_put_((labels,), rows, accumulate=True)
    torch.testing.assert_close(by_segments, expected)
    assert not expected[6:].any()


@pytest.mark.parametrize("name", ["center", "weighted-cluster"])
def test_memory_grows_with_rows_and_classes_and_never_with_their_product(name: str) -> None:
    """100,000 classes and 64 rows: B x C numbers would be 26 MB, B x C x D 400 MB."""
    context = LossContext(num_classes=100_000, embedding_dim=16, class_counts=(1,) * 100_000)
    loss: Any = loss_info(name).factory(context)
    loss.centers.copy_(torch.randn(100_000, 16))
    x, y = torch.randn(64, 16), torch.arange(64)
    output = ModelOutput(x.requires_grad_(), x)
    with PeakMemory() as memory:
        loss(output, y).backward()
    assert memory.peak_bytes < 5e6
    assert x.grad is not None
    assert x.grad.any()


def test_separation_of_centers_far_from_the_origin() -> None:
    c = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(center_separation(c + 1000), center_separation(c.double()).float(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [0, 1, 7, 40])
@pytest.mark.parametrize("name", ["center", "weighted-cluster", 'weighted-cluster(separation="mean")'])
def test_moving_the_classes_of_a_batch_is_moving_all(
    name: str, size: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With repeated, unstarted and absent classes; `moves_some_classes` decides which way is taken."""
    generator = torch.Generator().manual_seed(size)
    context = LossContext(num_classes=50, embedding_dim=6, class_counts=(3,) * 50)
    start = torch.randn(50, 6, generator=generator, dtype=torch.float64)
    start[::3] = torch.nan
    x, y = torch.randn(size, 6, generator=generator), torch.randint(0, 20, (size,), generator=generator)
    moved = []
    monkeypatch.setattr(with_gradient, "may_write_in_place", lambda: False)  # no fast path
    for few in (True, False):
        loss: Any = create_term(name, context).to(dtype)
        monkeypatch.setattr(type(loss), "moves_some_classes", few)
        loss.centers.copy_(start)
        for _ in range(3):
            loss.update_state(ModelOutput(x.to(dtype), x.new_zeros(size, 50)), y)
        moved.append(loss.centers)
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-6, atol=1e-6, equal_nan=True)
    before = start.to(dtype).nan_to_num()
    assert moved[0].nan_to_num()[20:].equal(before[20:])  # absent classes
    assert not size or not moved[0].nan_to_num()[:20].equal(before[:20])


def create_term(name: str, context: LossContext) -> Any:
    bare, _, mean = name.partition("(")
    return loss_info(bare).factory(context, **({"separation": "mean"} if mean else {}))


@pytest.mark.parametrize("name", ["center", "weighted-cluster"])
def test_an_update_takes_memory_for_the_classes_of_the_batch(name: str) -> None:
    context = LossContext(num_classes=100_000, embedding_dim=16, class_counts=(1,) * 100_000)
    loss: Any = loss_info(name).factory(context)
    loss.centers.copy_(torch.randn(100_000, 16))
    output = ModelOutput(torch.randn(64, 16), torch.zeros(64, 1))
    with PeakMemory() as memory:
        loss.update_state(output, torch.arange(64))
    assert memory.peak_bytes < 5e6  # all centers are 6.4 MB
