"""Export a finished run: build the file, check it against the run, write it and its card."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.special import softmax

from .. import __version__, files
from ..errors import ConfigError, RecordError
from ..harness.evaluation.stored_rows import open_stored_rows
from ..harness.evaluation.trained_run import TrainedRun, load_run
from ..runs.predictions import read_predictions
from ..strict_files import read_bytes
from .build import built, loaded, require_onnx
from .card import LIBRARY, model_card
from .check import Agreement, checked
from .formats import Format, place_of

_LARGEST_CARD = 16 * 2**20  # bytes


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        model: file of the model.
        card: file of the model card.
        form: format of the file.
        size: size of the file in bytes.
        agreement: how the export agrees with the run.
    """

    model: Path
    card: Path
    form: Format
    size: int
    agreement: Agreement

    def content(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "path": str(self.model),
            "card": str(self.card),
            "format": str(self.form),
            "bytes": self.size,
            **asdict(self.agreement),
        }


def export_run(
    directory: Path, form: Format, out: Path, *, loss: str = "", data: str | None = None, shifted: bool = False
) -> Export:
    """Export a finished run as one file that maps uint8 images to probabilities, and write its model card.

    Nothing is written unless the export agrees with the run on the run's own test images.

    Args:
        directory: directory of the run.
        form: format of the file.
        out: file or directory to write.
        loss: file of the loss, for a run that was trained with one.
        data: where the data of the run lies now; None for where the run read it.
        shifted: include the shift of the scores that the run measured.

    Raises:
        ConfigError: `out` has another ending or cannot be written, or a package is missing.
        ModelError: the run cannot be loaded or exported, or the export differs from it.
        DataError: the test images of the run cannot be read.
        RecordError: the directory is not a finished run; or `shifted`, and the run measured no shift.
    """
    place = place_of(out, form, directory)
    _check_replaceable(place.card)
    if form is Format.ONNX:
        require_onnx()
    run = load_run(directory, loss=loss)
    predictions = read_predictions(directory, run.record)
    test = predictions.test
    if test.sample_ids is None:
        raise RecordError(f"{directory} has no names of its test images")
    table = open_stored_rows(directory, run.record, list(map(str, test.sample_ids)), data)

    def module_of(loaded_run: TrainedRun) -> Any:
        return loaded_run.shifted_module() if shifted else loaded_run.module

    content = built(form, module_of(run), run.image_size, _about(run, shifted))
    predict = loaded(form, content, lambda: module_of(load_run(directory, loss=loss)))
    stored = softmax(test.scores - (run.shift() if shifted else 0), axis=1)
    agreement = checked(predict, run, table, stored, shifted=shifted)
    card = model_card(run, predictions, agreement, form, place.model.name, shifted=shifted)
    files.write_text(place.card, card)
    files.write_bytes(place.model, content)
    return Export(place.model, place.card, form, len(content), agreement)


def _check_replaceable(card: Path) -> None:
    """Refuse to replace a file that is not a model card, such as the README of a project.

    Raises:
        ConfigError: naming it.
    """
    if os.path.lexists(card) and LIBRARY.encode() not in read_bytes(card, _LARGEST_CARD)[:1000]:
        raise ConfigError(f"{card} exists and is not a model card of lossbench; pass another place with --out")


def _about(run: TrainedRun, shifted: bool) -> dict[str, Any]:
    """Return the description that is stored in the file."""
    record = run.record
    return {
        "class_names": list(run.class_names),
        "preprocessing": run.preprocessing.content(),
        "model": record.model.name,
        "formula": record.formula,
        "shifted": shifted,
        "weights_sha256": record.weights_sha256,
        "lossbench": __version__,
    }
