"""A distribution with face detectors, made by the tests: bright areas of dark photographs are its faces."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.data.face_expressions import CLASS_NAMES
from lossbench.data.face_parameters import TEST, TRAIN
from lossbench.data.rendered_faces import RenderedFaces, draw_faces
from lossbench.discovery.plugins import _all_plugins

MODULE = '''
import os
import numpy as np
from scipy import ndimage
from lossbench.detectors import Face
from lossbench.errors import ConfigError

class Bright:
    """Bright areas; their landmarks are where those of a face in the box are. The score is the area's fill."""

    version = "bright 1.0"
    min_score = 0.5

    def __init__(self, marks=True):
        self.marks = marks

    def __call__(self, image):
        bright = image.max(axis=2) > 60
        found = []
        for label, (rows, columns) in enumerate(ndimage.find_objects(ndimage.label(bright)[0]), start=1):
            box = (columns.start, rows.start, columns.stop, rows.stop)
            w, h = box[2] - box[0], box[3] - box[1]
            points = tuple((box[0] + x * w, box[1] + y * h) for x, y in (
                (0.342, 0.462), (0.657, 0.460), (0.5, 0.64), (0.371, 0.825), (0.632, 0.823)))
            found.append(Face(box, bright[rows, columns].mean(), points if self.marks else None))
        return found

def bright(argument):
    if argument not in ("", "plain"):
        raise ConfigError(f"the detector bright takes no argument but plain, got {argument!r}")
    return Bright(marks=not argument)

def failing(argument):
    def detect(image):
        if argument == "raise":
            raise RuntimeError("no \\x1b[31mluck")
        if argument == "exit":
            os._exit(9)
        if argument == "nan":
            return [Face((0, 0, float("nan"), 3), 1.0)]
        if argument == "far":
            return [Face((9000, 9000, 9010, 9010), 1.0)]
        return [argument]
    return detect

def broken(argument):
    raise ImportError("no module named eyes")
'''
ENTRIES = """[lossbench.detectors]
bright = made_detector_module:bright
failing = made_detector_module:failing
broken = made_detector_module:broken
"""


@pytest.fixture(scope="session")
def detector_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution as pip would install it."""
    site = tmp_path_factory.mktemp("site")
    (site / "made_detector_module.py").write_text(MODULE)
    info = site / "made_detector-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-detector\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    return site


@contextlib.contextmanager
def installed_detectors(site: Path) -> Iterator[None]:
    """Make the detectors `bright`, `failing` and `broken` installed within the context."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        _all_plugins.cache_clear()
        yield
    _all_plugins.cache_clear()


@pytest.fixture
def made_detector(detector_site: Path) -> Iterator[None]:
    """Make the detectors installed while a test runs."""
    with installed_detectors(detector_site):
        yield


def photograph(
    path: Path,
    faces: list[tuple[int, int, int]],
    color: tuple[int, int, int] = (220, 160, 20),
    size: tuple[int, int] = (120, 90),
    tile: np.ndarray | None = None,
    **save: object,
) -> Path:
    """Write a dark photograph with bright square faces at (left, top, side), or with a picture of a face there."""
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    for left, top, side in faces:
        if tile is not None:
            pixels[top : top + side, left : left + side] = Image.fromarray(tile).resize((side, side))
            continue
        pixels[top : top + side, left : left + side] = color
        pixels[top : top + side // 2, left : left + side // 2] //= 2  # so that a turned face is seen
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **save)
    return path


def rendered(expression: str, split: str, row: int) -> np.ndarray:
    """Return a rendered face, bright enough for the detector."""
    depicted = np.array([CLASS_NAMES.index(expression)])
    faces = draw_faces(RenderedFaces(), TRAIN if split == "train" else TEST, np.array([row]), depicted)
    return np.maximum(faces[0], 80)
