"""`results.json`: what the stages have found, rewritten after each finding, so that a kill loses nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.files import write_text

FILE = "results.json"
FINISHED, FAILED, OUT_OF_TIME, NOT_STARTED = "finished", "failed", "out of time", "not started"


@dataclass(frozen=True)
class Task:
    """What a stage is asked to do.

    Attributes:
        stage: its name.
        out: directory of the results.
        work: directory for data and runs, which are not results.
        device: "cuda" or "cpu".
        smoke: whether to run at the smallest size, to find errors and not figures.
        seconds: time limit; the process is killed when it ends.
        data: packed FER+, or None.
    """

    stage: str
    out: Path
    work: Path
    device: str
    smoke: bool
    seconds: float
    data: Path | None = None

    def note(self, text: str) -> None:
        """Store what a reader must know to read the stage's figures."""
        self._change(lambda stage: stage["notes"].append(text))

    def add(self, row: Mapping[str, object]) -> None:
        """Store a row of the stage's table."""
        self._change(lambda stage: stage["rows"].append(dict(row)))

    def table(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Replace the rows of the stage's table."""
        listed = [dict(row) for row in rows]
        self._change(lambda stage: stage.update(rows=listed))

    def problem(self, text: str) -> None:
        """Store something that is wrong and must be mended."""
        self._change(lambda stage: stage["problems"].append(text))

    def _change(self, change: Any) -> None:
        content = read_results(self.out)
        change(content["stages"][self.stage])
        write_results(self.out, content)


def new_stage() -> dict[str, Any]:
    """Return the content of a stage that has not started."""
    return {"status": NOT_STARTED, "seconds": 0.0, "notes": [], "problems": [], "rows": []}


def read_results(out: Path) -> dict[str, Any]:
    """Read `results.json`."""
    content: dict[str, Any] = json.loads((out / FILE).read_text())
    return content


def write_results(out: Path, content: Mapping[str, Any]) -> None:
    """Write `results.json` in one piece."""
    write_text(out / FILE, json.dumps(content, indent=1) + "\n")
