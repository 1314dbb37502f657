"""Steps that were skipped are told where a result is read: in the summary of a run and in the headline of a verdict."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from faults.runs import StopsAt, tiny
from made_records import make_records
from torch import Tensor

from lossbench import ModelOutput
from lossbench.cli.terminal import Console
from lossbench.errors import Interrupted
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.losses.softmax import SoftmaxLoss
from lossbench.report.terminal.comparison import comparison_summary
from lossbench.report.terminal.run import run_summary
from lossbench.runs.record import read_record
from lossbench.verdict.judge import compare


def printed(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(renderable)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_summary_of_a_run_counts_skipped_steps(finished_run: Path) -> None:
    record = read_record(finished_run)
    assert "skipped" not in printed(run_summary(record, finished_run))
    timing = dataclasses.replace(record.timing, steps=1000, steps_skipped=240)
    shown = printed(run_summary(dataclasses.replace(record, timing=timing), finished_run))
    assert "240 of 1,000 steps were non-finite and skipped" in shown


def test_the_verdict_names_losses_that_skipped_steps(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.6, "center": 0.6}, seeds=3, images=24, embedding_dim=4)
    assert "which were non-finite" not in printed(comparison_summary(compare(grid)))
    for seed, skipped in ((0, 7), (2, 5)):
        file = grid / f"cells/center-natural-s{seed}/record.json"
        content = json.loads(file.read_text())
        content["timing"] |= {"steps": 100, "steps_skipped": skipped}
        file.write_text(json.dumps(content))
    shown = printed(comparison_summary(compare(grid)))
    assert "center skipped 12 of 200 steps, which were non-finite, in seed 0, 2." in " ".join(shown.split())


def test_a_run_that_was_interrupted_before_a_skipped_step_resumes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen, bad = SoftmaxLoss.forward, dict[tuple[int, ...], None](), ()

    def forward(self: SoftmaxLoss, output: ModelOutput, targets: Tensor) -> Tensor:
        seen[tuple(targets.tolist())] = None
        return plain(self, output, targets) * (float("nan") if tuple(targets.tolist()) == bad else 1.0)

    monkeypatch.setattr(SoftmaxLoss, "forward", forward)
    run(tiny(pictures, "softmax", epochs=2), tmp_path / "plain")
    bad = list(seen)[6]  # after the batch of the trial and five steps
    with pytest.raises(Interrupted):
        run(tiny(pictures, "softmax", epochs=2, on_nonfinite="skip"), tmp_path / "run", StopsAt(5))
    record = resume(tmp_path / "run").record
    assert record is not None
    assert record.timing.steps_skipped == 1
