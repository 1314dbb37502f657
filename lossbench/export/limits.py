"""What a model was not tested on, in sentences for its card."""

from __future__ import annotations

from ..errors import some
from ..runs.record import Record
from ..verdict.small_classes import ENOUGH
from .origin import data_name

_SHOWN = 10


def limits(record: Record) -> list[str]:
    """Return one sentence for each limit of the evaluation."""
    data = record.data
    few = [f"{name} ({count})" for name, count in data.test_counts.items() if 0 < count < ENOUGH]
    absent = [name for name, count in data.test_counts.items() if not count]
    found = []
    if absent:
        found.append(f"Classes without a test image, whose recall is unknown: {some(absent, _SHOWN)}.")
    if few:
        found.append(f"Classes with fewer than {ENOUGH} test images, whose recall is uncertain: {some(few, _SHOWN)}.")
    found += [
        f"Images from another source than {data_name(data.spec)} (other cameras, places, crops or annotators). "
        "`lossbench evaluate RUN --data SPEC` measures them.",
        f'Images that are not like the training images ({data.subject}). The model has no answer for "none of these '
        'classes": it assigns one of its classes to every image.',
        "Other class frequencies than those of the test split: accuracy depends on them, recalls do not.",
        "Groups of people, such as age, gender or skin color: performance by group was not measured.",
        f"Corrupted, rotated or manipulated images, and images smaller than {record.model.image_size} px.",
    ]
    if data.skipped_unreadable:
        found.append(f"{len(data.skipped_unreadable):,} files of the data that could not be read were left out.")
    return found
