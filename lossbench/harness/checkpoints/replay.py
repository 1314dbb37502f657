"""`lossbench replay`: re-run a loss on the batch that stopped a run, in the run's precision and in float64."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...allocations import bounded_allocations
from ...errors import ModelError, UsageError
from ...loss import Loss
from ...objective import build_loss, expand_formula
from ...types import ModelOutput
from ..training.diagnostics import hard, unique_names
from .bad_batch import BadBatch, read_bad_batch
from .loss_call import Evaluated, cast, evaluate
from .state import put_back

_MOST_EPOCHS = 10_000  # whose beginning a loss is told; what it draws from them depends on fewer
_MOST_ROWS = 4096  # each is excluded once
_SMALL = 64 * 2**20  # bytes that building the loss may take at once, whatever the file holds


def replay(path: Path) -> dict[str, Any]:
    """Call the loss on a stored batch in the precision of the run and in float64.

    Args:
        path: path of a `bad-batch.safetensors`.

    Returns:
        JSON values: "formula", "step", "epoch", "said", "precisions" (the failing one, "float64"), "terms" (rows of
        "name" and a value for each precision), "rows" (rows with non-finite inputs or gradients, or without which the
        batch is finite: "row", "image", "class", "what"), "finding" (one sentence).

    Raises:
        ModelError: the file is not a stored batch.
        UsageError: its loss is not available.
    """
    batch = read_bad_batch(path)
    loss = _loss_of(batch, path)
    failing = str(batch.output.embeddings.dtype).removeprefix("torch.")
    names = {failing: batch.output.embeddings.dtype, "float64": torch.float64}
    losses = {name: copy.deepcopy(loss).to(torch.float64) if name == "float64" else loss for name in names}
    outputs = {name: cast(batch.output, dtype) for name, dtype in names.items()}
    seen = {name: evaluate(losses[name], outputs[name], batch) for name in names}
    alone = _decisive_rows(losses[failing], batch) if not seen[failing].finite() else []
    rows = _rows(batch, seen[failing], alone)
    return {
        "formula": batch.facts["formula"],
        "epoch": batch.facts["epoch"],
        "step": batch.facts["step"],
        "said": batch.facts["said"],
        "precisions": list(names),
        "terms": _terms(losses, outputs, batch),
        "value": {name: _number(one.value) for name, one in seen.items()},
        "raised": {name: one.error for name, one in seen.items() if one.error},
        "rows": rows,
        "finding": _finding(batch, seen, failing, rows, alone),
    }


def _loss_of(batch: BadBatch, path: Path) -> Loss:
    formula, stored = batch.facts["formula"], [*batch.state.values(), batch.output.embeddings, batch.output.logits]
    most = max(_SMALL, 4 * sum(tensor.nbytes for tensor in stored))
    with bounded_allocations(most, lambda text: ModelError(f"{path}: {formula[:200]}: {text}")):
        loss = build_loss(expand_formula(formula), batch.context)
    last = batch.facts["epoch"]
    for epoch in range(max(0, last - _MOST_EPOCHS), last + 1):
        loss.begin_epoch(epoch, batch.facts["epochs"])
    if batch.facts["precision"] == "fp64":
        loss = loss.double()
    try:
        put_back(loss, batch.state)
    except UsageError as error:
        raise ModelError(f"{path} belongs to a different version of {batch.facts['formula']}: {error}") from error
    return loss


def _terms(losses: dict[str, Loss], outputs: dict[str, ModelOutput], batch: BadBatch) -> list[dict[str, Any]]:
    """Return the value of each term times its coefficient."""
    terms = {precision: loss.terms() for precision, loss in losses.items()}
    names = unique_names([term.name for term in next(iter(terms.values()))])
    if len(names) == 1:
        return []
    rows = []
    for number, name in enumerate(names):
        row: dict[str, Any] = {"name": name}
        for precision in losses:
            term = terms[precision][number]
            one = evaluate(term.loss, outputs[precision], batch)
            row[precision] = None if one.value is None else _number(term.coefficient * one.value)
            row[f"{precision} gradient finite"] = one.finite() or (not one.error and _gradients_finite(one))
        rows.append(row)
    return rows


def _gradients_finite(one: Evaluated) -> bool:
    return bool(one.embeddings.isfinite().all() and one.logits.isfinite().all())


def _decisive_rows(loss: Loss, batch: BadBatch) -> list[int]:
    """Return the rows each of which alone makes the batch non-finite."""
    every = range(len(batch.targets))
    if len(every) > _MOST_ROWS or len(every) < 3:
        return []
    return [row for row in every if evaluate(loss, batch.output, batch, [r for r in every if r != row]).finite()]


def _rows(batch: BadBatch, seen: Evaluated, alone: list[int]) -> list[dict[str, Any]]:
    """Return the failing rows; if all gradients are non-finite, gradients do not identify a row."""
    found: dict[int, list[str]] = {}
    for name in ("embeddings", "logits"):
        for row in _bad(getattr(batch.output, name)):
            found.setdefault(row, []).append(f"its {name} are non-finite")
    for row in alone:
        found.setdefault(row, []).append("without it, value and gradients are finite")
    bad_rows = sorted({*_bad(seen.embeddings), *_bad(seen.logits)})
    if len(bad_rows) < len(batch.targets):
        for row in bad_rows:
            found.setdefault(row, []).append("its gradient is non-finite")
    label = batch.context.class_label
    return [
        {
            "row": row,
            "image": batch.facts["sample_ids"][row],
            "class": label(int(hard(batch.targets)[row])),
            "what": "; ".join(what),
        }
        for row, what in sorted(found.items())
    ]


def _finding(
    batch: BadBatch, seen: dict[str, Evaluated], failing: str, rows: list[dict[str, Any]], alone: list[int]
) -> str:
    one, exact = seen[failing], seen["float64"]
    inputs = [*_bad(batch.output.embeddings), *_bad(batch.output.logits)]
    if inputs:
        hides = one.value is not None and math.isfinite(one.value)
        hidden = "; the loss hides it: its value is finite" if hides else ""
        return f"the model's outputs are non-finite in {len(set(inputs))} of {len(batch.targets)} rows{hidden}"
    if one.finite():
        where = batch.facts["parameters_without_finite_gradient"]
        return "the loss and its gradients are finite here: the problem is in the model" + (
            f", whose gradient is non-finite in {', '.join(map(str, where[:3]))}" if where else ""
        )
    if exact.finite() and failing != "float64":
        return f"the loss is finite in float64 but not in {failing}: values overflow or underflow"
    what = (
        "its value is non-finite" if one.value is None or not math.isfinite(one.value) else "its gradient is non-finite"
    )
    which = f"; row {alone[0]} alone causes it" if len(alone) == 1 else ""
    return f"the loss fails on finite inputs, also in float64: {what}{which}"


def _bad(tensor: Tensor) -> list[int]:
    """Return rows with a non-finite entry."""
    if not tensor.numel():
        return []
    rows: list[int] = (~tensor.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
    return rows


def _number(value: float | None) -> float | str | None:
    """Return a JSON value, with text for non-finite numbers."""
    return value if value is None or math.isfinite(value) else str(value)
