"""AffectNet's expression codes, and the names that its copies use for them."""

from __future__ import annotations

import re

from ..face_expressions import CLASS_NAMES

# By code, 0 to 10 (Mollahosseini et al. 2017). The last three are not expressions; their rows are dropped.
NAMES = (*CLASS_NAMES, "None", "Uncertain", "Non-Face")
# Images of codes 0 to 7 in the full release (ibid.).
TRAINING_COUNTS = (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750)
VALIDATION_PER_CLASS = 500
EXPRESSIONS = len(CLASS_NAMES)
CONTEMPT = NAMES.index("contempt")  # AffectNet-7 is AffectNet-8 without it

_SYNONYMS = {
    "neutral": ("neutrality",),
    "happiness": ("happy", "joy"),
    "sadness": ("sad",),
    "surprise": ("surprised",),
    "fear": ("afraid", "fearful", "scared"),
    "disgust": ("disgusted",),
    "anger": ("angry",),
    "contempt": ("contemptuous",),
    "None": (),
    "Uncertain": ("unknown",),
    "Non-Face": ("nonface", "no-face"),
}
_CODES = {
    name: code for code, own in enumerate(NAMES) for name in (own.lower(), *_SYNONYMS[own])
}  # every spelling, with hyphens between words


def code_of(name: str) -> int | None:
    """Return the code of a class name in any case, with or without a leading number, or None for unknown names.

    A number alone is not a name: copies number classes alphabetically or by AffectNet's code, which cannot be
    distinguished.

    Example:
        >>> [code_of(name) for name in ("Happy", "afraid", "6_anger", "Non Face", "6", "smile")]
        [1, 4, 6, 10, None, None]
    """
    words = re.sub(r"[\s_-]+", "-", name.strip().lower())
    return _CODES.get(re.sub(r"^\d+[-.]+", "", words))
