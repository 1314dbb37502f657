"""How centers start and move, against loops over classes and against what the rule is for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput, loss_info

MOVING = pytest.mark.parametrize("name", ["center", "weighted-cluster"])
Rows = list[list[float]]


def build(name: str, num_classes: int = 3, dim: int = 2, counts: tuple[int, ...] = (), **given_values: object) -> Loss:
    counts = counts or (10,) * num_classes
    context = LossContext(num_classes=num_classes, embedding_dim=dim, class_counts=counts)
    return loss_info(name).factory(context, **given_values).double()


def step(loss: Loss, embeddings: Rows | Tensor, targets: list[int]) -> Tensor:
    x = torch.as_tensor(embeddings, dtype=torch.float64).reshape(-1, loss.embedding_dim)
    loss.update_state(ModelOutput(x, x), torch.tensor(targets, dtype=torch.int64))
    return loss.centers.clone()


def value_and_gradient(loss: Loss, embeddings: Rows, targets: list[int]) -> tuple[float, Tensor]:
    x = torch.tensor(embeddings, dtype=torch.float64, requires_grad=True)
    value = loss(ModelOutput(x, x), torch.tensor(targets))
    return value.item(), torch.autograd.grad(value, x)[0]


def put(loss: Loss, centers: Rows) -> None:
    with torch.no_grad():
        loss.centers.copy_(torch.tensor(centers, dtype=torch.float64))


@MOVING
def test_a_class_starts_at_the_mean_of_the_first_batch_that_holds_it(name: str) -> None:
    loss = build(name)
    assert loss.centers.isnan().all()
    first = step(loss, [[1, 2], [3, 4], [10, 0]], [0, 0, 2])
    assert first[[0, 2]].tolist() == [[2, 3], [10, 0]]
    assert first[1].isnan().all()
    second = step(loss, [[5, 5], [7, 7]], [1, 1])
    assert second[1].tolist() == [6, 6]
    assert second[[0, 2]].equal(first[[0, 2]])  # not in the batch


@MOVING
def test_a_class_that_starts_in_a_step_is_not_moved_in_it_and_moves_nobody(name: str) -> None:
    batch, labels = [[1.0, 0.0], [0.0, 3.0], [8.0, 8.0], [2.0, 2.0]], [0, 1, 2, 2]
    loss, without = build(name), build(name)
    for each in (loss, without):
        put(each, [[0, 0], [4, 4], [math.nan, math.nan]])
    after, reference = step(loss, batch, labels), step(without, batch[:2], labels[:2])
    assert after[2].tolist() == [5, 5]
    assert after[:2].equal(reference[:2])


@MOVING
def test_copying_centers_starts_every_class(name: str) -> None:
    loss = build(name)
    put(loss, [[0, 0], [4, 0], [0, 4]])
    value, gradient = value_and_gradient(loss, [[1, 0]], [0])
    assert value > 0
    assert gradient.any()
    assert step(loss, [[1, 0]], [0])[0].tolist() != [1, 0]  # moved, not started


@MOVING
def test_a_class_without_center_gives_zero_and_no_gradient(name: str) -> None:
    loss = build(name)
    put(loss, [[0, 0], [4, 0], [math.nan, math.nan]])
    alone = value_and_gradient(loss, [[1, 1]], [0])[0]
    value, gradient = value_and_gradient(loss, [[1, 1], [9, 9]], [0, 2])
    assert value == pytest.approx(alone / 2)  # the mean still counts its sample
    assert gradient[0].any()
    assert not gradient[1].any()


@pytest.mark.parametrize("separation", ["sum", "mean"])
def test_classes_without_center_are_not_counted_in_the_separation(separation: str) -> None:
    centers = [[0.0, 0.0], [4.0, 0.0], [math.nan, math.nan]]
    three, two = (
        build("weighted-cluster", 3, separation=separation),
        build("weighted-cluster", 2, separation=separation),
    )
    put(three, centers)
    put(two, centers[:2])
    batch, labels = [[1.0, 1.0], [5.0, 2.0]], [0, 1]
    assert value_and_gradient(three, batch, labels)[0] == pytest.approx(value_and_gradient(two, batch, labels)[0])
    torch.testing.assert_close(step(three, batch, labels)[:2], step(two, batch, labels))


@pytest.mark.parametrize("begun", [0, 1])
def test_a_cluster_needs_two_started_classes(begun: int) -> None:
    loss = build("weighted-cluster")
    put(loss, [[1.0, 2.0]] * begun + [[math.nan] * 2] * (3 - begun))
    value, gradient = value_and_gradient(loss, [[5, 5], [6, 6]], [0, 0])
    assert value == 0
    assert not gradient.any()
    if begun:
        assert step(loss, [[5, 5], [6, 6]], [0, 0])[0].tolist() == [1, 2]


def test_a_center_alone_is_active() -> None:
    loss = build("center", alpha=1.0)
    put(loss, [[1, 2], [math.nan] * 2, [math.nan] * 2])
    assert value_and_gradient(loss, [[4, 6]], [0])[0] == 12.5
    assert step(loss, [[4, 6]], [0])[0].tolist() == [2.5, 4]  # half way: n / (1 + n)


@MOVING
def test_an_empty_step_changes_nothing(name: str) -> None:
    loss = build(name)
    put(loss, [[0, 0], [4, 0], [math.nan] * 2])
    before = loss.centers.clone()
    torch.testing.assert_close(step(loss, torch.zeros(0, 2), []), before, rtol=0, atol=0, equal_nan=True)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Rows, list[int], Rows]:
    num_classes, dim, size = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 8))
    number = st.floats(-10, 10).map(lambda v: round(v, 3))

    def row() -> list[float]:
        return [draw(number) for _ in range(dim)]

    centers = [row() if draw(st.integers(0, 3)) else [math.nan] * dim for _ in range(num_classes)]
    return [row() for _ in range(size)], [draw(st.integers(0, num_classes - 1)) for _ in range(size)], centers


def samples(x: Rows, y: list[int], of: int) -> Rows:
    return [row for row, label in zip(x, y, strict=True) if label == of]


def mean(rows: Rows) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


@given(steps(), st.sampled_from([0.1, 0.5, 1.0]))
def test_the_rule_of_center(drawn: tuple[Rows, list[int], Rows], alpha: float) -> None:
    x, y, centers = drawn
    expected = [list(c) for c in centers]
    for k, c in enumerate(centers):
        own = samples(x, y, k)
        if own and math.isnan(c[0]):
            expected[k] = mean(own)
        elif own:
            expected[k] = [v - alpha * sum(v - s[d] for s in own) / (1 + len(own)) for d, v in enumerate(c)]
    check_step("center", drawn, expected, alpha=alpha)


@pytest.mark.parametrize("separation", ["sum", "mean"])
@given(steps(), st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([0.001, 1.0, 50.0]))
def test_the_rule_of_weighted_cluster(
    separation: str, drawn: tuple[Rows, list[int], Rows], alpha: float, delta: float
) -> None:
    x, y, centers = drawn
    begun = [c for c in centers if not math.isnan(c[0])]
    s = 1 / max(len(begun) - 1, 1) if separation == "mean" else 1
    expected = [list(c) for c in centers]
    for k, c in enumerate(centers):
        own = samples(x, y, k)
        if own and math.isnan(c[0]):
            expected[k] = mean(own)
        elif own and len(begun) > 1:
            scatter = sum(math.dist(row, c) ** 2 for row in own) / len(own)
            apart = sum(math.dist(c, other) ** 2 for other in begun)
            push = min(s * scatter / (s * apart + delta), 0.9 / len(begun))
            share = alpha * len(own) / (1 + len(own))
            expected[k] = [
                v - share * ((v - mean(own)[d]) - push * sum(v - other[d] for other in begun)) for d, v in enumerate(c)
            ]
    check_step("weighted-cluster", drawn, expected, separation=separation, alpha=alpha, delta=delta)


def check_step(name: str, drawn: tuple[Rows, list[int], Rows], expected: Rows, **given_values: object) -> None:
    x, y, centers = drawn
    loss = build(name, len(centers), len(centers[0]), **given_values)
    put(loss, centers)
    actual = step(loss, x, y)
    assert actual.dtype is torch.float64  # .double() keeps 1e-9
    reference = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(actual, reference, rtol=1e-9, atol=1e-9, equal_nan=True)


@given(steps(), st.permutations(range(8)))
def test_the_order_of_a_step_is_irrelevant(drawn: tuple[Rows, list[int], Rows], order: list[int]) -> None:
    x, y, centers = drawn
    order = [i for i in order if i < len(y)]
    check_step("weighted-cluster", ([x[i] for i in order], [y[i] for i in order], centers), moved(*drawn))


def moved(x: Rows, y: list[int], centers: Rows) -> Rows:
    loss = build("weighted-cluster", len(centers), len(centers[0]))
    put(loss, centers)
    return step(loss, x, y).tolist()


def test_the_class_weight_cancels_in_the_update() -> None:
    torch.manual_seed(0)
    x, y, centers = torch.randn(12, 2), [0, 1, 2] * 4, torch.randn(3, 2).tolist()
    results = []
    for counts, power in (((10, 10, 10), 1.0), ((100_000, 50, 1), 1.0), ((100_000, 50, 1), 0.0)):
        loss = build("weighted-cluster", counts=counts, power=power)
        put(loss, centers)
        results.append(step(loss, x, y))
    assert results[0].equal(results[1])
    assert results[0].equal(results[2])


@pytest.mark.parametrize("separation", ["sum", "mean"])
@pytest.mark.parametrize("scatter", [0.04, 0.25])
def test_the_fixed_point_is_the_class_mean_pushed_out_by_the_scatter(separation: str, scatter: float) -> None:
    """mean * sqrt(1 + a), a = within-class scatter over the squared radius of symmetric class means; delta -> 0."""
    means = 3 * torch.eye(4, dtype=torch.float64)
    means = means - means.mean(dim=0)
    noise = torch.eye(4, dtype=torch.float64)
    radius = means[0].square().sum()
    a = scatter * len(noise) / radius  # 8 samples a class, at +-sqrt(scatter * 4) along each axis: scatter * 4
    offsets = (scatter * len(noise)) ** 0.5 * torch.cat([noise, -noise])
    x = (means.unsqueeze(1) + offsets).reshape(-1, 4)
    loss = build("weighted-cluster", 4, 4, separation=separation, delta=1e-9)
    labels = [c for c in range(4) for _ in range(8)]
    for _ in range(400):
        centers = step(loss, x, labels)
    torch.testing.assert_close(centers, means * (1 + a) ** 0.5, rtol=1e-6, atol=1e-6)


def test_the_push_is_capped_so_that_centers_never_run_away() -> None:
    torch.manual_seed(0)
    loss = build("weighted-cluster", 3, 2, delta=1e-3)
    for _ in range(300):  # hopeless overlap: scatter far beyond the distance of the class means
        centers = step(loss, 10 * torch.randn(30, 2), [0, 1, 2] * 10)
    assert centers.isfinite().all()
    assert centers.norm(dim=1).max() < 200


@MOVING
def test_features_of_scale_1e3_start_without_a_spike(name: str) -> None:
    torch.manual_seed(0)
    x, y = (1e3 * torch.randn(30, 2)).tolist(), [0, 1, 2] * 10
    loss = build(name)
    assert value_and_gradient(loss, x, y)[0] == 0
    step(loss, x, y)
    assert value_and_gradient(loss, x, y)[0] < (1e7 if name == "center" else 1e3)


@MOVING
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_centers_keep_the_dtype_of_the_module(name: str, dtype: torch.dtype) -> None:
    loss = build(name).to(dtype)
    for half in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        x = torch.ones(2, 2, dtype=half)
        loss.update_state(ModelOutput(x, x), torch.tensor([0, 1]))
        assert loss.centers.dtype is dtype
        assert loss.centers[:2].isfinite().all()


@MOVING
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_integer_type_move_centers(name: str, dtype: torch.dtype) -> None:
    loss = build(name)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    loss.update_state(ModelOutput(x, x), torch.tensor([0, 2], dtype=dtype))
    assert loss.centers[[0, 2]].tolist() == [[1, 2], [3, 4]]
