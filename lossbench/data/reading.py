"""How image files become the images that a run crops and resizes. No module that decodes is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from . import Decoding


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How images are read before they are cropped and resized.

    Attributes:
        source_size: shorter side in pixels to which larger images are reduced; 0 for no reduction.
        decoding: how files are decoded and images resized; a value of `Decoding`.

    Raises:
        ValueError: a value is outside its range.
    """

    source_size: int = 0
    decoding: str = Decoding.EXACT.value

    def __post_init__(self) -> None:
        if self.source_size < 0:
            raise ValueError(f"source_size must be at least 0, got {self.source_size}")
        if self.decoding not in tuple(Decoding):
            raise ValueError(f"decoding must be one of {', '.join(Decoding)}, got {self.decoding!r}")

    @property
    def is_fast(self) -> bool:
        """Whether JPEG files are decoded at a fraction of their size, and images resized as tensors."""
        return self.decoding == Decoding.FAST

    @property
    def smallest_decoded(self) -> int:
        """Shorter side in pixels that a JPEG file must keep when it is decoded at a fraction of its size; 0 for all."""
        return self.source_size if self.is_fast else 0
