"""`lossbench evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..runs.option import Role
from ..runs.options import RunConfig, option_names
from .output import output_is_optional, print_json
from .parameters import Json, LossFile, takes_options

if TYPE_CHECKING:
    from ..runs.record import Record

_DIVIDES = option_names(Role.DIVIDES_DATA)
_OPENS = [name for name in option_names(Role.OPENS_DATA) if name not in _DIVIDES]
_COMPUTES = ("batch_size", "device", "workers")


@takes_options(
    [*_OPENS, "recognize_files", *_COMPUTES],
    seed="Random seed of the data; of the sources, only digits depends on it.",
    batch_size="Images per batch (default: decided by the data).",
)
def evaluate(
    run: Annotated[Path, Argument(metavar="RUN", help="Directory of a finished run.")],
    data: Annotated[
        str, Option(metavar="SPEC", help="Data to evaluate on: its test split, or all images of a source without one.")
    ],
    out: Annotated[Path, Option(metavar="DIR", help="New directory for the record and the predictions.")],
    loss: LossFile = None,
    json_: Json = False,
    **options: Any,
) -> None:
    """Evaluate a trained run on other data, and write a record that judge and report read.

    lossbench evaluate runs/NAME --data folder:photos --out photos
    """
    from ..registry import allow_objects
    from ..runs.layout import check_finished, check_unclaimed

    check_finished(run)
    check_unclaimed(out, required=True)
    if not json_:
        output_is_optional()
    allow_objects(loss or "")
    config = RunConfig(loss="softmax", data=data, **options)  # the loss of the run is in its record
    from .watch_run import LOADING, RichReporter, working

    with working(LOADING):
        from ..harness.evaluation.evaluate_run import evaluate_run

    record = evaluate_run(run, config, out, RichReporter())
    if json_:
        print_json({**record.to_json(), "directory": str(out)})
        return
    _print(record, out)


def _print(record: Record, out: Path) -> None:
    from rich.text import Text

    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable
    from .terminal import Console

    metrics, counts = record.metrics, record.data.test_counts
    rows = []
    for name, recall in metrics.per_class_recall.items():
        low_high = metrics.per_class_recall_interval_95.get(name)
        interval = "-" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"
        rows.append((name, f"{counts[name]:,}", "-" if recall is None else f"{recall:.3f}", interval))
    console = Console()
    images = f"{sum(counts.values()):,} images ({record.data.split_origin})"
    console.print(Text(f"{record.formula} on {record.data.spec}: {images}"))
    console.print()
    columns = ("class", "images", "recall", "95% interval")
    console.print(TerminalTable(Table("recall", "", columns, tuple(rows))))
    console.print()
    for name, value in (
        ("balanced accuracy", metrics.balanced_accuracy),
        ("accuracy", metrics.accuracy),
        ("macro F1", metrics.macro_f1),
    ):
        console.print(Text(f"{name:<18} {'-' if value is None else f'{value:.3f}'}"))
    if metrics.absent_classes:
        console.print(Text(f"no images of: {', '.join(metrics.absent_classes)}", style="yellow"))
    console.print(Text(f"record             {out}"), soft_wrap=True)
