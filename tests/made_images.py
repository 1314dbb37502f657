"""Made images and refused sources, for tests of data as people keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lossbench.data.sources import open_data
from lossbench.errors import DataError


def make(root: Path, *names: str) -> Path:
    """Write a small image for each name and return the folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(root / name, "PNG")
    return root


def refused(spec: str, **options: Any) -> str:
    """Return the error with which a source is refused."""
    with pytest.raises(DataError) as caught:
        open_data(spec, **options)
    return str(caught.value)
