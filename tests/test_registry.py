"""Names and formulas to losses: the table of built-ins, what a formula means, what is refused and how."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lossbench
from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, WeightedSum, create_loss, list_losses, loss_info
from lossbench.errors import FormulaError, HyperparameterError, PluginError, UnknownLossError, UsageError
from lossbench.losses import BUILT_INS
from lossbench.objective import expand_formula, formula_needs
from lossbench.registry import loss_entries, register_loss

CONTEXT = LossContext(num_classes=3, embedding_dim=2, class_counts=(6, 3, 1))
REPOSITORY = Path(lossbench.__file__).parents[1]


class Flat(Loss):
    """A loss with one hyper-parameter that must be given and one that need not."""

    def __init__(self, context: LossContext, slope: float, *, bias: float = 1.0) -> None:
        super().__init__()
        self.slope, self.bias = slope, bias

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.slope * output.logits.mean() + self.bias


def spec(name: str = "flat", factory: Callable[..., Any] = Flat, **given: Any) -> LossSpec:
    given = {"summary": "Flat.", "reference": "-", "needs": frozenset({Need.LOGITS}), **given}
    return LossSpec(name=name, factory=factory, **given)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[LossSpec], LossSpec]:
    """`register_loss` for the length of one test."""
    monkeypatch.setattr("lossbench.registry.specs._registered", {})
    return register_loss


# The built-ins


@pytest.mark.parametrize("built_in", BUILT_INS, ids=lambda b: b.name)
def test_the_table_says_what_the_specs_say(built_in: Any) -> None:
    found = loss_info(built_in.name)
    assert (found.name, found.summary) == (built_in.name, built_in.summary)
    assert sys.modules[built_in.module].SPEC is found
    assert found.auxiliary == (found.joint is not None)
    assert found.auxiliary == (Need.LOGITS not in found.needs)


@pytest.mark.parametrize("built_in", BUILT_INS, ids=lambda b: b.name)
def test_every_built_in_expands_and_builds_in_every_variant(built_in: Any) -> None:
    found = loss_info(built_in.name)
    assert str(expand_formula(built_in.name)) == (found.joint or built_in.name)
    for variant in ({}, *found.variants):
        found.check_hyperparameters(variant)
        assert isinstance(create_loss(built_in.name, CONTEXT, **variant), Loss)
        assert found.traits <= found.factory(CONTEXT, **variant).traits


def test_the_names_are_listed_and_their_rows_say_built_in() -> None:
    names = {built_in.name for built_in in BUILT_INS}
    assert names <= set(list_losses())
    rows = [row for row in loss_entries() if row.name in names]
    assert len(rows) == len(names)
    assert {(row.origin, row.status) for row in rows} == {("lossbench", "built-in")}


def test_a_built_in_may_be_asked_for_with_its_origin() -> None:
    assert loss_info("lossbench/center") is loss_info("center")


def test_names_and_specs_cost_no_torch() -> None:
    """`import lossbench`, its names, `list_losses` and reading a formula import no torch."""
    code = (
        "import sys, lossbench, lossbench.expression; lossbench.list_losses(); dir(lossbench); lossbench.LossSpec;"
        "lossbench.expression.parse_formula('a + b'); print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("False False\n", "")


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(lossbench, name) is not None for name in lossbench.__all__)
    assert set(lossbench.__all__) <= set(dir(lossbench))
    with pytest.raises(AttributeError, match="module 'lossbench' has no attribute 'creat_loss'"):
        lossbench.creat_loss  # noqa: B018


# What a formula means

CLUSTER = 'weighted-softmax + 0.3*weighted-cluster(separation="mean", delta=0.001'


@pytest.mark.parametrize(
    ("formula", "expanded"),
    [
        ("softmax", "softmax"),
        ("2*softmax", "2*softmax"),
        ("weighted-softmax(power=0.5)", "weighted-softmax(power=0.5)"),
        # one auxiliary name: its joint objective
        ("center", "softmax + 0.001*center"),
        ("center()", "softmax + 0.001*center"),
        ("lossbench/center", "softmax + 0.001*lossbench/center"),
        ("triplet", "softmax + 0.1*triplet"),
        ("weighted-cluster", f"{CLUSTER})"),
        # its arguments replace those of the joint formula one by one; the primary keeps its own
        ("center(alpha=0.1)", "softmax + 0.001*center(alpha=0.1)"),
        ("center(coefficient=0.01)", "softmax + 0.01*center"),
        ("center(alpha=0.1, coefficient=2)", "softmax + 2*center(alpha=0.1)"),
        ("weighted-cluster(power=0.5)", f"{CLUSTER}, power=0.5)"),
        ("weighted-cluster(delta=1)", 'weighted-softmax + 0.3*weighted-cluster(separation="mean", delta=1)'),
        # any longer formula: bare terms
        ("softmax + center", "softmax + center"),
        ("softmax + 0.1*center(alpha=0.5)", "softmax + 0.1*center(alpha=0.5)"),
        ("softmax + weighted-cluster", "softmax + weighted-cluster"),
        ("0.1*center + 3*softmax", "0.1*center + 3*softmax"),
    ],
)
def test_expansion(formula: str, expanded: str) -> None:
    assert str(expand_formula(formula)) == expanded
    create_loss(formula, CONTEXT)


def test_keyword_arguments_are_arguments_of_the_one_loss() -> None:
    assert str(expand_formula("center", alpha=0.1, coefficient=0.5)) == "softmax + 0.5*center(alpha=0.1)"
    assert str(expand_formula("center(alpha=0.2)", alpha=0.1)) == "softmax + 0.001*center(alpha=0.1)"
    assert str(expand_formula("2*weighted-softmax", power=0.5)) == "2*weighted-softmax(power=0.5)"


def test_arguments_and_coefficients_reach_the_losses() -> None:
    loss = create_loss("weighted-cluster(delta=0.5, coefficient=0.25)", CONTEXT)
    assert isinstance(loss, WeightedSum)
    assert loss.names == ("weighted-softmax", "weighted-cluster")
    assert loss.coefficients == (1.0, 0.25)
    term = loss.terms[1]
    assert (term.delta, term.separation) == (0.5, "mean")
    assert create_loss("softmax + weighted-cluster", CONTEXT).terms[1].separation == "sum"  # bare: its own defaults


def test_one_term_of_coefficient_one_is_the_loss_itself() -> None:
    assert (
        type(create_loss("softmax", CONTEXT)) is type(create_loss("1*softmax", CONTEXT)) is loss_info("softmax").factory
    )
    assert isinstance(create_loss("2*softmax", CONTEXT), WeightedSum)


# What is refused


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        (
            "0.1*center",
            FormulaError,
            r"^no term of '0.1\*center' .* stay untrained.* of center does: softmax \+ 0.001\*center$",
        ),
        ("1*triplet", FormulaError, r"joint objective of triplet does: softmax \+ 0.1\*triplet$"),
        ("center + triplet", FormulaError, r"joint objective of center does: softmax \+ 0.001\*center$"),
        ("centre", UnknownLossError, "^unknown loss 'centre'. Did you mean 'center'"),
        ("softmax + 0.1*weighted-clutser", UnknownLossError, "Did you mean 'weighted-cluster'"),
        ("nowhere/center", UnknownLossError, "unknown loss 'nowhere/center'"),
        ("zzz", UnknownLossError, "Known: .*center, .*To list all: lossbench list"),
        ("center(alhpa=1)", HyperparameterError, "^center has no hyper-parameter 'alhpa'. Did you mean 'alpha'"),
        ("softmax(power=1)", HyperparameterError, "^softmax has no hyper-parameter 'power'. It has none."),
        ("softmax(coefficient=2)", HyperparameterError, "softmax has no hyper-parameter 'coefficient'"),
        ("softmax + center(coefficient=2)", HyperparameterError, "center has no hyper-parameter 'coefficient'"),
        ("center(coefficient=0)", HyperparameterError, "center: coefficient must be a positive number, got 0"),
        ("center(coefficient=-1)", HyperparameterError, "coefficient must be a positive number, got -1"),
        ("center(coefficient=big)", HyperparameterError, "coefficient must be a positive number, got 'big'"),
        ("center(coefficient=true)", HyperparameterError, "coefficient must be a positive number, got True"),
        ("softmax + ", FormulaError, "expected the name of a loss, found the end"),
    ],
)
def test_what_is_no_objective_is_refused(formula: str, error: type[UsageError], message: str) -> None:
    for ask in (expand_formula, lambda text: create_loss(text, CONTEXT)):
        with pytest.raises(error, match=message):
            ask(formula)


@pytest.mark.parametrize("coefficient", [float("nan"), float("inf"), 0.0])
def test_a_coefficient_given_by_keyword_is_finite_and_positive_too(coefficient: float) -> None:
    with pytest.raises(HyperparameterError, match="center: coefficient must be a positive number, got"):
        create_loss("center", CONTEXT, coefficient=coefficient)


def test_keyword_arguments_beside_a_longer_formula_are_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"one of several losses; write them into 'softmax \+ center'"):
        create_loss("softmax + center", CONTEXT, alpha=0.5)


def test_terms_that_need_different_heads_are_refused(register: Callable[[LossSpec], LossSpec]) -> None:
    register(spec("angular", lambda context: Flat(context, 1.0), needs=frozenset({Need.COSINE_LOGITS})))
    with pytest.raises(FormulaError, match=r"^angular needs cosine logits and softmax, weighted-softmax plain ones"):
        expand_formula("softmax + angular + weighted-softmax")
    assert formula_needs(expand_formula("angular + 0.1*center")) == {Need.COSINE_LOGITS, Need.EMBEDDINGS}


# Losses of this process


def test_a_registered_loss_is_a_loss_like_any_other(register: Callable[[LossSpec], LossSpec]) -> None:
    mine = register(spec())
    assert loss_info("flat") is mine
    assert "flat" in list_losses()
    assert mine.hyperparameters["bias"] == 1.0
    loss = create_loss("flat(slope=3, bias=2)", CONTEXT)
    assert (loss.slope, loss.bias) == (3, 2)
    (row,) = [row for row in loss_entries() if row.name == "flat"]
    assert (row.status, row.origin, row.summary) == ("usable", "this process", "Flat.")


def test_a_hyperparameter_without_default_must_be_given(register: Callable[[LossSpec], LossSpec]) -> None:
    register(spec())
    with pytest.raises(HyperparameterError, match=r"^flat needs a value for 'slope', as in flat\(slope=…\)$"):
        create_loss("flat", CONTEXT)


@pytest.mark.parametrize("name", ["softmax", "flat"])
def test_a_taken_name_is_refused(register: Callable[[LossSpec], LossSpec], name: str) -> None:
    register(spec())
    owner = "lossbench" if name == "softmax" else "this process"
    with pytest.raises(UsageError, match=f"^the name '{name}' is already used by {owner}; choose another name$"):
        register(spec(name))
    assert loss_info("softmax").factory is not Flat


@pytest.mark.parametrize("name", ["Flat", "my_loss", "-a", "a--b", "", "1st", "a b"])
def test_a_name_is_kebab_case(name: str) -> None:
    with pytest.raises(ValueError, match=f"kebab-case, such as 'my-loss', got {name!r}"):
        spec(name)


def test_an_auxiliary_loss_states_its_joint_objective() -> None:
    with pytest.raises(
        ValueError, match=r"flat: an auxiliary loss must state its joint objective, such as 'softmax \+ 1\*flat'"
    ):
        spec(auxiliary=True)


def broken_factory(context: LossContext, **anything: object) -> Loss:
    raise ZeroDivisionError("a bug of its author")


def test_a_factory_that_fails_is_named(register: Callable[[LossSpec], LossSpec]) -> None:
    register(spec("faulty", broken_factory))
    with pytest.raises(
        HyperparameterError, match=r"^faulty of this process cannot be built: ZeroDivisionError: a bug of"
    ):
        create_loss("faulty", CONTEXT)


def test_a_factory_must_build_a_loss(register: Callable[[LossSpec], LossSpec]) -> None:
    register(spec("foreign", lambda context: torch.nn.CrossEntropyLoss()))
    with pytest.raises(
        PluginError, match=r"^foreign of this process must return a lossbench.Loss, got CrossEntropyLoss$"
    ):
        create_loss("foreign", CONTEXT)


def test_starred_arguments_are_no_hyperparameters() -> None:
    def factory(context: LossContext, *rest: object, gamma: float = 2.0, **more: object) -> Loss:
        return Flat(context, gamma)

    assert spec(factory=factory).hyperparameters == {"gamma": 2.0}


def test_a_factory_with_open_keywords_judges_them_itself() -> None:
    def build(context: LossContext, margin: float = 1.0, **others: object) -> Loss:
        raise ValueError(f"unknown {sorted(others)}")

    spec = LossSpec(name="open", factory=build, summary="-", reference="-", needs=frozenset({Need.LOGITS}))
    spec.check_hyperparameters({"margin": 2.0, "anything": 1})
    assert spec.hyperparameters == {"margin": 1.0}
