"""The console of the command line: rich's, with foreign text made harmless."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from ..printable import printable


class Console(RichConsole):
    """A console that escapes control characters and marks of direction in everything that it prints, live or not.

    Names of classes, files and losses come from data sets, records and plugins; printed as they are, they could clear
    the screen, retitle the window, or read as something else than they are.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of a renderable; rich calls this for each one that it prints, also for nested ones."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def print_error(error: BaseException) -> None:
    """Print `error: …` on standard error; not parsed as markup, because messages quote what users wrote."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False, emoji=False)


def print_plain(text: object, **options: Any) -> None:
    """Print a line of text as `print` does, with foreign text made harmless."""
    print(printable(str(text)), **options)
