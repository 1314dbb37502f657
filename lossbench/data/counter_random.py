"""Random numbers without a generator: each number is a hash of (data seed, space, index, stream).

Only operations whose results IEEE 754 defines exactly are used, so that the numbers are the same on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Draws:
    """Random numbers that are pure functions of (data seed, space, index); each call takes the next stream.

    Example:
        >>> both = Draws(0, 1, np.array([3, 4])).uniform()
        >>> bool(both[1] == Draws(0, 1, np.array([4])).uniform()[0])
        True
    """

    def __init__(self, data_seed: int, space: int, index: Int64Array) -> None:
        key = np.full(index.shape, data_seed, dtype=np.uint64)
        for number in (np.uint64(space), index.astype(np.uint64)):
            key = mixed(key * _GOLDEN + number + _GOLDEN)
        self._key = key
        self._stream = 0

    def bits(self) -> UInt64Array:
        """Return (n,) uint64 with random bits."""
        self._stream += 1
        return mixed(self._key + np.array(self._stream, dtype=np.uint64) * _GOLDEN)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Float64Array:
        """Return (n,) float64, uniform in [low, high)."""
        return low + (high - low) * ((self.bits() >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> Float64Array:
        """Return (n,) float64, approximately normal (a sum of four uniforms), within 3.5 deviations of the mean."""
        bits = self.bits()
        total = np.zeros(bits.shape)
        for shift in (0, 16, 32, 48):
            total += (bits >> np.uint64(shift)) & np.uint64(0xFFFF)
        return mean + deviation * ((total - 2 * 65535.0) / 37837.2)


def mixed(key: UInt64Array) -> UInt64Array:
    """Apply the finalizer of splitmix64 elementwise."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
