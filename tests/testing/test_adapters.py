"""Losses of other libraries behind the interface: what they take is worked out, what is wrong with them is seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lossbench.adapters import AdaptedLoss, known_traits
from lossbench.errors import UsageError
from lossbench.testing import Configuration, Effort, Result, find_law, fixed_case, judge
from lossbench.testing.resolve import resolve
from lossbench.traits import Need, Trait
from lossbench.types import ModelOutput

PML = "pytorch_metric_learning.losses"
FROM_FORMULA = Path(__file__).parents[2] / "benchmarks" / "peers_from_formula.py"

MODULE = '''
import torch.nn.functional as F
from torch import nn

class Needy(nn.Module):
    """Must be told its margin."""
    def __init__(self, margin):
        super().__init__()
    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets)

class Broken(nn.Module):
    def __init__(self):
        raise OSError("no disk")
    def forward(self, logits, targets): ...

class Exits(nn.Module):
    def __init__(self):
        raise SystemExit(3)
    def forward(self, logits, targets): ...

class Greedy(nn.Module):
    def forward(self, logits, targets, images):
        return F.cross_entropy(logits, targets)

class Pair(nn.Module):
    def forward(self, logits, targets):
        return logits, targets

class Base(nn.Module):
    def __init__(self, num_classes, feat_dim, scale=1.0):
        super().__init__()
        self.value = num_classes * feat_dim * scale
    def forward(self, x, y):
        return 0 * x.sum() + self.value

class HandsOn(Base):
    def __init__(self, *args, scale=2.0, **kwargs):
        super().__init__(*args, scale=scale, **kwargs)

weighted = nn.CrossEntropyLoss(label_smoothing=0.1)

def by_keyword(inputs, *, target=None):
    return inputs.sum()

number = 3
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module of other people's losses, importable in one test."""
    name = "losses_of_others"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("target", "reads", "form"),
    [
        ("torch.nn:CrossEntropyLoss", "logits", "labels"),
        ("torch.nn.functional:multi_margin_loss", "logits", "labels"),
        ("torch.nn:TripletMarginLoss", "embeddings", "triplets"),
        ("timm.loss:LabelSmoothingCrossEntropy", "logits", "labels"),
        ("timm.loss:SoftTargetCrossEntropy", "logits", "one-hot"),
        ("timm.loss:BinaryCrossEntropy", "logits", "labels"),
        (f"{PML}:SupConLoss", "embeddings", "labels"),
        (f"{PML}:ArcFaceLoss", "embeddings", "labels"),
        (f"{FROM_FORMULA}:CenterLoss", "embeddings", "labels"),
    ],
)
def test_what_a_loss_takes_is_worked_out(target: str, reads: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a file's folder is put on it
    (configuration,) = resolve(target)
    assert configuration.spec.needs == {Need(reads)}
    assert isinstance(configuration.specimen, AdaptedLoss)
    assert configuration.specimen.form == form
    assert configuration.undeclared_is_unknown


def test_what_a_loss_takes_may_be_told() -> None:
    (configuration,) = resolve("torch.nn:CrossEntropyLoss", takes="embeddings", traits=["convex"])
    assert configuration.reads == ("embeddings",)
    assert configuration.declares(Trait.CONVEX)


def test_sizes_go_to_a_constructor_that_hands_them_on(module: str) -> None:
    for target, scale in ((f"{module}:Base", 1), (f"{module}:HandsOn", 2), (f"{module}:HandsOn(scale=5)", 5)):
        (configuration,) = resolve(target)
        case = fixed_case(classes=3, dim=7)
        assert float(configuration.build(case.context)(case.output(), case.labels())) == 3 * 7 * scale
        assert configuration.reads == ("embeddings",)


def test_parameters_are_drawn_from_the_seed_of_the_task_alone() -> None:
    (configuration,) = resolve(f"{PML}:CosFaceLoss")
    assert configuration.spec.state_axes == {"inner.W": ("embedding", "class")}
    before = torch.get_rng_state()
    one, other = (configuration.build(fixed_case().context).state_dict() for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one["inner.W"], other["inner.W"])
    assert one["inner.W"].shape == (6, 4)


def test_an_instance_is_judged_as_it_is(module: str) -> None:
    (configuration,) = resolve(f"{module}:weighted")
    case = fixed_case()
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(case.output().logits, case.labels())
    assert torch.equal(configuration.build(case.context)(case.output(), case.labels()), expected)
    assert not configuration.declares(Trait.MONOTONE)


def test_traits_of_the_defaults_go_with_the_defaults() -> None:
    assert Trait.WEIGHTED_LIKELIHOOD in known_traits(nn.CrossEntropyLoss, defaults=True)
    assert Trait.WEIGHTED_LIKELIHOOD not in known_traits(nn.CrossEntropyLoss, defaults=False)
    assert Trait.CONVEX in known_traits(nn.CrossEntropyLoss, defaults=False)
    assert known_traits(nn.L1Loss, defaults=True) == frozenset()
    (smoothed,) = resolve("torch.nn:CrossEntropyLoss(label_smoothing=0.1)")
    assert smoothed.declares(Trait.SHIFT_INVARIANT)
    assert not smoothed.declares(Trait.MONOTONE)
    (pairs,) = resolve(f"{PML}:SupConLoss")
    assert pairs.declares(Trait.BATCH_COUPLED)
    assert not pairs.declares(Trait.SHARDABLE)


class Seen(nn.Module):
    """Keeps what it was called with."""

    def forward(self, *tensors: Tensor) -> Tensor:
        self.tensors = tensors
        return tensors[0].sum()


def test_triplets_are_all_those_of_the_batch() -> None:
    seen = Seen()
    rows = torch.arange(4.0).unsqueeze(1)
    AdaptedLoss(seen, "embeddings", "triplets")(ModelOutput(rows, rows), torch.tensor([0, 0, 1, 0]))
    found = {tuple(int(x) for x in triplet) for triplet in torch.cat(seen.tensors, dim=1)}
    assert found == {(a, p, 2) for a in (0, 1, 3) for p in (0, 1, 3) if a != p}


@pytest.mark.parametrize(
    ("form", "targets", "message"),
    [
        ("one-hot", torch.tensor([0, 3]), r"targets must lie in \[0, 3\), got 3 in row 1"),
        ("one-hot", torch.tensor([-1, 0]), r"targets must lie in \[0, 3\), got -1 in row 0"),
        ("one-hot", torch.tensor([0.0, 1.0]), r"targets must be whole numbers of shape \(B,\), got torch.float32 of"),
        ("triplets", torch.tensor([[0], [1]]), r"targets must be whole numbers of shape \(B,\), got torch.int64 of"),
        ("triplets", torch.tensor([0]), "targets must be one label for each of 2 rows, got 1"),
    ],
)
def test_labels_that_an_adapter_translates_are_checked(form: str, targets: Tensor, message: str) -> None:
    rows = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=message):
        AdaptedLoss(Seen(), "logits", form)(ModelOutput(rows, rows), targets)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("{m}:number", {}, "{m}:number is not a loss; expected a torch.nn.Module, a lossbench.Loss or a function"),
        ("{m}:Needy", {}, "{m}:Needy needs a value for 'margin', as in {m}:Needy(margin=…)"),
        ("{m}:Needy(margn=1)", {}, "{m}:Needy has no hyper-parameter 'margn'. Did you mean 'margin'?"),
        ("{m}:Broken", {}, "{m}:Broken cannot be built: OSError: no disk"),
        ("{m}:Exits", {}, "{m}:Exits cannot be built: SystemExit: 3"),
        ("{m}:Greedy", {}, "cannot be called with logits of 12 rows and their labels: TypeError"),
        ("{m}:Pair", {}, "{m}:Pair returns tuple, expected a tensor"),
        ("{m}:by_keyword", {}, "cannot be called with logits of 12 rows and their labels: TypeError"),
        ("torch.nn:CosineEmbeddingLoss", {}, "CosineEmbeddingLoss(input1, …) takes logits or embeddings; pass --takes"),
        ("torch.nn:TripletMarginLoss", {"takes": "rows"}, "--takes must be logits or embeddings, got 'rows'"),
        ("torch.nn:CrossEntropyLoss", {"traits": ["monoton"]}, "no trait 'monoton'. Did you mean 'monotone'?"),
        ("torch.nn:CrossEntropyLoss(smoothing=1)", {}, "has no hyper-parameter 'smoothing'. Did you mean"),
        (f"{PML}:ArcFaceLos", {}, f"{PML} has no 'ArcFaceLos'. Did you mean 'ArcFaceLoss'"),
    ],
)
def test_what_can_not_be_judged_is_refused_in_one_message(
    module: str, target: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(target.replace("{m}", module), **options)  # type: ignore[arg-type]
    assert message.replace("{m}", module) in str(refused.value)


def judged(target: str, law: str, *traits: str, configuration: Configuration | None = None) -> Result:
    (found,) = [configuration] if configuration else resolve(target, traits=traits)
    return judge(found, find_law(law), Effort(compile=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "law", "message"),
    [
        (f"{PML}:TripletMarginLoss", "nan-surfaces", "with NaN gradients; expected NaN or an error"),
        (f"{PML}:TripletMarginLoss", "memory-growth", "peak memory grows as B^3"),
        pytest.param(f"{PML}:NTXentLoss", "memory-growth", "peak memory grows as B^4", marks=pytest.mark.long),
        pytest.param(f"{PML}:SupConLoss", "half-precision", "float16 with a zero row", marks=pytest.mark.long),
        (f"{PML}:ArcFaceLoss", "forward-changes-no-state", "inner.W, by a call with float64, from torch.float32 to"),
        (f"{PML}:ArcFaceLoss", "one-zero-row", "the gradient of a zero row is"),
        (f"{PML}:NormalizedSoftmaxLoss", "label-out-of-range", "label -100 of 2 classes is accepted and gives"),
        (f"{PML}:ProxyNCALoss", "float-labels", "labels in float32 is accepted"),
        ("torch.nn:CrossEntropyLoss", "empty-batch", "an empty batch gives nan, expected 0 or a ValueError"),
        pytest.param("torch.nn:CrossEntropyLoss", "half-precision", "right: ", marks=pytest.mark.long),
        ("torch.nn:MultiMarginLoss", "empty-batch", "an empty batch gives nan, expected 0 or a ValueError"),
        ("torch.nn:MultiMarginLoss", "bad-hyperparameters", "margin=nan is accepted at construction and gives 0"),
        ("timm.loss:AsymmetricLossSingleLabel", "unequal-lengths", "1 labels for 2 rows is accepted"),
        ("timm.loss:AsymmetricLossSingleLabel", "unknown-option", "gives a tensor of shape (12,)"),
    ],
)
def test_known_faults_of_others_are_found(target: str, law: str, message: str) -> None:
    result = judged(target, law)
    assert (result.status, result.silent) == ("failed", True), result.message
    assert message in result.message


@pytest.mark.slow
def test_what_others_do_right_is_not_held_against_them() -> None:
    refused = judged("torch.nn:CrossEntropyLoss", "unknown-option")
    assert (refused.status, refused.silent) == ("failed", False)
    assert "accepted at construction and refused at the first call, as ValueError: no-such-word" in refused.message
    column_weights = judged("timm.loss:BinaryCrossEntropy", "weight-zero")
    assert column_weights.message == "its weights may multiply something else than the loss of a row"
    triplets = judged("torch.nn:TripletMarginLoss", "memory-growth")
    assert triplets.message == "it is given every triplet of the batch, a list that grows as B^3"
    # A batch without a triplet is a zero, and no call: torch's mean over nothing is NaN.
    assert judged("torch.nn:TripletMarginLoss", "one-class").status == "passed"
    for law in ("gradient-of-inputs", "scale"):  # a zero row lies on a kink
        assert judged(f"{PML}:SoftTripleLoss", law).status == "passed"


@pytest.mark.slow
def test_centers_cancel_far_from_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (center,) = resolve(f"{FROM_FORMULA}:CenterLoss", traits=["translation-invariant", "scale-safe"])
    assert center.spec.state_axes == {"inner.centers": ("class", "embedding")}
    far = judged("", "float32-far-from-the-origin", configuration=center)
    assert far.status == "failed"
    assert far.message.startswith("moved by 1000 against unmoved: ")
    assert judged("", "translation", configuration=center).status == "passed"
    assert judged("", "extreme-norms", configuration=center).message.startswith("the value at 1e+20 is nan")
