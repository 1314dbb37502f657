"""Count the faces that a detector finds in made montages, its false ones, and its CPU time.

    python benchmarks/face_detection.py FACES [--detector mtcnn] [--montages 24]

FACES is a folder of cropped faces. Each montage (960 x 640) has four of them, 64 to 260 pixels wide, on a part of one
of scikit-learn's two sample photographs, which show no faces; 8 pictures are such parts alone. A face is found if a box
has its center within 0.3 of the pasted face's side from its center, and 0.35 to 1.6 times its side; other boxes are
false. Pasted crops have edges that photographs do not have: the counts rank detectors, they are not rates
on photographs. Needs lossbench-faces or another distribution with a detector.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from lossbench.data.folder_walk import files_below
from lossbench.faces.find import FaceFinder, new_recipe

WIDTH, HEIGHT, PER_MONTAGE, EMPTY = 960, 640, 4, 8
THRESHOLDS = (0.0, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)

Tile = tuple[int, int, int]  # left, top, side


def background(draw: np.random.Generator) -> Image.Image:
    """Return a part of a photograph without faces, scaled and maybe mirrored."""
    photo = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[int(draw.integers(2))]))
    share = draw.uniform(0.5, 1)
    width, height = round(photo.width * share), round(photo.width * share * HEIGHT / WIDTH)
    height = min(height, photo.height)
    left, top = int(draw.integers(photo.width - width + 1)), int(draw.integers(photo.height - height + 1))
    part = photo.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else part


def montage(files: list[Path], draw: np.random.Generator) -> tuple[Image.Image, list[Tile]]:
    """Return a picture with one face per quarter, and where they are."""
    picture, tiles = background(draw), []
    for number in range(PER_MONTAGE):
        side = int(draw.integers(64, 261))
        with Image.open(files[int(draw.integers(len(files)))]) as file:
            face = file.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        left = (number % 2) * WIDTH // 2 + int(draw.integers(WIDTH // 2 - side + 1))
        top = (number // 2) * HEIGHT // 2 + int(draw.integers(HEIGHT // 2 - side + 1))
        picture.paste(face, (left, top))
        tiles.append((left, top, side))
    return picture, tiles


def hits(box: tuple[float, ...], tile: Tile) -> bool:
    """Return whether a box is a pasted face."""
    left, top, right, bottom = box
    x, y, side = tile
    off = np.hypot((left + right) / 2 - x - side / 2, (top + bottom) / 2 - y - side / 2)
    return bool(off <= 0.3 * side and 0.35 * side <= max(right - left, bottom - top) <= 1.6 * side)


def main() -> None:
    """Print the counts for several thresholds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--detector", default="mtcnn")
    parser.add_argument("--montages", type=int, default=24)
    arguments = parser.parse_args()
    files = [arguments.faces / name for name, is_image in files_below(arguments.faces) if is_image]
    draw = np.random.default_rng(0)
    pictures = [montage(files, draw) for _ in range(arguments.montages)]
    pictures += [(background(draw), []) for _ in range(EMPTY)]
    own = new_recipe(arguments.detector, align=False, margin=0.3, size=224, min_score=None)
    finder = FaceFinder(new_recipe(arguments.detector, align=False, margin=0.3, size=224, min_score=0.0))
    finder(pictures[0][0])  # the first call prepares the networks
    began = time.process_time()
    found = [[(face.box, face.score) for face in finder(picture).faces] for picture, _ in pictures]
    seconds = (time.process_time() - began) / len(pictures)
    pasted = sum(len(tiles) for _, tiles in pictures)
    print(f"{finder.recipe.version}: {len(pictures)} pictures of {WIDTH} x {HEIGHT}, {pasted} faces pasted")
    print(f"{seconds:.3f} CPU seconds per picture; own threshold {own.min_score:g}")
    print("score at least   found   false in montages   false in empty pictures")
    for threshold in THRESHOLDS:
        right = wrong = empty = 0
        for (_, tiles), boxes in zip(pictures, found, strict=True):
            kept = [box for box, score in boxes if score >= threshold]
            right += sum(any(hits(box, tile) for box in kept) for tile in tiles)
            strays = sum(not any(hits(box, tile) for tile in tiles) for box in kept)
            wrong, empty = wrong + (strays if tiles else 0), empty + (0 if tiles else strays)
        print(f"{threshold:>14g} {right:>7} {wrong:>19} {empty:>25}")


if __name__ == "__main__":
    main()
