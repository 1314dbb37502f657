"""`summary.md`: the results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.report.markdown import markdown_table, markdown_text
from lossbench.report.tables.table import Table


def summary(content: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        content: of `results.json`.
    """
    machine = content["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items() if number)
    stages = content["stages"]
    overview = Table(
        "overview",
        "",
        ("stage", "what", "status", "seconds", "problems"),
        tuple(
            (name, each["title"], each["status"], f"{each['seconds']:.0f}", str(len(each["problems"])))
            for name, each in stages.items()
        ),
        text=frozenset({"what", "status"}),
    )
    parts = [
        "# Results on a GPU" if machine["gpu"] else "# Results of a trial without a GPU",
        f"    {content['command']}",
        f"{machine['gpu'] or 'no GPU'}; {machine['processor']}, {machine['cpu_cores']} cores; Python "
        f"{machine['python']}, {packages}. Revision {content['revision'] or 'unknown'}.",
    ]
    if content["smoke"]:
        parts.append("`--smoke`: the smallest sizes, on the CPU. No figure on this page is a result.")
    parts.append(markdown_table(overview))
    for name, each in stages.items():
        parts += [f"## {each['title']}", *map(markdown_text, each["notes"])]
        parts += ["\n".join(f"- {markdown_text(text)}" for text in each["problems"])]
        parts += [markdown_table(_table(name, each["rows"]))] if each["rows"] else []
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(_cell(row.get(column)) for column in columns) for row in rows)
    texts = frozenset(c for n, c in enumerate(columns) if any(isinstance(row.get(columns[n]), str) for row in rows))
    return Table(name, "", columns, cells, text=texts)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
