"""Class weights of one's own, deferred weights, and targets that are probabilities."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from every_loss import NAMES
from torch import Tensor

from lossbench import LossContext, ModelOutput, create_loss, loss_info
from lossbench.errors import ContextError, FormulaError, HyperparameterError, UsageError
from lossbench.expression import parse_formula, split_losses
from lossbench.traits import Need

CONTEXT = LossContext(num_classes=3, embedding_dim=4, class_counts=(50, 10, 2))
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(10, 3, generator=GENERATOR, dtype=torch.float64)
COSINES = LOGITS.tanh()
LABELS = torch.randint(3, (10,), generator=GENERATOR)
SOFT = torch.rand(10, 3, generator=GENERATOR, dtype=torch.float64).softmax(dim=1)
ON_LOGITS = [name for name in NAMES if Need.EMBEDDINGS not in loss_info(name).needs]
NOT_ON_LOGITS = [name for name in NAMES if Need.EMBEDDINGS in loss_info(name).needs]


def of(formula: str, targets: Tensor, logits: Tensor | None = None, epoch: tuple[int, int] | None = None) -> Tensor:
    loss = create_loss(formula, CONTEXT).double()
    if epoch:
        loss.begin_epoch(*epoch)
    cosine = Need.COSINE_LOGITS in loss_info(parse_formula(formula).terms[0].name).needs
    value: Tensor = loss((COSINES if cosine else LOGITS) if logits is None else logits, targets)
    return value


W = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("weighted-softmax(weights=[1, 2, 5])", (W[LABELS] * F.cross_entropy(LOGITS, LABELS, reduction="none")).mean()),
        ('weighted-softmax(weights=[1, 2, 5], average="batch")', F.cross_entropy(LOGITS, LABELS, W)),
        (
            "label-smoothing(weights=[1, 2, 5], smoothing=0.2)",
            F.cross_entropy(LOGITS, LABELS, W, label_smoothing=0.2, reduction="sum") / 10,
        ),
        ("softmax-focal(gamma=0, weights=[1, 2, 5])", F.cross_entropy(LOGITS, LABELS, W, reduction="sum") / 10),
        ("torch/CrossEntropyLoss(weight=[1, 2, 5])", F.cross_entropy(LOGITS, LABELS, W)),
    ],
)  # fmt: skip
def test_weights_of_one_s_own(formula: str, expected: Tensor) -> None:
    torch.testing.assert_close(of(formula, LABELS), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("softmax-focal(gamma=0, power=1)", "weighted-softmax"),
        ("softmax-focal(gamma=0, beta=0.99)", "class-balanced(beta=0.99)"),
        ("label-smoothing(smoothing=0, power=0.5)", "weighted-softmax(power=0.5)"),
        ("weighted-softmax(weights=[1, 1, 1])", "softmax"),
    ],
)
def test_weighted_forms_agree(one: str, other: str) -> None:
    torch.testing.assert_close(of(one, LABELS), of(other, LABELS), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("formula", "plain"),
    [
        ("weighted-softmax", "softmax"),
        ("class-balanced", "softmax"),
        ("softmax-focal(power=1)", "softmax-focal"),
        ("label-smoothing(weights=[1, 2, 5])", "label-smoothing"),
    ],
)
def test_weights_are_deferred(formula: str, plain: str) -> None:
    name, _, arguments = formula.partition("(")
    deferred = f"{name}(defer=0.5{', ' + arguments.rstrip(')') if arguments else ''})"
    for epoch, expected in ((0, plain), (4, plain), (5, formula), (9, formula)):
        torch.testing.assert_close(of(deferred, LABELS, epoch=(epoch, 10)), of(expected, LABELS), rtol=1e-12, atol=0)
    late, restored = create_loss(deferred, CONTEXT), create_loss(deferred, CONTEXT)
    late.begin_epoch(9, 10)
    restored.load_state_dict(late.state_dict())
    assert restored(LOGITS, LABELS).equal(late(LOGITS, LABELS))


@pytest.mark.parametrize("weights", [[1, 2, 5], (1.0, 2.0, 5.0), np.array([1, 2, 5]), torch.tensor([1.0, 2.0, 5.0])])
def test_weights_in_a_program(weights: Any) -> None:
    loss = create_loss("weighted-softmax", CONTEXT, weights=weights).double()
    torch.testing.assert_close(loss(LOGITS, LABELS), of("weighted-softmax(weights=[1, 2, 5])", LABELS), rtol=0, atol=0)


def test_a_list_is_part_of_the_language() -> None:
    formula = parse_formula('weighted-softmax(weights=[1, 2.5, 1e-3]) + 0.1*a(b=["x", true], c=[])')
    assert formula.terms[0].arguments == {"weights": (1, 2.5, 0.001)}
    assert formula.terms[1].arguments == {"b": ("x", True), "c": ()}
    assert parse_formula(str(formula)) == formula
    assert json.loads(json.dumps(formula.terms[0].arguments)) == {"weights": [1, 2.5, 0.001]}
    assert split_losses("softmax, weighted-softmax(weights=[1, 2, 5])") == (
        "softmax",
        "weighted-softmax(weights=[1, 2, 5])",
    )
    for text in ("a(b=[1)", "a(b=[1 2])", "a(b=[[1]])", "a(b=[1,,2])", "a(b=]"):
        with pytest.raises(FormulaError):
            parse_formula(text)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("weighted-softmax(weights=[1, 2])", r"weights must be a list of 3 numbers, one per class, got \(1, 2\)"),
        ("weighted-softmax(weights=[1, -2, 5])", "each of weights must be at least 0, got -2"),
        ("weighted-softmax(weights=[0, 0, 0])", "weights must not all be 0"),
        ("weighted-softmax(weights=3)", "weights must be a list of 3 numbers"),
        ('weighted-softmax(weights=["a", 1, 2])', "each of weights must be a finite number, got 'a'"),
        ("softmax-focal(power=1, weights=[1, 2, 5])", "power and weights exclude each other"),
        ("label-smoothing(defer=2)", "defer must be at least 0 and at most 1, got 2"),
        ("weighted-softmax(defer=2)", "defer must be at least 0 and at most 1, got 2"),
        ("center(coefficient=[1])", "coefficient must be a positive number"),
    ],
)
def test_weights_that_are_none(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        create_loss(formula, CONTEXT)


def test_given_weights_need_no_counts() -> None:
    empty = LossContext(num_classes=3, embedding_dim=4, class_counts=(5, 0, 2))
    create_loss("weighted-softmax(weights=[1, 2, 5])", empty)
    create_loss("softmax-focal", empty)
    with pytest.raises(ContextError):
        create_loss("softmax-focal(power=1)", empty)


# Soft targets


@pytest.mark.parametrize("name", ON_LOGITS)
def test_a_one_hot_row_is_its_label(name: str) -> None:
    torch.testing.assert_close(of(name, F.one_hot(LABELS, 3).double()), of(name, LABELS), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ON_LOGITS)
def test_the_loss_is_linear_in_soft_targets(name: str) -> None:
    one, other = SOFT, SOFT.roll(1, dims=1)
    mixed = of(name, 0.3 * one + 0.7 * other)
    torch.testing.assert_close(mixed, 0.3 * of(name, one) + 0.7 * of(name, other), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ON_LOGITS)
def test_soft_targets_have_a_gradient_and_values_per_sample(name: str) -> None:
    loss = create_loss(name, CONTEXT).double()
    cosine = Need.COSINE_LOGITS in loss_info(name).needs
    logits = (COSINES if cosine else LOGITS).clone().requires_grad_()
    value = loss(logits, SOFT)
    torch.testing.assert_close(loss.per_sample(logits, SOFT).mean(), value)
    value.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_torch_s_own_soft_cross_entropy() -> None:
    torch.testing.assert_close(of("softmax", SOFT), F.cross_entropy(LOGITS, SOFT), rtol=1e-12, atol=0)
    smooth = F.cross_entropy(LOGITS, SOFT, label_smoothing=0.2)
    torch.testing.assert_close(of("label-smoothing(smoothing=0.2)", SOFT), smooth, rtol=1e-12, atol=0)


@pytest.mark.parametrize("formula", [*NOT_ON_LOGITS, 'weighted-softmax(average="batch")'])
def test_other_losses_refuse_soft_targets_by_name(formula: str) -> None:
    output = ModelOutput(torch.randn(10, 4, dtype=torch.float64), LOGITS)
    name = formula.partition("(")[0]
    with pytest.raises(UsageError, match=rf"{name} takes no soft targets: .* pass targets.argmax\(dim=1\)"):
        create_loss(formula, CONTEXT).double()(output, SOFT)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (SOFT * 1.1, r"row 0 sums to 1.1 with a minimum of"),
        (torch.tensor([[1.5, -0.5, 0.0]]).expand(10, 3), r"row 0 sums to 1 with a minimum of -0.5"),
        (torch.full((10, 3), torch.nan), r"soft targets must be probabilities"),
        (SOFT[:, :2], r"soft targets must have the shape \(10, 3\) of logits, got \(10, 2\)"),
        (SOFT[:5], r"soft targets must have the shape \(10, 3\) of logits, got \(5, 3\)"),
    ],
)
def test_rows_that_are_no_distribution_are_refused(targets: Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_loss("softmax", CONTEXT)(LOGITS, targets)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("triplet", "supervised-contrastive")])
def test_the_mean_of_values_per_sample_is_the_loss(name: str) -> None:
    term = create_loss(name, CONTEXT).double().terms()[-1].loss
    output = ModelOutput(torch.randn(10, 4, dtype=torch.float64, generator=GENERATOR), COSINES)
    term.update_state(output, LABELS)
    term.update_state(output, LABELS)
    values = term.per_sample(output, LABELS.int())
    assert values.shape == (10,)
    torch.testing.assert_close(values.mean(), term(output, LABELS), rtol=1e-12, atol=1e-14)


def test_a_sum_has_values_per_sample_and_pairs_have_none() -> None:
    output = ModelOutput(torch.randn(10, 4, dtype=torch.float64), LOGITS)
    total = create_loss("2*softmax + 0.5*center", CONTEXT).double()
    total.update_state(output, LABELS)
    torch.testing.assert_close(total.per_sample(output, LABELS).mean(), total(output, LABELS))
    with pytest.raises(UsageError, match="triplet has no value per sample"):
        create_loss("triplet", CONTEXT).per_sample(output, LABELS)
    with pytest.raises(UsageError, match=r"targets must lie in \[0, 3\), got 1[0-2] in row 0"):
        create_loss("softmax", CONTEXT).per_sample(LOGITS, LABELS + 10)
