"""Values worked out by hand, how centers move, the identities that tie the family together, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput, create_loss, loss_info
from lossbench.errors import HyperparameterError
from lossbench.losses.center import center
from lossbench_cluster.contrastive_center import contrastive_center
from lossbench_cluster.gaussian_affinity import gaussian_affinity, spread
from lossbench_cluster.island import pairs_of_centers
from lossbench_cluster.other_centers import distance_to_other_centers

CONTEXT = LossContext(num_classes=3, embedding_dim=2, class_counts=(9, 5, 2), seed=4)
CENTERS = ((0.0, 0.0), (3.0, 0.0), (0.0, 4.0))


def made(name: str, centers: tuple[tuple[float, ...], ...] = CENTERS, **hyperparameters: Any) -> Loss:
    loss = loss_info(name).factory(CONTEXT, **hyperparameters).double()
    if "centers" in loss.state_dict():
        loss.centers.copy_(tensor(centers))  # type: ignore[operator]
    return loss


def tensor(rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def output_of(embeddings: Tensor) -> ModelOutput:
    return ModelOutput(embeddings, torch.zeros(len(embeddings), 3, dtype=torch.float64))


# Contrastive-center


def test_contrastive_center() -> None:
    # Squares from (1, 0): 1 to the first center, 4 and 17 to the others; from (3, 4): 16 to the second, 25 and 9.
    output, targets = output_of(tensor([[1, 0], [3, 4]])), torch.tensor([0, 1])
    value = made("contrastive-center", delta=2.0)(output, targets)
    assert float(value) == pytest.approx((1 / 2 / 23 + 16 / 2 / 36) / 2, rel=1e-12)


def test_distances_to_other_centers_leave_out_those_that_have_not_started() -> None:
    nan = math.nan
    found = distance_to_other_centers(
        tensor([[1, 0], [1, 0]]), torch.tensor([0, 2]), tensor([[0, 0], [nan, nan], [0, 4]])
    )
    assert found.tolist() == pytest.approx([17, 1], rel=1e-12)


def test_distances_to_other_centers_are_right_in_float32_far_away() -> None:
    centers, x, targets = 1000 + torch.tensor(CENTERS), 1000 + torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    assert distance_to_other_centers(x, targets, centers).tolist() == pytest.approx([21.0], rel=1e-4)


def test_contrastive_center_with_frozen_denominators_is_scaled_center() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    targets, centers = torch.arange(20) % 3, tensor(CENTERS)
    frozen = (distance_to_other_centers(x, targets, centers) + 1).detach()
    found, expected = contrastive_center(x, targets, centers, frozen), center(x, targets, centers) / frozen
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(each.sum(), x)[0] for each in (found, expected)))


@pytest.mark.parametrize("name", ["contrastive-center", "island"])
def test_one_started_class(name: str) -> None:
    loss = loss_info(name).factory(CONTEXT).double()
    output, targets = output_of(tensor([[1, 0], [3, 0]])), torch.tensor([1, 1])
    assert float(loss(output, targets)) == 0
    loss.update_state(output, targets)
    assert loss.centers[1].tolist() == [2, 0]  # type: ignore[index]
    assert loss.centers[[0, 2]].isnan().all()  # type: ignore[index]
    # Nothing to be told apart from yet; island is then center loss.
    assert float(loss(output, targets)) == (0 if name == "contrastive-center" else 0.5)


def test_contrastive_centers_follow_their_samples() -> None:
    loss, twin = made("contrastive-center", alpha=0.5), made("center", alpha=0.5)
    step = output_of(tensor([[2, 2], [4, 2], [1, 1]])), torch.tensor([0, 0, 2])
    loss.update_state(*step)
    twin.update_state(*step)
    # Two samples of mean (3, 2): 1/2 of 2/3 of the way from the origin.
    assert loss.centers[0].tolist() == pytest.approx([1, 2 / 3])  # type: ignore[index]
    assert torch.equal(loss.centers, twin.centers)  # type: ignore[arg-type]


# Island


def test_pairs_of_centers() -> None:
    # cosines 0 and 1/sqrt 2 and 1/sqrt 2, each twice, and six times 1
    found = pairs_of_centers(tensor([[2, 0], [0, 3], [1, 1]]))
    assert float(found) == pytest.approx(6 + 4 / math.sqrt(2), rel=1e-12)
    assert float(pairs_of_centers(tensor([[2, 0], [math.nan, math.nan], [-1, 0]]))) == 0


def test_island() -> None:
    loss = made("island", ((2, 0), (0, 3), (1, 1)), repulsion=0.25)
    value = loss(output_of(tensor([[2, 2], [0, 0]])), torch.tensor([0, 2]))
    assert float(value) == pytest.approx((2 + 1) / 2 + (6 + 4 / math.sqrt(2)) / 4, rel=1e-12)
    assert float(loss(output_of(tensor([]).reshape(0, 2)), torch.tensor([], dtype=torch.int64))) == 0


def test_island_centers_turn_away_from_each_other() -> None:
    loss = made("island", ((1, 0), (0, 2), (math.nan, math.nan)), repulsion=0.5, alpha=0.5)
    loss.update_state(output_of(tensor([[3, 0], [0, 2], [5, 5]])), torch.tensor([0, 1, 2]))
    # d cos / d c_0 = (0, 1)/1 and d cos / d c_1 = (1, 0)/2, one other center each; pulls of 1/2 (2, 0) and (0, 0).
    assert loss.centers.tolist() == [  # type: ignore[operator]
        pytest.approx([1 + 0.5 * 1, 0 - 0.5 * 0.5 * 1]),
        pytest.approx([0 - 0.5 * 0.5 / 2, 2]),
        [5, 5],
    ]


def test_island_moves_centers_down_the_slope_of_its_pairs() -> None:
    """The rule against autograd: with every sample on its center, only the repulsion moves them."""
    centers = tensor([[1.0, 0.5], [-0.5, 2.0], [1.0, 1.5]]).requires_grad_()
    (slope,) = torch.autograd.grad(pairs_of_centers(centers), centers)
    loss = made("island", tuple(map(tuple, centers.tolist())), repulsion=0.3, alpha=0.5)
    loss.update_state(output_of(centers.detach()), torch.arange(3))
    torch.testing.assert_close(loss.centers, centers.detach() - 0.5 * 0.3 * slope / 2 / 2)  # type: ignore[arg-type]


# Gaussian affinity


def test_gaussian_affinity() -> None:
    prototypes, x = tensor([[0, 0], [1, 0], [0, 2]]), tensor([[0, 0]])
    # Affinities 1, 1/e and e^-4 at sigma 1.
    hinges = [max(0, 0.8 + 1 - math.exp(-1)), max(0, 0.8 + math.exp(-4) - math.exp(-1))]
    found = gaussian_affinity(x, torch.tensor([1]), prototypes, sigma=1.0, margin=0.8)
    assert float(found) == pytest.approx(sum(hinges), rel=1e-12)
    found = gaussian_affinity(x, torch.tensor([0]), prototypes, sigma=1.0, margin=0.8)
    assert float(found) == pytest.approx(0.8 + math.exp(-1) - 1, rel=1e-12)


def test_spread() -> None:
    # Squared distances 9, 16 and 25, of mean 50/3.
    mean = 50 / 3
    assert float(spread(tensor(CENTERS))) == pytest.approx(sum((s - mean) ** 2 for s in (9, 16, 25)) / 3, rel=1e-12)
    equidistant = tensor([[0, 0], [2, 0], [1, math.sqrt(3)]])
    assert float(spread(equidistant)) == pytest.approx(0, abs=1e-24)


def test_prototypes_come_from_the_seed_at_distances_of_about_sigma() -> None:
    context = LossContext(num_classes=8, embedding_dim=128, class_counts=(1,) * 8, seed=5)
    one, same = (create_loss("softmax + gaussian-affinity(sigma=3)", context).terms[1].prototypes for _ in range(2))  # type: ignore[index, union-attr]
    assert torch.equal(one, same)
    apart = torch.pdist(one.detach()).square()
    assert 2 < float(apart.min()) < float(apart.max()) < 4.5
    assert isinstance(one, torch.nn.Parameter)


# Refusals and formulas


@pytest.mark.parametrize("name", ["contrastive-center", "island", "gaussian-affinity"])
def test_alone_it_is_a_term_beside_softmax(name: str) -> None:
    loss = create_loss(name, CONTEXT)
    assert loss.names == ("softmax", name)  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("contrastive-center(delta=0)", "delta must be above 0, got 0"),
        ("island(repulsion=-1)", "repulsion must be at least 0, got -1"),
        ("gaussian-affinity(sigma=0)", "sigma must be above 0, got 0"),
    ],
)
def test_hyperparameters_out_of_range_are_named(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        create_loss(formula, CONTEXT)
