"""Small made copies of AffectNet, a function a layout, with the traps of the real ones in them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = (6, 9, 5, 4, 4, 3, 5, 3)  # images by code
VAL = (2,) * 8
NO_EXPRESSION = {8: 3, 9: 2, 10: 4}  # None, Uncertain, Non-Face
NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
ZERO_BYTES = "29a31ebf1567693f4644c8ba3476ca9a72ee07fe67a5860d98707a0a.jpg"
COLUMNS = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LANDMARKS = ";".join(f"{n}.25" for n in range(136))
PALETTE = [(200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60), (200, 60, 200), (60, 200, 200), (230, 230, 230)]
PALETTE += [(30, 30, 30), (120, 60, 0), (0, 60, 120), (60, 120, 0)]


def paint(path: Path, code: int, seed: int, size: tuple[int, int] = (40, 40)) -> Path:
    """A noisy picture in the color of its code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([code, seed]).integers(-25, 25, (size[1], size[0], 3))
    Image.fromarray(np.clip(np.array(PALETTE[code]) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def codes_of(counts: tuple[int, ...], others: dict[int, int]) -> list[int]:
    """Codes in a mixed order, the same each time."""
    codes = [code for code, count in enumerate(counts) for _ in range(count)]
    codes += [code for code, count in others.items() for _ in range(count)]
    return np.random.default_rng(0).permutation(codes).tolist()


def write_list(path: Path, rows: list[list[object]], header: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        if header:
            file.write(COLUMNS + "\n")
        csv.writer(file).writerows(rows)
    return path


def row(name: str, code: int, box: tuple[object, ...] = (4, 6, 30, 28)) -> list[object]:
    """A line of a csv list."""
    return [name, *box, LANDMARKS, code, -2 if code > 7 else 0.1, -2 if code > 7 else -0.2]


def full(root: Path, *, train: tuple[int, ...] = TRAIN, val: tuple[int, ...] = VAL) -> Path:
    """The full release, clean but for rows without an expression and a validation list without a header."""
    images, lists = root / "Manually_Annotated/Manually_Annotated_Images", root / "Manually_Annotated_file_lists"
    for split, counts, others in (("training", train, NO_EXPRESSION), ("validation", val, {10: 1})):
        rows = []
        for n, code in enumerate(codes_of(counts, others)):
            name = f"{n % 3 + (500 if split == 'validation' else 1)}/{split[0]}{n:04x}.jpg"
            paint(images / name, code, n + 1000 * (split == "validation"))
            rows.append(row(name, code))
        write_list(lists / f"{split}.csv", rows, header=split == "training")
    return root


def full_with_traps(root: Path) -> Path:
    """Beside those of `full`: a sentinel box, zero bytes, other extensions and cases, a box over the edge, a row listed
    twice, an image without annotation."""
    full(root)
    images, training = training_of(root)
    paint(images / "7/a.png", 2, 1)
    paint(images / "7/b.JPG", 3, 2)
    paint(images / "7/c.jpg", 4, 3)
    paint(images / "7/d.bmp", 5, 4)
    paint(images / "7/e.Jpeg", 6, 5, (60, 44))
    paint(images / "8/nobody.jpg", 0, 6)
    (images / "103").mkdir()
    (images / "103" / ZERO_BYTES).touch()
    append(training, [
        row("7/a.png", 2, (-1, -1, -1, -1)),
        row("7/b.JPG", 3),
        row("7/c.JPG", 4, (4.0, 6.0, 30.0, 28.0)),
        row("7/d.bmp", 5),
        row("7/e.Jpeg", 6, (20, -3, 50, 50)),
        row(f"103/{ZERO_BYTES}", 1),
        row("7/b.JPG", 3),
    ])  # fmt: skip
    return root


def training_of(root: Path) -> tuple[Path, Path]:
    """The images and the training list of a full release."""
    return (
        root / "Manually_Annotated/Manually_Annotated_Images",
        root / "Manually_Annotated_file_lists" / "training.csv",
    )


def append(path: Path, rows: list[list[object]]) -> None:
    with path.open("a", newline="") as file:
        csv.writer(file).writerows(rows)


def mini(root: Path, *, train: tuple[int, ...] = TRAIN, val: tuple[int, ...] = VAL) -> Path:
    """AffectNet-8 of 2021: every third annotation is text, and one image isn't a .jpg."""
    for split, counts in (("train_set", train), ("val_set", val)):
        images, annotations = root / split / "images", root / split / "annotations"
        annotations.mkdir(parents=True)
        for n, code in enumerate(codes_of(counts, {})):
            seed = n + 1000 * (split == "val_set")
            paint(images / f"{n}{'.JPG' if n == 5 else '.png' if n == 7 else '.jpg'}", code, seed)
            np.save(annotations / f"{n}_exp.npy", np.array(str(code) if n % 3 else code))
            for other, value in (("val", 0.5), ("aro", "0.25"), ("lnd", np.zeros(136))):
                np.save(annotations / f"{n}_{other}.npy", np.array(value))
    return root


def plus(root: Path, *, capital: bool = False) -> Path:
    """AffectNet+, with labels written in three ways and rows without an expression."""
    for split, counts, others in (("train_set", TRAIN, NO_EXPRESSION), ("validation_set", VAL, {})):
        folder = root / "human_annotated" / split
        (folder / "annotations").mkdir(parents=True)
        for n, code in enumerate(codes_of(counts, others)):
            paint(folder / "images" / f"{n}.jpg", code, n + 1000 * (split == "validation_set"))
            label = (code, str(code), NAMES[code] if code < 8 else code)[n % 3]
            content = {"human-label": label, "soft-label": [0.125] * 8, "subset": ("Easy", "Difficult")[n % 2]}
            named = {key.title() if capital else key: value for key, value in content.items()}
            (folder / "annotations" / f"{n}.json").write_text(json.dumps(named))
    return root


def class_folders(
    root: Path,
    *,
    names: tuple[str, ...] = ("Neutral", "happy", "SAD", "surprised", "afraid", "disgusted", "angry", "contempt"),
    splits: tuple[str, str] = ("train", "val"),
) -> Path:
    """Class folders under the names that copies use, and one of images without a face."""
    for split, counts in zip(splits, (TRAIN, VAL), strict=True):
        for code, name in enumerate(names):
            for n in range(counts[code]):
                paint(root / split / name / f"{n}.jpg", code, n + 1000 * (split == splits[1]))
    paint(root / splits[0] / "Non-Face" / "0.jpg", 10, 0)
    (root / splits[0] / names[0] / "Thumbs.db").touch()
    return root
