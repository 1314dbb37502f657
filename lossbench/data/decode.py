"""Decode image files to upright 8-bit RGB, or raise one clear error. No other module opens image files."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, PngImagePlugin, UnidentifiedImageError, features

from ..errors import DataError
from ..strict_files import open_regular
from .decoder_warnings import decoder_warning, forget_decoder_warning
from .upright import Box, UnreadableError, cropped, upright_rgb

# A closed list: Pillow's EPS reader would start Ghostscript on any content of a file named .jpg.
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
    "PPM",
    "JPEG2000",
    *(("AVIF",) if features.check("avif") else ()),
)
# Pillow's own limit: a header of a few bytes can request any amount of memory.
MAX_PIXELS = 89_478_485

# Editors store long texts and previews in PNG files, which are not damage; by default Pillow refuses more than 1 MB.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 * 2**20

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*")


def decode(source: str | os.PathLike[str] | bytes, box: Box | None = None, *, smallest: int = 0) -> Image.Image:
    """Return an image file, or its bytes, as an RGB image (H, W, 3 uint8) with its EXIF rotation applied.

    Grayscale is repeated over the channels and 16-bit grayscale is scaled by 255/65535. Transparent images are
    composited on white: the colors stored under transparent pixels are arbitrary, and viewers and web pages show white.
    Of an animation, the first frame is used. With a box, the image is cropped to the part of the box inside the image.
    A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps `smallest` pixels, which takes less
    time and changes the pixels; 0 decodes all of it, and so does a box.

    Raises:
        DataError: naming the file and what is wrong: no such file, zero bytes, truncated, not an image, damaged, more
            than `MAX_PIXELS` pixels, pixel values of unknown scale, or a box whose center is outside the image.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("LA", (3, 2), (0, 0)).save(file, "PNG")
        >>> image = decode(file.getvalue())
        >>> image.mode, image.size, image.getpixel((0, 0))
        ('RGB', (3, 2), (255, 255, 255))
    """
    try:
        if isinstance(source, bytes):
            return _decode(io.BytesIO(source), len(source), box, smallest)
        with _open(source) as file:
            return _decode(file, os.fstat(file.fileno()).st_size, box, smallest)
    except UnreadableError as error:
        name = f"an image of {len(source)} bytes" if isinstance(source, bytes) else os.fspath(source)
        raise DataError(f"{name}: {error}") from error.__cause__


class Checked(NamedTuple):
    """The result of decoding one image file.

    Attributes:
        reason: why the file cannot be decoded, or None.
        pixels: digest of the pixels that a run would see, equal for images with equal pixels; empty if unreadable.
    """

    reason: str | None
    pixels: bytes = b""


def check_file(path: Path, box: Box | None = None) -> Checked:
    """Decode all of an image file, cropped to its box, and return whether it decodes and the digest of its pixels."""
    try:
        with _open(path) as file:
            image = _decode(file, os.fstat(file.fileno()).st_size, box)
    except UnreadableError as error:
        return Checked(str(error))
    return Checked(None, digest_of_pixels(image))


def digest_of_pixels(image: Image.Image) -> bytes:
    """Return 16 bytes that are equal for images of equal size and pixels."""
    pixels = hashlib.sha256(image.tobytes())  # with the instructions of current CPUs twice as fast as BLAKE2
    pixels.update(repr(image.size).encode())
    return pixels.digest()[:16]


def why_not_as_listed(path: Path, sha256: str) -> str | None:
    """Return why a file does not match the digest in its manifest, or None if it does."""
    try:
        with _open(path) as file:
            found = hashlib.sha256(file.read()).hexdigest()
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None if found == sha256 else "its content does not match the manifest's sha256"


class Examined(NamedTuple):
    """The result of reading one image file.

    Attributes:
        reason: why the file cannot be read, or None.
        pixels: digest of the pixels that a run would see, as in `Checked`.
        width: width of the upright image in pixels, before cropping to its box.
        height: height of the upright image in pixels, before cropping.
        warning: what the decoder warns about, or None.
    """

    reason: str | None
    pixels: bytes = b""
    width: int = 0
    height: int = 0
    warning: str | None = None


def examine(path: Path, box: Box | None = None) -> Examined:
    """Read a file once and return whether it decodes, the digest of its pixels, its size and a warning about it."""
    try:
        with _open(path) as file:
            data = file.read()
        image = _decode(io.BytesIO(data), len(data), None)
        pixels = digest_of_pixels(cropped(image, box))
    except UnreadableError as error:
        return Examined(str(error))
    except OSError as error:
        return Examined((error.strerror or str(error)).lower())
    return Examined(None, pixels, *image.size, decoder_warning())


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file; a pipe would be waited for, and a device never ends."""
    try:
        return open_regular(path)
    except FileNotFoundError as error:
        raise UnreadableError("no such file") from error
    except OSError as error:
        raise UnreadableError((error.strerror or str(error)).lower()) from error
    except ValueError as error:  # a NUL in the name
        raise UnreadableError("not a file name") from error


def _decode(file: BinaryIO, size: int, box: Box | None, smallest: int = 0) -> Image.Image:
    forget_decoder_warning()
    if size == 0:
        raise UnreadableError("zero bytes")
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableError(_too_large(f"{width} x {height} pixels"))
            if smallest and box is None:
                image.draft(None, (smallest, smallest))  # of other formats than JPEG, this does nothing
            return cropped(upright_rgb(image), box)
    except (UnreadableError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        file.seek(0)
        known = file.read(8).startswith(_SIGNATURES)
        raise UnreadableError("truncated or damaged in its header" if known else "not an image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(_too_large("its header declares too many pixels")) from error
    except Exception as error:  # readers of damaged files raise any kind of exception
        cut = isinstance(error, EOFError | struct.error) or "truncat" in str(error).lower()
        raise UnreadableError("truncated" if cut else f"damaged ({error})") from error


def _too_large(what: str) -> str:
    return f"{what}; at most {MAX_PIXELS} are decoded"
