"""Every loss as an ordinary module: half precision, the meta device, pickle, deepcopy, export, plain arguments."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from every_loss import NAMES
from torch import Tensor, nn
from torch.utils import _pytree

from lossbench import CosineHead, LossContext, ModelOutput, create_loss, loss_info
from lossbench.errors import ContextError, HyperparameterError, UsageError
from lossbench.traits import Need

CLASSES, DIM = 4, 6
CONTEXT = LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=(40, 20, 8, 3))
TARGETS = torch.arange(12) % CLASSES


def output(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> ModelOutput:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(12, DIM, generator=generator).to(dtype).requires_grad_()
    logits = torch.randn(12, CLASSES, generator=generator).to(dtype)
    if Need.COSINE_LOGITS in loss_info(name).needs:
        logits = (logits / 5).clamp(-1, 1)
    return ModelOutput(embeddings, logits.requires_grad_())


def detached(given: ModelOutput) -> ModelOutput:
    return ModelOutput(given.embeddings.detach(), given.logits.detach())


def value_and_gradient(loss: nn.Module, given: ModelOutput, targets: Tensor = TARGETS) -> tuple[Tensor, ...]:
    value = loss(given, targets)
    leaves = [given.embeddings, given.logits]
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    return (value.detach(), *(g for g in gradients if g is not None))


def stepped(name: str) -> Any:
    loss = create_loss(name, CONTEXT)
    loss.begin_epoch(0, 2)
    loss.update_state(detached(output(name)), TARGETS)
    return loss


def test_all_losses_are_here() -> None:
    assert len(NAMES) == 21


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_in_half_precision_the_value_stays(name: str, dtype: torch.dtype) -> None:
    exact = value_and_gradient(stepped(name), output(name))
    for converted in (stepped(name).to(dtype), create_loss(name, CONTEXT).to(dtype)):
        converted.update_state(detached(output(name, dtype)), TARGETS)
        found = value_and_gradient(converted, output(name, dtype))
        assert all(tensor.isfinite().all() for tensor in found)
        assert found[0].dtype is torch.float32
    torch.testing.assert_close(found[0], exact[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_built_while_half_precision_is_the_default(name: str) -> None:
    torch.set_default_dtype(torch.bfloat16)
    try:
        loss = create_loss(name, CONTEXT)
        loss.update_state(detached(output(name)), TARGETS)
        assert value_and_gradient(loss, output(name))[0].isfinite()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_from_the_meta_device_it_is_as_built_at_once(name: str) -> None:
    with torch.device("meta"):
        loss = create_loss(name, CONTEXT)
    loss.to_empty(device="cpu")
    fresh = create_loss(name, CONTEXT)
    for found, expected in zip(loss.state_dict().values(), fresh.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    trained = stepped(name)
    loss.load_state_dict(trained.state_dict(), strict=True)
    for found, expected in zip(
        value_and_gradient(loss, output(name)), value_and_gradient(trained, output(name)), strict=True
    ):
        assert found.equal(expected)


@pytest.mark.parametrize("name", NAMES)
def test_copies_are_equal(name: str) -> None:
    loss = stepped(name)
    expected = value_and_gradient(loss, output(name))
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert all(f.equal(e) for f, e in zip(value_and_gradient(other, output(name)), expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8], ids=str)
@pytest.mark.parametrize("name", [*NAMES, "torch/CrossEntropyLoss", "torch/MultiMarginLoss", "pml/SoftTripleLoss"])
def test_labels_of_any_integer_type(name: str, dtype: torch.dtype) -> None:
    loss = create_loss(name, CONTEXT)
    expected = loss(detached(output("softmax")) if "/" in name else detached(output(name)), TARGETS)
    given = detached(output("softmax")) if "/" in name else detached(output(name))
    assert loss(given, TARGETS.to(dtype)).equal(expected)


def test_a_model_output_is_an_ordinary_tuple() -> None:
    given = detached(output("softmax"))
    for other in (pickle.loads(pickle.dumps(given)), copy.deepcopy(given), _pytree.tree_map(lambda x: x, given)):
        assert isinstance(other, ModelOutput)
        assert other.logits.equal(given.logits)
        assert other.extras == {}


def test_a_trained_model_is_exported() -> None:
    from lossbench.models.build import build_model

    model = build_model("senet-tiny", num_classes=8, image_size=48, seed=0).eval()
    images = torch.zeros(2, 3, 48, 48, dtype=torch.uint8)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images).logits, model(images).logits)


def test_what_is_passed_instead_of_a_model_output() -> None:
    logits, embeddings = torch.randn(12, CLASSES), torch.randn(12, DIM)
    plain = create_loss("weighted-softmax", CONTEXT)
    assert plain(logits, TARGETS).equal(plain(ModelOutput(embeddings, logits), TARGETS))
    both = create_loss("weighted-cluster", CONTEXT)
    assert both((embeddings, logits), TARGETS).equal(both(ModelOutput(embeddings, logits), TARGETS))
    with pytest.raises(UsageError, match=r"weighted-cluster reads embeddings and got logits of shape \(12, 4\); pass"):
        both(logits, TARGETS)
    with pytest.raises(UsageError, match=r"targets must be a tensor of class numbers, got list"):
        plain(logits, TARGETS.tolist())


@pytest.mark.parametrize("value", [np.float32(0.25), np.float64(0.25), torch.tensor(0.25), np.array(0.25)])
def test_numbers_of_any_kind_are_hyperparameters(value: Any) -> None:
    assert create_loss("triplet", CONTEXT, margin=value).terms()[1].loss.margin == 0.25  # type: ignore[union-attr]
    assert loss_info("triplet").factory(CONTEXT, margin=value).margin == 0.25  # type: ignore[attr-defined]


def test_true_and_text_are_not_numbers() -> None:
    for value in (True, np.bool_(True), "0.2", torch.tensor([0.2]), np.float32("nan")):
        with pytest.raises(HyperparameterError, match="margin must be a finite number"):
            create_loss("triplet", CONTEXT, margin=value)


@pytest.mark.parametrize(
    "counts",
    [
        [900, 90, 10],
        np.array([900, 90, 10]),
        torch.tensor([900.0, 90.0, 10.0]),
        {0: 900, 2: 10, 1: 90},
        Counter({0: 900, 1: 90, 2: 10}),
        {"a": 900, "b": 90, "c": 10},
        (900.0, np.int64(90), torch.tensor(10)),
    ],
    ids=lambda counts: type(counts).__name__,
)
def test_counts_of_any_kind(counts: Any) -> None:
    context = LossContext(num_classes=3, embedding_dim=2, class_counts=counts, class_names=("a", "b", "c"))
    assert context.class_counts == (900, 90, 10)
    assert context == LossContext(
        num_classes=np.int64(3), embedding_dim=2, class_counts=(900, 90, 10), class_names=("a", "b", "c")
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({1: 900, 2: 90, 3: 10}, r"class_counts has the key 3; expected class numbers 0 to 2"),
        ((float("nan"), 90, 10), r"class_counts must be a whole number, got nan"),
        ((float("inf"), 90, 10), r"class_counts must be a whole number, got inf"),
        ((0.5, 90, 10), r"class_counts must be a whole number, got 0.5"),
        ((True, 90, 10), r"class_counts must be a whole number, got True"),
        (("900", 90, 10), r"class_counts must be a whole number, got '900'"),
        ("abc", r"class_counts must be 3 whole numbers or a dict of them, got 'abc'"),
        (7, r"class_counts must be 3 whole numbers or a dict of them, got 7"),
        ((900, 90), r"class_counts must have a count for each of 3 classes, got 2"),
        ((900, -1, 10), r"class_counts must not be negative, got -1"),
    ],
)
def test_counts_that_are_none(counts: Any, message: str) -> None:
    with pytest.raises(ContextError, match=message):
        LossContext(num_classes=3, embedding_dim=2, class_counts=counts)


def called(loss: nn.Module, name: str, times: int) -> None:
    for _ in range(times):
        loss(output(name), TARGETS)


@pytest.mark.parametrize("name", ["center", "weighted-cluster", "island", "contrastive-center"])
def test_state_that_never_moves_is_said_once(name: str) -> None:
    loss = create_loss(name, CONTEXT)
    with pytest.warns(
        UserWarning, match=f"{name} has seen 10 training batches and update_state was never called"
    ) as seen:
        called(loss, name, 50)
    assert len(seen) == 1


def test_a_schedule_that_never_begins_is_said_once() -> None:
    loss = create_loss("ldam", CONTEXT)
    with pytest.warns(UserWarning, match="ldam has seen 10 training batches and begin_epoch was never called"):
        called(loss, "ldam", 20)


def test_nothing_is_said_where_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved, evaluated, plain = (create_loss(name, CONTEXT) for name in ("center", "center", "softmax"))
        evaluated.eval()
        for _ in range(20):
            moved(output("center"), TARGETS)
            moved.update_state(detached(output("center")), TARGETS)
            evaluated(output("center"), TARGETS)
            plain(output("softmax"), TARGETS)
            create_loss("center", CONTEXT)(detached(output("center")), TARGETS)


def test_a_deferred_weight_survives_a_checkpoint() -> None:
    trained, restored = create_loss("ldam", CONTEXT), create_loss("ldam", CONTEXT)
    trained.begin_epoch(9, 10)
    restored.load_state_dict(trained.state_dict())
    given = detached(output("ldam"))
    assert restored(given, TARGETS).equal(trained(given, TARGETS))
    assert not trained(given, TARGETS).isclose(create_loss("ldam", CONTEXT)(given, TARGETS))


@pytest.mark.parametrize("name", ["arc-face", "cos-face", "norm-face", "ldam"])
def test_plain_logits_for_a_cosine_loss_are_refused(name: str) -> None:
    given = ModelOutput(torch.randn(12, DIM), 10 * torch.randn(12, CLASSES))
    with pytest.raises(UsageError, match=rf"{name} reads cosines in \[-1, 1\], .* lossbench.CosineHead"):
        create_loss(name, CONTEXT)(given, TARGETS)
    head = CosineHead(DIM, CLASSES)
    assert create_loss(name, CONTEXT)(ModelOutput(given.embeddings, head(given.embeddings)), TARGETS).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_the_cosine_of_a_zero_row_is_zero(dtype: torch.dtype) -> None:
    head = CosineHead(DIM, CLASSES).to(dtype)
    assert head(torch.zeros(2, DIM, dtype=dtype)).equal(torch.zeros(2, CLASSES, dtype=dtype))


@pytest.mark.parametrize("name", ["arc-face", "ldam"])
def test_scores_keep_float64(name: str) -> None:
    scores = create_loss(name, CONTEXT).scores(output(name, torch.float64))
    assert scores.dtype is torch.float64


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ('torch/CrossEntropyLoss(reduction="sum")', r"reduction='sum' is refused: a run relies on .* mean"),
        ('torch/CrossEntropyLoss(reduction="none")', r"reduction='none' is refused"),
        ("torch/CrossEntropyLoss(ignore_index=0)", r"ignore_index=0 is refused: it leaves a class out"),
        ("torch/MultiMarginLoss(size_average=false)", r"size_average=False is refused"),
    ],
)
def test_arguments_that_a_run_cannot_rely_on_are_refused(formula: str, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message) as caught:
        create_loss(formula, CONTEXT)
    assert "pip" not in str(caught.value)


def test_a_batch_without_a_triplet_is_a_zero() -> None:
    for targets in (torch.arange(3), torch.zeros(3, dtype=torch.int64), torch.arange(0)):
        embeddings = torch.randn(len(targets), DIM, requires_grad=True)
        given = ModelOutput(embeddings, torch.randn(len(targets), CLASSES))
        value = create_loss("torch/TripletMarginLoss + softmax", CONTEXT).terms()[0].loss(given, targets)
        assert float(value.detach()) == 0
        value.backward()
        assert embeddings.grad is not None


def test_prototypes_of_many_classes_need_no_table_of_differences() -> None:
    classes, dim = 400, 64
    context = LossContext(num_classes=classes, embedding_dim=dim, class_counts=(1,) * classes)
    loss = create_loss("softmax + gaussian-affinity", context).terms()[1].loss
    given = ModelOutput(torch.randn(8, dim, requires_grad=True), torch.randn(8, classes))
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(given, torch.arange(8)).backward()
    assert max(sizes) <= classes * classes
