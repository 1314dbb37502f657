"""Arguments: an invalid argument is refused, in clear words, before anything changes.

Judged on the CPU, for the arguments that the loss reads; `refusals` says which words are clear.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ...adapters import AdaptedLoss
from ...errors import brief
from ...loss import Loss
from ..configuration import Configuration
from ..law import Group, judge_parts, law
from ..refusals import CLEAR, require_refusal, require_refusal_at_construction
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Arguments"


def _knows_sizes(loss: Loss) -> bool:
    return loss.knows_sizes if isinstance(loss, AdaptedLoss) else True


_LABEL_WORDS = ("target", "label")


@law(GROUP)
def label_out_of_range(trial: Trial) -> None:
    """A label outside [0, C) is refused, -100 too: there is no ignored label.

    Remedy: where an operator does not raise by itself, compare minimum and maximum, on the CPU only.
    """
    output, targets = trial.output(torch.float32), trial.targets
    classes = len(trial.case.class_counts)
    # Pairs alone don't tell how many classes there are.
    labels = (classes, -1, -100) if _knows_sizes(trial.loss) or "logits" in trial.reads else (-100,)

    def refused(label: int) -> None:
        wrong = targets.clone()
        wrong[-1] = label
        require_refusal(trial, f"label {label} of {classes} classes", output, wrong, _LABEL_WORDS)

    judge_parts(partial(refused, label) for label in labels)


@law(GROUP)
def float_labels(trial: Trial) -> None:
    """Labels that are floating-point numbers are refused.

    Remedy: check `targets.is_floating_point()`.
    """
    output = trial.output(torch.float32)
    require_refusal(trial, "labels in float32", output, trial.targets.float(), (*_LABEL_WORDS, "dtype", "int", "float"))


@law(GROUP)
def unequal_lengths(trial: Trial) -> None:
    """A number of labels other than the number of rows is refused.

    Remedy: check `len(targets) == len(inputs)`: gather and broadcasting accept less.
    """
    output, targets = trial.output(torch.float32), trial.targets
    words = (*_LABEL_WORDS, "size", "shape", "length")
    wrong = [torch.cat([targets, targets[:1]])] + ([targets[:-1]] if len(targets) > 1 else [])
    judge_parts(
        partial(require_refusal, trial, f"{len(labels)} labels for {len(targets)} rows", output, labels, words)
        for labels in wrong
    )


@law(GROUP)
def wrong_rank(trial: Trial) -> None:
    """Inputs that are no matrix, and labels that are no vector, are refused.

    Remedy: check `ndim`.
    """
    output, targets = trial.output(torch.float32), trial.targets
    words = (*trial.reads, *_LABEL_WORDS, "shape", "dim", "input")
    parts = [partial(require_refusal, trial, "labels of shape (B, 1)", output, targets.unsqueeze(1), words)]
    for name in trial.reads:
        flat = trial.changed(output, lambda t: t[0], name)
        parts.append(partial(require_refusal, trial, f"{name} without a batch axis", flat, targets, words))
        deep = trial.changed(output, lambda t: t.unsqueeze(2), name)
        parts.append(partial(require_refusal, trial, f"{name} of three axes", deep, targets, words))
    judge_parts(parts)


def _is_not_told_sizes(configuration: Configuration) -> str | None:
    return None if _knows_sizes(configuration.specimen) else "its constructor is not told C or D, so it cannot know"


@law(GROUP, unless=_is_not_told_sizes)
def wrong_number_of_columns(trial: Trial) -> None:
    """Logits of another number of classes, or embeddings of another size, than the task's are refused, naming the
    argument, and before any state changes.

    Remedy: keep `num_classes` or `embedding_dim` of the context and compare.
    """
    output, targets = trial.output(torch.float32), trial.targets
    parts = []
    for name in trial.reads:
        wide = trial.changed(output, lambda t: torch.cat([t, t[:, :1]], dim=1), name)
        columns = getattr(output, name).shape[1]
        words = (name, "shape", "size", "dim", "class")
        what = f"{name} of {columns + 1} columns instead of {columns}"
        parts.append(partial(require_refusal, trial, what, wide, targets, words))
    judge_parts(parts)


def _no_numbers_or_flags(configuration: Configuration) -> str | None:
    found = any(isinstance(default, bool | int | float) for default in configuration.spec.hyperparameters.values())
    return None if found else "it has no hyper-parameters that are numbers or flags"


@law(GROUP, searched=False, fresh_only=True, unless=_no_numbers_or_flags)
def bad_hyperparameters(trial: Trial) -> None:
    """A hyper-parameter that is NaN or of the wrong kind is refused at construction, naming it.

    Remedy: `lossbench.authoring` has `number`, `choice` and `flag`.
    """
    parts = []
    for name, default in trial.configuration.spec.hyperparameters.items():
        if isinstance(default, bool):
            wrong: tuple[Any, ...] = ("yes",)
        elif isinstance(default, int | float):
            wrong = (float("nan"), "nonsense")
        else:
            continue
        parts += [partial(require_refusal_at_construction, trial, name, value) for value in wrong]
    judge_parts(parts)


@law(GROUP)
def narrow_integer_labels(trial: Trial) -> None:
    """int32 labels give the value of int64 labels, or are refused clearly.

    Remedy: `targets.long()`.
    """
    output, targets = trial.output(torch.float32), trial.targets
    loss = trial.build(torch.float32)
    expected = loss(output, targets)
    try:
        found = loss(output, targets.int())
    except CLEAR:
        return
    except Exception as error:
        raise Violation(
            f"int32 labels are refused as {brief(error)}; expected the value of int64 "
            "labels, or a ValueError or TypeError",
            silent=False,
        ) from error
    trial.same("int32 labels against int64", found, expected, tolerance=1e-6)


@law(GROUP, searched=False, fresh_only=True)
def unknown_option(trial: Trial) -> None:
    """A hyper-parameter that does not exist, and an unknown word where a word is expected, are refused at
    construction.

    Remedy: no `**kwargs` that nobody reads; `choice(name, value, options)` for words.
    """
    wrong: list[tuple[str, Any]] = [("no_such_option", 1)]
    wrong += [(n, "no-such-word") for n, d in trial.configuration.spec.hyperparameters.items() if isinstance(d, str)]
    judge_parts(partial(require_refusal_at_construction, trial, name, value) for name, value in wrong)
