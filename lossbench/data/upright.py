"""Turn a decoded image upright, into RGB, and cut it to its box."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Box(NamedTuple):
    """A rectangle in pixels of an upright image, excluding right and bottom; it may exceed the image."""

    left: int
    top: int
    right: int
    bottom: int


class UnreadableError(Exception):
    """Carries only the reason; the callers add the file name."""


def cropped(image: Image.Image, box: Box | None) -> Image.Image:
    """Return the part of an upright image inside a box, or all of it without one."""
    if box is None:
        return image
    if not (0 <= box.left + box.right < 2 * image.width and 0 <= box.top + box.bottom < 2 * image.height):
        raise UnreadableError(f"its box {tuple(box)} lies outside its {image.width} x {image.height} pixels")
    return image.crop((max(box.left, 0), max(box.top, 0), min(box.right, image.width), min(box.bottom, image.height)))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 if it has none."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a damaged tag does not make the image unreadable
        return 1


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB with its EXIF rotation applied.

    Raises:
        UnreadableError: pixel values of unknown scale.
    """
    image.load()
    upright = UPRIGHT.get(orientation_of(image))  # read now: the TIFF reader rotates the image while loading
    rgb = to_rgb(image)
    return rgb if upright is None else rgb.transpose(upright)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB, transparent pixels on white and 16 bits scaled to 8."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise UnreadableError("32-bit pixels of unknown scale; save it with 8 or 16 bits")
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableError("floating-point pixels of unknown scale; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
