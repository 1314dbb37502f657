"""Labels as people write them: which ones a person would read as equal, and in which order classes are numbered."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from ..errors import DataError, listed

_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?", re.ASCII)
_QUOTES = "'\"`\u00b4\u2018\u2019\u201c\u201d\u00ab\u00bb"
# What programs write for an empty or failed cell. "None" and "NA" are not among them, because classes have these names.
_MISSING = frozenset({
    "nan", "-nan", "<na>", "nat", "null", "n/a",
    "#n/a", "#na", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!",
})  # fmt: skip


def class_order(labels: Iterable[str]) -> list[str]:
    """Return the different labels in the order of their classes: by value if all are numbers, else as text.

    Example:
        >>> class_order(["10", "9", "2"]), class_order(["b", "10", "9"])
        (['2', '9', '10'], ['10', '9', 'b'])
    """
    different = sorted(set(labels))
    if all(_NUMBER.fullmatch(label) for label in different):
        different.sort(key=Decimal)
    return different


def folded(label: str) -> str:
    """Return a label without the differences that a person overlooks: case, quotes, spaces, Unicode composition,
    characters without width or of another width, and how a number is written.

    Example:
        >>> folded(' "Happy"') == folded("happy"), folded("01") == folded("1.0")
        (True, True)
    """
    visible = "".join(_of_usual_width(mark) for mark in label if unicodedata.category(mark) != "Cf")
    text = " ".join(unicodedata.normalize("NFC", visible).strip(_QUOTES + " \t").casefold().split())
    if (number := _NUMBER.fullmatch(text)) is None:
        return text
    sign, whole, part = number[1].replace("+", ""), number[2].lstrip("0") or "0", (number[3] or "").rstrip("0")
    return f"{sign}{whole}.{part}"


def _of_usual_width(mark: str) -> str:
    wide = unicodedata.decomposition(mark).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", mark) if wide else mark


def _escaped(label: str) -> str:
    """Return how a label is written, as the end of a phrase, if it looks like its composed form but is not."""
    return "" if unicodedata.normalize("NFC", label) == label else f" written as {label!a}"


def fold(labels: Iterable[str]) -> dict[str, str]:
    """Return label -> the most frequent spelling of the labels that a person would read as equal to it."""
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        spellings[folded(label)][label] += 1
    return {
        label: max(sorted(counts), key=lambda name: counts[name]) for counts in spellings.values() for label in counts
    }


def check_spelling(name: str, counts: Mapping[str, int]) -> None:
    """Check that no two labels look equal, and that none stands for a missing value.

    Args:
        name: the data, for messages.
        counts: label -> number of images.

    Raises:
        DataError: listing the labels with their counts.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups[folded(label)].append(label)
    if alike := [labels for labels in groups.values() if len(labels) > 1]:
        rows = [
            ", ".join(f"{label!r} ({counts[label]} image(s)){_escaped(label)}" for label in labels) for labels in alike
        ]
        raise DataError(
            f"{name}: {len(rows)} group(s) of labels that differ only in case, spaces, quotes or Unicode form, "
            "or are one number:\n"
            f"{listed(rows)}\nCorrect them, or pass --fold-labels to read each group as its most frequent spelling."
        )
    if missing := [label for label in counts if folded(label) in _MISSING]:
        raise DataError(
            f"{name}: label {missing[0]!r} ({counts[missing[0]]} image(s)) is how missing values are written. Remove "
            "these rows, or give the class another name."
        )
