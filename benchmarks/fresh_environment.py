"""Check what a user sees after installing the four distributions, with `lossbench list --load --json`.

    python3 -m venv fresh && fresh/bin/pip install . ./plugins/*/
    fresh/bin/python benchmarks/fresh_environment.py

Prints the number of losses of each distribution by status. Exits with 1 unless at least 60 losses are usable or
built-in, each with its origin, none is broken, and all are from installed distributions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

LEAST = 60
EXPECTED = {
    "lossbench", "lossbench-cluster", "lossbench-imbalance", "lossbench-margin", "lossbench-metric-learning"
}  # fmt: skip


def main() -> int:
    command = [sys.executable, "-m", "lossbench", "list", "--load", "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    counts = Counter((row["origin"], row["version"], row["status"]) for row in rows)
    for (origin, version, status), count in sorted(counts.items()):
        print(f"{count:3} {status:9} {origin} {version}")
    fine = [row for row in rows if row["status"] in ("usable", "built-in")]
    for row in rows:
        if row not in fine:
            print(f"{row['name']}: {row['status']}: {row['reason']}")
    print(f"{len(fine)} usable or built-in, at least {LEAST} expected")
    return int(len(fine) < LEAST or len(fine) < len(rows) or {row["origin"] for row in fine} != EXPECTED)


if __name__ == "__main__":
    sys.exit(main())
