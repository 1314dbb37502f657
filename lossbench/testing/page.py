"""The laws as a page: `python -m lossbench.testing.page > docs/laws.md`."""

from __future__ import annotations

from .cases import LARGEST_COUNT
from .effort import DEEP_EXAMPLES, NORMAL_EXAMPLES
from .law import GROUPS, LAWS, Group, Law

_HEAD = """# The laws of a loss

The laws that `lossbench check` applies. This page is generated from the laws' docstrings by
`python -m lossbench.testing.page > docs/laws.md`; [conformance.md](conformance.md) explains how to use them.

A law is known by its name; the numbers are positions on this page. A law that names a trait applies to losses that
declare the trait. A loss that refuses the law's input with an exception breaks the law, too. *Off kinks* marks laws
that skip batches on a kink of a piecewise loss.

### What is looked at

| batches | rows | classes | dimensions | values up to | images per class |
|-|-|-|-|-|-|
| searched, {normal} per law and configuration | 1 to 6 | 2 to 4 | 1 to 3 | 2.2 | 1 to 500 |
| searched with `--deep`, {deep:,} per law and configuration | 1 to 40 | 2 to 12 | 1 to 12 | 2.2 | 1 to 500 |
| one ordinary batch, for laws without a search | 12 | 4 | 6 | 2 | 23 to 601 |
| `large-task` | 280 | 20, or 300 | 16 | 2 | 1 to {count:,} |
| `large-task`, with a `loop` | {looped[0]} | {looped[1]} | {looped[2]} | 2 | 1 to {count:,} |
| `blocks` | 4,200 | 4 | 6 | 2 | 23 to 601 |
| `blocks` | {dims[0]} | {dims[1]} | {dims[2]} | 2 | 1 to {count:,} |
| `large-values` | 12 | 4 | 6 | 2 times {scales[0]} and {scales[1]} | 23 to 601 |
| `neighbouring-counts` | 4 | 4 | 6 | 2 | 127 to 500,000 |

The laws of finiteness add values of 0, 1e4, 1e20 and 1e-20, batches of no row, one row, equal rows and a single class,
and NaN. An instance is called up to 200 times and stepped up to 100 times; schedules have 1, 2 and 7 epochs. Every
configuration is judged: the defaults and each of `LossSpec.variants`, fresh, with a state that has moved, and in the
last epoch.

Not looked at:

- whether a formula is the published one, unless there is a `loop` or a limit: a constant factor (a missing 1/2, a mean
  over classes where their sum was meant, a mean over all classes where it was one over those of the batch), a
  hyper-parameter in another unit, or an error that depends on size alone and treats all rows and classes alike. A
  division by the classes is found in a loss that is declared `weighted-likelihood`, one by the rows in every loss;
- whether a state moves as it should, unless the `loop` returns the state: a rate that is too small, a momentum that is
  reversed and written as a number or under a name other than momentum, decay or rate, a running prior that decays;
- whether proxies that are learned attract or repel, beyond their state at the start and after a step;
- a clamp of single logits that leaves a row some gradient, or of embeddings in a loss whose rows are coupled;
- more than two processes, other devices than those of this machine, and generated code without `--deep`;
- whether the loss trains a better model.
"""
_INTRODUCTIONS: dict[Group, str] = {
    "Calculus": "Derivatives are those of the value.",
    "Finiteness": "No NaN or infinity where none was given, and none hidden where one was. Judged in float32, and for "
    "bfloat16 and float16 inputs where the loss takes them.",
    "Symmetry": "What must not matter does not. Judged in float64; after the value and the gradient, the state that a "
    "step leaves behind must answer to the same symmetry.",
    "Meaning": "The value means what the loss says it means. Judged in float64.",
    "Systems": "A loss is a well-behaved part of a training program.",
    "Arguments": "An invalid argument is refused, in clear words, before anything changes. Clear words are a "
    "ValueError or TypeError that names the argument, or says what was expected and what was found. Judged on the "
    "CPU, for the arguments that the loss reads.",
    "Size and scale": "The laws hold for large tasks and values, and the gradient scales with the loss.",
    "Life": "A loss is used beyond one call of forward: from its construction to its last epoch, with its parameters, "
    "hyper-parameters, scores, soft targets and surroundings.",
}


def laws_page() -> str:
    """Return the page in Markdown.

    Example:
        >>> laws_page().splitlines()[0]
        '# The laws of a loss'
    """
    from .laws.extents import MANY_DIMENSIONS
    from .laws.sizes import LOOPED, SCALES  # importing the laws fills LAWS

    sizes = {"count": LARGEST_COUNT, "looped": LOOPED, "scales": SCALES, "dims": MANY_DIMENSIONS}
    parts = [_HEAD.format(normal=NORMAL_EXAMPLES, deep=DEEP_EXAMPLES, **sizes)]
    for group in GROUPS:
        members = [law for law in LAWS if law.group == group]
        parts.append(f"## {group}\n\n{_INTRODUCTIONS[group]}\n")
        parts += map(_entry, members)
    return "\n".join(parts)


def _entry(law: Law) -> str:
    marks = ["off kinks"] if law.off_kinks is not None else []
    marks += [f"trait `{law.trait}`"] if law.trait else []
    marks += [f"reads {law.reads}"] if law.reads else []
    marks += [f"excused by `{law.excused}`"] if law.excused else []
    shown = f" *({', '.join(marks)})*" if marks else ""
    return f"**{law.number}. {law.name}**{shown}  \n{law.statement}  \n*Remedy:* {law.remedy}\n"


if __name__ == "__main__":
    print(laws_page(), end="")
