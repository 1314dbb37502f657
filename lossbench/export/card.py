"""The model card of an export: Markdown with the metadata of Hugging Face's model cards."""

from __future__ import annotations

import json
from typing import Any

from ..harness.evaluation.metrics import wilson_interval
from ..harness.evaluation.trained_run import TrainedRun
from ..report.markdown import markdown_table, markdown_text
from ..report.tables.table import Table
from ..runs.predictions import Predictions
from ..verdict.metric import BALANCED_ACCURACY
from ..verdict.score_interval import score_interval
from .check import Agreement
from .formats import Format
from .limits import limits
from .origin import base_model, data_name, expected_crops, license_note, starting_weights
from .usage import usage

LIBRARY = 'library_name: "lossbench"'  # by which a card is recognized


def model_card(
    run: TrainedRun, predictions: Predictions, agreement: Agreement, form: Format, file: str, *, shifted: bool
) -> str:
    """Return the card.

    Args:
        run: the exported run.
        predictions: its stored predictions.
        agreement: how the export agrees with the run.
        form: format of the export.
        file: name of the exported file.
        shifted: whether the export contains the shift of the scores.
    """
    record = run.record
    predicted = predictions.test.scores - (run.shift() if shifted else 0)
    right = (predicted.argmax(axis=1) == predictions.test.targets)[None].astype(float)
    interval = score_interval(right, predictions.test.targets)
    balanced = BALANCED_ACCURACY.of(predicted.argmax(axis=1), predictions.test.targets, len(run.class_names))
    data, crops = record.data, expected_crops(record.data.crop)
    images = sum(data.test_counts.values())
    parts = [
        _metadata(run, balanced, float(right.mean())),
        f"# {markdown_text(_title(run))}",
        markdown_text(
            f"An image classifier for {len(run.class_names)} classes ({data.subject}). It maps uint8 RGB images of "
            f"{run.image_size} x {run.image_size} pixels to class probabilities."
            + (" The probabilities assume that all classes are equally frequent: the shift that the run measured is "
               "inside." if shifted else " The probabilities include the class frequencies of the training data.")
            + (f" {crops}" if crops else "")
        ),
        markdown_table(_facts(run, form, file, agreement)),
        "## How to use",
        usage(run, form, file),
        "## Training data",
        markdown_text(
            f"{sum(data.training_counts.values()):,} training images of {data_name(data.spec)}. "
            f"{starting_weights(record.weights)}"
        ),
        "## Evaluation",
        markdown_text(
            f"Evaluated on {images:,} test images ({data.split_origin}): balanced accuracy {100 * balanced:.1f} % "
            f"(95 % interval over test images: {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %), accuracy "
            f"{100 * float(right.mean()):.1f} %. One run with seed {record.seed}; other seeds give other numbers."
        ),
        markdown_table(_recalls(run, predictions, predicted)),
        "## What it was not tested on",
        "\n".join(f"- {markdown_text(limit)}" for limit in limits(record)),
        "## License",
        markdown_text(license_note(record)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _title(run: TrainedRun) -> str:
    record = run.record
    return f"{record.model.name} trained with {record.formula} on {data_name(record.data.spec)}"


def _metadata(run: TrainedRun, balanced: float, accuracy: float) -> str:
    """Return the front matter; each value is JSON, which is YAML on one line."""
    record = run.record
    values: dict[str, Any] = {
        "license": "other",
        "license_name": "see-model-card",
        "library_name": "lossbench",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "imbalanced-classification", "lossbench"],
        **({"base_model": base} if (base := base_model(record)) else {}),
        "metrics": ["balanced_accuracy", "accuracy"],
        "model-index": [
            {
                "name": _title(run),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "name": data_name(record.data.spec),
                            "type": data_name(record.data.spec).partition(":")[0],
                            "split": "test",
                        },
                        "metrics": [
                            {"type": "balanced_accuracy", "value": round(balanced, 4), "name": "Balanced accuracy"},
                            {"type": "accuracy", "value": round(accuracy, 4), "name": "Accuracy"},
                        ],
                    }
                ],
            }
        ],
    }
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in values.items()), "---"])


def _facts(run: TrainedRun, form: Format, file: str, agreement: Agreement) -> Table:
    record = run.record
    rows = (
        ("file", f"{file} ({form})"),
        ("loss", record.formula),
        ("model", f"{record.model.name}, {record.model.parameters:,} parameters"),
        ("input", f"images: (N, 3, {run.image_size}, {run.image_size}) uint8, RGB, 0 to 255; normalization is inside"),
        ("output", f"probabilities: (N, {len(run.class_names)}) float32"),
        ("classes, in this order", ", ".join(run.class_names)),
        (
            "checked",
            f"differs from the trained run by at most {agreement.largest_difference:.1e} on {agreement.images} of its "
            f"test images (from the predictions stored after training: {agreement.from_stored:.1e})",
        ),
        ("SHA-256 of the run's weights", record.weights_sha256 or "unknown"),
        ("lossbench", record.environment.lossbench),
    )
    text = frozenset({"value"})
    return Table("facts", "", ("", "value"), rows, text=text)


def _recalls(run: TrainedRun, predictions: Predictions, scores: Any) -> Table:
    """Return the recall of each class with its interval, from the most to the least frequent in training."""
    data, predicted, targets = run.record.data, scores.argmax(axis=1), predictions.test.targets
    rows = []
    for number in sorted(range(len(data.class_names)), key=lambda n: -data.training_counts[data.class_names[n]]):
        name, own = data.class_names[number], targets == number
        hits, total = int((predicted[own] == number).sum()), int(own.sum())
        interval = wilson_interval(hits, total)
        cells = ("-", "-") if interval is None else (
            f"{100 * hits / total:.1f} %", f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %")  # fmt: skip
        rows.append((name, f"{data.training_counts[name]:,}", f"{total:,}", *cells))
    columns = ("class", "training images", "test images", "recall", "95 % interval")
    return Table("recall", "", columns, tuple(rows))
