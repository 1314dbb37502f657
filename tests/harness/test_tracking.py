"""`--track`: what a run sends to TensorBoard is read back from its files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from faults.runs import Listens, make_pictures, tiny

from lossbench.errors import ConfigError, Interrupted
from lossbench.harness import tracking
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig


def scalars(run_directory: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_directory / "tensorboard"))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is missing: pip install 'lossbench[track]'"
)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_epochs_and_metrics_are_in_the_files_of_tensorboard(tmp_path: Path) -> None:
    from faults.runs import StopsAt

    data, out = make_pictures(tmp_path, rows=16), tmp_path / "run"
    with pytest.raises(Interrupted):
        run(tiny(data, "softmax", epochs=2, track="tensorboard"), out, StopsAt(3))
    record = resume(out).record
    assert record is not None
    found = scalars(out)
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [step for step, _ in found["loss"]] == [1, 2]
    assert [value for _, value in found["loss"]] == pytest.approx([row["loss"] for row in rows])
    assert found["test/balanced_accuracy"] == [(2, pytest.approx(record.metrics.balanced_accuracy))]
    assert {"lr", "seconds", "images_per_second"} <= found.keys()


class Broken:
    """An accelerator whose tracker fails."""

    calls = 0

    def log(self, values: Any, step: int) -> None:
        self.calls += 1
        raise ConnectionError("no route to host")


def test_a_tracker_that_fails_is_told_once_and_does_not_end_a_run() -> None:
    from lossbench.runs.history import HistoryRow

    listens, broken = Listens(), Broken()
    told = tracking.TrackedReporter(listens, broken)  # type: ignore[arg-type]
    for epoch in range(3):
        told.epoch(HistoryRow(epoch=epoch, loss=1.0, seconds=1.0))
    assert listens.said == ["the tracker failed, and the run goes on without it: ConnectionError: no route to host"]
    assert broken.calls == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("tensorboard", r"pip install 'lossbench\[track\]'"), ("wandb", "pip install wandb")],
)
def test_a_missing_tracker_is_named_with_its_command(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda wanted: None)
    with pytest.raises(ConfigError, match=message):
        tracking.check_tracker(RunConfig(loss="softmax", track=name))
