"""The distributions under plugins/ are part of every test session, whether they are installed or not."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "tests"))

from plugin_sites import lay_out_plugins

lay_out_plugins()
