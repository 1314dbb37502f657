"""Find the faces of one photograph and write their crops: the work of one process of `data crop`."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import signal
import tempfile
import threading
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from PIL import Image

from ..data.crop_recipe import CropRecipe
from ..data.decode import decode
from ..detectors import Face
from ..errors import DataError
from ..files import not_written
from .find import FaceFinder
from .geometry import NoCropError
from .journal import CROPS, CropRow, Done, check_no_links, file_state
from .photographs import Photograph

ONLY_LARGEST = "not the largest face of the photograph (--faces largest)"
_WRONG_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


class OnePhotograph:
    """Finds, cuts out and writes.

    Args:
        recipe: how faces are found and cut out.
        out: output folder.
        largest: whether only the largest face of a photograph is written.
    """

    def __init__(self, recipe: CropRecipe, out: Path, largest: bool) -> None:
        self._finder, self._out, self._largest = FaceFinder(recipe), out, largest
        self._folders: set[Path] = set()  # checked

    def __call__(self, photo: Photograph) -> Done:
        """Return what was found; whatever is wrong with the photograph is the reason of the result.

        Raises:
            StorageError, ConfigError: a crop cannot be written.
        """
        state = file_state(photo.file)
        if photo.reason:
            return Done(photo=photo.name, state=state, reason=photo.reason)
        try:
            photo.name.encode()
            image = decode(photo.file)
            found = self._finder(image)
        except UnicodeEncodeError:
            name = os.fsencode(photo.name).decode(errors="backslashreplace")
            return Done(photo=name, state=state, reason="its name is not UTF-8; rename it")
        except DataError as error:
            return Done(photo=photo.name, state=state, reason=str(error).removeprefix(f"{photo.file}: "))
        except MemoryError:
            return Done(photo=photo.name, state=state, reason="not enough memory for its pixels")
        faces = tuple(self._row(image, photo.name, number, face) for number, face in enumerate(found.faces, start=1))
        return Done(
            photo=photo.name, state=state, width=image.width, height=image.height, faces=faces, reason=found.reason
        )

    def _row(self, image: Image.Image, photo: str, number: int, face: Face) -> CropRow:
        left, top, right, bottom = face.box
        row = CropRow(
            box=(round(left, 2), round(top, 2), round(right, 2), round(bottom, 2)),
            score=round(face.score, 6),
            landmarks=face.landmarks and tuple((round(x, 2), round(y, 2)) for x, y in face.landmarks),
        )
        if self._largest and number > 1:
            return replace(row, reason=ONLY_LARGEST)
        try:
            crop = self._finder.crop(image, face)
        except NoCropError as error:
            return replace(row, reason=str(error))
        path = f"{CROPS}/{photo}.{number}.png"
        try:
            size = self._write(self._out / path, crop.image)
        except OSError as error:
            if error.errno not in _WRONG_NAME:
                raise not_written(self._out / path, error) from error
            return replace(row, reason=f"its crop cannot be named: {(error.strerror or str(error)).lower()}")
        return replace(row, path=path, bytes=size, padding=round(crop.padding, 4))

    def _write(self, path: Path, image: Image.Image) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in self._folders:
            check_no_links(path.parent, self._out)
            self._folders.add(path.parent)
        return _write_image(path, image)


def _write_image(path: Path, image: Image.Image) -> int:
    """Write a PNG file under a temporary name and rename it; return its size.

    Not synced, unlike `files.write_atomically`: a crop that a power failure loses is made again on the next call.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".crop.")
    try:
        with open(handle, "wb") as file:
            image.save(file, "PNG")
            size = file.tell()
        os.chmod(beside, 0o666 & ~_UMASK)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    return size


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
_worker: OnePhotograph | None = None


def start_worker(recipe: CropRecipe, out: Path, largest: bool) -> None:
    """Prepare a process: Ctrl-C is its parent's, and it ends when its parent is killed."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = OnePhotograph(recipe, out, largest)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def work(photo: Photograph) -> Done:
    """Process a photograph in a prepared process."""
    assert _worker is not None
    return _worker(photo)
