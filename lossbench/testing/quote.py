"""The result of a check in one line, for a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .effort import Effort


def quote_of(
    target: str, rows: Sequence[Mapping[str, Any]], digest: str, versions: Mapping[str, str], effort: Effort
) -> str:
    """One line for a paper."""
    laws: dict[str, set[str]] = {}
    for row in rows:
        laws.setdefault(str(row["law"]), set()).add(str(row["status"]))
    verdicts = Counter(
        "failed" if "failed" in found else "xfailed" if "xfailed" in found else "held" if "passed" in found else "none"
        for found in laws.values()
    )
    judged = verdicts["held"] + verdicts["failed"] + verdicts["xfailed"]
    count = len({row["loss"] for row in rows})
    configurations = f"{count} configuration{'s' if count > 1 else ''}"
    expected = f", {verdicts['xfailed']} violated as expected" if verdicts["xfailed"] else ""
    return (
        f"{target} obeys {verdicts['held']} of {judged} applicable laws{expected} in {configurations} "
        f"(lossbench {versions['lossbench']}, torch {versions['torch']}, seed {effort.seed}, "
        f"{effort.examples} batches a law, source sha256 {digest[:12]})"
    )
