"""The console of the command line: rich's, with the text of others made harmless."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment

from ..printable import printable


class Console(RichConsole):
    """A console that escapes control characters and marks of direction in all that it prints.

    Names of classes, files and losses come from data sets, records and plugins; printed as they are, they could clear
    the screen, retitle the window, or read as something else than they are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.push_render_hook(_Door())


def print_error(error: BaseException) -> None:
    """Print `error: …` on standard error; not parsed as markup, because messages quote what users wrote."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False, emoji=False)


class _Door(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Safe(renderable) for renderable in renderables]


class _Safe:
    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        segments: Iterable[Segment] = console.render(self.inner, options)
        for segment in segments:
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
