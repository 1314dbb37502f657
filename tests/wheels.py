"""Distributions of losses for tests: real wheels, made by hand, installed by pip, and used from another process."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from warm import Done, start

import lossbench

REPOSITORY = Path(lossbench.__file__).parents[1]
Row = dict[str, Any]

# What each plugin module starts with: it leaves a file behind when it is imported.
MARKED = """
import os, pathlib
pathlib.Path(os.environ["MARKERS"], __name__).touch()
"""
LOSS = (
    MARKED
    + """
from lossbench import Loss, LossSpec, Need

class Mine(Loss):
    def __init__(self, context, *, slope: float = 1.0):
        super().__init__()
        self.slope = slope

    def forward(self, output, targets):
        true = output.logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        return self.slope * (output.logits.logsumexp(1) - true).mean()

def spec(name):
    return LossSpec(
        name=name, factory=Mine, summary=f"{name} of {__name__}.", reference="-", needs=frozenset({Need.LOGITS})
    )

SPEC = spec(NAME)
"""
)


def loss_module(name: str) -> str:
    return LOSS.replace("NAME", repr(name))


@dataclass(frozen=True)
class Wheel:
    """A distribution of one module."""

    distribution: str
    code: str
    entry_points: str
    requires: tuple[str, ...] = ("lossbench",)
    version: str = "1.2"

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    def write(self, folder: Path) -> Path:
        info = f"{self.module}-{self.version}.dist-info"
        requires = "".join(f"Requires-Dist: {text}\n" for text in self.requires)
        files = {
            f"{self.module}.py": self.code,
            f"{info}/METADATA": "Metadata-Version: 2.1\n"
            f"Name: {self.distribution}\nVersion: {self.version}\n{requires}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": dedent(self.entry_points),
        }
        record = "".join(f"{name},sha256={digest(text)},{len(text.encode())}\n" for name, text in files.items())
        path = folder / f"{self.module}-{self.version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
                archive.writestr(name, text)
        return path


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def entry(name: str, module: str, thing: str = "SPEC") -> str:
    return f"[lossbench.losses]\n{name} = {module}:{thing}\n"


def install(wheels: Sequence[Wheel], folder: Path, by_hand: Sequence[Wheel] = ()) -> Path:
    """A folder with all of them, as pip installs; what pip itself would refuse is laid out as an older one did."""
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", site, *(wheel.write(folder) for wheel in wheels)], check=True)
    for wheel in by_hand:
        zipfile.ZipFile(wheel.write(folder)).extractall(site)
    return site


@dataclass(frozen=True)
class Shell:
    """Runs Python beside the plugins, with a cache of its own."""

    site: Path
    home: Path

    def __call__(self, how: str, program: str, *arguments: str | Path, code: int = 0) -> Done:
        """Run `python -m PROGRAM`, or the text of a program for "-c"."""
        (self.home / "markers").mkdir(exist_ok=True)
        environment = {
            "PYTHONPATH": str(self.site),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "MARKERS": str(self.home / "markers"),
        }
        if how == "-c":
            (self.home / "program.py").write_text(program)
            program = str(self.home / "program.py")
        done = start(self.home, program, *arguments, environment=environment).wait()
        assert done.code == code, done.out + done.err
        return done

    def rows(self, *arguments: str) -> dict[tuple[str, str], Row]:
        rows = json.loads(self("-m", "lossbench", "list", "--json", *arguments).out)
        return {(row["name"], row["origin"]): row for row in rows}

    @property
    def imported(self) -> set[str]:
        return {path.name for path in (self.home / "markers").iterdir()}
