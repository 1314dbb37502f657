"""The output of `lossbench data inspect` on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..tables.table import Table
from .shorten import ends
from .table import TerminalTable

_BAR = 20
_SHOWN = 10  # of files and the like


def inspection_summary(content: dict[str, Any]) -> RenderableType:
    """Return counts, imbalance, dropped rows and problems of a data set.

    Args:
        content: of `inspect_splits`, with the result of `inspect_images` under "deep", or None there.
    """
    train, evaluation = content["splits"]["train"], content["splits"]["evaluation"]
    head = Text()
    for title, value in (
        ("data", content["spec"]),
        ("release", content["release"]),
        ("training", _split(train)),
        ("test", f"{_split(evaluation)}; {content['split_origin']}"),
    ):
        if value is not None:
            head.append(f"{title:<12}", style="bold").append(f"{value}\n")
    parts: list[RenderableType] = [head, _classes(content)]
    if content["deep"] is not None:
        parts.append(_deep(content["deep"]))
    return Group(*parts, _said(content))


def _split(split: dict[str, Any]) -> str:
    people = "" if split["people"] is None else f" of {split['people']:,} people"
    ratio = split["imbalance_ratio"]
    imbalance = "undefined, a class is empty" if ratio is None else f"{ratio:.1f}"
    return f"{split['images']:,} images{people} in {len(split['class_counts']):,} classes, imbalance ratio {imbalance}"


def _classes(content: dict[str, Any]) -> TerminalTable:
    train, evaluation = (content["splits"][name]["class_counts"] for name in ("train", "evaluation"))
    largest, total = max([*train.values(), 1]), max(sum(train.values()), 1)
    names = list(dict.fromkeys([*content["class_names"], *evaluation]))
    shown: list[str | None] = ends(sorted(names, key=lambda n: -train.get(n, 0)))
    rows: list[tuple[str, ...]] = []
    for name in shown:
        if name is None:
            rows.append(("…", *[""] * 4))
            continue
        count = train.get(name, 0)
        bar = "█" * round(_BAR * count / largest) or ("▏" if count else "")
        rows.append((name, f"{count:,}", f"{count / total:.1%}", f"{evaluation.get(name, 0):,}", bar))
    bars = frozenset({""})
    columns = ("class", "training", "share", "test", "")
    return TerminalTable(Table("classes", "", columns, tuple(rows), wide=bars, text=bars))


def _deep(deep: dict[str, Any]) -> Text:
    text = Text.assemble(("images      ", "bold"), f"{deep['images']:,} opened")
    if deep["width"] is not None:
        for side in ("width", "height"):
            low, median, high = (f"{deep[side][key]:g}" for key in ("min", "median", "max"))
            text.append(f"; {side} {low} to {high} px, median {median}")
    text.append("\n")
    groups = deep["duplicates"]
    text.append("duplicates  ", style="bold")
    if groups:
        text.append(
            f"{len(groups):,} groups of equal files ({sum(map(len, groups)):,} images): "
            f"{deep['duplicates_across_splits']:,} in both splits, {deep['duplicates_of_other_class']:,} under "
            "different classes\n",
            style="yellow",
        )
        for group in groups[:_SHOWN]:
            text.append("  " + " = ".join(f"{image['image']} ({image['split']}, {image['class']})" for image in group))
            text.append("\n")
        text.append(f"  … and {len(groups) - _SHOWN:,} more\n" if len(groups) > _SHOWN else "")
    else:
        text.append("none\n")
    bad = deep["unreadable"]
    text.append("unreadable  ", style="bold").append(f"{len(bad):,}\n" if bad else "none\n", style="red" if bad else "")
    for image in bad[:_SHOWN]:
        text.append(f"  {image['image']} ({image['split']}): {image['reason']}\n")
    text.append(f"  … and {len(bad) - _SHOWN:,} more\n" if len(bad) > _SHOWN else "")
    if warned := deep["warned"]:
        text.append("warnings    ", style="bold").append(f"of the decoder about {len(warned):,} readable image(s)\n")
        for image in warned[:_SHOWN]:
            text.append(f"  {image['image']} ({image['split']}): {image['warning']}\n")
        text.append(f"  … and {len(warned) - _SHOWN:,} more\n" if len(warned) > _SHOWN else "")
    return text


def _said(content: dict[str, Any]) -> Text:
    text = Text()
    for note in content["notes"]:
        text.append("note  ", style="bold").append(f"{note}\n")
    if people := content["people_in_both"]:
        text.append(f"{len(people):,} people in both splits: {', '.join(people[:_SHOWN])}\n", style="yellow")
    if files := content["files_in_both"]:
        text.append(f"{len(files):,} files in both splits\n", style="red")
    for problem in content["problems"]:
        text.append("a run would reject this  ", style="bold red").append(f"{problem}\n")
    if not content["problems"]:
        bad = content["deep"] and content["deep"]["unreadable"]
        text.append("a run would " + ("need --skip-unreadable" if bad else "accept this"), style="bold")
    return text
