"""How a comparison was made: data, options, commands, environment."""

from __future__ import annotations

import shlex
from typing import Any

from ..verdict.comparison import Comparison


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared on what."""
    record = comparison.entrants[0].any_run.record
    data, model, config = record["data"], record["model"], record["config"]
    counts = sorted(data["training_counts"].values(), reverse=True)
    seeds = sorted({seed for entrant in comparison.entrants for seed in entrant.runs})
    return [
        ("data", str(data["spec"])),
        ("training", f"{sum(counts):,} images in {len(counts)} classes, {counts[0]:,} to {counts[-1]:,}"),
        ("selection", f"{data['selection_images']:,} images carved from training"),
        ("test", f"{sum(data['test_counts'].values()):,} images: {data['split_origin']}"),
        (
            "model",
            f"{model['name']}, {model['parameters']:,} parameters, {model['image_size']} px, "
            f"weights: {model['weights']}",
        ),
        ("training of each", ", ".join(_told(config))),
        ("seeds", ", ".join(map(str, seeds))),
        ("epoch judged", "the best on the selection split" if config.get("select") else "the last"),
    ]


def commands(comparison: Comparison) -> list[str]:
    """What was typed: the comparison's own command, or those of single runs."""
    grid = comparison.records.grid.get("command")
    told = [grid] if grid else [run.record["environment"]["command"] for run in comparison.records.runs]
    return [shlex.join(command) for command in told]


def environment_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Versions and machine of the first run; runs that differ in them were not compared, or a note says so."""
    found = comparison.records.runs[0].record["environment"]
    named: list[tuple[str, Any]] = [
        (name.replace("_", " "), found.get(name))
        for name in ("lossbench", "python", "platform", "device", "device_name", "cuda", "cpu_threads", "cpu_cores",
                     "deterministic_algorithms", "git")
    ]  # fmt: skip
    rows = [(name, _plain(value)) for name, value in named if value is not None]
    return [*rows, *((name, str(version)) for name, version in found["packages"].items())]


def objectives(comparison: Comparison) -> list[tuple[str, str]]:
    """Each entrant's formula, as it was trained."""
    found = {e.loss: e.formula for e in (*comparison.entrants, *comparison.copies)}
    return list(found.items())


def _told(config: dict[str, Any]) -> list[str]:
    """The options that say most, as a user writes them."""
    names = ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup_epochs", "image_size", "precision")
    return [f"{name.replace('_', ' ')} {config[name]}" for name in names if name in config]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
