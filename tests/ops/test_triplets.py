"""Every way to count triplets gives the same whole numbers, and value and gradient are those of the definition."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossbench import LossContext, ModelOutput, loss_info
from lossbench.ops import triplets
from lossbench.ops.distances import distances_of_blocks
from lossbench.ops.triplet_counts import COMPARE_UP_TO, pair_masks, signed_counts
from lossbench.ops.triplets import Mining, mean_hinge, unit_vectors
from lossbench.testing.memory import PeakMemory

RULES = [
    Mining(margin, mining, squared, average)
    for mining, squared, average, margin in itertools.product(
        ("all", "semihard", "hard"), (True, False), ("active", "all"), (0.0, 0.2)
    )
]


def definition(rows: Tensor, targets: Tensor, rule: Mining) -> Tensor:
    """B x B x B hinges, for autograd."""
    difference = rows.unsqueeze(1) - rows.unsqueeze(0)
    square = difference.square().sum(dim=2)
    distance = square if rule.squared else torch.where(square > 0, torch.where(square > 0, square, 1).sqrt(), 0)
    positive, negative = pair_masks(targets)
    valid = positive.unsqueeze(2) & negative.unsqueeze(1)
    if rule.mining == "semihard":
        valid &= distance.unsqueeze(2) < distance.unsqueeze(1)
        valid &= distance.unsqueeze(1) < distance.unsqueeze(2) + rule.margin
    if rule.mining == "hard":
        farthest = torch.where(positive, distance, -torch.inf).argmax(dim=1)
        nearest = torch.where(negative, distance, torch.inf).argmin(dim=1)
        chosen = torch.zeros_like(valid)
        chosen[torch.arange(len(rows)), farthest, nearest] = True
        valid &= chosen
    hinge = distance.unsqueeze(2) + rule.margin - distance.unsqueeze(1)
    active = valid & (hinge > 0)
    number = active.sum() if rule.average == "active" else valid.sum()
    return torch.where(active, hinge, 0).sum() / number.clamp(min=1)


def value_and_slope(function: Any, rows: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    rows = rows.clone().requires_grad_()
    value = function(rows, *arguments)
    return value.detach(), torch.autograd.grad(value, rows)[0]


def batch(size: int, classes: int, dim: int = 6, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    rows = torch.randn(size, dim, generator=generator, dtype=torch.float64)
    return rows.to(dtype), torch.randint(0, classes, (size,), generator=generator)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("size", [1, 2, COMPARE_UP_TO, COMPARE_UP_TO + 1])
def test_where_paths_switch_it_is_the_definition(size: int, rule: Mining) -> None:
    rows, targets = batch(size, 5)
    torch.testing.assert_close(
        value_and_slope(mean_hinge, rows, targets, rule), value_and_slope(definition, rows, targets, rule)
    )


@pytest.mark.parametrize("rule", RULES[::3], ids=str)
def test_several_blocks_are_one(rule: Mining, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = batch(100, 4)
    expected = value_and_slope(mean_hinge, rows, targets, rule)
    for block in (1, 100 * 37):  # a row each; and blocks of which the last is shorter
        monkeypatch.setattr(triplets, "_BLOCK", block)
        torch.testing.assert_close(value_and_slope(mean_hinge, rows, targets, rule), expected)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 4)), min_size=1, max_size=9),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from(["all", "semihard"]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_comparing_and_sorting_count_the_same_with_ties(
    points: list[tuple[int, int]], margin: float, mining: str, dtype: torch.dtype
) -> None:
    """On a line of quarters every distance is exact, and ties and coincident points abound."""
    x = torch.tensor([[p / 4] for _, p in points], dtype=dtype)
    masks = pair_masks(torch.tensor([y for y, _ in points]))
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    sorting = signed_counts(distance, *masks, margin, mining, compare=False)
    assert sorting.equal(signed_counts(distance, *masks, margin, mining, compare=True))


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("size", [COMPARE_UP_TO, 300, 1024])
def test_float32_is_float64_to_1e_5(size: int, squared: bool, mining: str) -> None:
    """Also with a third of the rows twice in the batch, whose distance is exactly 0."""
    rows, targets = batch(size, 8, 128, torch.float32)
    rows[: size // 3] = rows[size // 3 : 2 * (size // 3)]
    rows = unit_vectors(rows)
    rule = Mining(0.2, mining, squared, "active")
    value, slope = value_and_slope(mean_hinge, rows, targets, rule)
    expected, wide = value_and_slope(mean_hinge, rows.double(), targets, rule)
    assert abs(float(value) / float(expected) - 1) < 1e-5
    assert float((slope.double() - wide).norm() / wide.norm()) < 1e-5


def test_the_product_knows_coincident_rows_far_from_the_origin() -> None:
    rows = torch.randn(50, 32, generator=torch.Generator().manual_seed(0)) + 1000
    rows[10:20] = rows[:10]
    by_product = distances_of_blocks(rows, squared=False, by_product=True)(slice(5, 30))
    exact = distances_of_blocks(rows.double(), squared=False, by_product=False)(slice(5, 30))
    assert (by_product == 0).equal(exact == 0)
    torch.testing.assert_close(by_product, exact, rtol=1e-7, atol=0)


@pytest.mark.parametrize("size", [12, COMPARE_UP_TO + 30])
@pytest.mark.parametrize("case", ["one class", "all distinct", "coincident"])
@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_batches_without_an_active_triplet_give_a_connected_zero(mining: str, case: str, size: int) -> None:
    rows, targets = batch(size, 4, dtype=torch.float32)
    targets = {"one class": targets * 0, "all distinct": torch.arange(size), "coincident": targets}[case]
    rows = rows[:1].expand_as(rows) if case == "coincident" else rows
    value, slope = value_and_slope(mean_hinge, rows, targets, Mining(0.0, mining, True, "active"))
    assert value == 0
    assert not slope.any()


@pytest.mark.parametrize("size", [12, COMPARE_UP_TO + 30])
@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
@pytest.mark.parametrize("targets", [torch.arange, lambda n: torch.arange(n) % 3])
def test_a_nan_surfaces_on_every_path(targets: Any, mining: str, size: int) -> None:
    rows, _ = batch(size, 4, dtype=torch.float32)
    rows[3, 1] = torch.nan
    value, _ = value_and_slope(mean_hinge, rows, targets(size), Mining(0.2, mining, True, "active"))
    assert value.isnan()


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("size", [7, COMPARE_UP_TO + 3])
def test_the_second_derivative_and_its_end(size: int, squared: bool) -> None:
    rows, targets = batch(size, 3, 3)
    rows.requires_grad_()
    rule = Mining(0.3, "all", squared, "all")
    direction = torch.randn(size, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for function in (mean_hinge, definition):
        (slope,) = torch.autograd.grad(function(rows, targets, rule), rows, create_graph=True)
        found.append(torch.autograd.grad((slope * direction).sum(), rows, create_graph=True)[0])
    torch.testing.assert_close(*found)
    with pytest.raises(RuntimeError, match="no third derivative"):
        torch.autograd.grad(found[0].sum(), rows)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of products in place, which vmap takes one by one
@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_transforms_of_a_batch_that_is_sorted(mining: str) -> None:
    rows, targets = batch(COMPARE_UP_TO + 6, 4, dtype=torch.float32)

    def value(x: Tensor, y: Tensor) -> Tensor:
        return mean_hinge(x, y, Mining(0.2, mining, True, "active"))

    expected = [value_and_slope(value, x, y) for x, y in ((rows, targets), (2 * rows, targets.flip(0)))]
    torch.testing.assert_close(torch.func.grad(value)(rows, targets), expected[0][1])
    stacked = torch.stack([rows, 2 * rows]), torch.stack([targets, targets.flip(0)])
    torch.testing.assert_close(torch.vmap(value)(*stacked), torch.stack([v for v, _ in expected]))
    torch.testing.assert_close(torch.vmap(torch.func.grad(value))(*stacked), torch.stack([s for _, s in expected]))


def called(x: Tensor, targets: Tensor, loss: Any) -> Tensor:
    value: Tensor = loss(ModelOutput(x, x), targets)
    return value


@pytest.mark.slow
def test_a_batch_of_several_blocks_compiles_in_one_graph() -> None:
    loss = loss_info("triplet").factory(LossContext(num_classes=8, embedding_dim=4, class_counts=(9,) * 8))
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for size in (500, 30):
        rows, targets = batch(size, 8, 4, torch.float32)
        results = [value_and_slope(called, rows, targets, f) for f in (loss, compiled)]
        torch.testing.assert_close(*results)
    torch._dynamo.reset()


def test_memory_is_the_block_s() -> None:
    """1,024 rows have 117 million triplets, and 4 MB of pairs; the bound is the one that performance.md states."""
    rows, targets = batch(1024, 8, 128, torch.float32)
    with PeakMemory() as memory:
        value_and_slope(mean_hinge, rows, targets, Mining(0.2, "all", False, "active"))
    assert memory.peak_bytes < 20e6
