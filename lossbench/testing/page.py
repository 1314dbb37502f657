"""The laws as a page: `python -m lossbench.testing.page > docs/laws.md`."""

from __future__ import annotations

import inspect

from .law import LAWS, Law

_HEAD = """# The laws of a loss

What `lossbench check` judges. This page is made from the laws' docstrings by
`python -m lossbench.testing.page > docs/laws.md`; [conformance.md](conformance.md) says how to use them.

A law that names a trait applies to losses that declare it. *Owed* marks laws that a loss breaks also by refusing the
law's input with an exception. *Off kinks* marks laws for which batches on a kink of a piecewise loss are left out.
"""


def laws_page() -> str:
    """The page in Markdown.

    Example:
        >>> laws_page().splitlines()[0]
        '# The laws of a loss'
    """
    from . import laws  # noqa: F401  # fills LAWS

    parts, group = [_HEAD], ""
    for law in LAWS:
        if law.group != group:
            group = law.group
            parts.append(f"## {group}\n\n{_introduction(law)}\n")
        parts.append(_entry(law))
    return "\n".join(parts)


def _introduction(law: Law) -> str:
    module = inspect.getmodule(law.judge)
    text = inspect.cleandoc((module.__doc__ if module else None) or "")
    said = " ".join(text.split()).partition(": ")[2]
    return said[:1].upper() + said[1:]


def _entry(law: Law) -> str:
    marks = [mark for mark, on in (("owed", law.owed), ("off kinks", law.off_kinks is not None)) if on]
    marks += [f"trait `{law.trait}`"] if law.trait else []
    marks += [f"reads {law.reads}"] if law.reads else []
    marks += [f"excused by `{law.excused}`"] if law.excused else []
    shown = f" *({', '.join(marks)})*" if marks else ""
    return f"**{law.number}. {law.name}**{shown}  \n{law.statement}  \n*Remedy:* {law.remedy}\n"


if __name__ == "__main__":
    print(laws_page(), end="")
