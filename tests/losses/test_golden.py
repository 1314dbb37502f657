"""The golden cases: 24 per loss, computed by the plain loops of `tests/golden/make_cases.py`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from golden.make_cases import answers, read_cases
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput, loss_info
from lossbench.losses.center import center
from lossbench.losses.class_weights import class_weights
from lossbench.losses.weighted_cluster import weighted_cluster

Case = dict[str, Any]
CASES = read_cases()
WITH_CENTERS = [c for c in CASES if c["grad_centers"] is not None]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-4}


def test_each_loss_has_24_cases() -> None:
    counted = Counter(c["loss"] for c in CASES)
    assert counted == dict.fromkeys(("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster"), 24)
    assert len(WITH_CENTERS) == 48


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_file_holds_what_the_loops_compute(number: int) -> None:
    for key, expected in answers(CASES[number]).items():
        if expected is None:
            assert CASES[number][key] is None
        else:
            stored = _tensor(CASES[number][key], torch.float64)
            torch.testing.assert_close(stored, _tensor(expected, torch.float64), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_value_gradients_and_moved_centers(number: int, dtype: torch.dtype) -> None:
    case = CASES[number]
    loss = _loss(case, dtype)
    output = ModelOutput(_tensor(case["embeddings"], dtype), _tensor(case["logits"], dtype))
    for tensor in (output.embeddings, output.logits):
        tensor.requires_grad_()
    targets = torch.tensor(case["targets"])
    value = loss(output, targets)
    value.backward()
    _close(value, case["value"], dtype)
    _close_gradient(output.logits.grad, case["grad_logits"], dtype)
    _close_gradient(output.embeddings.grad, case["grad_embeddings"], dtype)
    if case.get("centers_after_update") is not None:
        loss.update_state(ModelOutput(output.embeddings.detach(), output.logits.detach()), targets)
        _close(loss.centers, case["centers_after_update"], dtype)


@pytest.mark.parametrize("number", range(len(WITH_CENTERS)))
def test_gradient_in_the_centers(number: int) -> None:
    case = WITH_CENTERS[number]
    centers = _tensor(case["centers"], torch.float64).requires_grad_()
    embeddings, targets = _tensor(case["embeddings"], torch.float64), torch.tensor(case["targets"])
    if case["loss"] == "center":
        terms = center(embeddings, targets, centers)
    else:
        given = case["hyperparameters"]
        weight = class_weights(tuple(case["class_counts"]), given["power"] if given["term_weight"] == "class" else 0.0)
        scale = 1 if given["separation"] == "sum" else 1 / (case["num_classes"] - 1)
        terms = weighted_cluster(embeddings, targets, centers, weight, scale, given["delta"])
    terms.mean().backward()
    _close_gradient(centers.grad, case["grad_centers"], torch.float64)


def _loss(case: Case, dtype: torch.dtype) -> Loss:
    context = LossContext(
        num_classes=case["num_classes"],
        embedding_dim=case["embedding_dim"],
        class_counts=tuple(case["class_counts"]),
    )
    loss = loss_info(case["loss"]).factory(context, **case["hyperparameters"]).to(dtype)
    if case["centers"] is not None and hasattr(loss, "centers"):
        with torch.no_grad():
            loss.centers.copy_(_tensor(case["centers"], dtype))
    return loss


def _tensor(rows: object, dtype: torch.dtype) -> Tensor:
    return torch.tensor(rows, dtype=dtype)


def _close(actual: Tensor, expected: object, dtype: torch.dtype) -> None:
    torch.testing.assert_close(actual, _tensor(expected, dtype), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def _close_gradient(actual: Tensor | None, expected: object, dtype: torch.dtype) -> None:
    if expected is None:  # does not depend on it
        assert actual is None or not actual.any()
    else:
        assert actual is not None
        _close(actual, expected, dtype)
