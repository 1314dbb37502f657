"""The laws as a page: `python -m lossbench.testing.page > docs/laws.md`."""

from __future__ import annotations

import inspect

from .law import GROUPS, LAWS, Law

_HEAD = """# The laws of a loss

The laws that `lossbench check` applies. This page is generated from the laws' docstrings by
`python -m lossbench.testing.page > docs/laws.md`; [conformance.md](conformance.md) explains how to use them.

A law is known by its name; the numbers are positions on this page. A law that names a trait applies to losses that
declare the trait. A loss that refuses the law's input with an exception breaks the law, too. *Off kinks* marks laws
that skip batches on a kink of a piecewise loss.
"""


def laws_page() -> str:
    """Return the page in Markdown.

    Example:
        >>> laws_page().splitlines()[0]
        '# The laws of a loss'
    """
    from . import laws  # noqa: F401  # fills LAWS

    parts = [_HEAD]
    for group in GROUPS:
        members = [law for law in LAWS if law.group == group]
        parts.append(f"## {group}\n\n{_introduction(members[0])}\n")
        parts += map(_entry, members)
    return "\n".join(parts)


def _introduction(law: Law) -> str:
    """Return the docstring of the law's module after its heading."""
    module = inspect.getmodule(law.judge)
    text = " ".join(inspect.cleandoc((module and module.__doc__) or "").split())
    introduction = text.partition(": ")[2]
    return introduction[:1].upper() + introduction[1:]


def _entry(law: Law) -> str:
    marks = ["off kinks"] if law.off_kinks is not None else []
    marks += [f"trait `{law.trait}`"] if law.trait else []
    marks += [f"reads {law.reads}"] if law.reads else []
    marks += [f"excused by `{law.excused}`"] if law.excused else []
    shown = f" *({', '.join(marks)})*" if marks else ""
    return f"**{law.number}. {law.name}**{shown}  \n{law.statement}  \n*Remedy:* {law.remedy}\n"


if __name__ == "__main__":
    print(laws_page(), end="")
