"""The laws as another library's suite uses them, on losses of timm and pytorch-metric-learning as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, NormalizedSoftmaxLoss
from timm.loss import LabelSmoothingCrossEntropy

from lossbench.testing import Effort, parametrize_with_checks

QUICK = Effort(examples=3, compile=False)


@parametrize_with_checks([torch.nn.CrossEntropyLoss, LabelSmoothingCrossEntropy], laws=["Calculus"], effort=QUICK)
def test_losses_of_logits(check: Callable[[], None]) -> None:
    check()


@parametrize_with_checks(
    [ContrastiveLoss],
    laws=["gradient-of-inputs", "order-of-rows", "one-zero-row"],
    traits=["batch-coupled"],
    expected_failures={"one-zero-row": "F.normalize divides a zero row by epsilon, so its gradient is 1e12"},
    effort=QUICK,
)
@pytest.mark.filterwarnings("ignore")
def test_losses_of_pairs(check: Callable[[], None]) -> None:
    check()


@parametrize_with_checks([NormalizedSoftmaxLoss], takes="embeddings", laws=["order-of-rows", "modes"], effort=QUICK)
@pytest.mark.filterwarnings("ignore")
def test_losses_with_proxies(check: Callable[[], None]) -> None:
    check()
