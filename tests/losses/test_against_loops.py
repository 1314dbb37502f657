"""Every loss in every mode against loops over samples, pairs and triplets, written here and nowhere else.

Embeddings are quarters, so that coincident points, zero rows and ties are common. A piecewise loss has no agreed
gradient on a tie that rounding decides; such draws are judged for finiteness only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import event, example, given
from hypothesis import strategies as st
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput, loss_info

TIE = 1e-9  # relative


class Draw(NamedTuple):
    """Python numbers, so that hypothesis prints and shrinks them."""

    class_counts: tuple[int, ...]
    targets: list[int]
    logits: list[list[float]]
    embeddings: list[list[float]]
    centers: list[list[float]]

    @property
    def num_classes(self) -> int:
        return len(self.class_counts)


quarters = st.integers(-8, 8).map(lambda n: n / 4)


@st.composite
def draws(draw: st.DrawFn, max_batch: int = 6, max_dim: int = 3) -> Draw:
    num_classes, dim = draw(st.integers(2, 4)), draw(st.integers(1, max_dim))
    size = draw(st.integers(0, max_batch))

    def rows(number: int, columns: int, values: st.SearchStrategy[float]) -> list[list[float]]:
        return [[draw(values) for _ in range(columns)] for _ in range(number)]

    centers = [row if draw(st.booleans()) else [math.nan] * dim for row in rows(num_classes, dim, quarters)]
    return Draw(
        tuple(draw(st.lists(st.integers(1, 500), min_size=num_classes, max_size=num_classes))),
        [draw(st.integers(0, num_classes - 1)) for _ in range(size)],
        rows(size, num_classes, st.floats(-30, 30)),
        rows(size, dim, quarters),
        centers,
    )


EMPTY = Draw((3, 1), [], [], [], [[0.0], [1.0]])
ONE = Draw((3, 1), [1], [[0.5, -1.0]], [[0.25]], [[0.0], [1.0]])


def tensor(rows: list[list[float]], columns: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), columns)


def build(name: str, draw: Draw, **hyperparameters: object) -> Loss:
    dim = len(draw.centers[0])
    context = LossContext(num_classes=draw.num_classes, embedding_dim=dim, class_counts=draw.class_counts)
    loss = loss_info(name).factory(context, **hyperparameters).double()
    if hasattr(loss, "centers"):
        with torch.no_grad():
            loss.centers.copy_(tensor(draw.centers, dim))
    return loss


def judge(loss: Loss, draw: Draw, oracle: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Value and both gradients of `loss` are those of `oracle(embeddings, logits)`."""
    results = []
    for function in (lambda x, z: loss(ModelOutput(x, z), torch.tensor(draw.targets, dtype=torch.int64)), oracle):
        x = tensor(draw.embeddings, len(draw.centers[0])).requires_grad_()
        z = tensor(draw.logits, draw.num_classes).requires_grad_()
        value = function(x, z)
        gradients = torch.autograd.grad(value + 0 * (x.sum() + z.sum()), (x, z))
        results.append((value, *gradients))
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-11)


def weights(class_counts: tuple[int, ...], power: float) -> list[float]:
    raw = [n**-power for n in class_counts]
    mean = sum(r * n for r, n in zip(raw, class_counts, strict=True)) / sum(class_counts)
    return [r / mean for r in raw]


def cross_entropy(z: Tensor, y: int) -> Tensor:
    top = max(z.tolist())
    return sum((v - top).exp() for v in z).log() + top - z[y]


@given(draws())
@example(EMPTY)
@example(ONE)
def test_softmax(draw: Draw) -> None:
    def oracle(x: Tensor, z: Tensor) -> Tensor:
        terms = [cross_entropy(row, y) for row, y in zip(z, draw.targets, strict=True)]
        return sum(terms) / len(terms) if terms else z.sum()

    judge(build("softmax", draw), draw, oracle)


@pytest.mark.parametrize("average", ["dataset", "batch"])
@given(draws(), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
@example(EMPTY, 1.0)
@example(ONE, 1.0)
def test_weighted_softmax(average: str, draw: Draw, power: float) -> None:
    w = weights(draw.class_counts, power)

    def oracle(x: Tensor, z: Tensor) -> Tensor:
        terms = [w[y] * cross_entropy(row, y) for row, y in zip(z, draw.targets, strict=True)]
        divisor = len(terms) if average == "dataset" else sum(w[y] for y in draw.targets)
        return sum(terms) / divisor if terms else z.sum()

    judge(build("weighted-softmax", draw, power=power, average=average), draw, oracle)


@given(draws())
@example(EMPTY)
@example(ONE)
def test_center(draw: Draw) -> None:
    def oracle(x: Tensor, z: Tensor) -> Tensor:
        total = x.sum() * 0
        for row, y in zip(x, draw.targets, strict=True):
            if not math.isnan(draw.centers[y][0]):
                total = total + sum((v - c) ** 2 for v, c in zip(row, draw.centers[y], strict=True)) / 2
        return total / max(len(x), 1)

    judge(build("center", draw), draw, oracle)


@pytest.mark.parametrize("separation", ["sum", "mean"])
@pytest.mark.parametrize("term_weight", ["class", "none"])
@given(draws(), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.001, 1.0, 2.5]))
@example(EMPTY, 1.0, 1.0)
@example(ONE, 1.0, 1.0)
def test_weighted_cluster(separation: str, term_weight: str, draw: Draw, power: float, delta: float) -> None:
    w = weights(draw.class_counts, power if term_weight == "class" else 0.0)
    begun = [c for c in draw.centers if not math.isnan(c[0])]

    def oracle(x: Tensor, z: Tensor) -> Tensor:
        total = x.sum() * 0
        for row, y in zip(x, draw.targets, strict=True):
            own = draw.centers[y]
            if math.isnan(own[0]) or len(begun) < 2:
                continue
            apart = sum((a - b) ** 2 for other in begun for a, b in zip(own, other, strict=True))
            apart = apart / (len(begun) - 1) if separation == "mean" else apart
            distance = sum((v - c) ** 2 for v, c in zip(row, own, strict=True))
            total = total + w[y] * distance / 2 / (apart + delta)
        return total / max(len(x), 1)

    given_values = {"separation": separation, "term_weight": term_weight, "power": power, "delta": delta}
    judge(build("weighted-cluster", draw, **given_values), draw, oracle)


def between(a: Tensor, b: Tensor, distance: str) -> Tensor:
    squared = ((a - b) ** 2).sum()
    if distance == "squared" or squared == 0:
        return squared
    return squared.sqrt()


def triplet_oracle(
    x: Tensor, y: list[int], *, margin: float, mining: str, distance: str, normalize: bool, average: str
) -> tuple[Tensor, bool]:
    """The value, and whether a comparison that decides the gradient is a tie."""
    rows = [(row / row.norm() if row.any() else 0 * row) if normalize else row for row in x]
    d = [[between(a, b, distance) for b in rows] for a in rows]
    size, tied = range(len(rows)), False

    def near(one: Tensor, other: Tensor) -> bool:
        return abs((one - other).item()) <= TIE * max(1.0, one.item())

    kept: list[Tensor] = []
    for a in size:
        positives = [d[a][p] for p in size if p != a and y[p] == y[a]]
        negatives = [d[a][n] for n in size if y[n] != y[a]]
        if mining == "hard" and positives and negatives:
            farthest, nearest = max(positives, key=Tensor.item), min(negatives, key=Tensor.item)
            tied |= sum(near(v, farthest) for v in positives) > 1 or sum(near(v, nearest) for v in negatives) > 1
            kept.append(farthest - nearest + margin)
        elif mining != "hard":
            for p, n in itertools.product(positives, negatives):
                tied |= mining == "semihard" and near(p, n)
                if mining == "all" or p < n < p + margin:
                    kept.append(p - n + margin)
                tied |= near(p + margin, n)
    tied |= mining == "hard" and any(abs(hinge.item()) <= TIE for hinge in kept)
    active = [hinge for hinge in kept if hinge > 0]
    divisor = len(active) if average == "active" else len(kept)
    return (sum(active) / divisor if active else x.sum() * 0), bool(tied)


MODES = list(itertools.product(["all", "semihard", "hard"], ["squared", "euclidean"], [True, False], ["active", "all"]))


@pytest.mark.parametrize(("mining", "distance", "normalize", "average"), MODES)
@given(draws(), st.sampled_from([0.0, 0.25, 0.6, 1.5]))
@example(EMPTY, 0.6)
@example(ONE, 0.6)
def test_triplet(mining: str, distance: str, normalize: bool, average: str, draw: Draw, margin: float) -> None:
    mode = {"margin": margin, "mining": mining, "distance": distance, "normalize": normalize, "average": average}
    x = tensor(draw.embeddings, len(draw.centers[0]))
    if triplet_oracle(x, draw.targets, **mode)[1]:
        event("tie")
        value, gradient = value_and_gradient(build("triplet", draw, **mode), x, draw.targets)
        assert value.isfinite()
        assert value >= 0
        assert gradient.isfinite().all()
        return
    judge(build("triplet", draw, **mode), draw, lambda x, z: triplet_oracle(x, draw.targets, **mode)[0])


@pytest.mark.parametrize("mining", ["all", "semihard"])
@pytest.mark.parametrize("average", ["active", "all"])
@given(draws(max_dim=1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_triplet_ties_that_floats_hold_exactly(mining: str, average: str, draw: Draw, margin: float) -> None:
    """On a line, distances of quarters are exact: a hinge of exactly 0 counts as inactive and pulls at nothing."""
    mode = {"margin": margin, "mining": mining, "distance": "euclidean", "normalize": False, "average": average}
    judge(build("triplet", draw, **mode), draw, lambda x, z: triplet_oracle(x, draw.targets, **mode)[0])


def test_a_semihard_band_that_rounding_closes_is_empty() -> None:
    x = torch.tensor([[0.0], [1e4], [-1e4]])  # squared distances of 1e8, where float32 has no room for the margin
    draw = Draw((1, 1), [], [], [], [[0.0], [0.0]])
    loss = build("triplet", draw, mining="semihard", normalize=False)
    value, gradient = value_and_gradient(loss, x, [0, 0, 1])
    assert value == 0
    assert not gradient.any()


@given(draws(max_batch=8), st.sampled_from([0.05, 0.2, 1.0]))
def test_triplet_is_that_of_pytorch_metric_learning(draw: Draw, margin: float) -> None:
    from pytorch_metric_learning.losses import TripletMarginLoss

    mode = {"margin": margin, "mining": "all", "distance": "euclidean", "normalize": True, "average": "active"}
    x = tensor(draw.embeddings, len(draw.centers[0]))
    _, tied = triplet_oracle(x, draw.targets, **mode)
    if tied or not len(x) or not all(row.any() for row in x):  # it gives a zero row a direction of its own
        event("not comparable")
        return
    ours = value_and_gradient(build("triplet", draw, **mode), x, draw.targets)
    theirs = value_and_gradient(TripletMarginLoss(margin), x, draw.targets, bare=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def value_and_gradient(
    loss: torch.nn.Module, x: Tensor, targets: list[int], *, bare: bool = False
) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    labels = torch.tensor(targets, dtype=torch.int64)
    value = loss(x, labels) if bare else loss(ModelOutput(x, x), labels)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient
