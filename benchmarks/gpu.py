"""Run everything that only a GPU can show, in order of worth, in one short session.

    python benchmarks/gpu.py pack ferplus:DIR carried/ferplus.zip     # beforehand, where the data is
    python benchmarks/gpu.py OUT [--minutes 9] [--data carried/ferplus.zip]
    python benchmarks/gpu.py OUT --smoke                              # every stage at the smallest size, on the CPU

Each stage runs in a process of its own with its own time limit. OUT/results.json has what was found so far, and
OUT/summary.md is the same as a page; both are rewritten as findings come, so that a kill loses nothing else. Data and
runs go to OUT-work. `--smoke` makes its own data and takes less than two minutes on one core.

lossbench and the plugins under plugins/ need not be installed; what they require is checked first. Exits with 1 if a
stage failed or found a problem.
"""

from __future__ import annotations

import sys

from gpu_stages.importable import make_importable

if __name__ == "__main__":
    make_importable()
    from gpu_stages.session import main

    sys.exit(main(__doc__))
