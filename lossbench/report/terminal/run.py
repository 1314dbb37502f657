"""The results of a run on a terminal, from its record; imports no torch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ...errors import RecordError
from ...runs.predictions import read_predictions
from ...runs.record import Record, Timing
from ...verdict.published import AFFECTNET, Published, dataset_of, published, why_not_comparable
from ...verdict.thresholds import thresholds_of
from ..tables.one_run import metrics_table, number, priors_table, rules_table
from ..tables.table import Table
from .shorten import ends
from .table import TerminalTable

_PARTS = ("data", "forward", "loss_forward", "backward", "step")
_BAR = 10


def run_summary(record: Record, directory: Path) -> RenderableType:
    """Return formula, metrics, recall by class and time of a run.

    Args:
        record: of the run.
        directory: where it lies.
    """
    data, metrics, model, timing = record.data, record.metrics, record.model, record.timing
    images, test_images = sum(data.training_counts.values()), sum(data.test_counts.values())
    head = Text.assemble(
        ("objective  ", "bold"), record.formula, "\n",
        ("data       ", "bold"), f"{data.spec}, {images:,} training images; evaluated on {test_images:,} "
        f"test images ({data.split_origin})\n",
        ("model      ", "bold"), f"{model.name}, {model.parameters:,} parameters, {model.image_size} px, "
        f"weights: {model.weights}, augmentation: {record.config.get('augment', 'unknown')}\n",
    )  # fmt: skip
    if record.selected_epoch is not None:
        head.append(f"kept epoch {record.selected_epoch + 1}, the best on the selection split\n")
    if metrics.absent_classes:
        head.append(f"no test images of: {', '.join(metrics.absent_classes)}\n", style="yellow")
    if timing.steps_skipped:
        head.append(f"{timing.steps_skipped:,} of {timing.steps:,} steps were non-finite and skipped\n", style="yellow")
    tail = Text.assemble(
        f"total {timing.total_seconds:.0f} s; training {timing.train_seconds:.0f} s "
        f"({timing.images_per_second:,.0f} images/s, "
        f"{timing.data_wait_share or 0:.0%} waiting for data); "
        f"peak memory {record.memory.peak_bytes / 2**30:.2f} GiB on {record.environment.device}\n",
        ("record     ", "bold"), str(directory),
    )  # fmt: skip
    spaced = [metrics_table(metrics), _recall_table(record), *_thresholds(record, directory)]
    published_parts: list[RenderableType] = []
    if figures := published(data):
        published_parts = [_below(_published_table(record, figures)), _comparable(record)]
    return Group(head, *map(_below, spaced), *published_parts, _below(_time_table(timing)), Text(), tail)


def _below(table: Table) -> RenderableType:
    """Return a table with an empty line above it; the first one follows the head."""
    return Padding(TerminalTable(table), (0 if table.key == "metrics" else 1, 0, 0, 0))


def _recall_table(record: Record) -> Table:
    """Return the recall of each class, from the most to the least frequent in training."""
    data, metrics = record.data, record.metrics
    columns = ("class", "training images", "test images", "recall", "95 % interval", "")
    rows: list[tuple[str, ...]] = []
    for name in ends(sorted(data.class_names, key=lambda n: -data.training_counts[n])):
        if name is None:
            rows.append(("…", *[""] * 5))
            continue
        recall, interval = metrics.per_class_recall.get(name), metrics.per_class_recall_interval_95.get(name)
        rows.append(
            (
                name,
                f"{data.training_counts[name]:,}",
                f"{data.test_counts[name]:,}",
                number(recall),
                "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
                "█" * round(_BAR * (recall or 0)),
            )
        )
    bars = frozenset({""})
    return Table("recall", "Recall by class", columns, tuple(rows), wide=bars, text=bars)


def _thresholds(record: Record, directory: Path) -> list[Table]:
    """Return balanced accuracy under other decision rules, and accuracy under other test priors."""
    try:
        predictions = read_predictions(directory, record)
    except RecordError:
        return []  # a record alone
    found = thresholds_of(record, predictions)
    return [rules_table(found), priors_table(found)]


def _published_table(record: Record, figures: tuple[Published, ...]) -> Table:
    """Return this run among the published accuracies of its class set."""
    rows = [(figure.accuracy, figure.name, f"{figure.source} ({figure.year})") for figure in figures]
    rows.append((100 * (record.metrics.accuracy or 0), "this run", ""))
    ranked = sorted(rows)
    return Table(
        "published",
        f"Published accuracies on {dataset_of(record.data)}-{len(record.data.class_names)}, per cent",
        ("", "source", "accuracy"),
        tuple((name, source, f"{accuracy:.2f}") for accuracy, name, source in ranked),
        best=frozenset(n for n, row in enumerate(ranked) if not row[2]),
        text=frozenset({"source"}),
    )


def _comparable(record: Record) -> Text:
    reasons = why_not_comparable(record)
    if not reasons and dataset_of(record.data) != AFFECTNET:
        return Text()
    if not reasons:
        return Text("Figures of 70 and above are left out: their test images came from augmented training data.\n")
    text = Text("Not comparable with this run:\n", style="yellow")
    return text.append("".join(f"  {reason}\n" for reason in reasons))


def _time_table(timing: Timing) -> Table:
    """Return the median time of each part of a step."""
    total, loss = timing.seconds_per_step, timing.loss_seconds_per_step
    measured = [(part, getattr(timing, f"{part}_seconds_per_step")) for part in _PARTS]
    rows = [
        (part.replace("_", ", "), f"{1000 * seconds:.2f}", f"{seconds / total:.1%}")
        for part, seconds in measured
        if seconds is not None
    ]
    estimated = ", estimated by replay" if timing.loss_share_estimated else ""
    rows += [
        ("whole step", f"{1000 * total:.2f}", ""),
        (f"loss alone, forward and backward{estimated}", f"{1000 * loss:.2f}", f"{loss / total:.1%}"),
    ]
    return Table("time", "Time per training step", ("part", "ms", "share"), tuple(rows))
