"""Crop the faces of many photographs, in parallel, into a folder with a manifest; resumes where it stopped."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from ..children import safe_children
from ..data.crop_recipe import RECIPE, CropRecipe, read_recipe, write_recipe
from ..errors import ConfigError, Interrupted, RunFailed, listed
from ..what_is import quote, what_is
from .crop_manifest import MANIFEST, write_manifest
from .journal import Done, Journal, check_no_links
from .one_photograph import ONLY_LARGEST, OnePhotograph, start_worker, work
from .photographs import Photograph, Photographs

Progress = Callable[[int, int], None]  # number of processed photographs, total
_LOCK = ".lock"
_IN_FLIGHT = 4  # photographs per process that wait for it


@dataclass(frozen=True)
class Cropped:
    """What was done.

    Attributes:
        results: of each photograph, in order.
        manifest: the written manifest.
        resumed: number of photographs that an earlier call had processed.
        trainable: whether every crop has a label.
    """

    results: list[Done]
    manifest: Path
    resumed: int
    trainable: bool


def crop_faces(
    photographs: Photographs,
    out: Path,
    recipe: CropRecipe,
    *,
    largest: bool = False,
    workers: int = 0,
    progress: Progress = lambda done, total: None,
) -> Cropped:
    """Write the crops of all faces and `manifest.csv` with one row per face and per photograph without a face.

    Crops go to `crops/<photograph>.<face>.png`, faces counted from the largest; `crop.json` holds the recipe and
    `photographs.jsonl` what is done. Called again, only new and changed photographs are processed.

    Args:
        photographs: what to crop.
        out: output folder, new or from an earlier call with the same recipe.
        recipe: how faces are found and cut out.
        largest: whether only the largest face of a photograph is written; the others are rows without a crop.
        workers: number of processes; with 0, this one works.
        progress: called with the number of processed photographs and their total.

    Raises:
        ConfigError: `out` holds something else, lies within the photographs, or is in use.
        DiskFullError: the disk is full.
        RunFailed: a process ended.
        Interrupted: by Ctrl-C.
    """
    _check_place(out, photographs.root)
    with _locked(out):
        _claim(out, recipe)
        journal = Journal(out)
        known = journal.read()
        done: dict[str, Done] = {}
        for photo in photographs.rows:
            before = known.get(photo.name)
            if before is not None and before.is_current(photo.file, out) and _same_choice(before, largest):
                done[photo.name] = before
        resumed = len(done)
        missing = [photo for photo in photographs.rows if photo.name not in done]
        progress(resumed, len(photographs.rows))
        try:
            for number, (photo, result) in enumerate(_results(missing, recipe, out, largest, workers), start=1):
                _remove_stale(out, known.get(photo.name), result)
                journal.add(result)
                done[photo.name] = result
                progress(resumed + number, len(photographs.rows))
        except KeyboardInterrupt:
            told = f"interrupted: {len(done):,} of {len(photographs.rows):,} photographs are done. "
            raise Interrupted(f"{told}Resume with the same command", signal.SIGINT) from None
        finally:
            journal.close()
        results = [done[photo.name] for photo in photographs.rows]
        trainable = write_manifest(out, photographs.rows, results)
    return Cropped(results, out / MANIFEST, resumed, trainable)


def _results(
    photos: list[Photograph], recipe: CropRecipe, out: Path, largest: bool, workers: int
) -> Iterator[tuple[Photograph, Done]]:
    if workers == 0 or len(photos) < 2:
        one = OnePhotograph(recipe, out, largest) if photos else None
        for photo in photos:
            assert one is not None
            yield photo, one(photo)
        return
    context = multiprocessing.get_context("spawn")  # detectors may hold threads, which a fork would not copy
    pool = ProcessPoolExecutor(min(workers, len(photos)), context, start_worker, (recipe, out, largest))
    try:
        with safe_children():
            yield from _gathered(pool, photos, _IN_FLIGHT * workers)
    except BrokenProcessPool:
        raise RunFailed(
            "a process that finds faces ended; it may have run out of memory. What is done is kept: resume with the "
            f"same command and a lower --workers (it was {workers})"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _gathered(pool: ProcessPoolExecutor, photos: Iterable[Photograph], most: int) -> Iterator[tuple[Photograph, Done]]:
    """Yield results as they come; at most `most` photographs are in flight."""
    rest = iter(photos)
    pending: dict[Future[Done], Photograph] = {pool.submit(work, photo): photo for photo in islice(rest, most)}
    while pending:
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            photo = pending.pop(future)
            for following in islice(rest, 1):
                pending[pool.submit(work, following)] = following
            yield photo, future.result()


def _check_place(out: Path, root: Path) -> None:
    inside, folder = os.path.realpath(out), os.path.realpath(root)
    if os.path.commonpath([inside, folder]) == folder:
        raise ConfigError(
            f"{out} lies within the photographs ({root}), and its crops would be read as photographs; pass another "
            "directory"
        )


def _claim(out: Path, recipe: CropRecipe) -> None:
    """Check that the folder is new or has crops of the same recipe, and write the recipe."""
    before = read_recipe(out)
    if before is None:
        if others := sorted(path.name for path in out.iterdir() if path.name != _LOCK):
            raise ConfigError(
                f"{out} contains other files ({', '.join(others[:3])}): it is {what_is(out)}; pass a new directory"
            )
        write_recipe(out, recipe)
    elif changed := recipe.differences(before):
        raise ConfigError(
            f"{out} has crops of other options ({RECIPE}):\n{listed(changed)}\nPass a new directory, or the options "
            f"of {quote(out / RECIPE)}"
        )


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / _LOCK, timeout=0)
        with lock:
            yield
    except Timeout:
        raise ConfigError(f"{out} is in use by another lossbench data crop; wait for it, or pass another one") from None
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}; pass another directory") from error


def _same_choice(done: Done, largest: bool) -> bool:
    """Return whether the other faces of a photograph were treated as now."""
    others = [face for face in done.faces[1:] if face.path or face.reason == ONLY_LARGEST]
    return all((face.reason == ONLY_LARGEST) is largest for face in others)


def _remove_stale(out: Path, before: Done | None, now: Done) -> None:
    """Remove crops of an earlier version of a photograph that its new version does not have."""
    kept = {face.path for face in now.faces}
    for face in before.faces if before else ():
        if face.path and face.path not in kept:
            check_no_links((out / face.path).parent, out)
            with contextlib.suppress(OSError):
                (out / face.path).unlink()
