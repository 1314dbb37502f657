"""The options that `compare` takes over from `run`, so that they are written once."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from .run import run

# Each run of a grid has its own loss, sampler and seed, and its own directory.
_TAKEN = (
    "data", "val", "label", "classes", "min_images", "image_size", "cache", "skip_unreadable",
    "allow_missing_classes", "model", "weights", "epochs", "batch_size", "micro_batches", "lr", "optimizer",
    "weight_decay", "warmup_epochs", "select", "device", "precision", "workers", "compile_", "sync_bn", "config",
)  # fmt: skip


def with_options_of_run(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command, in place of its `**options`, the parameters of `run` that hold for every run of a grid."""
    kinds = typing.get_type_hints(run, include_extras=True)
    theirs = inspect.signature(run).parameters
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = [theirs[name].replace(annotation=kinds[name]) for name in _TAKEN]
    required = [p for p in own if p.default is p.empty]
    optional = [p for p in own if p.default is not p.empty]
    command.__signature__ = signature.replace(parameters=[*required, *optional, *taken])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *taken)} | {"return": None}
    return command


def run_options(options: dict[str, Any]) -> dict[str, Any]:
    """What was given for them, as `RunConfig` calls it."""
    named = {("compile" if name == "compile_" else name): value for name, value in options.items()}
    return {name: value for name, value in named.items() if name != "config"}
