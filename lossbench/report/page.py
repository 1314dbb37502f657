"""A comparison as one HTML file that opens offline: no script, no request, light and dark, on a phone, too."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .figures import Picture, all_pictures
from .tables import Table, all_tables
from .verdict import Comparison
from .words import verdict_words

_SECTIONS = (
    ("accuracy", "Balanced accuracy", ("ranking", "pairs")),
    ("threshold", "Loss or threshold?", ("thresholds", "gains", "samplers", "attribution", "priors")),
    ("classes", "Class by class", ("tail", "changes")),
    ("confusion", "Confusion matrices", ()),
    ("maps", "Embeddings", ()),
    ("training", "Training and tuning", ("tuning",)),
    ("cost", "Cost", ("costs",)),
    ("problems", "Runs that could not be used", ("problems",)),
)


def page(comparison: Comparison) -> str:
    """The whole file.

    Args:
        comparison: judged.
    """
    environment = Environment(
        loader=PackageLoader("lossbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw_svg"] = lambda picture: Markup(picture.svg)  # drawn by us; its texts are escaped
    tables = {table.key: table for table in all_tables(comparison)}
    pictures = all_pictures(comparison)
    sections = [_section(key, title, wanted, tables, pictures) for key, title, wanted in _SECTIONS]
    headline, *words = verdict_words(comparison)
    return environment.get_template("report.html").render(
        headline=headline,
        words=words,
        notes=comparison.notes,
        sections=[section for section in sections if section["tables"] or section["pictures"]],
        facts=facts(comparison),
        formulas=_formulas(comparison),
        commands=commands(comparison),
        environment=environment_rows(comparison),
        style=Markup(environment.get_template("report.css").render()),
    )


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared on what."""
    record = comparison.entrants[0].any_run.record
    data, model, config = record["data"], record["model"], record["config"]
    counts = sorted(data["class_counts"].values(), reverse=True)
    seeds = sorted({seed for entrant in comparison.entrants for seed in entrant.runs})
    return [
        ("data", str(data["spec"])),
        ("training", f"{sum(counts):,} images in {len(counts)} classes, {counts[0]:,} to {counts[-1]:,}"),
        ("selection", f"{data['selection_images']:,} images carved from training"),
        ("test", f"{sum(data['test_class_counts'].values()):,} images: {data['split_origin']}"),
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
    import shlex

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


def _section(
    key: str,
    title: str,
    wanted: tuple[str, ...],
    tables: dict[str, Table],
    pictures: dict[str, list[Picture]],
) -> dict[str, Any]:
    return {
        "key": key,
        "title": title,
        "tables": [tables[name] for name in wanted if name in tables],
        "pictures": pictures.get(key, []),
        "legend": pictures["map-legend"] if key == "maps" else [],
    }


def _formulas(comparison: Comparison) -> list[tuple[str, str]]:
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
