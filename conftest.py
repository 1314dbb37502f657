"""The distributions under plugins/ are part of every test session, whether they are installed or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Each worker has a core of its own: the programs that it starts would only wait for each other with more threads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parent / "tests"))

from plugin_sites import lay_out_plugins

lay_out_plugins()
