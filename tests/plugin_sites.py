"""Makes the distributions under plugins/ visible as if they were installed: their source and metadata on the path."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PLUGINS = Path(__file__).parents[1] / "plugins"


def projects() -> list[Path]:
    """The folders of the distributions."""
    return sorted(file.parent for file in PLUGINS.glob("*/pyproject.toml"))


def lay_out_plugins() -> None:
    """Puts each distribution that is not installed on `sys.path`, for this process and those that it starts."""
    absent = [project for project in projects() if not _is_installed(project.name)]
    if not absent:
        return
    site = Path(tempfile.mkdtemp(prefix="lossbench-plugins-"))
    atexit.register(shutil.rmtree, site, ignore_errors=True)
    for project in absent:
        write_metadata(project, site)
    added = [str(site), *(str(project / "src") for project in absent)]
    sys.path += added
    # Children that run `python -m lossbench` see what this process sees.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *added]))


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def write_metadata(project: Path, site: Path) -> None:
    """What pip would write of a project: name, version, requirements, entry points."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    info = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {text}\n" for text in about["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n{requires}"
    )
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in about["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
