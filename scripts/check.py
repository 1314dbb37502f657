"""Check a change in under a minute: lint, types, import contracts, words, and the tests that the change touches.

    scripts/check [--base REF] [--seconds N]

The change is everything that differs from the merge base with REF (default: `main`), committed or not. Tests run
nearest first and quick ones before slow ones, on one core while the other checks use another; those that have not
started after N seconds (default: 35) are listed as not run. `.ci/run` runs everything.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from touched_tests import ROOT, touched_tests

SHOWN = 6  # names of files
BIN = Path(sys.executable).parent
CHECKS: dict[str, list[Path | str]] = {
    "lint": [BIN / "ruff", "check", "-q", "."],
    "format": [BIN / "ruff", "format", "-q", "--check", "."],
    "imports": [BIN / "lint-imports"],
    "words": [sys.executable, "scripts/words.py", "--report"],
    "types": [BIN / "mypy"],
}


def main() -> int:
    """Run every check, print a line for each, and the output of those that fail; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="main", help="revision that the change is compared with (default: main)")
    parser.add_argument("--seconds", type=float, default=35, help="time for the touched tests (default: 35)")
    arguments = parser.parse_args()
    start = time.monotonic()
    changed = changed_files(arguments.base)
    print(
        f"{len(changed)} changed files since {arguments.base}" + (f": {', '.join(changed[:SHOWN])}" if changed else "")
    )
    with ThreadPoolExecutor(2) as pool:
        tests = pool.submit(run_tests, touched_tests(changed), arguments.seconds)
        outcomes = [report(name, *run(command)) for name, command in CHECKS.items()]  # each is run and printed
        outcomes.append(report("tests", *tests.result(), always=True))
    passed = all(outcomes)
    print(f"{'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s")
    return 0 if passed else 1


def changed_files(base: str) -> list[str]:
    """Return the files that differ from the merge base with `base`, uncommitted and untracked ones included."""
    fork = git("merge-base", "HEAD", base)[0]
    return sorted({*git("diff", "--name-only", fork), *git("ls-files", "--others", "--exclude-standard")})


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints; exit with its message if it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}; pass --base with an existing revision")
    return done.stdout.splitlines()


def run_tests(tests: list[str], seconds: float) -> tuple[bool, str]:
    """Run the test files in this order for so long."""
    if not tests:
        return True, "no test is affected\n"
    passed, output = run([sys.executable, "-m", "pytest", "-q", "--time-limit", str(seconds), *tests])
    more = f" and {len(tests) - SHOWN} more" if len(tests) > SHOWN else ""
    return passed, f"{len(tests)} files, nearest first: {', '.join(tests[:SHOWN])}{more}\n{output}"


def run(command: list[Path | str]) -> tuple[bool, str]:
    """Return whether a command succeeded, and its output."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode == 0, done.stdout


def report(name: str, passed: bool, output: str, always: bool = False) -> bool:
    """Print the outcome of a check, with its output if it failed or `always`."""
    print(f"{name:8} {'passed' if passed else 'FAILED'}", flush=True)
    if always or not passed:
        print("\n".join(f"    {line}" for line in output.splitlines()[-40:]))
    return passed


if __name__ == "__main__":
    sys.exit(main())
