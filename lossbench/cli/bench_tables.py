"""The tables of `lossbench bench` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..bench import Growth, Row, Workload
    from ..bench.suite import Line
    from ..report.terminal.table import TerminalTable


def cost_table(groups: list[list[Row]], workload: Workload) -> TerminalTable:
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable

    rows = [
        (("  " if number else "") + row.name, *_cells(row, number == 0))
        for rows in groups
        for number, row in enumerate(rows)
    ]
    return TerminalTable(
        Table(
            "bench",
            f"B = {workload.batch}, C = {workload.classes}, D = {workload.dim}, float32, {workload.device}",
            ("loss", "ms (quartiles)", "ratio", "update", "MB", "ops", "syncs"),
            tuple(rows),
            "ms: forward and backward; ratio: to the loss above; update: ms of update_state; MB: peak; "
            "ops: dispatched, without views",
        )
    )


def _cells(row: Row, is_first: bool) -> list[str]:
    ratio = "" if is_first or row.times_faster is None else f"{row.times_faster:,.2f}x"
    if row.seconds is None or row.quartiles is None or row.peak_bytes is None:
        return ["failed", *[""] * 5]
    times = f"{_milliseconds(row.seconds)} ({'-'.join(_milliseconds(value) for value in row.quartiles)})"
    update = "" if row.update_seconds is None else _milliseconds(row.update_seconds)
    return [times, ratio, update, f"{row.peak_bytes / 1e6:,.2f}", str(row.operations), str(row.host_syncs)]


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.3f}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def growth_table(growths: Sequence[Growth], axis: str, sizes: Sequence[int]) -> TerminalTable:
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable

    columns = ("loss", *(f"{axis} = {size:,}" for size in sizes), "like")
    rows = []
    for growth in growths:
        place = "BCD".index(axis)
        by_size = {row.workload[place]: row for row in growth.rows}
        cells = [_cell(by_size.get(size)) for size in sizes]
        time, memory = ("?" if e is None else f"{axis}^{e:.2f}" for e in (growth.time_exponent, growth.memory_exponent))
        rows.append((growth.name, *cells, f"{time}\n({memory})"))
    return TerminalTable(Table("growth", f"ms per call and (peak MB) as {axis} grows", columns, tuple(rows)))


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if row.seconds is None or row.peak_bytes is None:
        return "failed"
    return f"{_milliseconds(row.seconds)}\n({row.peak_bytes / 1e6:,.2f})"


def suite_table(lines: Sequence[Line]) -> TerminalTable:
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable

    columns = ("loss (B, C, D)", "against", "goal", "measured", "verdict")
    marks = {True: "met", False: "missed", None: ""}
    rows = tuple(
        (
            line.what,
            line.peer,
            "\n".join(line.goals),
            "\n".join(filter(None, (*line.measured, line.reason))),
            marks[line.met],
        )
        for line in lines
    )
    table = Table("suite", "", columns, rows, text=frozenset(columns[1:]))
    return TerminalTable(table, {"met": "green", "missed": "red"})


def print_errors(out: Any, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.error:
            out.print(f"{row.name} {row.workload}: {row.error}", markup=False, highlight=False)
