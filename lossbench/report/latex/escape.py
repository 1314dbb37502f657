"""Text that LaTeX prints as it is."""

from __future__ import annotations

import re

from ...printable import printable

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "…": r"\ldots{}", "\n": " ", "±": r"$\pm$", "\u00d7": r"$\times$", "·": r"$\cdot$",
}  # fmt: skip


def escaped(text: str) -> str:
    """Return text with the special characters of LaTeX and control characters escaped, and minus signs before numbers.

    Example:
        >>> print(escaped("softmax + 0.1*center_2 & -0.5 %"))
        softmax + 0.1*center\\_2 \\& $-$0.5 \\%
    """
    plain = "".join(_SPECIAL.get(character, character) for character in printable(text))
    plain = plain.replace("--", "-{}-")  # no dash
    return re.sub(r"(?<![\w.$)}-])-(?=\d)", "$-$", plain)
