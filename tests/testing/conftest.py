"""Lists of losses beside the tests have a name that the two processes of `equal-shards` can import, too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
