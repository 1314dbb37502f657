"""A figure of a report, and the style of entrants in all figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from matplotlib.figure import Figure

from ...verdict.comparison import Comparison
from ...verdict.entrants import Entrant
from .drawing import INK, series, to_svg

MOST_SMALL = 12  # entrants with a small figure of their own


@dataclass(frozen=True)
class Picture:
    """A figure of a report.

    Attributes:
        key: identifier for links, file names and tests.
        title: what it shows.
        figure: drawing of `drawing.new_figure`.
        label: description for screen readers.
        note: what a reader must know to read it.
        full_width: whether it spans its section.
    """

    key: str
    title: str
    figure: Figure = field(repr=False)
    label: str
    note: str = ""
    full_width: bool = False

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG element whose colors and fonts are variables of the page."""
        return to_svg(self.figure, self.label)


@dataclass(frozen=True)
class Style:
    """The style of an entrant in every figure: one color per loss, one line style per sampler."""

    color: str
    line: str
    marker: str


def style_of(comparison: Comparison, entrant: Entrant) -> Style:
    """Return the style: color by loss, line and marker by sampler; derived entrants are dotted and in ink."""
    number = comparison.records.losses.index(entrant.loss)
    sampler = comparison.records.samplers.index(entrant.sampler)
    if entrant.derived:
        return Style(INK, ":", "D")
    return Style(series(number), ("-", "--", "-.")[sampler % 3], ("o", "s", "^")[sampler % 3])


def few(comparison: Comparison) -> list[Entrant]:
    """Return up to seven entrants of the first sampler, for figures that cannot show all."""
    first = comparison.records.samplers[0]
    return [e for e in comparison.entrants if e.sampler == first][:7]
