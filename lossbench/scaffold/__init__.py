"""Write a package for a new loss from templates; as written, it already passes its laws."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ..errors import UsageError
from ..registry import loss_entries
from ..versions import version

KINDS = {
    "per-sample-logits": "a mean over rows that reads the logits",
    "class-counts": "a mean over rows that reads the logits and the class counts",
    "per-sample-embeddings": "a mean over rows that reads the embeddings, with learned proxies",
    "batch-coupled": "a loss whose rows depend on each other",
    "stateful": "a loss with state that moves after each step",
    "scheduled": "a loss that changes from epoch to epoch",
}
"""Choices of `--kind` with their descriptions."""

_KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_package(name: str, kind: str, parent: Path) -> list[Path]:
    """Write an installable package with one loss into `parent/name`, completely or not at all.

    Args:
        name: kebab-case name of the loss, the distribution and the directory.
        kind: one of `KINDS`.
        parent: directory that will contain the package.

    Returns:
        The files.

    Raises:
        UsageError: the name cannot be used, the directory exists, or it cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in write_package("my-loss", "stateful", Path(folder))]
        ['README.md', 'my_loss.py', 'pyproject.toml', 'test_laws.py']
    """
    if kind not in KINDS:
        raise UsageError(f"--kind must be one of {', '.join(KINDS)}, got {kind!r}")
    _check_name(name)
    target = parent / name
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already; choose another name, or remove it")
    templates, module = files(__package__) / "templates", name.replace("-", "_")
    words = _words(name, kind)
    contents = {
        "README.md": _filled(templates / "README.md.template", words),
        f"{module}.py": _filled(templates / f"{kind}.py.template", words),
        "pyproject.toml": _filled(templates / "pyproject.toml.template", words),
        "test_laws.py": _filled(templates / "test_laws.py.template", words),
    }
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
        try:
            for file, text in contents.items():
                (beside / file).write_text(text, encoding="utf-8")
            beside.chmod(0o755)  # a temporary directory is private
            beside.rename(target)
        except OSError:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    return [target / file for file in contents]


def _check_name(name: str) -> None:
    if not _KEBAB_CASE.fullmatch(name):
        raise UsageError(f"a loss name is kebab-case, such as my-loss, got {name!r}")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        raise UsageError(f"{name!r} is a keyword of Python and cannot name a module; choose another: {name}-loss")
    taken = [entry.origin for entry in loss_entries() if entry.name == name]
    if taken:
        raise UsageError(f"there is a loss {name!r} already, of {taken[0]}; choose another name")
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise UsageError(
            f"{name!r} would make a module {module}, and there is one of that name already; "
            f"choose another, such as {name}-loss"
        )


def _words(name: str, kind: str) -> dict[str, str]:
    """Return the values of the templates' placeholders."""
    module = name.replace("-", "_")
    camel = "".join(part.capitalize() for part in name.split("-"))
    own = version("lossbench")
    major, minor = own.split(".")[:2]
    return {
        "name": name,
        "module": module,
        "function": module.removesuffix("_loss"),
        "class_name": camel if camel.endswith("Loss") else f"{camel}Loss",
        "title": name.replace("-", " ").capitalize(),
        "kind": KINDS[kind],
        "requirement": f"lossbench>={own},<{major}.{int(minor) + 1}",
    }


def _filled(template: Traversable, words: dict[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(words)
