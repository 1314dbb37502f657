"""The fast path of each loss, with its gradient computed together with the value, is the loss's formula."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput
from lossbench.bench import contender
from lossbench.losses.center import CenterLoss
from lossbench.ops import triplet_means, with_gradient
from lossbench.ops.triplet_counts import COMPARE_UP_TO

CLASSES, DIM = 7, 6
CONTEXT = LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=tuple(range(3, 3 + CLASSES)))
CENTERS = ["center", "weighted-cluster", 'weighted-cluster(separation="mean", delta=0.01, power=0.5)']
TRIPLETS = [
    f'triplet(mining="{mining}", distance="{distance}", normalize={normalize}, average="{average}", margin={margin})'
    for mining, distance, normalize, (average, margin) in itertools.product(
        ("all", "hard"), ("squared", "euclidean"), ("true", "false"), (("active", 0.3), ("all", 0.0))
    )
]
SETTINGS = [(torch.float32, 1e-4, 1e-5), (torch.float64, 1e-9, 1e-11)]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the names of the fast paths that are used."""
    used: list[str] = []
    original = with_gradient._WithGradient.forward

    def forward(ctx: Any, fast: Any, *rest: Any) -> Tensor:
        used.append(getattr(fast, "func", fast).__name__)
        value: Tensor = original(ctx, fast, *rest)
        return value

    with monkeypatch.context() as patch:
        patch.setattr(with_gradient._WithGradient, "forward", staticmethod(forward))
        yield used


def made(formula: str, size: int, dtype: torch.dtype, *, learns: bool = False) -> tuple[Loss, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    loss = contender(formula).build(CONTEXT).without_reminders()
    for name, buffer in loss.named_buffers():
        if name == "centers":
            buffer.copy_(torch.randn(CLASSES, DIM, generator=generator))
    loss.to(dtype)
    if learns:
        loss.get_buffer("centers").requires_grad_()
    x = torch.randn(size, DIM, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    return loss, x, torch.randint(0, CLASSES, (size,), generator=generator)


def value(loss: Loss, x: Tensor, targets: Tensor) -> Tensor:
    found: Tensor = loss(ModelOutput(x, x.detach()), targets)
    return found


def slopes(loss: Loss, x: Tensor, found: Tensor, **options: bool) -> tuple[Tensor, ...]:
    learned = [buffer for _, buffer in loss.named_buffers() if buffer.requires_grad]
    return torch.autograd.grad(3 * found, [x, *learned], **options)


@pytest.mark.parametrize(("dtype", "loose", "tight"), SETTINGS, ids=["float32", "float64"])
@pytest.mark.parametrize("formula", CENTERS + TRIPLETS)
def test_a_fast_path_is_the_formula(
    formula: str, dtype: torch.dtype, loose: float, tight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, learns in itertools.product((1, 5, COMPARE_UP_TO, COMPARE_UP_TO + 1), (False, True)):
        if learns and "triplet" in formula:
            continue
        loss, x, targets = made(formula, size, dtype, learns=learns)
        with counted(monkeypatch) as used:
            found = value(loss, x, targets)
        few = size <= COMPARE_UP_TO or '"all"' not in formula.partition(",")[0]
        assert len(used) == (few and ("hard" not in formula or dtype is torch.float32))
        with monkeypatch.context() as patch:
            patch.setattr(with_gradient, "may_write_in_place", lambda: False)
            expected = value(loss, x, targets)
        torch.testing.assert_close(found, expected, rtol=loose, atol=tight)
        again = slopes(loss, x, expected)
        for options in ({"retain_graph": True}, {"retain_graph": True}, {"create_graph": True}):
            torch.testing.assert_close(slopes(loss, x, found, **options), again, rtol=loose, atol=tight)


@pytest.mark.parametrize("formula", [*CENTERS, "triplet(normalize=false)", 'triplet(mining="all")'])
def test_second_derivatives_are_those_of_the_formula(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, x, targets = made(formula, 9, torch.float64, learns="triplet" not in formula)
    found = []
    for fast in (True, False):
        monkeypatch.setattr(with_gradient, "may_write_in_place", lambda fast=fast: fast)
        first = slopes(loss, x, value(loss, x, targets), create_graph=True)
        found.append(slopes(loss, x, sum(slope.square().sum() for slope in first)))  # type: ignore[arg-type]
    torch.testing.assert_close(*found)


def test_a_gradient_may_be_accumulated_scaled_and_lost() -> None:
    loss, x, targets = made("center", 5, torch.float32)
    value(loss, x, targets).backward()
    assert x.grad is not None
    once = x.grad.clone()
    (2 * value(loss, x, targets)).backward()
    torch.testing.assert_close(x.grad, 3 * once)
    del loss
    value(made("center", 5, torch.float32)[0], x, targets)  # no backward


@pytest.mark.parametrize("formula", CENTERS)
def test_a_class_that_has_not_started_takes_the_formula(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, x, targets = made(formula, 9, torch.float32)
    loss.get_buffer("centers")[int(targets[0])] = torch.nan
    with counted(monkeypatch) as used:
        assert value(loss, x, targets).isfinite()
    assert not used


@pytest.mark.parametrize("formula", [*CENTERS, *TRIPLETS[::5]])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_non_finite_number_surfaces(formula: str, bad: float) -> None:
    for targets in (torch.arange(6), torch.zeros(6, dtype=torch.int64)):
        loss, x, _ = made(formula, 6, torch.float32)
        with torch.no_grad():
            x[2, 1] = bad
        assert not value(loss, x, targets).isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("formula", CENTERS)
def test_a_fast_step_of_centers_is_the_rule(formula: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """With absent classes and, for the center loss, with some that have not started."""
    for size, unstarted in itertools.product((1, 4, 40), (False, True)):
        loss, x, targets = made(formula, size, dtype)
        centers = loss.get_buffer("centers")
        if unstarted:
            centers[int(targets[0])] = centers[(int(targets[0]) + 1) % CLASSES] = torch.nan
        start, moved = centers.clone(), []
        assert loss.moved_in_place(x.detach(), targets) is (formula == "center" or not unstarted)  # type: ignore[operator]
        with monkeypatch.context() as patch:
            for fast in (True, False):
                patch.setattr(with_gradient, "may_write_in_place", lambda fast=fast: fast)
                centers.copy_(start)
                for _ in range(2):
                    loss.update_state(ModelOutput(x.detach(), x.new_zeros(size, CLASSES)), targets)
                moved.append(centers.clone())
        torch.testing.assert_close(*moved, equal_nan=True)
        assert not moved[0].nan_to_num().equal(start.nan_to_num())


def test_rows_of_a_subclass_are_not_passed_by() -> None:
    class Doubled(CenterLoss):
        def per_sample(self, embeddings: Tensor, targets: Tensor) -> Tensor:
            return 2 * embeddings.square().sum(dim=1)

    loss, x, targets = Doubled(CONTEXT), *made("center", 5, torch.float32)[1:]
    loss.centers.zero_()
    torch.testing.assert_close(value(loss, x, targets), 2 * x.square().sum() / 5)


def test_the_hardest_pairs_of_several_blocks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, x, targets = made('triplet(mining="hard")', 50, torch.float32)
    whole = value(loss, x, targets)
    (slope,) = slopes(loss, x, whole)
    monkeypatch.setattr(triplet_means, "_BLOCK", 50 * 7)
    found = value(loss, x, targets)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(slopes(loss, x, found)[0], slope)


@pytest.mark.parametrize("formula", ["weighted-cluster", "triplet", 'triplet(mining="hard")'])
def test_autocast_does_not_lower_the_precision(formula: str) -> None:
    loss, x, targets = made(formula, 30, torch.float32, learns=formula == "weighted-cluster")
    expected = value(loss, x, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value(loss, x, targets)
    assert found.equal(expected)
    for one, other in zip(slopes(loss, x, found), slopes(loss, x, expected), strict=True):
        assert one.equal(other)
