"""Parse an annotation of AffectNet+ (2024): JSON with `human-label`, `soft-label` and `subset`."""

from __future__ import annotations

import json

from .codes import code_of


def parse_json(data: bytes) -> tuple[int, str | None]:
    """Return the code of an annotation, and its subset as a phrase to count.

    Keys may be capitalized. The label is a code, as a number or as text, or a name.

    Raises:
        ValueError: the annotation is invalid.

    Example:
        >>> parse_json(b'{"Human-Label": 3, "Soft-Label": [0.1], "Subset": "Easy"}')
        (3, 'image(s) of subset easy')
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__}, expected an object with human-label, soft-label and subset")
    values = {str(key).strip().lower().replace("_", "-"): value for key, value in content.items()}
    if "human-label" not in values:
        raise ValueError(f"no key 'human-label'; found keys: {', '.join(map(str, content)) or 'none'}")
    subset = values.get("subset")
    return _code(values["human-label"]), None if subset is None else f"image(s) of subset {str(subset).lower()[:40]}"


def _code(label: object) -> int:
    if isinstance(label, str):
        code = code_of(label)
        if code is not None:
            return code
        label = int(label) if label.strip().isdecimal() else label
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int):
        raise ValueError(
            f"human-label {label!r} is neither a code of AffectNet (0 to 10) nor the name of an expression"
        )
    return label
