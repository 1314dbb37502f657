"""Convert an image as a Python caller holds it (a file, a Pillow image, an array, a tensor) to upright RGB."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ..errors import DataError
from .read_images import decode_as, reduced
from .reading import Reading
from .upright import UnreadableError, upright_rgb

GivenImage = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.uint8] | torch.Tensor
_LAYOUT = "(H, W, 3) or (H, W) for an array, (3, H, W) for a tensor, 8 bits per channel (uint8, 0 to 255), RGB"


def rgb_image(given: GivenImage, reading: Reading | None = None) -> Image.Image:
    """Return one image in RGB, with its EXIF rotation applied and transparency on white.

    Args:
        given: path or bytes of an image file; a Pillow image; a uint8 array (H, W, 3), (H, W, 4), (H, W, 1), (H, W)
            or (3, H, W); a uint8 tensor (3, H, W), (1, H, W), (H, W) or (H, W, 3). Channels are RGB.
        reading: how files are decoded, and whether images are reduced; None for whole files without reduction.

    Raises:
        DataError: the file cannot be read, or the object is not an image of these forms.

    Example:
        >>> rgb_image(np.zeros((2, 3), dtype=np.uint8)).size, rgb_image(torch.zeros(3, 2, 5, dtype=torch.uint8)).size
        ((3, 2), (5, 2))
    """
    reading = reading or Reading()
    if isinstance(given, str | os.PathLike) and os.path.isdir(given):
        raise DataError(f"{os.fspath(given)}: a directory; pass its files, as in sorted(Path(DIR).glob('*.jpg'))")
    if isinstance(given, str | os.PathLike | bytes):
        return decode_as(reading, given)
    return reduced(_in_memory(given), reading)


def _in_memory(given: Image.Image | npt.NDArray[np.uint8] | torch.Tensor) -> Image.Image:
    if isinstance(given, Image.Image):
        try:
            return upright_rgb(given)
        except UnreadableError as error:
            raise DataError(f"a Pillow image of mode {given.mode}: {error}") from error
        except (OSError, ValueError, SyntaxError) as error:  # Pillow reads the file only now
            raise DataError(f"a Pillow image that cannot be decoded: {error}") from error
    if isinstance(given, torch.Tensor):
        return _of_array(given.detach().cpu().numpy(), "tensor", channels_first=True)
    if isinstance(given, np.ndarray):
        return _of_array(given, "array", channels_first=False)
    raise DataError(f"{type(given).__name__} is not an image; expected a path, a Pillow image, an array or a tensor")


def given_images(given: GivenImage | Iterable[GivenImage]) -> Iterable[GivenImage]:
    """Return what a caller passed as images, one or several, as an iterable of single images.

    Raises:
        DataError: it is neither an image nor iterable.

    Example:
        >>> len(list(given_images(np.zeros((5, 8, 8, 3), dtype=np.uint8)))), list(given_images("a.jpg"))
        (5, ['a.jpg'])
    """
    if isinstance(given, str | os.PathLike | bytes | Image.Image):
        return (given,)
    if isinstance(given, np.ndarray | torch.Tensor):
        if given.ndim not in (2, 3, 4):
            raise DataError(f"an array of shape {tuple(given.shape)} is not an image or a batch; expected {_LAYOUT}")
        return (given,) if given.ndim < 4 else given
    if isinstance(given, Iterable):
        return given
    raise DataError(f"{type(given).__name__} is not an image; expected a path, a Pillow image, an array or a tensor")


def _of_array(pixels: npt.NDArray[Any], kind: str, *, channels_first: bool) -> Image.Image:
    shape = tuple(pixels.shape)
    if pixels.dtype != np.uint8:
        hint = "; multiply values of 0 to 1 by 255 and convert them" if pixels.dtype.kind == "f" else ""
        raise DataError(f"an image as {kind} of {pixels.dtype}: expected uint8, 0 to 255{hint}")
    if pixels.ndim == 3:
        first, last = shape[0] in (1, 3), shape[2] in (1, 3, 4)
        if first and (channels_first or not last):
            pixels = pixels.transpose(1, 2, 0)
        elif not last:
            raise DataError(f"an image as {kind} of shape {shape}: expected {_LAYOUT}")
        pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise DataError(f"an image as {kind} of shape {shape}: expected {_LAYOUT}")
    return upright_rgb(Image.fromarray(np.ascontiguousarray(pixels)))
