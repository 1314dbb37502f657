"""Build a loss and attach it to the head of a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import UsageError
from ..expression import Formula
from ..head import check_head, class_counts_of, sizes_of
from ..objective import build_loss, expand_formula, formula_needs
from ..traits import Need
from ..types import LossContext
from .criterion import Attached


def attach(
    expression: str | Formula,
    head: nn.Module,
    class_counts: Any = None,
    *,
    labels: Any = None,
    embedding_dim: int | None = None,
    num_classes: int | None = None,
    gather: bool = False,
) -> Attached:
    """Build a loss and attach it to the head of a model.

    Args:
        expression: a formula, such as "weighted-cluster" or "softmax + 0.1*center".
        head: the module of the model that turns embeddings (B, D) into logits (B, C).
        class_counts: a dict, a Counter, or exactly C numbers are training images per class; any other sequence of class
            numbers, a data set or a data loader is labels, which are counted. Some losses need none.
        labels: labels, where `class_counts` could also be read as counts.
        embedding_dim: D, if the head does not tell.
        num_classes: C, if the head does not tell.
        gather: with several processes, compute a loss on pairs or triplets on the rows of all of them; see
            `docs/own-loop.md`.

    Returns:
        A criterion, called as `criterion(logits, targets)` after a forward pass of the model; `follow` connects it with
        the optimizer.

    Raises:
        UsageError: the formula, head or counts do not fit together; the message says what to change.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> criterion = attach("weighted-cluster", head=model[2], class_counts=(90, 9, 1))
        >>> optimizer = criterion.follow(torch.optim.SGD(model.parameters(), lr=0.1))
        >>> criterion(model(torch.ones(2, 5)), torch.tensor([0, 2])).ndim
        0
    """
    if not isinstance(expression, str | Formula):
        raise UsageError(f"expected a formula, such as 'weighted-cluster', got {type(expression).__name__}")
    formula = expand_formula(expression)
    needs = formula_needs(formula)
    check_head(head, cosine=Need.COSINE_LOGITS in needs, formula=str(formula))
    dim, classes = sizes_of(head, embedding_dim, num_classes)
    counts = class_counts_of(class_counts, labels, classes)
    if counts is None:
        if Need.CLASS_COUNTS in needs:
            raise UsageError(f"{formula} needs class_counts: pass the training labels or the images of each class")
        counts = (0,) * classes  # an option that needs counts, such as power=1, refuses them
    context = LossContext(num_classes=classes, embedding_dim=dim, class_counts=counts)
    return Attached(build_loss(formula, context), head, str(formula), context, gather=gather, needs=needs)
