"""What a reader must know about the data of a comparison before believing a figure."""

from __future__ import annotations

from collections.abc import Sequence

from .records import Records

_FEW_IMAGES = 20
_MOST_NAMES = 8  # classes in one note


def data_notes(records: Records) -> list[str]:
    """What a reader should know of the data before believing a figure."""
    data = records.runs[0].record.data
    counts = data.test_counts
    notes = []
    if absent := [name for name, count in counts.items() if not count]:
        notes.append(f"no test image of {_named(absent)}: excluded from the mean over classes")
    present = [count for count in counts.values() if count]
    if few := {name: count for name, count in counts.items() if 0 < count < _FEW_IMAGES}:
        rarest, count = min(few.items(), key=lambda item: item[1])
        rare = sorted(few.items(), key=lambda item: item[1])
        listed = ", ".join(f"{name} {n}" for name, n in rare[:_MOST_NAMES])
        listed += f" and {len(rare) - _MOST_NAMES} more classes" if len(rare) > _MOST_NAMES else ""
        notes.append(
            f"few test images: {listed}. One image of {rarest} is worth {100 / count / len(present):.1f} points of "
            "balanced accuracy"
        )
    if 0 < data.selection_images < _FEW_IMAGES * len(present):
        notes.append(
            f"the selection split has {data.selection_images} images: what is chosen by it, such as tau, is noisy"
        )
    told: dict[str, set[int]] = {}
    for run in records.runs:
        for note in run.record.data.notes:
            told.setdefault(note, set()).add(run.seed)
    seeds = {run.seed for run in records.runs}
    for note, those in told.items():
        where = "" if those == seeds else f" (seed {', '.join(map(str, sorted(those)))})"
        notes.append(f"{note}{where}")
    return [*notes, *(note for note in (records.grid.notes if records.grid else ()) if note not in told)]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
