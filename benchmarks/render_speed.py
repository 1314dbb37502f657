"""Measure the images per second of the face renderer on one core: python benchmarks/render_speed.py"""

from __future__ import annotations

import statistics
import time

from lossbench.data.rendered_faces import RenderedFaces, open_rendered_faces

REPEATS = 3


def main() -> None:
    speeds = []
    for _ in range(REPEATS):
        train, _ = open_rendered_faces(RenderedFaces())
        began = time.perf_counter()
        train.prepare()
        speeds.append(len(train) / (time.perf_counter() - began))
    each = ", ".join(f"{speed:.0f}" for speed in speeds)
    print(f"{statistics.median(speeds):.0f} images/s at 48 px, the median of {each}")


if __name__ == "__main__":
    main()
