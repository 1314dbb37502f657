"""Values worked out by hand, the identities that tie the family together, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lossbench import LossContext, ModelOutput, create_loss
from lossbench.errors import FormulaError, HyperparameterError
from lossbench_margin.arc_face import arc_face, lowered
from lossbench_margin.cos_face import cos_face
from lossbench_margin.norm_face import norm_face
from lossbench_margin.supervised_contrastive import supervised_contrastive

CONTEXT = LossContext(num_classes=3, embedding_dim=2, class_counts=(9, 5, 2))
LN = math.log


def tensor(rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def batch(size: int = 40) -> tuple[ModelOutput, Tensor]:
    """Embeddings and the cosines of a head."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    head = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    cosines = torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(head).T
    return ModelOutput(x.requires_grad_(), cosines.requires_grad_()), torch.arange(size) % 3


# By hand


def test_norm_face() -> None:
    found = norm_face(tensor([[0.5, 0.25, 0.25]]), torch.tensor([0]), scale=4.0)
    assert float(found) == pytest.approx(LN(1 + 2 / math.e), rel=1e-12)


def test_cos_face() -> None:
    found = cos_face(tensor([[0.5, 0.25, 0.25]]), torch.tensor([0]), scale=4.0, margin=0.5)
    assert float(found) == pytest.approx(LN(1 + 2 * math.e), rel=1e-12)


def test_arc_face() -> None:
    # 60 degrees and 30 more: the cosine falls from 1/2 to 0.
    found = arc_face(tensor([[0.5, 0.25, 0.25]]), torch.tensor([0]), scale=4.0, margin=math.pi / 6)
    assert float(found) == pytest.approx(LN(1 + 2 * math.e), rel=1e-12)


def insightface(cosines: Tensor, targets: Tensor, scale: float, margin: float) -> Tensor:
    """The loss of insightface's `recognition/arcface_torch/losses.py`, rewritten: in place and without gradient."""
    logits, rows = cosines.clone(), torch.arange(len(targets))
    with torch.no_grad():
        logits.arccos_()
        logits[rows, targets] += margin
        logits.cos_()
    return torch.nn.functional.cross_entropy(scale * logits, targets)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_the_authors_code_is_an_option(margin: float) -> None:
    output, targets = batch()
    expected = insightface(output.logits, targets, 16.0, margin)
    loss = create_loss("arc-face", CONTEXT, margin=margin, form="insightface")
    found = loss(output, targets)
    torch.testing.assert_close(found, expected)
    slope, their_slope = (torch.autograd.grad(value, output.logits)[0] for value in (found, expected))
    torch.testing.assert_close(slope, their_slope)


def test_the_gradient_beside_that_of_insightface() -> None:
    margin, angles = 0.5, tensor([0.3, 1.5, 2.5])
    logits = torch.stack([angles.cos(), tensor([0.0, 0.0, 0.0])], dim=1).requires_grad_()
    targets = torch.zeros(3, dtype=torch.int64)
    slopes = [torch.autograd.grad(call(logits, targets, 4.0, margin).sum(), logits)[0][:, 0] for call in
              (arc_face, lambda *given: 3 * insightface(*given))]  # fmt: skip
    factor = (angles + margin).sin() / angles.sin()
    torch.testing.assert_close(slopes[0] / slopes[1], factor)
    assert [round(float(each), 2) for each in factor] == [2.43, 0.91, 0.24]


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_a_larger_angle_always_costs_more(margin: float) -> None:
    angles = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    found = lowered(angles.cos(), margin)
    assert (found.diff() < 1e-12).all()
    assert found.diff().abs().max() < 1e-3  # no jump at the seam
    before = angles + margin <= math.pi
    torch.testing.assert_close(found[before], (angles[before] + margin).cos(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found[~before], -2 - (angles[~before] + margin).cos(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cosine", [1.0, -1.0, 1.0078125, -1.0078125, 1 - 2**-24])
def test_arc_face_at_the_ends_of_the_cosine(cosine: float) -> None:
    logits = torch.tensor([[cosine, 0.0]], requires_grad=True)
    value = arc_face(logits, torch.tensor([0]), scale=16.0, margin=0.5).sum()
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_supervised_contrastive() -> None:
    # Unit vectors at 0, 0, 90 and 180 degrees; classes 0, 0, 0, 1; temperature 1.
    x = tensor([[2, 0], [5, 0], [0, 1], [-3, 0]])
    e = math.e
    first = ((LN(e + 1 + 1 / e) - 1) + LN(e + 1 + 1 / e)) / 2  # positives at cosines 1 and 0
    third = LN(1 + 1 + 1)  # two positives at cosine 0, the negative too
    found = supervised_contrastive(x, torch.tensor([0, 0, 0, 1]), temperature=1.0)
    assert float(found) == pytest.approx((2 * first + third) / 3, rel=1e-12)


@pytest.mark.parametrize("targets", [[0, 1, 2], [0]])
def test_supervised_contrastive_without_positives_is_a_connected_zero(targets: list[int]) -> None:
    x = tensor([[1, 0], [0, 1], [1, 1]])[: len(targets)].requires_grad_()
    value = supervised_contrastive(x, torch.tensor(targets), temperature=0.1)
    value.backward()
    assert value.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


# Identities


@pytest.mark.parametrize(
    ("limit", "parent"),
    [
        ("cos-face(margin=0)", "norm-face"),
        ("arc-face(margin=0)", "norm-face"),
        ("cos-face(margin=0, scale=5)", "norm-face(scale=5)"),
        ("norm-face(scale=1)", "softmax"),
    ],
)
def test_identities(limit: str, parent: str) -> None:
    output, targets = batch()
    values = [create_loss(formula, CONTEXT)(output, targets) for formula in (limit, parent)]
    gradients = [torch.autograd.grad(value, output.logits)[0] for value in values]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)


def test_angular_and_cosine_margin_agree_at_right_angles() -> None:
    """At 90 degrees an angular margin m lowers the cosine by sin m."""
    cosines, targets = tensor([[0.0, 0.3, -0.2]]), torch.tensor([0])
    angular = arc_face(cosines, targets, scale=8.0, margin=0.4)
    torch.testing.assert_close(angular, cos_face(cosines, targets, scale=8.0, margin=math.sin(0.4)))


@pytest.mark.parametrize("name", ["norm-face", "cos-face", "arc-face"])
def test_scores_are_scaled_and_have_no_margin(name: str) -> None:
    output, _ = batch()
    loss = create_loss(f"{name}(scale=7)", CONTEXT)
    torch.testing.assert_close(loss.scores(output), 7 * output.logits)


# Refusals and formulas


def test_a_formula_has_one_head() -> None:
    with pytest.raises(FormulaError, match="arc-face needs cosine logits and softmax plain ones"):
        create_loss("softmax + arc-face", CONTEXT)
    assert create_loss("arc-face + 0.1*supervised-contrastive", CONTEXT).names == ("arc-face", "supervised-contrastive")  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("norm-face(scale=0)", "scale must be above 0, got 0"),
        ("cos-face(margin=-1)", "margin must be at least 0 and at most 2, got -1"),
        ("arc-face(margin=2)", "margin must be at least 0 and at most 1.5708, got 2"),
        ("supervised-contrastive(temperature=0)", "temperature must be above 0, got 0"),
    ],
)
def test_hyperparameters_out_of_range_are_named(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        create_loss(formula, CONTEXT)
