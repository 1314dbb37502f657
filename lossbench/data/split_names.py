"""Names of splits, as columns and folders of published data sets spell them."""

from __future__ import annotations

import re

# Accepted words; each may be followed by _set, _data, _images and the like, in any case.
_WORDS = {
    "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "training": "train", "testing": "test", "publictest": "val", "privatetest": "test",
}  # fmt: skip
KNOWN = ", ".join(_WORDS)  # for messages
_SUFFIX = re.compile(r"[ _-]*(set|split|data|images?)$")


def split_of(name: str) -> str | None:
    """Return the split that a name stands for: "train", "val" or "test"; None for another name.

    Example:
        >>> [split_of(name) for name in ("Training", "valid_set", "PublicTest", "testing", "cats")]
        ['train', 'val', 'val', 'test', None]
    """
    text = name.strip().lower()
    return _WORDS.get(_SUFFIX.sub("", text)) or _WORDS.get(re.sub(r"[ _-]", "", text))


def folders_of(split: str) -> str:
    """Return the folders that can hold a split, for messages.

    Example:
        >>> folders_of("val")
        'val/ or valid/ or validation/ or publictest/'
    """
    return " or ".join(f"{word}/" for word, meant in _WORDS.items() if meant == split)
