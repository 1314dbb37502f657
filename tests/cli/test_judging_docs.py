"""The examples of docs/judging.md give tables that `lossbench judge` reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossbench.verdict.predictions.table import read_tables

PAGE = Path(__file__).parents[2] / "docs" / "judging.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_a_loop_with_timm(names: dict[str, Any], tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    images, labels = torch.randn(12, 5), torch.arange(12) % 3
    loader = [(images[:8], labels[:8]), (images[8:], labels[8:])]
    for loss in ("softmax", "focal"):
        for seed in range(2):
            model = torch.nn.Linear(5, 3)
            names["write_predictions"](tmp_path / f"{loss}-{seed}.npz", model, loader, loss, seed, ["a", "b", "c"])
    (data,) = read_tables(sorted(tmp_path.glob("*.npz")))
    assert data.class_names == ("a", "b", "c")
    assert data.targets.tolist() == labels.tolist()
    assert {(run.loss, run.seed) for run in data.runs} == {(n, s) for n in ("softmax", "focal") for s in (0, 1)}


def test_samples_of_lm_eval(names: dict[str, Any], tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for model in ("small", "large"):
        for seed in range(2):
            place = tmp_path / model / f"seed-{seed}" / "org__name"
            place.mkdir(parents=True)
            lines = [
                {"doc_id": n, "target": n % 2, "filtered_resps": [[f"{draw.normal():.3f}", "False"] for _ in range(2)]}
                for n in range(6)
            ]
            text = "\n".join(map(json.dumps, lines))
            (place / "samples_arc_easy_2026-01-01T00-00-00.jsonl").write_text(text)
    names["table_of_lm_eval"](tmp_path, tmp_path / "table.csv")
    (data,) = read_tables([tmp_path / "table.csv"])
    assert data.name == "arc_easy"
    assert data.class_names == ("0", "1")
    assert {(run.loss, run.seed) for run in data.runs} == {(n, s) for n in ("small", "large") for s in (0, 1)}
