"""The script that counts seeded bugs: it finds what is there, and lets pass what is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "mutants.py"

LIST = """# one bug of each kind, and an edit that is none

[losses/softmax.py] softmax

sum for mean
- softmax(logits, targets, reduction="mean")
+ softmax(logits, targets).sum()

nothing changed
- softmax(logits, targets, reduction="mean")
+ softmax(logits, targets=targets.long(), reduction="mean")

[ops/centers.py] center

not summed over ranks
- sum_over_ranks(counts, total, scatter)
+ pass
"""


@pytest.fixture
def mutations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import mutations

    return mutations


def run(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    listed = tmp_path / "list.txt"
    listed.write_text(text)
    command = [sys.executable, str(SCRIPT), "--list", str(listed), "--markdown", str(tmp_path / "table.md")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)


@pytest.mark.long
def test_bugs_are_killed_and_an_equivalent_edit_survives(tmp_path: Path) -> None:
    done = run(tmp_path, LIST)
    assert done.returncode == 1, done.stderr  # two of three are fewer than 95 %
    assert "2 of 3 mutants killed, 66.7 %" in done.stdout
    rows = (tmp_path / "table.md").read_text().splitlines()
    assert "| losses/softmax: sum for mean | mean-of-rows |" in rows
    assert "| losses/softmax: nothing changed | SURVIVED |" in rows
    assert "| ops/centers: not summed over ranks | equal-shards |" in rows


def test_an_edit_that_does_not_fit_ends_the_script(tmp_path: Path) -> None:
    done = run(tmp_path, "[losses/softmax.py] softmax\n\nnowhere\n- no such text\n")
    assert done.returncode == 1
    assert done.stderr == "losses/softmax: nowhere: 'no such text' occurs 0 times, expected once\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("too often\n- logits\n+ z\n", r"too often: 'logits' occurs \d+ times, expected once"),
        (
            "broken\n- softmax(logits, targets, r\n+ softmax(logits, targets((, r\n",
            "is not valid Python after the edit",
        ),
        ("empty\n", "expected lines of old text"),
        ("twice\n- a\n\ntwice\n- a\n", "occurs twice in list.txt"),
    ],
)
def test_a_bad_list_is_refused(mutations: ModuleType, tmp_path: Path, text: str, message: str) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"[losses/softmax.py] softmax\n\n{text}")
    with pytest.raises(ValueError, match=message):
        apply_all(mutations.read_mutants(listed), tmp_path)


def test_every_edit_of_the_list_fits(mutations: ModuleType, tmp_path: Path) -> None:
    listed = mutations.read_mutants()
    assert len(listed) >= 60
    apply_all(listed, tmp_path)


def apply_all(mutants: list[Any], folder: Path) -> None:
    for mutant in mutants:
        source, copy = ROOT / "lossbench" / mutant.file, folder / mutant.file
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(source.read_text())
        mutant.apply(folder)
        assert copy.read_text() != source.read_text()
