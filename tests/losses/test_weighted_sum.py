"""A formula of several terms is one loss."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossbench import Loss, LossContext, ModelOutput, Trait, WeightedSum, create_loss, loss_info
from lossbench.expression import parse_formula
from lossbench.objective import build_loss

CONTEXT = LossContext(num_classes=3, embedding_dim=2, class_counts=(6, 3, 1))


class Recorder(Loss):
    """Remembers what it was told; its value is its parameter."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.calls: list[Any] = []

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.value * 1

    def scores(self, output: ModelOutput) -> Tensor:
        return output.logits * self.value

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.calls.append((epoch, total))

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        self.calls.append((output, targets))


class Coupled(Recorder):
    traits = frozenset({Trait.BATCH_COUPLED, Trait.SHARDABLE})


@pytest.fixture
def terms() -> list[Recorder]:
    return [Recorder(2.0), Coupled(5.0)]


@pytest.fixture
def output() -> ModelOutput:
    return ModelOutput(torch.ones(4, 2), torch.ones(4, 3))


TARGETS = torch.tensor([0, 1, 2, 0])


def test_the_value_is_the_sum_and_so_is_the_gradient(terms: list[Recorder], output: ModelOutput) -> None:
    value = WeightedSum(terms, [0.5, 3.0], ["a", "b"])(output, TARGETS)
    value.backward()
    assert value.item() == 0.5 * 2 + 3 * 5
    assert [term.value.grad.item() for term in terms] == [0.5, 3.0]


@pytest.mark.parametrize("primary", [0, 1])
def test_scores_come_from_the_primary_term(terms: list[Recorder], output: ModelOutput, primary: int) -> None:
    scores = WeightedSum(terms, [1, 1], ["a", "b"], primary).scores(output)
    assert scores.equal(output.logits * terms[primary].value)


def test_epochs_and_updates_reach_every_term(terms: list[Recorder], output: ModelOutput) -> None:
    total = WeightedSum(terms, [1, 1], ["a", "b"])
    total.begin_epoch(3, 9)
    total.update_state(output, TARGETS)
    for term in terms:
        assert term.calls[0] == (3, 9)
        assert term.calls[1][0] is output
        assert term.calls[1][1] is TARGETS


def test_parameter_groups_are_those_of_all_terms(terms: list[Recorder]) -> None:
    groups = WeightedSum(terms, [1, 1], ["a", "b"]).param_groups()
    assert [group["params"] for group in groups] == [[term.value] for term in terms]
    assert all(group["weight_decay"] == 0 and group["lr_scale"] == 1 for group in groups)


def test_a_loss_without_parameters_has_no_groups() -> None:
    assert create_loss("softmax + 0.1*center + 0.1*triplet", CONTEXT).param_groups() == []


def test_only_shared_traits_hold_for_the_sum(terms: list[Recorder]) -> None:
    assert WeightedSum(terms, [1, 1], ["a", "b"]).traits == {Trait.SHARDABLE}


def test_a_formula_becomes_the_sum_of_its_bare_terms() -> None:
    torch.manual_seed(0)
    output = ModelOutput(torch.randn(6, 2), torch.randn(6, 3))
    targets = torch.tensor([0, 1, 2, 0, 1, 0])
    total = create_loss("2*softmax + 0.25*triplet(margin=0.7) + center(alpha=1)", CONTEXT)
    assert isinstance(total, WeightedSum)
    assert total.names == ("softmax", "triplet", "center")
    total.update_state(output, targets)
    bare = [
        loss_info(name).factory(CONTEXT, **given)
        for name, given in (("softmax", {}), ("triplet", {"margin": 0.7}), ("center", {"alpha": 1}))
    ]
    bare[2].update_state(output, targets)
    values = [loss(output, targets) for loss in bare]
    torch.testing.assert_close(total(output, targets), 2 * values[0] + 0.25 * values[1] + values[2])


def test_scores_of_a_joint_objective_are_the_logits_wherever_its_term_stands() -> None:
    output = ModelOutput(torch.randn(2, 2), torch.randn(2, 3))
    for formula in ("center", "0.1*center + softmax", "0.5*softmax"):
        loss = create_loss(formula, CONTEXT)
        assert loss.scores(output).equal(output.logits)


def test_saved_state_of_a_sum_holds_the_state_of_its_terms() -> None:
    output = ModelOutput(torch.randn(6, 2), torch.randn(6, 3))
    one, other = (create_loss("weighted-cluster", CONTEXT) for _ in range(2))
    one.update_state(output, torch.tensor([0, 1, 2, 0, 1, 0]))
    other.load_state_dict(one.state_dict(), strict=True)
    assert other.terms[1].centers.equal(one.terms[1].centers)
    assert len(one.state_dict()) == 1


def test_a_sum_compiles_in_one_graph() -> None:
    output = ModelOutput(torch.randn(6, 2), torch.randn(6, 3))
    loss = create_loss("weighted-softmax + 0.5*weighted-cluster + 0.1*triplet", CONTEXT)
    targets = torch.tensor([0, 1, 2, 0, 1, 0])
    loss.update_state(output, targets)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(output, targets), loss(output, targets))
    torch._dynamo.reset()


def test_every_loss_has_terms() -> None:
    alone = create_loss("softmax", CONTEXT)
    assert alone.terms() == (("softmax", 1.0, alone),)
    total = create_loss("2*softmax + 0.25*center", CONTEXT)
    assert [term[:2] for term in total.terms()] == [("softmax", 2.0), ("center", 0.25)]
    assert [term.loss for term in total.terms()] == list(total.terms)
    assert list(total.state_dict()) == ["terms.1.centers"]
    assert pickle.loads(pickle.dumps(total)).terms()[1].coefficient == 0.25


def test_a_formula_is_built_as_it_was_parsed() -> None:
    formula = parse_formula("center(alpha=0.1)")
    assert [term.name for term in create_loss(formula, CONTEXT).terms()] == ["softmax", "center"]
    assert [term.name for term in build_loss(formula, CONTEXT).terms()] == ["center"]  # not expanded
