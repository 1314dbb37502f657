"""Plot growth on log-log axes in SVG: time on the left, peak memory on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .growth import AXES, Growth


def plot_growth(growths: Sequence[Growth], path: Path, title: str) -> None:
    """Plot the contenders of one axis.

    Args:
        growths: growths along one axis.
        path: SVG file to write.
        title: title of the plot.
    """
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    from ..files import write_text
    from ..svg import plain_svg

    with mpl.rc_context({"svg.hashsalt": "lossbench", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        time, memory = figure.subplots(1, 2)
        place = list(AXES).index(growths[0].axis)
        for number, growth in enumerate(growths):
            rows = [row for row in growth.rows if row.seconds and row.peak_bytes]
            sizes = [row.workload[place] for row in rows]
            style: dict[str, Any] = {"marker": "osD^v"[number % 5], "markersize": 4, "linewidth": 1.4}
            seconds = [1e3 * (row.seconds or 0) for row in rows]
            time.plot(sizes, seconds, label=_label(growth.name, growth.axis, growth.time_exponent), **style)
            peaks = [(row.peak_bytes or 0) / 1e6 for row in rows]
            memory.plot(sizes, peaks, label=_label(growth.name, growth.axis, growth.memory_exponent), **style)
        for axes, what in ((time, "time per call, ms"), (memory, "peak memory, MB")):
            axes.set(xscale="log", yscale="log", xlabel=f"{AXES[growths[0].axis]} ({growths[0].axis})", ylabel=what)
            axes.set_xticks(sorted({row.workload[place] for growth in growths for row in growth.rows}))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.tick_params(axis="x", labelrotation=45)
            axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            axes.grid(True, which="major", linewidth=0.4)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, frameon=False)
        figure.suptitle(title, fontsize=10)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_text(path, plain_svg(buffer.getvalue()))


def _label(name: str, axis: str, exponent: float | None) -> str:
    return name if exponent is None else f"{name}: ~ {axis}^{exponent:.1f}"
