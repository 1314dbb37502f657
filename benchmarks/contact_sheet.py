"""Draw docs/images/rendered-faces.png: twelve test images of each expression with the default parameters.

Run it from the repository root: python benchmarks/contact_sheet.py
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lossbench.data.rendered_faces import RenderedFaces, open_rendered_faces

COLUMNS, MARGIN, GAP = 12, 66, 2
TARGET = Path("docs/images/rendered-faces.png")


def main() -> None:
    """Write the sheet: one row per class, with its name on the left."""
    dials = RenderedFaces()
    _, test = open_rendered_faces(dials)
    step = dials.size + GAP
    sheet = Image.new("RGB", (MARGIN + COLUMNS * step, len(test.class_names) * step), "white")
    text = ImageDraw.Draw(sheet)
    for target, name in enumerate(test.class_names):
        text.text((3, target * step + dials.size // 2 - 6), name, fill="black")
        for column, row in enumerate(np.flatnonzero(test.targets == target)[:COLUMNS].tolist()):
            sheet.paste(test.read(row), (MARGIN + column * step, target * step))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
