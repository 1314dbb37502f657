"""Names of splits, as columns and folders of published data sets spell them."""

from __future__ import annotations

import re

# As Hugging Face datasets reads names of files, and the two tests of FER2013.
_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "publictest": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test", "privatetest": "test",
}  # fmt: skip
KNOWN = ", ".join(_WORDS)  # for messages
# Words that may precede or follow the name of a split, also without a space between them.
_OTHER = r"(?:data)?(?:sets?|splits?|data|images?|imgs?|files?|folders?)"
_YEAR = r"(?:19|20)\d\d"
_AFTER = re.compile(rf"(?:{_OTHER}|{_YEAR})$")
_BEFORE = re.compile(rf"{_OTHER}|seg|{_YEAR}")


def split_of(name: str) -> str | None:
    """Return the split that a name stands for: "train", "val" or "test"; None for another name.

    Example:
        >>> [split_of(name) for name in ("Training", "valid_set", "PublicTest", "images-test", "train2017", "cats")]
        ['train', 'val', 'val', 'test', 'train', None]
    """
    text = "".join(word for word in re.split(r"[\W_]+", name.lower()) if not _BEFORE.fullmatch(word))
    while text not in _WORDS and (shorter := _AFTER.sub("", text)) != text:
        text = shorter
    return _WORDS.get(text)


def folders_of(split: str) -> str:
    """Return the folders that can hold a split, for messages.

    Example:
        >>> folders_of("val")
        'val/ or valid/ or validation/ or dev/ or publictest/'
    """
    return " or ".join(f"{word}/" for word, meant in _WORDS.items() if meant == split)
