"""The camera of a rendered face: lens blur, exposure and sensor noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .face_expressions import Float32Array
from .face_parameters import Capture

UInt8Array = npt.NDArray[np.uint8]


def photograph(canvas: Float32Array, capture: Capture) -> UInt8Array:
    """Apply lens blur, exposure and sensor noise; (3, n, size, size) in [0, 1] -> (n, size, size, 3) uint8."""
    quarter = capture.blur * 0.25
    for _ in range(2):
        canvas[..., 1:-1] += quarter * (canvas[..., :-2] + canvas[..., 2:] - 2 * canvas[..., 1:-1])
        canvas[..., 1:-1, :] += quarter * (canvas[..., :-2, :] + canvas[..., 2:, :] - 2 * canvas[..., 1:-1, :])
    size = canvas.shape[-1]
    grain = capture.noise * _pixel_normals(capture, size)
    canvas -= 0.5
    canvas *= capture.contrast
    canvas += grain + (0.5 + capture.brightness)
    canvas *= 255
    canvas += 0.5
    np.clip(canvas, 0, 255, out=canvas)
    return np.ascontiguousarray(np.moveaxis(canvas.astype(np.uint8), 0, -1))


def _pixel_normals(capture: Capture, size: int) -> Float32Array:
    """Return (n, size, size) approximately normal numbers: the summed bytes of a hash of (image, pixel)."""
    pixel = np.arange(size * size, dtype=np.uint32).reshape(size, size) * np.uint32(0x9E3779B9)
    bits = pixel ^ capture.pixel_key.astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    total = bits & np.uint32(0xFF)
    for shift in (8, 16, 24):
        total += (bits >> np.uint32(shift)) & np.uint32(0xFF)
    normals = total.astype(np.float32)
    normals -= 510
    normals *= 1 / 147.8
    return normals
