"""Search all prose for words and phrases that this project does not use.

    scripts/words [--report]

Searches help texts, messages, docstrings, comments and documents (every tracked Python, Markdown, TOML, template and
shell file) for the phrases in `PHRASES` and names what to write instead. Uses that are right are listed in `ALLOWED`,
each with the line and its reason. Exits with 1 if it finds a phrase, or if an allowed use no longer exists; with
`--report` it exits with 0.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SEARCHED = ("*.py", "*.md", "*.toml", "*.template", "*.html", "*.cff", "*.sh", ".ci/run", "scripts/*")
NOT_SEARCHED = ("scripts/words.py", "benchmarks/results/", "docs/conformance-peers.md")

# Phrase (a regular expression, searched without regard to case) -> what to write.
PHRASES = {
    r"\banew\b": "again",
    r"\boftener\b": "more often",
    r"\bspoil(s|t|ed)?\b": "non-finite, or corrupted",
    r"\bthereof\b": "of it",
    r"\bwhereof\b": "of which",
    r"\btherein\b": "in it",
    r"\ba mere\b": "only",
    r"\bat fault\b": "failing",
    r"\bby a user's doing\b": "caused by the user",
    r"\blikes best\b": "is best on",
    r"\bfor who\b": "if you, or: users who",
    r"(?<!there )\bis no (?!longer|more\b|less\b|such\b|worse\b|better\b)": "is not a",
    r"\bcan't be had\b": "is not available",
    r"\bgoes? on where\b": "resumes where",
    r"\bgone on with\b": "resumed",
    r"\bso many\b": "name the number",
    r"\bstands? in for\b": "replaces",
    r"\bwhich these are\b": "listed in",
    r"\bis (said|told) and\b": "is reported and",
    r"\bwho knows it\b": "if it is known",
    r"\bleave (\S+ )?away\b": "omit",
    r"\b(a|an) (line|image|row|number|file|value|column|worker|thread|epoch) an? (?!time\b)\w+": "one … per …",
    r"\bnowhere near\b": "not",
    r"\bthe same, (for|with|of|but)\b": "repeat the noun",
    r"\blikewise\b": "repeat the clause",
    r"\bwell-nigh\b|\ball but vanish": "almost",
    r"\bbeside itself\b": "compared with",
    r"\bis heard\b": "is handled",
}


class Allowed(NamedTuple):
    """A use that is right: the file, the text of its line (a part of it), and why."""

    file: str
    text: str
    reason: str


ALLOWED: tuple[Allowed, ...] = (
    Allowed("tests/test_scripts.py", "words.matches(p,", "the test of this search needs phrases to find"),
)


class Found(NamedTuple):
    """A phrase on a line."""

    file: str
    line: int
    text: str
    phrase: str


def main() -> int:
    """Print each use with the word to write instead; return the exit code."""
    found = search()
    used = {allowed for allowed in ALLOWED for use in found if _covers(allowed, use)}
    wrong = [use for use in found if not any(_covers(allowed, use) for allowed in ALLOWED)]
    for use in wrong:
        print(f"{use.file}:{use.line}: {use.text.strip()[:110]}\n    write instead: {PHRASES[use.phrase]}")
    for allowed in ALLOWED:
        if allowed not in used:
            print(f"scripts/words.py: ALLOWED names a use that no longer exists: {allowed.file}, {allowed.text!r}")
    counted = Counter(use.file for use in wrong)
    print(f"{len(wrong)} phrases in {len(counted)} files, {len(used)} allowed uses")
    return 1 if "--report" not in sys.argv and (wrong or len(used) < len(ALLOWED)) else 0


def search() -> list[Found]:
    """Return every use of a phrase in the tracked files."""
    listed = subprocess.run(["git", "ls-files", *SEARCHED], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for file in listed.stdout.splitlines():
        if file.startswith(NOT_SEARCHED) or not (ROOT / file).exists():
            continue
        for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
            found += [Found(file, number, line, phrase) for phrase in PHRASES if matches(phrase, line)]
    return found


def matches(phrase: str, line: str) -> bool:
    """Return whether a line uses the phrase."""
    return re.search(phrase, line, re.IGNORECASE) is not None


def _covers(allowed: Allowed, use: Found) -> bool:
    return allowed.file == use.file and allowed.text in use.text


if __name__ == "__main__":
    sys.exit(main())
