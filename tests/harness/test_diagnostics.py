"""Gradient ratios against autograd by hand, the warnings they give, and the geometry of embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lossbench import LossContext, ModelOutput, create_loss
from lossbench.harness.training.diagnostics import scatter_to_radius, term_diagnostics, warnings_of

CONTEXT = LossContext(num_classes=3, embedding_dim=4, class_counts=(6, 3, 1))
TARGETS = torch.tensor([0, 1, 2, 0, 0, 1])


@pytest.fixture
def head() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@pytest.fixture
def embeddings(head: nn.Linear) -> torch.Tensor:
    return torch.randn(6, 4)


def test_the_ratio_is_that_of_the_gradients_through_the_head(head: nn.Linear, embeddings: torch.Tensor) -> None:
    loss = create_loss("0.5*softmax + 0.2*weighted-softmax", CONTEXT)
    found = term_diagnostics(head, loss, ModelOutput(embeddings, head(embeddings)), TARGETS)

    leaf = embeddings.clone().requires_grad_()
    cross_entropy = nn.functional.cross_entropy(head(leaf), TARGETS, reduction="none")
    weight = torch.tensor([10 / 18, 10 / 9, 10 / 3])  # N / (C n_c)
    first, second = 0.5 * cross_entropy.mean(), 0.2 * (weight[TARGETS] * cross_entropy).mean()
    norms = [torch.autograd.grad(v, leaf, retain_graph=True)[0].norm() for v in (first, second)]
    assert found["terms"] == pytest.approx({"softmax": first.item(), "weighted-softmax": second.item()}, rel=1e-5)
    assert found["gradient_ratio"] == pytest.approx({"weighted-softmax": (norms[1] / norms[0]).item()}, rel=1e-5)


def test_a_center_term_pulls_by_coefficient_times_distance(head: nn.Linear, embeddings: torch.Tensor) -> None:
    loss = create_loss("softmax + 0.3*center", CONTEXT)
    idle = term_diagnostics(head, loss, ModelOutput(embeddings, head(embeddings)), TARGETS)
    assert idle["gradient_ratio"] == {"center": 0.0}  # no class has a center yet
    loss.update_state(ModelOutput(embeddings, head(embeddings)), TARGETS)
    moved = embeddings + 1.0
    found = term_diagnostics(head, loss, ModelOutput(moved, head(moved)), TARGETS)
    leaf = moved.clone().requires_grad_()
    nn.functional.cross_entropy(head(leaf), TARGETS).backward()
    pull = 0.3 * (moved - torch.stack([embeddings[c == TARGETS].mean(0) for c in range(3)])[TARGETS]) / 6
    assert found["gradient_ratio"]["center"] == pytest.approx((pull.norm() / leaf.grad.norm()).item(), rel=1e-4)
    assert head.weight.grad is not None  # of the line above alone: the diagnostics leave none
    head.zero_grad()
    term_diagnostics(head, loss, ModelOutput(moved, head(moved)), TARGETS)
    assert head.weight.grad is None


def test_the_primary_term_is_the_one_that_reads_the_logits(head: nn.Linear, embeddings: torch.Tensor) -> None:
    loss = create_loss("0.5*triplet + softmax + 2*triplet(margin=1)", CONTEXT)
    found = term_diagnostics(head, loss, ModelOutput(embeddings, head(embeddings)), TARGETS)
    assert set(found["gradient_ratio"]) == {"triplet#1", "triplet#2"}
    assert set(found["terms"]) == {"triplet#1", "softmax", "triplet#2"}


def test_an_objective_of_one_term_has_no_ratios(head: nn.Linear, embeddings: torch.Tensor) -> None:
    loss = create_loss("softmax", CONTEXT)
    assert term_diagnostics(head, loss, ModelOutput(embeddings, head(embeddings)), TARGETS) == {
        "terms": {},
        "gradient_ratio": {},
    }


def test_a_ratio_to_nothing_is_null(embeddings: torch.Tensor) -> None:
    loss = create_loss("softmax + triplet", CONTEXT)
    flat = nn.Linear(4, 3)
    nn.init.zeros_(flat.weight)  # logits don't depend on embeddings
    assert term_diagnostics(flat, loss, ModelOutput(embeddings, flat(embeddings)), TARGETS)["gradient_ratio"] == {
        "triplet": None
    }


@pytest.mark.parametrize(
    ("ratio", "epoch", "said"),
    [
        (2.001, 1, "center dominates: its gradient on the embeddings is 2 times the primary term's"),
        (2.0, 1, None),
        (0.001, 1, None),
        (0.0009, 1, "center is inert: its gradient on the embeddings is 0.0009 of the primary term's"),
        (0.0, 0, None),
        (9.0, 0, None),
        (None, 5, None),
    ],
)
def test_terms_that_do_nothing_or_everything_are_warned_of(ratio: float | None, epoch: int, said: str | None) -> None:
    messages = warnings_of({"center": ratio}, epoch)
    assert len(messages) == (said is not None)
    assert not messages or messages[0].startswith(str(said))


@pytest.mark.parametrize(
    ("targets", "said"), [([0, 1, 2], "if no class occurs twice; use a larger"), ([0, 1, 1], "its margins were met")]
)
def test_an_idle_term_is_told_why(targets: list[int], said: str) -> None:
    (message,) = warnings_of({"triplet": 0.0}, 1, torch.tensor(targets))
    assert said in message


def test_scatter_to_radius_by_hand() -> None:
    # Class means (0, 1) and (6, 1) of unequal classes; squared distances to them 1, 1, 0; to their center 9, 9.
    embeddings = torch.tensor([[0.0, 0.0], [0.0, 2.0], [6.0, 1.0]])
    assert scatter_to_radius(embeddings, torch.tensor([4, 4, 1])) == pytest.approx(2 / 3 / 9, abs=1e-6)
    shifted = scatter_to_radius(7 * embeddings + 3, torch.tensor([4, 4, 1]))
    assert shifted == pytest.approx(2 / 3 / 9, abs=1e-6)


def test_scatter_to_radius_is_null_where_it_means_nothing() -> None:
    assert scatter_to_radius(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64)) is None
    assert scatter_to_radius(torch.ones(2, 2), torch.tensor([0, 1])) is None  # 0/0
