"""Rebuild the model and the loss of a finished run from its record and weights."""

from __future__ import annotations

import torch

from ...allocations import bounded_allocations
from ...errors import ModelError, brief
from ...loss import Loss
from ...models.build import backbone_forms, build_model
from ...models.check_tensors import written
from ...objective import build_loss, expand_formula, formula_needs
from ...registry import loss_origin
from ...runs import layout
from ...runs.finished_run import FinishedRun
from ...types import LossContext, ModelOutput
from ..training.step import TrainStep

_SMALL = 64 * 2**20  # bytes that building a loss may take at once, whatever the weights take


def rebuild(run: FinishedRun) -> TrainStep:
    """Return the model and the loss of a finished run, on the CPU, in float32 and in evaluation mode.

    Raises:
        ModelError: the record and the weights do not fit each other, the file of the loss was not named or differs,
            or the scores of the loss cannot be computed from embeddings and logits.
    """
    record = run.record
    data, formula = record.data, expand_formula(record.formula)
    for term in record.terms:
        if term.source is not None and (found := loss_origin(term.name)) != term.source:
            raise ModelError(
                f"{run.directory}: {term.name} was {term.source}, and is {found}; pass --loss with the file of the run"
            )
    context = LossContext(
        num_classes=len(data.class_names),
        embedding_dim=record.model.embedding_dim,
        class_counts=tuple(data.in_order(data.drawn_counts)),
        class_names=data.class_names,
    )
    _check_backbone(run)
    model = build_model(
        record.model.name,
        num_classes=context.num_classes,
        image_size=record.model.image_size,
        seed=0,
        needs=formula_needs(formula),
        preprocessing=run.preprocessing(),
    )
    stored = sum(tensor.nbytes for tensor in run.state.values())
    with bounded_allocations(
        max(_SMALL, 4 * stored), lambda text: ModelError(f"{run.directory}: {record.formula[:200]}: {text}")
    ):
        loss = build_loss(formula, context)
    step = TrainStep(model, loss)
    try:
        step.load_state_dict(run.state)
    except RuntimeError as error:
        raise ModelError(f"{run.directory / layout.WEIGHTS} does not fit its record: {error}") from error
    step.float().eval()
    _check_scores(step.loss, run)
    return step


def _check_backbone(run: FinishedRun) -> None:
    """Refuse a record whose model is not the one of the weights, before it is built: it may be far larger.

    Raises:
        ModelError: naming the first tensor that differs.
    """
    model, stored = run.record.model, run.backbone_shapes()
    for name, form in backbone_forms(model.name, model.image_size).items():
        if (shape := stored.get(name)) != form.shape:
            found = "lacks it" if shape is None else f"has shape {written(shape)}"
            raise ModelError(
                f"{run.directory / layout.WEIGHTS} does not fit its record: {name} of {model.name} has shape "
                f"{written(form.shape)}, the file {found}"
            )


@torch.no_grad()
def _check_scores(loss: Loss, run: FinishedRun) -> None:
    """Refuse a loss whose scores need more than a model returns for an image, such as extras.

    Raises:
        ModelError: naming what is missing.
    """
    classes, width = len(run.record.data.class_names), run.record.model.embedding_dim
    output = ModelOutput(torch.ones(2, width), torch.ones(2, classes))
    form = f"{run.directory}: the scores of {run.record.formula[:200]}"
    hint = (
        "A stored model returns embeddings and logits; `scores` of a loss must need nothing else (no extras) to be "
        "used outside training"
    )
    try:
        scores = loss.scores(output)
    except Exception as error:  # errors of plugins can have any type
        missing = f"extras[{error}]" if isinstance(error, KeyError) else brief(error)
        raise ModelError(f"{form} cannot be computed from embeddings and logits ({missing}). {hint}") from error
    if not isinstance(scores, torch.Tensor) or scores.shape != (2, classes):
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ModelError(f"{form} have {found} for 2 images of {classes} classes, expected (2, {classes}). {hint}")
