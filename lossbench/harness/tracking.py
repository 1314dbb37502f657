"""`--track NAME`: send the epochs and metrics of a run to a tracker, through those of Accelerate."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from ..errors import ConfigError, brief, missing_package
from ..runs.history import HistoryRow
from ..runs.options import RunConfig
from ..runs.record import Record
from .reporter import Reporter

_PROJECT = "lossbench"


def check_tracker(config: RunConfig) -> None:
    """Check that the package of a run's tracker is installed.

    Raises:
        ConfigError: with the command that installs it.
    """
    name = config.track
    if name is None or importlib.util.find_spec(name) is not None:
        return
    if name == "tensorboard":
        raise missing_package("events of --track tensorboard", "track", ImportError("No module named 'tensorboard'"))
    raise ConfigError(f"--track {name} needs a package that is not installed. Install it: pip install {name}")


class TrackedReporter:
    """A reporter that also sends numbers to the trackers of an accelerator. A tracker that fails does not end a run.

    Args:
        reporter: what receives everything.
        accelerator: accelerator whose trackers were started.
    """

    def __init__(self, reporter: Reporter, accelerator: Accelerator) -> None:
        self.reporter, self.accelerator = reporter, accelerator
        self.message, self.warning = reporter.message, reporter.warning
        self.begin, self.step = reporter.begin, reporter.step
        self.works = True

    def epoch(self, row: HistoryRow) -> None:
        """Pass on a finished epoch, and send its numbers."""
        self.reporter.epoch(row)
        values = {name: value for name, value in row.to_json().items() if name != "epoch"}
        self._send(_flat(values), row.epoch + 1)

    def metrics(self, record: Record | None) -> None:
        """Send the metrics of a finished run, at its last epoch."""
        if record is not None:
            metrics = {"balanced_accuracy": record.metrics.balanced_accuracy, "accuracy": record.metrics.accuracy}
            self._send(_flat({"test": metrics}), int(record.config["epochs"] or 0))

    def _send(self, values: dict[str, float], step: int) -> None:
        if self.works:
            try:
                self.accelerator.log(values, step=step)
            except Exception as error:  # of a network, a full disk, or a library
                self.works = False
                self.warning(f"the tracker failed, and the run goes on without it: {brief(error)}")


@contextlib.contextmanager
def tracked(
    config: RunConfig, accelerator: Accelerator, directory: Path, reporter: Reporter
) -> Iterator[TrackedReporter]:
    """Start the tracker that a run asks for, and yield a reporter that sends to it; without one, it passes on only.

    TensorBoard's files are written to `tensorboard/` in the directory of the run; other trackers get the project
    `lossbench` and the name of the directory.
    """
    told = TrackedReporter(reporter, accelerator)
    told.works = config.track is not None
    if config.track is not None:
        _start(config, config.track, accelerator, directory, told)
    try:
        yield told
    finally:
        for tracker in accelerator.trackers if config.track is not None else ():
            with contextlib.suppress(Exception):
                tracker.finish()


def _start(config: RunConfig, name: str, accelerator: Accelerator, directory: Path, told: TrackedReporter) -> None:
    from accelerate.tracking import filter_trackers

    name_of_run: dict[str, dict[str, Any]] = {
        "wandb": {"name": directory.name, "dir": str(directory)},
        "mlflow": {"run_name": directory.name},
        "trackio": {"name": directory.name},
    }
    try:
        accelerator.project_configuration.logging_dir = str(directory)
        accelerator.log_with = filter_trackers([name], str(directory))
        project = name if name == "tensorboard" else _PROJECT
        accelerator.init_trackers(project, config=config.as_options(), init_kwargs={name: name_of_run.get(name, {})})
    except Exception as error:
        told.works = False
        told.warning(f"--track {name}: the tracker did not start, and the run goes on without it: {brief(error)}")


def _flat(values: dict[str, Any], above: str = "") -> dict[str, float]:
    """Return the numbers of nested dictionaries, with names joined by slashes.

    Example:
        >>> _flat({"loss": 0.5, "terms": {"center": 2.0, "softmax": None}})
        {'loss': 0.5, 'terms/center': 2.0}
    """
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{above}{name}/")
        elif isinstance(value, int | float):
            found[f"{above}{name}"] = float(value)
    return found
