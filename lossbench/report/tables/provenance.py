"""How a comparison was made: data, options, commands, environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from ... import __version__
from ...runs.option import Role
from ...runs.options import option_names
from ...runs.record import Git
from ...verdict.comparison import Comparison
from .table import Table


def setup_table(comparison: Comparison) -> Table:
    """Return data, model and options of the comparison."""
    return _rows("setup", "Data and training", ("", "value"), facts(comparison))


def command_table(comparison: Comparison) -> Table:
    """Return the commands that made the runs."""
    rows = tuple((command,) for command in commands(comparison))
    return Table("commands", "Commands", ("command",), rows, code=frozenset({"command"}))


def objective_table(comparison: Comparison) -> Table:
    """Return the formula that each loss was trained with."""
    return _rows("objectives", "Objectives", ("loss", "formula"), objectives(comparison), code=True)


def environment_table(comparison: Comparison) -> Table:
    """Return versions and machine."""
    return _rows("environment", "Environment", ("", "value"), environment_rows(comparison))


def _rows(key: str, title: str, columns: tuple[str, str], rows: list[tuple[str, str]], *, code: bool = False) -> Table:
    kind = {"code" if code else "text": frozenset({columns[1]})}
    return Table(key, title, columns, tuple(rows), **kind)  # type: ignore[arg-type]


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what was compared, on which data: (name, value) rows."""
    if not comparison.has_records:
        return _facts_of_tables(comparison)
    record = comparison.entrants[0].any_run.record
    data, model, config = record.data, record.model, record.config
    counts = sorted(data.training_counts.values(), reverse=True)
    seeds = sorted({seed for entrant in comparison.entrants for seed in entrant.runs})
    return [
        ("data", data.spec),
        ("training", f"{sum(counts):,} images in {len(counts)} classes, {counts[0]:,} to {counts[-1]:,}"),
        ("selection", f"{data.selection_images:,} images carved from training"),
        ("test", f"{sum(data.test_counts.values()):,} images: {data.split_origin}"),
        (
            "model",
            f"{model.name}, {model.parameters:,} parameters, {model.image_size} px, weights: {model.weights}",
        ),
        ("options", ", ".join(_main_options(config))),
        ("seeds", ", ".join(map(str, seeds))),
        ("evaluated epoch", "the best on the selection split" if config.get("select") else "the last"),
    ]


def _facts_of_tables(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what is known of predictions that lossbench did not make."""
    classes, entrants = comparison.classes, comparison.entrants
    seeds = sorted({seed for entrant in entrants for seed in entrant.scores})
    facts = [
        ("tables", ", ".join(comparison.sources)),
        ("data sets", ", ".join(comparison.data_sets)),
        ("test", f"{sum(classes.test):,.0f} samples in {len(classes.names)} classes"),
        ("metric", comparison.metric.name),
        ("seeds", ", ".join(map(str, seeds))),
    ]
    if classes.training is not None:
        facts.append(("training", f"{sum(classes.training):,.0f} samples (--counts)"))
    return [(name, value) for name, value in facts if value]


def commands(comparison: Comparison) -> list[str]:
    """Return the command of the comparison, or those of single runs."""
    if not comparison.has_records:
        return []
    grid = comparison.records.grid and comparison.records.grid.command
    typed = [grid] if grid else [run.record.environment.command for run in comparison.records.runs]
    return list(dict.fromkeys(shlex.join(command) for command in typed))


def environment_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Return versions and machine of the first run; where runs differ, they were not compared or a note says so."""
    if not comparison.has_records:
        return [("lossbench", __version__), ("numpy", np.__version__), ("scipy", scipy.__version__)]
    found = comparison.records.runs[0].record.environment
    named: list[tuple[str, Any]] = [
        (name.replace("_", " "), getattr(found, name))
        for name in ("lossbench", "python", "platform", "device", "device_name", "cuda", "cpu_threads", "cpu_cores",
                     "deterministic_algorithms", "git")
    ]  # fmt: skip
    rows = [(name, _plain(value)) for name, value in named if value is not None]
    return [*rows, *((name, str(version)) for name, version in found.packages.items())]


def objectives(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the formula that each entrant was trained with."""
    if not comparison.has_records:
        return []
    found = {e.loss: e.formula for e in (*comparison.entrants, *comparison.copies)}
    return list(found.items())


def _main_options(config: Mapping[str, Any]) -> list[str]:
    """Return the options that describe the training best, as a user writes them."""
    return [f"{name.replace('_', ' ')} {config[name]}" for name in option_names(Role.REPORTED) if name in config]


def _plain(value: Any) -> str:
    if isinstance(value, Git):
        return f"commit {value.commit}, dirty {value.dirty}"
    return str(value)
