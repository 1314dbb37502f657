"""The identity of a run, which its checkpoints must match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError
from ...printable import shortened
from ...registry import loss_origin
from ...runs.option import Role
from ...runs.options import option_names
from ...versions import version
from ..task import Task

# Reported, not refused: bit-identical weights are promised on one machine with one version of torch.
_DOUBTFUL = ("torch", "device_name", "cpu_threads")
_WORDS = {
    "formula": "loss",
    "origins": "origin and version of loss",
    "train_digest": "training images",
    "test_digest": "test images",
    "weights_sha256": "starting weights",
    "class_names": "class list",
    "training_counts": "training images of each class",
    "drawn_counts": "images of each class as drawn",
    "options": "--",
}


def identity_of(task: Task, processes: int, device: torch.device) -> dict[str, Any]:
    """Return the versions, objective, model, data and options of a run as JSON values.

    Args:
        task: checked task.
        processes: number of processes.
        device: device of the run.
    """
    # Where the data is does not matter: digests tell whether it is the same. The device has an entry of its own.
    free = option_names(Role.ANY_TIME, Role.LOCATES_DATA, Role.NO_EFFECT)
    options = {name: value for name, value in task.config.as_options().items() if name not in free}
    return {
        "lossbench": version("lossbench"),
        "formula": str(task.formula),
        "origins": {term.name: loss_origin(term.name) for term in task.formula.terms},
        "options": options,
        "class_names": list(task.train.class_names),
        "training_counts": list(task.train.class_counts),
        "drawn_counts": list(task.context.class_counts),
        "train_digest": task.train.digest(),
        "selection_digest": None if task.selection is None else task.selection.digest(),
        "test_digest": task.test.digest(),
        "weights_sha256": None if task.weights is None else task.weights.origin.get("sha256"),
        "processes": processes,
        "device": device.type,
        "torch": str(torch.__version__),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu_threads": torch.get_num_threads(),
    }


def check_identity(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Raise an error if a checkpoint belongs to a different run.

    Args:
        path: path of the checkpoint, for the message.
        theirs: identity in the checkpoint.
        ours: identity of the run that is resumed.

    Returns:
        Differences that can only change the last bits.

    Raises:
        CheckpointError: listing every other difference.
    """
    found = list(_differences(theirs, ours))
    if refused := [text for name, text in found if name not in _DOUBTFUL]:
        rows = "\n".join(f"  {text}" for text in refused)
        raise CheckpointError(
            f"{path} belongs to a different run:\n{rows}\nRestore the original options, data or versions, or "
            "start a new "
            "run in another directory"
        )
    return [text for _, text in found]


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and a sentence for each value that differs."""
    for name in sorted({*theirs, *ours}):
        old, new = theirs.get(name), ours.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, name)
            continue
        option = f"--{name.replace('_', '-')}"
        said = (
            option
            if within == "options"
            else f"{_WORDS.get(within, within)} {name}"
            if within
            else _WORDS.get(name, name)
        )
        yield within or name, f"{said}: the checkpoint has {_short(old)}, this run {_short(new)}"


def _short(value: object) -> str:
    text = "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return shortened(text, 200)
