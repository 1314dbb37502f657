"""Create a tree like AffectNet's full release, with rendered faces in AffectNet's proportions.

    python benchmarks/made_affectnet.py DIR [--images 640] [--validation 10] [--size 128]

It replaces AffectNet where that is not available: the same lists, boxes and class proportions at a small size, with
rendered faces. Results on it show nothing about AffectNet.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from PIL import Image

from lossbench.data.rendered_faces import RenderedFaces, open_rendered_faces
from lossbench.data.table import ImageTable

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
IN_A_FOLDER = 290  # images
BORDER = 0.2  # of the face's side, on each side of it
JPEG_QUALITY = 90


def make_affectnet(root: Path, *, images: int, validation: int, size: int) -> Path:
    """Writes the tree, unless it is there.

    Args:
        root: a directory.
        images: of the training split.
        validation: images a class.
        size: side of the faces in pixels; the images are larger, and lists hold the faces' boxes.
    """
    lists = root / "Manually_Annotated_file_lists"
    if (lists / "validation.csv").exists():
        return root
    train, test = open_rendered_faces(RenderedFaces(images=images, test_images_per_class=validation, size=size))
    lists.mkdir(parents=True, exist_ok=True)
    for table, name, first in ((train, "training", 1), (test, "validation", 5001)):
        rows = _images(table, root / "Manually_Annotated" / "Manually_Annotated_Images", size, first)
        with (lists / f"{name}.csv").open("w", newline="") as file:
            file.write(HEADER + "\n")
            csv.writer(file).writerows(rows)
    return root


def _images(table: ImageTable, folder: Path, size: int, first: int) -> list[list[object]]:
    table.prepare()
    border, rows = round(BORDER * size), []
    for row, code in enumerate(table.targets.tolist()):
        name = f"{first + row // IN_A_FOLDER}/{row:056x}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        whole = Image.new("RGB", (size + 2 * border, size + 2 * border), (96, 96, 96))
        whole.paste(table.read(row), (border, border))
        whole.save(folder / name, quality=JPEG_QUALITY)
        rows.append([name, border, border, size, size, "", code, 0.0, 0.0])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--validation", type=int, default=10)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    make_affectnet(options.directory, images=options.images, validation=options.validation, size=options.size)


if __name__ == "__main__":
    main()
