"""`lossbench predict`."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option
from typer.core import TyperCommand

from ..errors import ConfigError, DataError, listed
from ..file_names import IMAGE_SUFFIXES
from ..runs.options import RunConfig
from .parameters import Json, LossFile, takes_options

if TYPE_CHECKING:
    from ..harness.evaluation.predict import Prediction, Predictor
    from .predict_outputs import Output

_SHOWN = 20  # images that an error lists


@takes_options(["device"])
def predict(
    run: Annotated[Path, Argument(metavar="DIR", help="Directory of a finished run.")],
    images: Annotated[
        list[str],
        Argument(
            metavar="PATH",
            help="Images, folders (at any depth), quoted patterns such as 'photos/**/*.jpg', or manifests (FILE.csv, "
            "or csv:FILE?root=DIR&path-column=NAME).",
        ),
    ],
    detect: Annotated[
        str | None,
        Option(
            metavar="[NAME]",
            help="Find the faces of photographs and predict each, cut out as the training images of the run were; "
            "NAME is the detector (default: that of the run).",
        ),
    ] = None,
    top: Annotated[
        int | None,
        Option(metavar="K", help="Number of most probable classes of an image (default: all; 3 in the table)."),
    ] = None,
    csv: Annotated[Path | None, Option(metavar="FILE.csv", help="Write the predictions to this file.")] = None,
    sheet: Annotated[
        Path | None, Option(metavar="FILE.png", help="Write a contact sheet by predicted class to this file.")
    ] = None,
    loss: LossFile = None,
    json_: Json = False,
    **options: Any,
) -> None:
    """Predict class probabilities for images with a trained run.

    lossbench predict runs/NAME photos --detect --csv predictions.csv

    Every image is a row, or every face with --detect; one that cannot be read is a row with its error.
    """
    if top is not None and top < 1:
        raise ConfigError(f"--top must be at least 1, got {top}")
    for option, path, suffix in (("--csv", csv, ".csv"), ("--sheet", sheet, ".png")):
        if path is not None and path.suffix.lower() != suffix:
            raise ConfigError(f"{option} {path}: expected a name that ends in {suffix}")
    from ..runs.layout import check_finished

    check_finished(run)
    from .predict_outputs import CsvRows, JsonRows, Sheet, TableRows
    from .predict_recipe import recipe_of
    from .watch_run import LOADING, counting, working

    with working(LOADING):
        from ..harness.checks import check_device
        from ..harness.evaluation.inputs import image_inputs
        from ..harness.evaluation.predict import Predictor
        from ..harness.evaluation.trained_run import load_run
        from ..harness.training.build import build_accelerator

    config = RunConfig(loss="softmax", **options)  # the loss of the run is in its record
    check_device(config)
    trained = load_run(run, loss=loss or "")
    recipe = recipe_of(trained.record, run, detect)
    trained.to(build_accelerator(config).device)
    predictor = Predictor(trained, recipe)
    _announce(predictor)
    names, detected = trained.class_names, recipe is not None
    outputs: list[Output] = [JsonRows(names, top) if json_ else TableRows(names, top, detected)]
    if sheet is not None:
        outputs.append(Sheet(sheet, names, str(run)))
    with contextlib.ExitStack() as stack:
        if csv is not None:
            outputs.append(stack.enter_context(CsvRows.to(csv, names, top, detected)))
        count, failed = 0, 0
        errors: list[str] = []
        with counting("predicting") as progress:
            for row in predictor.predict(image_inputs(images)):
                count += 1
                if row.error is not None:
                    failed += 1
                    errors += [] if len(errors) > _SHOWN else [f"{_named(row)}: {row.error}"]
                for output in outputs:
                    output.add(row)
                progress(count, None)
        for output in outputs:
            output.close(count - failed)
    _conclude(count, failed, errors, [path for path in (csv, sheet) if path is not None])


class PredictCommand(TyperCommand):
    """`predict`, whose `--detect` may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_detector(args))


def with_detector(arguments: list[str]) -> list[str]:
    """Return the arguments with an empty value for a `--detect` that no detector follows.

    What follows is a detector unless it is an option, an existing path, a pattern, or the name of an image or manifest.

    Example:
        >>> with_detector(["RUN", "--detect", "a.jpg"]), with_detector(["RUN", "a.jpg", "--detect", "mtcnn"])
        (['RUN', '--detect=', 'a.jpg'], ['RUN', 'a.jpg', '--detect', 'mtcnn'])
    """
    found: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return found + arguments[position:]
        alone = argument == "--detect" and not _is_detector(arguments[position + 1 : position + 2])
        found.append("--detect=" if alone else argument)
    return found


def _is_detector(following: list[str]) -> bool:
    if not following or following[0].startswith("-"):
        return False
    word = following[0]
    from ..faces.find import detector_names

    if word.partition(":")[0] in detector_names():
        return True
    is_image = os.path.splitext(word)[1].lower() in IMAGE_SUFFIXES | {".csv"}
    return not (os.path.lexists(word) or glob.has_magic(word) or is_image or word.startswith("csv:"))


def _announce(predictor: Predictor) -> None:
    """Print what images the run expects."""
    from rich.text import Text

    from .terminal import Console

    record = predictor.trained.record
    text = f"This run expects {record.data.subject}, {record.model.image_size} px or larger."
    if predictor.recipe is None and record.data.crop is not None:
        text += " Pass --detect to cut the faces out of photographs."
    Console(stderr=True).print(Text(text))
    if (cuts := predictor.recipe) is not None:
        how = "aligned" if cuts.align else "upright"
        said = (
            f"Faces are found by {cuts.detector} ({cuts.version}) and cut out {how} with a margin of {cuts.margin:g}."
        )
        Console(stderr=True).print(Text(said))
        if record.data.crop is not None and (changed := cuts.differences(record.data.crop)):
            said = f"warning: the run was trained on faces that were cut out in another way: {'; '.join(changed)}"
            Console(stderr=True).print(Text(said, style="yellow"))


def _named(row: Prediction) -> str:
    return row.path if row.face is None else f"{row.path}, face {row.face}"


def _conclude(count: int, failed: int, errors: list[str], written: list[Path]) -> None:
    """Print what was written and how many images have no prediction.

    Raises:
        DataError: no image has one.
    """
    from .terminal import Console

    for path in written:
        Console(stderr=True).print(f"{path} written", markup=False, soft_wrap=True)
    if failed == count:
        if count == 1:
            raise DataError(errors[0])
        raise DataError(f"none of {count:,} images could be predicted:\n{listed(errors, limit=_SHOWN)}")
    if failed:
        text = f"warning: {failed:,} of {count:,} rows have an error instead of a prediction"
        Console(stderr=True).print(text, style="yellow", markup=False, soft_wrap=True)
