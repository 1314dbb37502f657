"""What a run found, for a terminal. Reads a record; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...verdict.published import Published, published, why_not_comparable
from ...verdict.thresholds import thresholds
from .shorten import ends

_PARTS = ("data", "forward", "loss_forward", "backward", "step")
_BAR = 10
_METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "cohen_kappa": "Cohen's kappa",
    "krippendorff_alpha": "Krippendorff's alpha",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "mean_average_precision_at_r": "MAP@R of embeddings",
}


def run_summary(record: dict[str, Any]) -> RenderableType:
    """Formula, metrics, recall by class and time of a run, as rich renders it.

    Args:
        record: content of `record.json`, with "directory".
    """
    data, metrics = record["data"], record["metrics"]
    images, test_images = (sum(data[counts].values()) for counts in ("training_counts", "test_counts"))
    head = Text.assemble(
        ("objective  ", "bold"), record["formula"], "\n",
        ("data       ", "bold"), f"{data['spec']}, {images:,} training images; evaluated on {test_images:,} "
        f"({data['split_origin']})\n",
        ("model      ", "bold"), f"{record['model']['name']}, {record['model']['parameters']:,} parameters, "
        f"{record['model']['image_size']} px, weights: {record['model']['weights']}\n",
    )  # fmt: skip
    if record["selected_epoch"] is not None:
        head.append(f"epoch {record['selected_epoch'] + 1} was kept, by the selection split\n")
    if metrics["absent_classes"]:
        head.append(f"without evaluation images: {', '.join(metrics['absent_classes'])}\n", style="yellow")
    tail = Text.assemble(
        f"{record['timing']['total_seconds']:.0f} s in all, {record['timing']['train_seconds']:.0f} s of them training "
        f"at {record['timing']['images_per_second']:.0f} images/s, {record['timing']['data_wait_share']:.0%} of it "
        "waiting for images; "
        f"peak memory {record['memory']['peak_bytes'] / 2**30:.2f} GiB on {record['environment']['device']}\n",
        ("record     ", "bold"), f"{record['directory']}",
    )  # fmt: skip
    parts: list[RenderableType] = [head, _metrics_table(metrics), Text(), _recall_table(record), *_thresholds(record)]
    if figures := published(record):
        parts += [_published_table(record, figures), _comparable(record)]
    return Group(*parts, _time_table(record["timing"]), tail)


def _metrics_table(metrics: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, name in _METRICS.items():
        style = "bold green" if key == "balanced_accuracy" else ""
        table.add_row(Text(name, style=style), Text(_number(metrics[key]), style=style))
    return table


def _recall_table(record: dict[str, Any]) -> Table:
    """Classes from the most to the least frequent in training."""
    data, metrics = record["data"], record["metrics"]
    table = _table("recall by class")
    table.add_column("class")
    for heading in ("training images", "test images", "recall", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_column("", no_wrap=True, min_width=_BAR)
    for name in ends(sorted(data["class_names"], key=lambda n: -data["training_counts"][n])):
        if name is None:
            table.add_row("…")
            continue
        recall, interval = metrics["per_class_recall"][name], metrics["per_class_recall_interval_95"][name]
        table.add_row(
            Text(name),
            f"{data['training_counts'][name]:,}",
            f"{data['test_counts'][name]:,}",
            _number(recall),
            "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
            "█" * round(_BAR * (recall or 0)),
        )
    return table


def _thresholds(record: dict[str, Any]) -> list[RenderableType]:
    """Balanced accuracy under other decision rules, and accuracy under other test priors, from the predictions."""
    try:
        with np.load(Path(record["directory"]) / "predictions.npz", allow_pickle=False) as stored:
            wanted = [name for name in stored if name.endswith(("scores", "targets"))]
            drawn, training = (list(record["data"][name].values()) for name in ("drawn_counts", "training_counts"))
            found = thresholds({name: stored[name] for name in wanted}, drawn, training)
    except (OSError, KeyError):
        return []  # a record alone
    table = _table("is it the loss, or the threshold?")
    table.add_column("decided by")
    table.add_column("balanced accuracy", justify="right")
    table.add_row("the scores, as trained", _number(found.as_trained))
    table.add_row("scores shifted by the drawn frequencies, tau = 1", _number(found.tau_1))
    if found.tau is not None:
        table.add_row(f"the same, tau = {found.tau:.2f} by the selection split", _number(found.tuned))
    table.add_row(
        "a balanced linear refit on the embeddings", "not fitted" if found.refit is None else _number(found.refit)
    )
    priors = _table("accuracy under other test priors")
    priors.add_column("classes as frequent as")
    for heading in ("as trained", "shifted from training to it"):
        priors.add_column(heading, justify="right")
    names = {"training-like": "in training", "uniform": "each other", "reversed": "in training, in reverse"}
    for prior, (plain, adjusted) in found.sweep.items():
        priors.add_row(names[prior], _number(plain), _number(adjusted))
    return [table, priors]


def _published_table(record: dict[str, Any], figures: tuple[Published, ...]) -> Table:
    """This run between the published figures of its class set, by accuracy."""
    table = _table(f"published accuracies on AffectNet-{len(record['data']['class_names'])}, per cent")
    for heading in ("", "source"):
        table.add_column(heading)
    table.add_column("accuracy", justify="right")
    rows = [(figure.accuracy, figure.name, f"{figure.source} ({figure.year})") for figure in figures]
    rows.append((100 * record["metrics"]["accuracy"], "this run", ""))
    for accuracy, name, source in sorted(rows):
        table.add_row(Text(name), Text(source), f"{accuracy:.2f}", style="" if source else "bold green")
    return table


def _comparable(record: dict[str, Any]) -> Text:
    reasons = why_not_comparable(record)
    if not reasons:
        return Text("Figures of 70 and above are left out: their test images came from augmented training data.\n")
    text = Text("Not comparable with this run:\n", style="yellow")
    return text.append("".join(f"  {reason}\n" for reason in reasons))


def _time_table(timing: dict[str, Any]) -> Table:
    """Where a step's time goes; medians."""
    table = _table("where a step's time goes")
    table.add_column("part")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    total = timing["seconds_per_step"]
    for part in _PARTS:
        seconds = timing[f"{part}_seconds_per_step"]
        if seconds is not None:
            table.add_row(part.replace("_", ", "), f"{1000 * seconds:.2f}", f"{seconds / total:.1%}")
    table.add_row("whole step", f"{1000 * total:.2f}", "", style="bold")
    estimated = ", estimated by replay" if timing["loss_share_estimated"] else ""
    loss = timing["loss_seconds_per_step"]
    table.add_row(
        f"the loss alone, forward and backward{estimated}", f"{1000 * loss:.2f}", f"{timing['loss_share']:.1%}"
    )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
