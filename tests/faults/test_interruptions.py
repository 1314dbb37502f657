"""A signal at any moment of a run is an interruption: never a damaged image, a failed fit or a user's mistake.

The signal is sent from inside the call that it shall interrupt, so that it arrives there in every run of the tests.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.runs import assert_same, outcome, tiny
from forked_runs import ForkedRun
from made_records import make_records
from PIL import ImageFile
from sklearn.linear_model import LogisticRegression

from lossbench.errors import Interrupted, LossbenchError
from lossbench.harness import finish as finish_module
from lossbench.harness.checkpoints import folder
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.harness.training.signals import StopSignals

MOMENTS: dict[str, tuple[object, str]] = {
    "decoding an image": (ImageFile.ImageFile, "load"),
    "prediction": (finish_module, "predict_split"),
    "the refit": (LogisticRegression, "fit"),
    "the metrics": (finish_module, "record_of_run"),
    "writing predictions": (finish_module, "write_predictions"),
    "writing the record": (finish_module, "write_record"),
}


def sends(number: int, ready: Callable[[], bool], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call` with a signal sent to this process in its first call after `ready`."""
    sent = []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if not sent and ready():
            sent.append(number)
            os.kill(os.getpid(), number)
        return call(*arguments, **named)

    return interrupted


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run of one epoch that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(tiny(pictures, epochs=1), out)
    return outcome(out)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_after_training_is_an_interruption(
    pictures: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    out, (owner, name) = tmp_path / "run", MOMENTS[moment]
    trained = (out / "history.jsonl").exists
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, sends(signal.SIGTERM, trained, getattr(owner, name)))
        with pytest.raises(Interrupted, match=rf"^stopped by SIGTERM; resume with: .*--resume {out}$") as end:
            run(tiny(pictures, epochs=1), out)
    assert end.value.exit_code == 143
    assert not (out / "record.json").exists()
    resume(out)
    assert_same(outcome(out), whole)


@pytest.mark.parametrize(
    ("owner", "name"), [(ImageFile.ImageFile, "load"), (folder, "write_synced")], ids=["decoding", "a checkpoint"]
)
def test_a_signal_during_training_waits_for_the_end_of_the_step(
    pictures: Path, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    out = tmp_path / "run"
    claimed = (out / "config.toml").exists
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, sends(signal.SIGTERM, claimed, getattr(owner, name)))
        with pytest.raises(Interrupted, match=r"^stopped by SIGTERM at epoch 1, step \d; resume with: "):
            run(tiny(pictures, epochs=1, checkpoint_every="2"), out)
    resume(out)
    assert_same(outcome(out), whole)


def test_an_interruption_is_no_exception_that_a_library_handles() -> None:
    assert not issubclass(Interrupted, Exception | LossbenchError)
    assert issubclass(Interrupted, KeyboardInterrupt)  # what lets Ctrl-C pass lets it pass


@pytest.mark.parametrize("ending", ["another error", "nothing"])
def test_an_interruption_that_a_library_replaces_or_swallows_is_raised(ending: str) -> None:
    signals = StopSignals(lambda text: None)
    with signals.listening(), pytest.raises(Interrupted, match=r"^stopped by SIGTERM$"), signals.at_once():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            if ending == "another error":
                raise ValueError("the image is damaged") from None


@pytest.mark.slow
def test_a_report_that_is_stopped_leaves_no_file_and_no_traceback(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 1.0, "center": 0.9, "triplet": 0.8}, seeds=5, images=4000)
    page = tmp_path / "page.html"
    process = ForkedRun(["report", str(grid), "--html", str(page)], tmp_path / "log")
    time.sleep(0.4)
    assert process.poll() is None, process.said()
    process.send(signal.SIGTERM)
    assert process.wait() in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert "Traceback" not in process.said()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid", "log"]
