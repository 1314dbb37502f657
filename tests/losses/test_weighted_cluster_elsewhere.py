"""Public re-implementations of weighted-cluster, rewritten and compared with ours at delta=1 and separation="sum"."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lossbench.losses.weighted_cluster import weighted_cluster

Implementation = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def same(x: Tensor, y: Tensor, centers: Tensor, weight: Tensor) -> Tensor:
    """The one of sugar2019 on GitHub."""
    own = (x - centers[y]).square().sum(dim=1)
    between = (centers[y].unsqueeze(1) - centers).square().sum(dim=2).sum(dim=1)
    return (weight[y] * own / (between + 1)).mean() / 2


def all_weights_summed(x: Tensor, y: Tensor, centers: Tensor, weight: Tensor) -> Tensor:
    """The one of michaelStettler: the vector of weights is tiled over the batch and summed."""
    own = (x - centers[y]).square().sum(dim=1)
    between = (centers[y].unsqueeze(1) - centers).square().sum(dim=2).sum(dim=1)
    tiled = weight.expand(len(y), len(weight))
    return (tiled.sum(dim=1) * own / (between + 1)).mean() / 2


def not_squared(x: Tensor, y: Tensor, centers: Tensor, weight: Tensor) -> Tensor:
    """The one of repository id 55313173609: distances between centers are not squared, and there is no half."""
    own = (x - centers[y]).square().sum(dim=1)
    between = torch.stack([(centers[c] - centers).norm(dim=1).sum() for c in y])
    return (weight[y] * own / (between + 1)).mean()


def value_and_gradient(implementation: Implementation, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    classes, dimensions, rows = 2 + seed, 3 + seed, 4 + 3 * seed
    x = torch.randn(rows, dimensions, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randint(classes, (rows,), generator=generator)
    centers = 2 * torch.randn(classes, dimensions, dtype=torch.float64, generator=generator)
    weight = torch.rand(classes, dtype=torch.float64, generator=generator) + 0.1
    value = implementation(x, y, centers, weight)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient, weight[y]


def ours(x: Tensor, y: Tensor, centers: Tensor, weight: Tensor) -> Tensor:
    return weighted_cluster(x, y, centers, weight, 1.0, 1.0).mean()


@pytest.mark.parametrize("seed", range(6))
def test_one_is_equal_in_value_and_gradient(seed: int) -> None:
    found, expected = value_and_gradient(ours, seed), value_and_gradient(same, seed)
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("implementation", [all_weights_summed, not_squared])
def test_the_others_are_not(implementation: Implementation, seed: int) -> None:
    found, other = value_and_gradient(ours, seed), value_and_gradient(implementation, seed)
    assert not torch.isclose(found[0], other[0], rtol=1e-3)
    assert not torch.allclose(found[1], other[1], rtol=1e-3)


def test_what_the_second_means_is_ours() -> None:
    """With one sample of each class and equal weights the two differ by the number of classes."""

    def equal(implementation: Implementation) -> Tensor:
        x = torch.arange(6.0, dtype=torch.float64).reshape(3, 2).square()
        centers = torch.eye(3, 2, dtype=torch.float64)
        return implementation(x, torch.arange(3), centers, torch.ones(3, dtype=torch.float64))

    torch.testing.assert_close(3 * equal(ours), equal(all_weights_summed), rtol=1e-13, atol=0)
