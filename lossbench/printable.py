"""The door for text of others on its way to a terminal, a page, Markdown or a drawing."""

from __future__ import annotations

import re

# Control characters but for tab and line feed, which terminals obey; marks that reverse the direction of what follows
# or hide it, and characters that take up no room; separators that break lines where no line ends; halves of characters,
# which no encoding has, and the two numbers of each plane that are no characters, which XML refuses.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
    "|[\U0001fffe-\U0001ffff\U0010fffe-\U0010ffff]"
)


def shortened(text: str, most: int = 60) -> str:
    """Return a text of at most `most` characters, cut with an ellipsis if it is longer.

    Example:
        >>> shortened("weighted-softmax", 9)
        'weighted…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(text: str) -> str:
    """Return a text with everything escaped that a reader does not see and a terminal or an XML parser obeys.

    Example:
        >>> printable("a\\x1b[31mred\\u202egnp.exe"), printable("Ärger, 喜び, two\\nlines")
        ('a\\\\x1b[31mred\\\\u202egnp.exe', 'Ärger, 喜び, two\\nlines')
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)
