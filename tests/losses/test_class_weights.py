"""Class weights: scaled to a training-set mean of one."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbench import LossContext, create_loss, loss_info
from lossbench.errors import ContextError, HyperparameterError
from lossbench.losses.class_weights import ClassWeights, class_weights

counts = st.lists(st.integers(1, 100_000), min_size=2, max_size=10).map(tuple)
powers = st.floats(0, 3)


def context(class_counts: tuple[int, ...], class_names: tuple[str, ...] = ()) -> LossContext:
    return LossContext(
        num_classes=len(class_counts), embedding_dim=2, class_counts=class_counts, class_names=class_names
    )


@given(counts, powers)
def test_the_training_set_mean_is_one(class_counts: tuple[int, ...], power: float) -> None:
    n = torch.tensor(class_counts, dtype=torch.float64)
    torch.testing.assert_close((class_weights(class_counts, power) * n).sum() / n.sum(), torch.ones((), dtype=n.dtype))


@given(counts)
def test_power_one_balances_and_power_zero_does_nothing(class_counts: tuple[int, ...]) -> None:
    balanced = [sum(class_counts) / (len(class_counts) * n) for n in class_counts]
    assert class_weights(class_counts).tolist() == pytest.approx(balanced)
    assert class_weights(class_counts, 0).tolist() == pytest.approx([1.0] * len(class_counts))


@given(counts, powers)
def test_a_weight_ratio_is_a_power_of_the_count_ratio(class_counts: tuple[int, ...], power: float) -> None:
    weights = class_weights(class_counts, power).tolist()
    for n, weight in zip(class_counts, weights, strict=True):
        assert weight / weights[0] == pytest.approx((n / class_counts[0]) ** -power)


def test_float64_stays_exact_after_the_module_was_rounded() -> None:
    weights = ClassWeights(context((900, 90, 10)), 0.7)
    for module in (weights, weights.to(torch.float64), weights.half()):
        assert module(torch.float64).equal(class_weights((900, 90, 10), 0.7))


def test_weights_are_no_part_of_the_saved_state() -> None:
    assert not create_loss("weighted-softmax", context((5, 3))).state_dict()


@pytest.mark.parametrize("name", ["weighted-softmax", "weighted-cluster"])
def test_a_class_without_a_training_image_is_named(name: str) -> None:
    with pytest.raises(ContextError, match="there is none of class 1, class 2"):
        loss_info(name).factory(context((4, 0, 0)))
    with pytest.raises(ContextError, match="there is none of 'fear'"):
        loss_info(name).factory(context((4, 0), ("joy", "fear")))


@pytest.mark.parametrize(("power", "rule"), [(-1, "at least 0, got -1"), ("half", "a finite number, got 'half'")])
def test_a_bad_power_is_refused(power: object, rule: str) -> None:
    with pytest.raises(HyperparameterError, match=f"power must be {rule}"):
        ClassWeights(context((4, 2)), power)


def test_a_power_beyond_what_floats_hold_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="power must be smaller for these class counts, got 400"):
        ClassWeights(context((90, 10)), 400)


def test_shares_are_kept_until_their_weights_change() -> None:
    weights = ClassWeights(LossContext(num_classes=3, embedding_dim=1, class_counts=(9, 3, 1)), 1.0, defer=0.5)
    weights.begin_epoch(9, 10)
    share = weights.share(torch.float32, 4)
    assert weights.share(torch.float32, 4) is share
    torch.testing.assert_close(share, weights(torch.float32) / 4)
    for dtype, rows in ((torch.float64, 4), (torch.float32, 5), (torch.float32, 0)):
        torch.testing.assert_close(weights.share(dtype, rows), weights(dtype) / max(rows, 1))
    weights.begin_epoch(0, 10)
    assert weights.share(torch.float32, 4).tolist() == [0.25] * 3
    weights.begin_epoch(9, 10)
    with torch.no_grad():
        weights.value.mul_(2)
    torch.testing.assert_close(weights.share(torch.float32, 4), 2 * share)
    weights.load_state_dict({"weighs": torch.tensor(False)})
    assert weights.share(torch.float32, 4).tolist() == [0.25] * 3
    twin = copy.deepcopy(weights)
    twin.begin_epoch(9, 10)
    torch.testing.assert_close(twin.share(torch.float32, 4), 2 * share)
    assert weights.share(torch.float32, 4).tolist() == [0.25] * 3


def test_a_share_of_inference_mode_is_not_used_in_training() -> None:
    with torch.inference_mode():
        weights = ClassWeights(LossContext(num_classes=2, embedding_dim=1, class_counts=(9, 1)), 1.0)
        inferred = weights.share(torch.float32, 4)
    logits = torch.zeros(4, 2, requires_grad=True)
    weights.to(torch.float32)
    share = weights.share(torch.float32, 4)
    assert share is not inferred
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1]), weight=share, reduction="sum").backward()
    assert logits.grad is not None
