"""`lossbench data crop`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..errors import ConfigError, listed
from .output import print_json
from .parameters import Json, switch

if TYPE_CHECKING:
    from ..faces.crop import Cropped

_SHOWN = 20  # photographs without a crop that are listed


def crop(
    photographs: Annotated[
        str, Argument(metavar="PHOTOS", help="Folder of photographs, at any depth, or a manifest (CSV).")
    ],
    out: Annotated[
        Path, Argument(metavar="OUT", help="Directory for crops and manifest.csv; resumes if it has some already.")
    ],
    detector: Annotated[
        str, Option(metavar="NAME", help="Face detector: mtcnn, yunet:FILE, or that of another distribution.")
    ],
    align: Annotated[
        bool, switch("--align", "Rotate and scale each face so that eyes, nose and mouth lie at fixed places.")
    ] = False,
    margin: Annotated[
        float, Option(metavar="X", help="Margin around the face on each side, as a share of the face's side.")
    ] = 0.3,
    size: Annotated[int, Option(metavar="N", help="Side of the square crops in pixels.")] = 224,
    min_score: Annotated[
        float | None, Option(metavar="X", help="Lowest score of a face (default: the detector's own).")
    ] = None,
    faces: Annotated[
        str, Option(metavar="WHICH", help="Faces of a photograph with several that are written: all or largest.")
    ] = "all",
    workers: Annotated[
        int | None,
        Option(metavar="N", help="Processes that find faces; with 0, this one (default: one per core)."),
    ] = None,
    label: Annotated[str | None, Option(metavar="COLUMN", help="Label column of a manifest (default: label).")] = None,
    path_column: Annotated[
        str | None, Option(metavar="COLUMN", help="Path column of a manifest (default: path).")
    ] = None,
    root: Annotated[
        str | None,
        Option(metavar="DIR", help="Folder that the paths of a manifest start from (default: that of the manifest)."),
    ] = None,
    json_: Json = False,
) -> None:
    """Find the faces in photographs, and write their crops and a manifest.

    lossbench data crop photos faces --detector mtcnn --align

    Every face and every photograph without one is a row of OUT/manifest.csv. --data csv:OUT/manifest.csv trains on
    the crops, with the labels of the photographs.
    """
    if faces not in ("all", "largest"):
        raise ConfigError(f"--faces must be all or largest, got {faces!r}")
    if workers is not None and not 0 <= workers <= 1024:
        raise ConfigError(f"--workers must be from 0 to 1024, got {workers}")
    from ..faces.crop import crop_faces
    from ..faces.find import new_recipe
    from ..faces.photographs import list_photographs
    from ..machine.limits import usable_cores
    from .watch_run import counting

    recipe = new_recipe(detector, align=align, margin=margin, size=size, min_score=min_score)
    listing = list_photographs(photographs, root=root, label=label, path_column=path_column)
    with counting("finding faces") as progress:
        cropped = crop_faces(
            listing,
            out,
            recipe,
            largest=faces == "largest",
            workers=usable_cores() if workers is None else workers,
            progress=progress,
        )
    content = _summary(cropped)
    if json_:
        print_json(content | {"notes": list(listing.notes)}, indent=1)
        return
    _print(content, cropped, listing.notes)


def _summary(cropped: Cropped) -> dict[str, Any]:
    """Return what was found, JSON-ready."""
    results = cropped.results
    without: list[dict[str, Any]] = [{"photo": done.photo, "reason": done.reason} for done in results if not done.faces]
    without += [
        {"photo": done.photo, "face": number, "reason": face.reason}
        for done in results
        for number, face in enumerate(done.faces, start=1)
        if face.path is None
    ]
    return {
        "manifest": str(cropped.manifest),
        "photographs": len(results),
        "resumed": cropped.resumed,
        "with_faces": sum(bool(done.faces) for done in results),
        "with_several_faces": sum(len(done.faces) > 1 for done in results),
        "most_faces": max((len(done.faces) for done in results), default=0),
        "without_faces": sum(not done.faces and done.width > 0 for done in results),
        "unreadable": sum(done.width == 0 for done in results),
        "faces": sum(len(done.faces) for done in results),
        "crops": sum(face.path is not None for done in results for face in done.faces),
        "without_crop": without,
        "trainable": cropped.trainable,
    }


def _print(content: dict[str, Any], cropped: Cropped, notes: tuple[str, ...]) -> None:
    from ..report.tables.table import Table
    from ..report.terminal.table import TerminalTable
    from .terminal import Console, print_plain

    several = f" (at most {content['most_faces']})" if content["with_several_faces"] else ""
    rows = (
        ("photographs", f"{content['photographs']:,}"),
        ("  with a face", f"{content['with_faces']:,}"),
        ("  with several faces", f"{content['with_several_faces']:,}{several}"),
        ("  without a face", f"{content['without_faces']:,}"),
        ("  unreadable", f"{content['unreadable']:,}"),
        ("faces", f"{content['faces']:,}"),
        ("crops written", f"{content['crops']:,}"),
    )
    Console().print(TerminalTable(Table("crops", "", ("", ""), rows, text=frozenset({""}))))
    if without := content["without_crop"]:
        print_plain(f"Without a crop: {len(without):,}")
        named = [f"{row['photo']}{_face(row)}: {row['reason']}" for row in without]
        print_plain(listed(named, limit=_SHOWN))
    for note in notes:
        print_plain(note)
    print_plain(cropped.manifest)
    if cropped.trainable:
        spec = shlex.quote(f"csv:{cropped.manifest}")
        print_plain(f"Train on the crops: lossbench run --loss weighted-cluster --data {spec}")
    elif content["crops"]:
        print_plain("To train on the crops, fill in the column label of every row with a crop.")


def _face(row: dict[str, Any]) -> str:
    return f", face {row['face']}" if "face" in row else ""
