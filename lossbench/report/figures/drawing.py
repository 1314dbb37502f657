"""Figures as SVG elements of a page, whose colors and fonts are variables of the page (light and dark)."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ...printable import printable

# Placeholders that `to_svg` replaces by the page's variables; no figure uses such colors for anything else.
INK, MUTED, LINE, CARD = "#010203", "#010204", "#010205", "#010206"
_ROLES = {INK: "ink", MUTED: "muted", LINE: "line", CARD: "card"}
SERIES, CLASSES = 10, 10
WIDTH = 4.6  # inches; at 100 dots an inch a phone shows it at nearly full size

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lossbench",
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
}


def series(number: int) -> str:
    """Return the color of an entrant."""
    return f"#0a0b{number % SERIES:02x}"


def of_class(number: int) -> str:
    """Return the color of a class in a map."""
    return f"#0c0d{number % CLASSES:02x}"


def new_figure(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return a figure with one axes; sizes in inches."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        return figure, figure.add_subplot()


def to_svg(figure: Figure, title: str) -> str:
    """Return the figure as an element of a page.

    Args:
        figure: of `new_figure`.
        title: description for screen readers.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", _with_variables, svg)  # in tags alone: a class may be called #0a0b01
    wide = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    assert wide
    shape = f'style="max-width: {float(wide[1]) * 4 / 3:.0f}px" role="img" aria-label="{_attribute(printable(title))}"'
    return svg.replace(wide[0], shape, 1)


def to_pdf(figure: Figure, colors: Mapping[str, str]) -> bytes:
    """Return the figure as PDF with embedded TrueType fonts.

    Args:
        figure: of `new_figure`.
        colors: variable of the page -> "#rrggbb".
    """
    buffer = io.BytesIO()
    with mpl.rc_context({**_SETTINGS, "pdf.compression": 0, "pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", transparent=True, metadata={"CreationDate": None, "Creator": None})

    def resolved(found: re.Match[bytes]) -> bytes:
        placeholder = "#" + "".join(f"{round(255 * float(part)):02x}" for part in found[1].split())
        name = _variable(placeholder)
        if name is None:
            return found[0]
        color = " ".join(f"{part:.4f}" for part in mpl.colors.to_rgb(colors[name])).encode()
        return color.ljust(len(found[1])) + found[2]  # of equal length: a PDF lists the offsets of its objects

    number = rb"(?:0\.\d+|[01])"
    return re.sub(rb"\b(" + rb"\s".join([number] * 3) + rb")(\s(?:rg|RG)\b)", resolved, buffer.getvalue())


def _with_variables(tag: re.Match[str]) -> str:
    colored = re.sub(
        r"#0[0-9a-f]{5}\b", lambda found: f"var(--{name})" if (name := _variable(found[0])) else found[0], tag[0]
    )
    return re.sub(r"(font: (?:[\w.]+ )*[\d.]+px) [^;\"]*", r"\1 var(--font)", colored)


def _variable(color: str) -> str | None:
    """Return the name of the page's variable that a placeholder stands for."""
    if color in _ROLES:
        return _ROLES[color]
    kind = {"#0a0b": "s", "#0c0d": "c"}.get(color[:5])
    return None if kind is None else f"{kind}{int(color[5:], 16)}"


def short(name: str, most: int = 30) -> str:
    """Return a name as text that a drawing can hold, cut to the room that it has.

    Example:
        >>> short("softmax + 0.1*center(alpha=0.5)", 12)
        'softmax + 0…'
    """
    name = printable(name).replace("\n", " ").replace("\t", " ")
    return name if len(name) <= most else f"{name[: most - 1]}…"


def percent_axis(axis: Axes, which: str = "x", label: str = "per cent") -> None:
    """Label an axis in per cent and draw a light grid."""
    part = axis.xaxis if which == "x" else axis.yaxis
    part.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
    (axis.set_xlabel if which == "x" else axis.set_ylabel)(label)
    axis.grid(axis="x" if which == "x" else "y")
    axis.set_axisbelow(True)


def legend_below(axis: Axes, columns: int = 2, handles: Sequence[Any] | None = None) -> None:
    """Place a legend under the axes."""
    more = {} if handles is None else {"handles": handles}
    axis.figure.legend(
        loc="outside lower left", ncols=columns, frameon=False, fontsize=8, labelcolor=INK, handlelength=1.8, **more
    )


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
