"""Values worked out by hand, the identities that tie the family together, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput, create_loss
from lossbench.errors import ContextError, FormulaError, HyperparameterError
from lossbench_imbalance.effective_number import effective_number_weights
from lossbench_imbalance.generalised_cross_entropy import generalised_cross_entropy
from lossbench_imbalance.label_smoothing import label_smoothing
from lossbench_imbalance.ldam import ldam
from lossbench_imbalance.logit_adjusted import logit_adjusted
from lossbench_imbalance.seesaw import seesaw
from lossbench_imbalance.softmax_focal import softmax_focal
from lossbench_imbalance.vector_scaling import vector_scaling

COUNTS = (900, 90, 10)
CONTEXT = LossContext(num_classes=3, embedding_dim=2, class_counts=COUNTS, class_names=("joy", "fear", "awe"))
LN = math.log
# softmax of these logits is (0.25, 0.75), (0.8, 0.2)
LOGITS = torch.tensor([[LN(1), LN(3)], [LN(4), LN(1)]], dtype=torch.float64)
TARGETS = torch.tensor([0, 0])


def made(formula: str, context: LossContext = CONTEXT, **hyperparameters: Any) -> Loss:
    loss = create_loss(formula, context, **hyperparameters)
    return loss.double()


def batch(size: int = 40) -> tuple[ModelOutput, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(size, 3, generator=generator, dtype=torch.float64)
    return ModelOutput(torch.zeros(size, 2, dtype=torch.float64), logits.requires_grad_()), torch.arange(size) % 3


def same(one: Loss, other: Loss) -> None:
    """Two losses agree in value and gradient."""
    output, targets = batch()
    values = [loss(output, targets) for loss in (one, other)]
    gradients = [torch.autograd.grad(value, output.logits)[0] for value in values]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)


# By hand


def test_softmax_focal() -> None:
    expected = [0.75**2 * LN(4), 0.2**2 * LN(1.25)]
    assert softmax_focal(LOGITS, TARGETS, gamma=2.0).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.0])
def test_softmax_focal_has_a_gradient_where_the_answer_is_sure(gamma: float) -> None:
    logits = torch.tensor([[60.0, 0.0], [1e4, 0.0], [-1e4, 0.0]], requires_grad=True)
    softmax_focal(logits, torch.tensor([0, 0, 0]), gamma).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[2].tolist() == [-1.0, 1.0]


def test_effective_number_weights() -> None:
    # beta 1/2: 1 image is worth 1, 2 are worth 3/2, 3 are worth 7/4.
    found = effective_number_weights(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64), 0.5)
    raw = [4 / 7, 2 / 3, 1.0]
    mean = (3 * raw[0] + 2 * raw[1] + raw[2]) / 6
    assert found.tolist() == pytest.approx([r / mean for r in raw], rel=1e-12)


def test_class_balanced() -> None:
    context = LossContext(num_classes=2, embedding_dim=1, class_counts=(2, 1))
    output = ModelOutput(torch.zeros(2, 1), LOGITS)
    # beta 1/2: weights as 2/3 to 1, whose mean over images is 7/9 and over classes 5/6
    plain = (LN(4) * 2 / 3 + LN(5)) / 2
    assert float(made("class-balanced(beta=0.5)", context)(output, torch.tensor([0, 1]))) == pytest.approx(
        plain * 9 / 7
    )
    by_class = made('class-balanced(beta=0.5, scale="classes")', context)
    assert float(by_class(output, torch.tensor([0, 1]))) == pytest.approx(plain * 6 / 5)


def test_balanced_softmax() -> None:
    context = LossContext(num_classes=2, embedding_dim=1, class_counts=(30, 10))
    value = made("balanced-softmax", context)(ModelOutput(torch.zeros(2, 1), LOGITS), TARGETS)
    # 3 * 1 against 1 * 3, and 3 * 4 against 1 * 1
    assert float(value) == pytest.approx((LN(2) + LN(13 / 12)) / 2, rel=1e-12)


def test_logit_adjusted() -> None:
    log_prior = torch.tensor([0.75, 0.25], dtype=torch.float64).log()
    found = logit_adjusted(LOGITS, TARGETS, log_prior, tau=2.0)
    assert found.tolist() == pytest.approx([LN(1 + 3 / 9), LN(1 + 1 / 36)], rel=1e-12)


def test_vector_scaling() -> None:
    one = torch.ones(2, dtype=torch.float64)
    factor = torch.tensor([1.0, 2.0], dtype=torch.float64)
    offset = torch.tensor([0.0, -LN(9)], dtype=torch.float64)
    # e^z of (1, 3) becomes (1, 9/9), of (4, 1) becomes (4, 1/9)
    found = vector_scaling(LOGITS, TARGETS, factor, offset, 5 * one)
    assert found.tolist() == pytest.approx([5 * LN(2), 5 * LN(37 / 36)], rel=1e-12)


def test_vector_scaling_slows_the_logits_of_rare_classes() -> None:
    loss = made("vector-scaling(gamma=0.5, tau=2)")
    assert loss.factor(torch.float64).tolist() == pytest.approx([1, 0.1**0.5, (1 / 90) ** 0.5])  # type: ignore[operator]
    assert loss.offset(torch.float64).tolist() == pytest.approx([2 * LN(n / 1000) for n in COUNTS])  # type: ignore[operator]


def test_ldam() -> None:
    cosines = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    margin, one = torch.tensor([0.5, 0.0], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    assert float(ldam(cosines, torch.tensor([0]), margin, 3 * one, scale=4.0)) == pytest.approx(3 * LN(1 + math.e))


def test_ldam_margins_are_the_largest_for_the_rarest() -> None:
    context = LossContext(num_classes=3, embedding_dim=1, class_counts=(1296, 81, 16))
    margins = made("ldam(max_margin=0.6)", context).margin(torch.float64)  # type: ignore[operator]
    assert margins.tolist() == pytest.approx([0.2, 0.4, 0.6])


def test_seesaw() -> None:
    log_counts = torch.tensor([16.0, 1.0], dtype=torch.float64).log()
    # e^z of (1, 3): the rival is 16 times rarer and 3 times likelier; (4, 1): rarer and less likely
    found = seesaw(LOGITS, TARGETS, log_counts, p=0.5, q=2.0)
    assert found.tolist() == pytest.approx([LN(1 + 3 / 4 * 9), LN(1 + 1 / 4 / 4)], rel=1e-12)
    # for the rare class the frequent rival counts in full
    assert float(seesaw(LOGITS[:1], torch.tensor([1]), log_counts, p=0.5, q=2.0)) == pytest.approx(LN(4 / 3))


def test_seesaw_pulls_as_a_softmax_with_fixed_weights() -> None:
    log_counts = torch.zeros(2, dtype=torch.float64)
    logits = LOGITS[:1].clone().requires_grad_()
    seesaw(logits, torch.tensor([0]), log_counts, p=0.0, q=2.0).backward()
    weighted = 27 / 28  # e^z of (1, 3), the rival 9 times
    assert logits.grad is not None
    assert logits.grad.tolist()[0] == pytest.approx([-weighted, weighted], rel=1e-12)


def test_label_smoothing() -> None:
    found = label_smoothing(LOGITS, TARGETS, smoothing=0.2)
    assert found.tolist() == pytest.approx([0.9 * LN(4) + 0.1 * LN(4 / 3), 0.9 * LN(1.25) + 0.1 * LN(5)], rel=1e-12)


def test_generalised_cross_entropy() -> None:
    found = generalised_cross_entropy(LOGITS, TARGETS, q=0.5)
    assert found.tolist() == pytest.approx([2 * (1 - 0.5), 2 * (1 - 0.8**0.5)], rel=1e-12)


def test_a_bounded_row_costs_its_bound() -> None:
    logits = torch.tensor([[-1e4, 1e4]])
    assert float(generalised_cross_entropy(logits, torch.tensor([0]), q=0.25)) == 4.0


# Identities


@pytest.mark.parametrize(
    ("limit", "parent"),
    [
        ("softmax-focal(gamma=0)", "softmax"),
        ("class-balanced(beta=0)", "softmax"),
        ('class-balanced(beta=0, scale="classes")', "softmax"),
        ("logit-adjusted(tau=0)", "softmax"),
        ("logit-adjusted(tau=1)", "balanced-softmax"),
        ("vector-scaling(gamma=0, tau=0)", "softmax"),
        ("vector-scaling(gamma=0, tau=1)", "balanced-softmax"),
        ("vector-scaling(gamma=0, tau=2)", "logit-adjusted(tau=2)"),
        ("vector-scaling(gamma=0, tau=0, power=1)", "weighted-softmax"),
        ("seesaw(p=0, q=0)", "softmax"),
        ("label-smoothing(smoothing=0)", "softmax"),
        ("generalised-cross-entropy(q=0)", "softmax"),
        ("ldam(max_margin=0, scale=1)", "softmax"),
        ("ldam(max_margin=0, scale=1, beta=0, defer=0)", "softmax"),
        ("ldam(max_margin=0, scale=1, beta=0.9, defer=0)", "class-balanced(beta=0.9)"),
    ],
)
def test_identities(limit: str, parent: str) -> None:
    same(made(limit), made(parent))


def test_ldam_without_margin_is_softmax_of_what_it_scores() -> None:
    loss, (output, targets) = made("ldam(max_margin=0)"), batch()
    scored = output._replace(logits=30 * output.logits)
    torch.testing.assert_close(loss(output, targets), made("softmax")(scored, targets))
    torch.testing.assert_close(loss.scores(output).double(), scored.logits, rtol=1e-6, atol=1e-5)


def test_generalised_cross_entropy_tends_to_cross_entropy() -> None:
    output, targets = batch()
    expected = made("softmax")(output, targets).item()
    gaps = [abs(made("generalised-cross-entropy", q=q)(output, targets).item() - expected) for q in (1e-2, 1e-4, 1e-6)]
    assert gaps[0] > 50 * gaps[1] > 2500 * gaps[2]
    assert gaps[2] < 1e-4


def test_generalised_cross_entropy_at_one_is_half_the_absolute_error() -> None:
    output, targets = batch()
    error = (output.logits.softmax(1) - torch.nn.functional.one_hot(targets, 3)).abs().sum(1).mean()
    assert made("generalised-cross-entropy(q=1)")(output, targets).item() == pytest.approx(error.item() / 2, rel=1e-12)


def test_class_balanced_tends_to_weights_that_are_equal_by_class() -> None:
    output, targets = batch()
    expected = made("weighted-softmax")(output, targets).item()
    assert made("class-balanced(beta=0.9999999999)")(output, targets).item() == pytest.approx(expected, rel=1e-6)


# The schedule


def test_ldam_weighs_late() -> None:
    loss, (output, targets) = made("ldam(defer=0.8)"), batch()
    plain, weighted = (made(f"ldam(defer={defer})")(output, targets).item() for defer in (1, 0))
    assert plain != weighted
    found = []
    for epoch in range(10):
        loss.begin_epoch(epoch, 10)
        found.append(loss(output, targets).item())
    assert found == [plain] * 8 + [weighted] * 2
    never = made("ldam(defer=1)")
    never.begin_epoch(9, 10)
    assert never(output, targets).item() == plain


# Refusals


@pytest.mark.parametrize(
    "name", ["class-balanced", "balanced-softmax", "logit-adjusted", "ldam", "vector-scaling", "seesaw"]
)
def test_a_class_without_images_is_named(name: str) -> None:
    context = LossContext(num_classes=2, embedding_dim=1, class_counts=(5, 0), class_names=("joy", "fear"))
    with pytest.raises(ContextError, match="need a training image of every class, there is none of 'fear'"):
        create_loss(name, context)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("softmax-focal(gamma=-1)", "gamma must be at least 0, got -1"),
        ("class-balanced(beta=1)", "beta must be at least 0 and below 1, got 1"),
        ("generalised-cross-entropy(q=1.5)", "q must be at least 0 and at most 1, got 1.5"),
        ("ldam(defer=2)", "defer must be at least 0 and at most 1, got 2"),
        ("ldam(scale=0)", "scale must be above 0, got 0"),
        ("label-smoothing(smoothing=1)", "smoothing must be at least 0 and below 1, got 1"),
        ("seesaw(r=1)", "seesaw has no hyper-parameter 'r'"),
    ],
)
def test_hyperparameters_out_of_range_are_named(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        create_loss(formula, CONTEXT)


def test_ldam_does_not_go_with_plain_logits() -> None:
    with pytest.raises(FormulaError, match="ldam needs cosine logits and softmax plain ones"):
        create_loss("ldam + softmax", CONTEXT)
