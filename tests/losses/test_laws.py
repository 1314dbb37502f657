"""The laws that every built-in loss obeys in every variant; a symmetry holds exactly where its trait is declared."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

import lossbench
from lossbench import Loss, LossContext, ModelOutput, Need, Trait, loss_info
from lossbench.errors import HyperparameterError, UsageError
from lossbench.losses import BUILT_INS
from lossbench.losses.arguments import matrix

C, D, B = 4, 6, 12
CONTEXT = LossContext(num_classes=C, embedding_dim=D, class_counts=(50, 20, 8, 3))
TARGETS = torch.tensor([0, 1, 2, 3, 0, 0, 1, 2, 0, 3, 1, 0])
EVERY_CLASS = torch.arange(B) % C


@dataclass(frozen=True)
class Subject:
    """One loss in one variant, its state fresh or started."""

    name: str
    variant: dict[str, object] = field(hash=False)
    started: bool = False

    def __str__(self) -> str:
        given = ",".join(f"{k}={v}" for k, v in self.variant.items())
        return f"{self.name}({given})" + ("-started" if self.started else "")

    def build(self, dtype: torch.dtype = torch.float64) -> Loss:
        loss = loss_info(self.name).factory(CONTEXT, **self.variant).to(dtype)
        if self.started:
            loss.update_state(random_output(7, dtype=dtype), EVERY_CLASS)
        return loss

    @property
    def reads(self) -> str:
        return "logits" if Need.LOGITS in loss_info(self.name).needs else "embeddings"


def subjects() -> Iterator[Subject]:
    for name in (b.name for b in BUILT_INS):
        spec = loss_info(name)
        for variant in ({}, *spec.variants):
            yield Subject(name, dict(variant))
            if spec.state_axes:
                yield Subject(name, dict(variant), started=True)


ALL = list(subjects())
# Of a loss with state, a fresh one is zero everywhere, which has every symmetry.
ALIVE = [s for s in ALL if s.started or not loss_info(s.name).state_axes]
every = pytest.mark.parametrize("subject", ALL, ids=str)
alive = pytest.mark.parametrize("subject", ALIVE, ids=str)


def with_trait(trait: Trait) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("subject", [s for s in ALL if trait in s.build().traits], ids=str)


def random_output(seed: int = 0, dtype: torch.dtype = torch.float64, batch: int = B) -> ModelOutput:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, D, generator=generator, dtype=torch.float64)
    z = 2 * torch.randn(batch, C, generator=generator, dtype=torch.float64)
    return ModelOutput(x.to(dtype), z.to(dtype))


def changed(output: ModelOutput, what: str, change: Callable[[Tensor], Tensor]) -> ModelOutput:
    return output._replace(**{what: change(getattr(output, what))})


def leaves(output: ModelOutput) -> ModelOutput:
    return ModelOutput(output.embeddings.clone().requires_grad_(), output.logits.clone().requires_grad_())


def gradient(loss: Loss, output: ModelOutput, what: str, targets: Tensor = TARGETS) -> Tensor:
    output = leaves(output)
    return torch.autograd.grad(loss(output, targets), getattr(output, what))[0]


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-9, atol=1e-12)


# Calculus


@every
def test_gradients_are_those_of_finite_differences(subject: Subject) -> None:
    loss, output = subject.build(), leaves(random_output())
    assert torch.autograd.gradcheck(
        lambda tensor: loss(output._replace(**{subject.reads: tensor}), TARGETS), getattr(output, subject.reads)
    )


@with_trait(Trait.TWICE_DIFFERENTIABLE)
def test_second_derivatives_where_declared(subject: Subject) -> None:
    loss, output = subject.build(), leaves(random_output())
    assert torch.autograd.gradgradcheck(
        lambda tensor: loss(output._replace(**{subject.reads: tensor}), TARGETS), getattr(output, subject.reads)
    )


@with_trait(Trait.VMAP)
def test_vmap_over_batches_where_declared(subject: Subject) -> None:
    loss, outputs = subject.build(), [random_output(seed) for seed in range(3)]
    x, z = (torch.stack(tensors) for tensors in zip(*((o.embeddings, o.logits) for o in outputs), strict=True))
    together = torch.func.vmap(lambda x, z, y: loss(ModelOutput(x, z), y))(x, z, TARGETS.expand(3, B))
    assert close(together, torch.stack([loss(output, TARGETS) for output in outputs]))


# Finiteness


@every
def test_logits_of_1e4_give_finite_values_and_a_gradient_where_the_label_is_wrong(subject: Subject) -> None:
    loss = subject.build(torch.float32)
    output = changed(random_output(dtype=torch.float32), "logits", lambda z: 1e4 * z.sign())
    value, reference = loss(output, TARGETS), subject.build()(output_as(output, torch.float64), TARGETS)
    torch.testing.assert_close(value.double(), reference, rtol=1e-3, atol=1e-6)
    slope = gradient(loss, output, subject.reads)
    assert slope.isfinite().all()
    wrong = output.logits.gather(1, TARGETS.unsqueeze(1)).squeeze(1) < 0
    if subject.reads == "logits":
        assert slope[wrong].any(dim=1).all()


def output_as(output: ModelOutput, dtype: torch.dtype) -> ModelOutput:
    return ModelOutput(output.embeddings.to(dtype), output.logits.to(dtype))


DEGENERATE: dict[str, Callable[[Tensor], Tensor]] = {
    "all zero": torch.zeros_like,
    "all rows equal": lambda t: t[:1].expand_as(t).clone(),
    "one zero row": lambda t: torch.cat([torch.zeros_like(t[:1]), t[1:]]),
}


@every
@pytest.mark.parametrize("what", DEGENERATE)
@pytest.mark.parametrize("targets", [TARGETS, torch.zeros_like(TARGETS)], ids=["mixed", "one class"])
def test_degenerate_batches_are_finite(subject: Subject, what: str, targets: Tensor) -> None:
    loss = subject.build(torch.float32)
    output = changed(random_output(dtype=torch.float32), subject.reads, DEGENERATE[what])
    assert loss(output, targets).isfinite()
    assert gradient(loss, output, subject.reads, targets).isfinite().all()


@pytest.mark.parametrize(
    "subject", [s for s in ALL if s.name == "triplet" and s.variant.get("normalize", True)], ids=str
)
def test_a_zero_row_has_no_direction_and_no_gradient(subject: Subject) -> None:
    output = changed(random_output(), "embeddings", DEGENERATE["one zero row"])
    slope = gradient(subject.build(), output, "embeddings")
    assert not slope[0].any()
    assert slope[1:].any()


@pytest.mark.parametrize(
    "subject", [s for s in ALL if s.name == "triplet" and s.variant.get("normalize", True)], ids=str
)
@pytest.mark.parametrize("scale", [1e20, 1e-20])
def test_normalised_rows_of_any_length_are_finite(subject: Subject, scale: float) -> None:
    loss, output = subject.build(torch.float32), random_output(dtype=torch.float32)
    scaled = loss(changed(output, "embeddings", lambda x: scale * x), TARGETS)
    torch.testing.assert_close(scaled, loss(output, TARGETS), rtol=1e-4, atol=1e-5)


@every
@pytest.mark.parametrize("targets", [TARGETS, torch.zeros_like(TARGETS), torch.arange(B) % C], ids=["", "one", "even"])
@pytest.mark.parametrize("row", [0, B - 1])
def test_nan_in_nan_out(subject: Subject, targets: Tensor, row: int) -> None:
    def poison(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor[row, 1] = torch.nan
        return tensor

    assert subject.build()(changed(random_output(), subject.reads, poison), targets).isnan()


@every
def test_nan_in_a_batch_of_one_surfaces(subject: Subject) -> None:
    output = changed(random_output(batch=1), subject.reads, lambda t: t * torch.nan)
    assert subject.build()(output, TARGETS[:1]).isnan()


@every
def test_an_empty_batch_is_a_zero_connected_to_the_graph(subject: Subject) -> None:
    output = leaves(random_output(batch=0))
    value = subject.build()(output, TARGETS[:0])
    assert value.item() == 0
    assert value.ndim == 0
    (slope,) = torch.autograd.grad(value, getattr(output, subject.reads))
    assert slope.shape[0] == 0


@every
def test_a_batch_of_one(subject: Subject) -> None:
    loss, output = subject.build(), random_output(batch=1)
    assert loss(output, TARGETS[:1]).isfinite()
    assert gradient(loss, output, subject.reads, TARGETS[:1]).isfinite().all()


# Symmetry


@every
def test_the_order_of_a_batch_is_irrelevant(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    order = torch.randperm(B, generator=torch.Generator().manual_seed(1))
    permuted = ModelOutput(output.embeddings[order], output.logits[order])
    assert close(loss(permuted, TARGETS[order]), loss(output, TARGETS))
    assert close(gradient(loss, permuted, subject.reads, TARGETS[order]), gradient(loss, output, subject.reads)[order])


def rotation() -> Tensor:
    return torch.linalg.qr(random_output(3).embeddings.T @ random_output(4).embeddings)[0]


OFFSET = torch.linspace(-1, 2, D, dtype=torch.float64)
SYMMETRIES: dict[Trait, tuple[str, Callable[[Tensor], Tensor]]] = {
    Trait.SHIFT_INVARIANT: ("logits", lambda z: z + torch.arange(B, dtype=z.dtype).unsqueeze(1)),
    Trait.TRANSLATION_INVARIANT: ("embeddings", lambda x: x + OFFSET),
    Trait.ROTATION_INVARIANT: ("embeddings", lambda x: x @ rotation()),
    Trait.SCALE_INVARIANT: ("embeddings", lambda x: 3 * x),
}


@alive
@pytest.mark.parametrize("trait", SYMMETRIES, ids=str)
def test_a_symmetry_holds_exactly_where_it_is_declared(subject: Subject, trait: Trait) -> None:
    what, change = SYMMETRIES[trait]
    loss, output = subject.build(), random_output()
    if subject.reads != what:
        assert trait not in loss.traits  # nothing is claimed of what is not read
        return
    before = loss(output, TARGETS)
    if subject.started and trait is not Trait.SCALE_INVARIANT:  # state moves along
        with torch.no_grad():
            loss.centers.copy_(change(loss.centers))
    invariant = close(loss(changed(output, what, change), TARGETS), before)
    assert invariant == (trait in loss.traits)


@alive
def test_only_equality_of_labels_matters_exactly_where_declared(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    relabelled = torch.tensor([2, 3, 1, 0])[TARGETS]
    assert close(loss(output, relabelled), loss(output, TARGETS)) == (Trait.LABEL_EQUALITY in loss.traits)


@alive
def test_samplewise_and_shardable_exactly_where_declared(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    whole = loss(output, TARGETS)

    def mean_over_shards(size: int) -> Tensor:
        shards = [slice(i, i + size) for i in range(0, B, size)]
        values = [loss(ModelOutput(output.embeddings[s], output.logits[s]), TARGETS[s]) for s in shards]
        return torch.stack(values).mean()

    assert close(mean_over_shards(1), whole) == (Trait.SAMPLEWISE in loss.traits)
    assert close(mean_over_shards(4), whole) == (Trait.SHARDABLE in loss.traits)
    assert not {Trait.BATCH_COUPLED, Trait.SAMPLEWISE} <= loss.traits


@pytest.mark.parametrize("subject", [s for s in ALL if s.started], ids=str)
def test_centers_of_absent_classes_matter_exactly_where_declared(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    targets = TARGETS.clamp(max=2)
    before = loss(output, targets)
    with torch.no_grad():
        loss.centers[3] += 1
    assert close(loss(output, targets), before) == (Trait.ABSENT_CLASS_STATE_FIXED in loss.traits)


# Meaning


@with_trait(Trait.MONOTONE)
def test_a_larger_true_logit_costs_less_where_declared(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    slopes = gradient(loss, output, "logits").gather(1, TARGETS.unsqueeze(1))
    assert (slopes < 0).all()


@with_trait(Trait.CONVEX)
def test_convex_in_the_logits_where_declared(subject: Subject) -> None:
    loss, one, other = subject.build(), random_output(0), random_output(1)
    middle = changed(one, "logits", lambda z: (z + other.logits) / 2)
    assert loss(middle, TARGETS) < (loss(one, TARGETS) + loss(other, TARGETS)) / 2


@with_trait(Trait.ZERO_AT_SEPARATION)
def test_perfect_separation_costs_nothing_where_declared(subject: Subject) -> None:
    output = changed(random_output(), "logits", lambda z: 60 * torch.eye(C, dtype=z.dtype)[TARGETS])
    assert 0 <= subject.build()(output, TARGETS) < 1e-12


@every
def test_never_negative(subject: Subject) -> None:
    loss = subject.build()
    assert all(loss(random_output(seed), TARGETS) >= 0 for seed in range(5))


def test_special_cases_reduce_to_their_parent() -> None:
    output = random_output()
    softmax = Subject("softmax", {}).build()(output, TARGETS)
    assert close(Subject("weighted-softmax", {"power": 0.0}).build()(output, TARGETS), softmax)
    none = Subject("weighted-cluster", {"term_weight": "none"}, started=True).build()
    flat = Subject("weighted-cluster", {"power": 0.0}, started=True).build()
    assert close(none(output, TARGETS), flat(output, TARGETS))


# Systems


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(subject: Subject, dtype: torch.dtype) -> None:
    loss, half = subject.build(torch.float32), random_output(dtype=dtype)
    value = loss(half, TARGETS)
    assert value.dtype is torch.float32
    assert value.equal(loss(output_as(half, torch.float32), TARGETS))


@every
def test_autocast_changes_nothing(subject: Subject) -> None:
    loss, output = subject.build(torch.float32), random_output(dtype=torch.float32)
    outside = loss(output, TARGETS)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(output, TARGETS).equal(outside)


@every
def test_forward_is_pure(subject: Subject) -> None:
    loss, output = subject.build(torch.float32), random_output(dtype=torch.float32)
    state, given, targets = copy.deepcopy(loss.state_dict()), random_output(dtype=torch.float32), TARGETS.clone()
    random_state = torch.get_rng_state()
    first, second = loss(leaves(output), targets), loss(output, targets)
    first.backward()
    assert first.detach().equal(second)
    assert targets.equal(TARGETS)
    assert torch.get_rng_state().equal(random_state)
    assert output.embeddings.equal(given.embeddings)
    assert output.logits.equal(given.logits)
    for name, tensor in loss.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0, equal_nan=True)


@every
def test_copies_and_saved_states_give_the_same_value(subject: Subject) -> None:
    loss, output = subject.build(torch.float32), random_output(dtype=torch.float32)
    loss(leaves(output), TARGETS).backward()
    restored = Subject(subject.name, subject.variant).build(torch.float32)
    restored.load_state_dict(loss.state_dict(), strict=True)
    for copied in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), restored):
        assert copied(output, TARGETS).equal(loss(output, TARGETS))
        assert copied.traits == loss.traits


@pytest.mark.parametrize("subject", [s for s in ALL if s.started], ids=str)
def test_a_state_of_another_shape_is_refused(subject: Subject) -> None:
    with pytest.raises(RuntimeError, match="size mismatch for centers"):
        subject.build().load_state_dict({"centers": torch.zeros(C, D + 1)})


@every
def test_inputs_may_be_strided_and_gradients_off(subject: Subject) -> None:
    loss, output = subject.build(), random_output()
    strided = ModelOutput(output.embeddings.T.contiguous().T, output.logits.T.contiguous().T)
    assert not strided.embeddings.is_contiguous()
    with torch.inference_mode():
        assert close(loss(strided, TARGETS), loss(output, TARGETS))


COMPILED = [s for s in ALIVE if not s.variant or "mining" in s.variant or s.variant.get("average") == "batch"]


@pytest.mark.parametrize("subject", COMPILED, ids=str)
def test_compiled_in_one_graph_equals_eager(subject: Subject) -> None:
    loss = subject.build(torch.float32)
    output = random_output(dtype=torch.float32)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    one, other = leaves(output), leaves(output)
    values = compiled(one, TARGETS), loss(other, TARGETS)
    for value in values:
        value.backward()
    torch.testing.assert_close(*values)
    torch.testing.assert_close(getattr(one, subject.reads).grad, getattr(other, subject.reads).grad)
    torch._dynamo.reset()


# Errors


@every
@pytest.mark.parametrize(
    ("label", "message"),
    [(C, r"targets must lie in \[0, 4\), got 4 in row 2"), (-1, "got -1 in row 2"), (-100, "got -100 in row 2.*drop")],
)
def test_a_label_out_of_range_is_refused(subject: Subject, label: int, message: str) -> None:
    targets = TARGETS.clone()
    targets[2] = label
    with pytest.raises(UsageError, match=message):
        subject.build()(random_output(), targets)


@every
def test_arguments_of_the_wrong_kind_are_named(subject: Subject) -> None:
    loss, output, what = subject.build(), random_output(), subject.reads
    width = C if what == "logits" else D

    def refused(output: ModelOutput, targets: Tensor, message: str) -> None:
        state = copy.deepcopy(loss.state_dict())
        with pytest.raises(UsageError, match=message):
            loss(output, targets)
        for name, tensor in loss.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=0, equal_nan=True)

    refused(output, TARGETS.double(), "targets must be class numbers of type int64, got torch.float64")
    refused(output, TARGETS.bool(), "targets must be .* got torch.bool")
    refused(output, TARGETS[:-1], rf"targets must have shape \(12,\) like {what}, got \(11,\)")
    refused(output, TARGETS.unsqueeze(1), rf"targets must have shape \(12,\) like {what}, got \(12, 1\)")
    refused(
        changed(output, what, lambda t: t[:, 1:]),
        TARGETS,
        rf"{what} must have shape \(B, {width}\), got \(12, {width - 1}\)",
    )
    refused(changed(output, what, lambda t: t[0]), TARGETS, rf"{what} must have shape \(B, {width}\), got \({width},\)")
    refused(changed(output, what, lambda t: t.long()), TARGETS, f"{what} must be floating point, got torch.int64")


@every
def test_what_a_loss_does_not_read_is_not_checked(subject: Subject) -> None:
    other = "embeddings" if subject.reads == "logits" else "logits"
    loss, output = subject.build(), random_output()
    assert loss(output._replace(**{other: torch.empty(0)}), TARGETS).equal(loss(output, TARGETS))


@every
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8], ids=str)
def test_labels_of_any_integer_type_are_accepted(subject: Subject, dtype: torch.dtype) -> None:
    loss, output = subject.build(), random_output()
    assert loss(output, TARGETS.to(dtype)).equal(loss(output, TARGETS))


def test_debug_reads_labels_where_they_are_not_read_otherwise() -> None:
    """`matrix` sees what a loss gets on every device; only an operator's own error or `debug` reads the values."""
    targets = TARGETS.clone()
    targets[5] = C
    z = random_output().logits
    assert matrix("logits", z, targets, C, C) is z
    lossbench.debug(True)
    try:
        with pytest.raises(UsageError, match=r"targets must lie in \[0, 4\), got 4 in row 5"):
            matrix("logits", z, targets, C, C)
        assert matrix("logits", z, TARGETS, C, C) is z
    finally:
        lossbench.debug(False)
    assert matrix("logits", z, targets, C, C) is z


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("weighted-softmax", {"power": -0.5}, "power must be at least 0, got -0.5"),
        ("weighted-softmax", {"power": "balanced"}, "power must be a finite number, got 'balanced'"),
        ("weighted-softmax", {"power": float("inf")}, "power must be a finite number, got inf"),
        ("weighted-softmax", {"average": "mean"}, "average must be one of dataset, batch, got 'mean'"),
        ("weighted-softmax", {"average": None}, "average must be one of dataset, batch, got None"),
        ("center", {"alpha": 0}, "alpha must be above 0 and at most 1, got 0"),
        ("center", {"alpha": 1.5}, "alpha must be above 0 and at most 1, got 1.5"),
        ("center", {"alpha": True}, "alpha must be a finite number, got True"),
        ("center", {"alpha": 10**400}, "alpha must be a finite number, got 1000"),
        ("triplet", {"margin": -1}, "margin must be at least 0, got -1"),
        ("triplet", {"margin": "wide"}, "margin must be a finite number, got 'wide'"),
        ("triplet", {"margin": float("nan")}, "margin must be a finite number, got nan"),
        ("triplet", {"mining": "easy"}, "mining must be one of all, semihard, hard, got 'easy'"),
        ("triplet", {"mining": 3}, "mining must be one of all, semihard, hard, got 3"),
        ("triplet", {"distance": "cosine"}, "distance must be one of squared, euclidean, got 'cosine'"),
        ("triplet", {"normalize": "yes"}, "normalize must be true or false, got 'yes'"),
        ("triplet", {"normalize": 1}, "normalize must be true or false, got 1"),
        ("triplet", {"average": "batch"}, "average must be one of active, all, got 'batch'"),
        ("weighted-cluster", {"delta": 0}, "delta must be above 0, got 0"),
        ("weighted-cluster", {"delta": "small"}, "delta must be a finite number, got 'small'"),
        ("weighted-cluster", {"alpha": 2}, "alpha must be above 0 and at most 1, got 2"),
        ("weighted-cluster", {"power": -1}, "power must be at least 0, got -1"),
        ("weighted-cluster", {"separation": "max"}, "separation must be one of sum, mean, got 'max'"),
        ("weighted-cluster", {"term_weight": "batch"}, "term_weight must be one of class, none, got 'batch'"),
    ],
)
def test_a_bad_hyperparameter_is_refused(name: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        loss_info(name).factory(CONTEXT, **given)
    with pytest.raises(HyperparameterError, match=rf"^{name}: {message}"):
        lossbench.create_loss(name, CONTEXT, **given)
