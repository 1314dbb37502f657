"""How far a comparison is, on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ...runs.cells import DIVERGED, DONE, FAILED
from ...runs.grid_status import RUNNING, WAITING, CellStatus, GridStatus
from ..tables.table import Table
from .table import TerminalTable

_MOST = 40  # rows per table


def status_summary(status: GridStatus) -> RenderableType:
    """Return the number of cells by state, then tables of those that run, were interrupted, or failed."""
    counts = ", ".join(f"{number:,} {name}" for name, number in status.counts.items() if number or name == DONE)
    parts: list[RenderableType] = [Text(f"{len(status.cells):,} cells in {status.directory}: {counts}")]
    if status.trials:
        trials = ", ".join(f"{number:,} {name}" for name, number in status.trials.items())
        parts.append(Text(f"tuning trials that have begun: {trials}"))
    begun = [cell for cell in status.cells if cell.state in (RUNNING, WAITING) and cell.epochs is not None]
    columns = ("loss", "sampler", "seed", "state", "epoch", "images/s", "node")
    rows = [(*_name(cell), _state(cell), _epoch(cell), _speed(cell), cell.node or "") for cell in begun]
    parts += _table("running", "Running or interrupted", columns, rows)
    failed = [cell for cell in status.cells if cell.state in (FAILED, DIVERGED)]
    rows = [(*_name(cell), cell.state, cell.message) for cell in failed]
    parts += _table("failed", "Failed", ("loss", "sampler", "seed", "state", "reason"), rows)
    return Group(*parts)


def _table(key: str, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[RenderableType]:
    if not rows:
        return []
    note = f"… and {len(rows) - _MOST:,} more (--json prints all of them)" if len(rows) > _MOST else ""
    text = frozenset({"state", "node", "reason"} & set(columns))
    table = Table(key, title, columns, tuple(rows[:_MOST]), note, names=3, text=text)
    return [Padding(TerminalTable(table), (1, 0, 0, 0))]


def _name(cell: CellStatus) -> tuple[str, ...]:
    return cell.loss, cell.sampler, str(cell.seed) + (f", fold {cell.fold}" if cell.fold else "")


def _state(cell: CellStatus) -> str:
    return "running" if cell.state == RUNNING else "interrupted"


def _epoch(cell: CellStatus) -> str:
    return f"{cell.epoch}/{cell.epochs}"


def _speed(cell: CellStatus) -> str:
    return "" if cell.images_per_second is None else f"{cell.images_per_second:,.0f}"
