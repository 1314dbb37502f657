"""The adapted losses: which there are, how they are built, that they are guarded, and what of them is refused."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm.loss
import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor, nn

import lossbench
from lossbench import LossContext, ModelOutput, Need, Trait, create_loss, loss_info
from lossbench.contract import check_contract, made_batch
from lossbench.errors import HyperparameterError, NonFiniteError, PluginError, UnknownLossError
from lossbench.harness.run import run
from lossbench.harness.training.guard import FiniteGuard
from lossbench.registry import loss_entries
from lossbench.runs.options import RunConfig
from lossbench.testing import find_law, judge, resolve
from lossbench_metric_learning import pml, timm_losses, torch_losses
from lossbench_metric_learning.guarded import GuardedLoss, Origin

CONTEXT = LossContext(num_classes=4, embedding_dim=6, class_counts=(40, 30, 20, 10))
ORIGINS = (pml.ORIGIN, timm_losses.ORIGIN, torch_losses.ORIGIN)
REQUIRED = {"pml/RankedListLoss": "(margin=0.4, Tn=1)"}
NAMES = [f"{origin.name}/{name}" for origin in ORIGINS for name in origin.names()]


def classes(module: Any, suffix: str = "") -> set[str]:
    return {name for name, each in vars(module).items() if inspect.isclass(each) and name.endswith(suffix)}


@pytest.mark.parametrize(
    ("origin", "offered"),
    [
        (pml.ORIGIN, classes(losses) - {"EmbeddingRegularizerMixin", "WeightRegularizerMixin"}),
        (torch_losses.ORIGIN, classes(torch.nn, "Loss") | {"AdaptiveLogSoftmaxWithLoss"}),
        (timm_losses.ORIGIN, classes(timm.loss)),
    ],
    ids=lambda value: value.name if isinstance(value, Origin) else "",
)
def test_every_loss_of_a_library_fits_or_is_refused_with_a_reason(origin: Origin, offered: set[str]) -> None:
    assert set(origin.names()) | (set(origin.refused) & offered) == offered
    assert not set(origin.factories) & set(origin.refused)


def test_the_list_shows_them_all_with_their_origin() -> None:
    rows = {row.name: row for row in loss_entries(load=True) if "/" in row.name}
    assert rows.keys() >= set(NAMES)
    for name in NAMES:
        assert (rows[name].status, rows[name].origin) == ("usable", "lossbench-metric-learning")
    assert len(NAMES) >= 44


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # the libraries' own
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_built_pure_differentiable_and_guarded(name: str) -> None:
    """On an ordinary batch; in half precision the value is that of float32, and parameters keep their dtype."""
    spec = loss_info(name)
    loss = create_loss(f"1*{name}{REQUIRED.get(name, '')} + softmax", CONTEXT).terms[0]
    output, targets = made_batch(CONTEXT)
    check_contract(loss, output, targets)
    value = loss(output, targets)
    assert value.equal(loss(output, targets))
    half = ModelOutput(output.embeddings.bfloat16(), output.logits.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss(half, targets)
    assert rounded.dtype is torch.float32
    assert rounded.equal(loss(ModelOutput(half.embeddings.float(), half.logits.float()), targets))
    assert {parameter.dtype for parameter in loss.parameters()} <= {torch.float32}
    for copied in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert copied(output, targets).equal(value)
    assert set(spec.state_axes) <= set(loss.state_dict())
    assert spec.auxiliary == (spec.needs == {Need.EMBEDDINGS})
    assert spec.joint == (f"softmax + 1*{name}" if spec.auxiliary else None)


def test_a_loss_that_must_be_given_values_is_judged_with_some() -> None:
    for name, arguments in REQUIRED.items():
        assert [str(configuration) for configuration in resolve(name)] == [name + arguments]


def test_parts_are_made_of_their_names() -> None:
    formula = (
        'pml/TripletMarginLoss(miner="BatchHardMiner", distance="LpDistance(p=1, power=2)", reducer="MeanReducer")'
    )
    loss = create_loss(formula, CONTEXT)
    assert loss.names == ("softmax", "pml/TripletMarginLoss")
    mined = loss.terms[1].inner
    assert isinstance(mined.miner, miners.BatchHardMiner)
    assert isinstance(mined.loss.distance, distances.LpDistance)
    assert (mined.loss.distance.p, mined.loss.distance.power) == (1, 2)
    assert type(mined.loss.reducer) is reducers.MeanReducer
    nested = create_loss("pml/TripletMarginLoss(reducer=\"PerAnchorReducer(reducer='SumReducer')\")", CONTEXT)
    assert type(nested.terms[1].inner.reducer.reducer) is reducers.SumReducer


def test_the_value_is_the_library_s_own() -> None:
    output, targets = made_batch(CONTEXT)
    distance = distances.LpDistance(p=1)
    triplets = miners.BatchHardMiner(distance=distance)(output.embeddings, targets)
    expected = losses.TripletMarginLoss(distance=distance, margin=0.3)(output.embeddings, targets, triplets)
    text = "LpDistance(p=1)"
    formula = (
        f'softmax + pml/TripletMarginLoss(margin=0.3, distance="{text}", miner="BatchHardMiner(distance=\'{text}\')")'
    )
    found = create_loss(formula, CONTEXT).terms[1](output, targets)
    assert found.equal(expected)


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("pml/CrossBatchMemory", PluginError, r"is not supported: it keeps embeddings of earlier steps"),
        ("torch/NLLLoss", PluginError, "on logits that is torch/CrossEntropyLoss"),
        ("timm/JsdCrossEntropy", PluginError, "several augmented copies"),
        ("pml/CircleLos", UnknownLossError, "has no loss 'CircleLos'. Did you mean 'CircleLoss'"),
        ("pml/CircleLoss(marg=2)", HyperparameterError, "pml/CircleLoss has no hyper-parameter 'marg'"),
        ("pml/CircleLoss(distance=LpDistance)", HyperparameterError, "requires the distance metric to be CosineSimil"),
        (
            "pml/ContrastiveLoss(distance=LpDistanc)",
            HyperparameterError,
            "no distance 'LpDistanc'. Did you mean 'LpDis",
        ),
        ("pml/ContrastiveLoss(distance=3)", HyperparameterError, "distance must be the name of one, such as 'CosineS"),
        ('pml/ContrastiveLoss(distance="Lp(")', HyperparameterError, "distance='Lp\\(' cannot be read"),
        ('pml/NCALoss(distance="LpDistance(q=1)")', HyperparameterError, "distance LpDistance takes no 'q'"),
        ('pml/NCALoss(reducer="MultipleReducers")', HyperparameterError, "a dictionary of reducers"),
        ('pml/NCALoss(miner="AngularMiner(angle=x)")', HyperparameterError, "cannot be built: "),
        ("pml/RankedListLoss", HyperparameterError, "needs a value for 'margin'"),
    ],
)
def test_what_does_not_fit_is_refused_in_clear_words(formula: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create_loss(formula, CONTEXT)


@pytest.mark.parametrize(
    "loss", ["ArcFaceLoss(", "ProxyAnchorLoss(margin=0.2, ", "SoftTripleLoss(", "MarginLoss(learn_beta=true, "]
)
def test_proxies_have_a_learning_rate_of_their_own(loss: str) -> None:
    formula = f"pml/{loss}lr_scale=100)"
    made = create_loss(formula, CONTEXT)
    assert made.traits == create_loss(formula.replace("lr_scale=100", "").replace(", )", ")"), CONTEXT).traits
    (group,) = made.param_groups()
    assert (group["lr_scale"], group["weight_decay"]) == (100.0, 0.0)
    head = nn.Linear(CONTEXT.embedding_dim, CONTEXT.num_classes)
    criterion = lossbench.attach(formula, head=head)
    optimizer = criterion.follow(torch.optim.SGD([*head.parameters(), *criterion.parameters()], lr=0.01))
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 1.0]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("pml/ArcFaceLoss(lr_scale=0)", "lr_scale must be above 0, got 0"),
        ("pml/MarginLoss(lr_scale=10)", "lr_scale=10 has no effect: the loss learns no parameters"),
        ("torch/CrossEntropyLoss(lr_scale=10)", "has no hyper-parameter 'lr_scale'"),
    ],
)
def test_a_learning_rate_of_nothing_is_refused(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        create_loss(formula, CONTEXT)


def test_traits_are_those_of_the_parts() -> None:
    """A Euclidean distance ends invariance to scale; other parts leave what is certain."""

    def traits(formula: str) -> frozenset[Trait]:
        found: frozenset[Trait] = create_loss(f"softmax + {formula}", CONTEXT).terms[1].traits
        return found

    assert Trait.SCALE_INVARIANT in traits("pml/TripletMarginLoss(margin=0.1)")
    changed = traits('pml/TripletMarginLoss(distance="LpDistance(normalize_embeddings=false)")')
    assert changed == {Trait.BATCH_COUPLED, Trait.LABEL_EQUALITY}
    assert traits("pml/ArcFaceLoss") >= {Trait.SAMPLEWISE, Trait.SHARDABLE}


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("pml/TripletMarginLoss", "nan-surfaces"),
        ("pml/TripletMarginLoss", "one-zero-row"),
        ("pml/ArcFaceLoss", "empty-batch"),
        ("torch/CrossEntropyLoss", "empty-batch"),
        ("timm/AsymmetricLossSingleLabel", "float-labels"),
    ],
)
@pytest.mark.long
def test_a_true_failure_of_a_peer_is_shown(name: str, law: str) -> None:
    assert judge(resolve(name)[0], find_law(law)).status == "failed"


@pytest.mark.parametrize("law", ["forward-changes-no-state", "half-precision", "gradient-of-state", "renamed-classes"])
def test_what_the_adapter_protects_from_is_no_failure(law: str) -> None:
    """Without it, the first two fail: this loss puts its weights into the dtype of its input."""
    assert judge(resolve("pml/ArcFaceLoss")[0], find_law(law)).status == "passed"
    if law == "forward-changes-no-state":
        assert judge(resolve("pytorch_metric_learning.losses:ArcFaceLoss")[0], find_law(law)).status == "failed"


class Counting(nn.Module):
    """Counts its calls in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.cross_entropy(logits, labels)


class Retyping(nn.Module):
    """Puts its parameter into another dtype, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.scale.data = self.scale.data.to(torch.float16)
        return nn.functional.cross_entropy(logits, labels)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (Counting(), r"its forward changed its state, inner\.calls\. Forward is pure"),
        (Retyping(), r"its forward changed its state, inner\.scale \(torch\.float32 became torch\.float16\)"),
    ],
)
def test_a_loss_that_writes_to_its_state_is_refused_before_the_first_step(inner: nn.Module, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check_contract(GuardedLoss(inner, "logits"), *made_batch(CONTEXT))


def test_a_nan_that_a_loss_hides_stops_a_run() -> None:
    """Value and gradients are finite: only the model's own output tells."""
    output, targets = made_batch(CONTEXT)
    logits = output.logits.clone()
    logits[0, 1] = torch.nan
    head = nn.Linear(6, 4)
    value = create_loss("torch/MultiMarginLoss", CONTEXT)(
        ModelOutput(output.embeddings, head(output.embeddings) * 0 + logits), targets
    )
    guard = FiniteGuard(head, torch.device("cpu"))
    (leaf,) = torch.autograd.grad(value, [head.bias], retain_graph=True)
    assert value.isfinite()
    assert leaf.isfinite().all()
    with pytest.raises(NonFiniteError, match="a gradient or the model's output is non-finite"):
        guard.after_backward(value.detach(), (output.embeddings, logits))


@pytest.mark.long
def test_learned_proxies_are_trained_and_saved(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    config = RunConfig(
        loss="pml/ProxyAnchorLoss(coefficient=0.1)", data="synthetic(images=400, test_images_per_class=10)", epochs=2,
        device="cpu", precision="bf16",
    )  # fmt: skip
    record = run(config, tmp_path / "run").record
    assert record is not None
    assert record.formula == "softmax + 0.1*pml/ProxyAnchorLoss"
    saved = load_file(tmp_path / "run" / "checkpoint" / "weights.safetensors")
    (name, proxies), *others = [(k, v) for k, v in saved.items() if "proxies" in k]
    assert not others
    context = LossContext(
        num_classes=proxies.shape[0], embedding_dim=proxies.shape[1], class_counts=(1,) * len(proxies), seed=0
    )
    fresh = create_loss("softmax + 0.1*pml/ProxyAnchorLoss", context).state_dict()[name.removeprefix("loss.")]
    assert proxies.dtype is torch.float32
    assert not proxies.equal(fresh)
    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert all(row["gradient_ratio"]["pml/ProxyAnchorLoss"] > 0 for row in rows)
