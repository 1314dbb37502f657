"""Losses that are named by where they are: `module:object` and `path/to/file.py:object`.

A file is loaded by its path, under a module name that encodes the path: two files of one name are two modules, a file
may be called like a module of Python, and another process can import what it is sent.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ..errors import UsageError, did_you_mean
from ..spec import LossSpec

_PREFIX = "lossbench_file_"
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_PACKAGE = Path(__file__).parents[1]
_folders: list[str] = []


def file_of(name: str) -> Path | None:
    """Return the file that `file.py:object` names, or None for anything else.

    Example:
        >>> file_of("mine.py:Focal").name, file_of("torch.nn:CrossEntropyLoss"), file_of("softmax")
        ('mine.py', None, None)
    """
    path, colon, _ = name.rpartition(":")
    return Path(path).expanduser() if colon and path.endswith(".py") else None


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file of losses.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error}") from error


def load_object(path: str) -> Any:
    """Return the object that `module:name` or `file.py:name` names.

    Raises:
        UsageError: it cannot be imported, or there is no such object.

    Example:
        >>> load_object("torch.nn:CrossEntropyLoss").__name__
        'CrossEntropyLoss'
    """
    place, _, name = path.rpartition(":")
    file = file_of(path)
    module = _load_file(file) if file is not None else _load_module(place)
    if not name:
        raise UsageError(f"{path!r} names no object; write module:object, such as torch.nn:CrossEntropyLoss")
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {name!r}. {_known(place, file, module, part, found)}")
        found = getattr(found, part)
    return found


def specs_beside(path: str) -> list[LossSpec]:
    """Return the specs in the module of an object."""
    file = file_of(path)
    module = _load_file(file) if file is not None else _load_module(path.rpartition(":")[0])
    return [each for each in vars(module).values() if isinstance(each, LossSpec)]


def names_in_file(file: Path) -> list[str]:
    """Return the names of what may be a loss in a file: specs, losses, modules and functions of two arguments or more.

    Raises:
        UsageError: the file cannot be imported.
    """
    module = _load_file(file)
    return [name for name, value in vars(module).items() if not name.startswith("_") and _may_be_loss(value, module)]


def where(error: BaseException) -> str:
    """Return " (file, line N)" for the innermost line of an author's own code, or "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        installed = frame.filename.startswith((*_LIBRARIES, "<")) or "site-packages" in frame.filename
        if not installed and not Path(frame.filename).is_relative_to(_PACKAGE):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _known(place: str, file: Path | None, module: ModuleType, part: str, found: Any) -> str:
    if file is not None and found is module:
        there = names_in_file(file)
        return f"It holds: {', '.join(there)}" if there else "It holds no losses"
    return did_you_mean(part, vars(found))


def _may_be_loss(value: Any, module: ModuleType) -> bool:
    if isinstance(value, LossSpec):
        return True
    if getattr(value, "__module__", None) != module.__name__ or inspect.isabstract(value):
        return False
    if isinstance(value, type):
        return issubclass(value, nn.Module)
    if not inspect.isfunction(value):
        return isinstance(value, nn.Module)
    return len(inspect.signature(value).parameters) > 1


def _load_module(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return _imported(name, name)


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise UsageError(f"{file}: there is no file {file}")
    return _imported(_module_name(file.resolve()), str(file))


def _imported(module: str, said: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also one that calls sys.exit
        raise UsageError(f"{said} cannot be imported: {type(error).__name__}: {error}{where(error)}") from error


def _module_name(file: Path) -> str:
    return _PREFIX + base64.b32encode(str(file).encode()).decode().rstrip("=").lower()


class _FilesByPath(importlib.abc.MetaPathFinder):
    """Finds the modules whose names encode the path of a file, in this and in other processes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        code = fullname.removeprefix(_PREFIX).upper()
        file = Path(base64.b32decode(code + "=" * (-len(code) % 8)).decode())
        _make_siblings_importable(file.parent)
        return importlib.util.spec_from_file_location(fullname, file)


def _make_siblings_importable(folder: Path) -> None:
    """Let a file import its neighbours: after everything installed, before those of files loaded earlier."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        elsewhere = file is not None and str(Path(file).parent) in _folders and Path(file).parent != folder
        if elsewhere and not name.startswith(_PREFIX) and (folder / f"{name}.py").is_file():
            del sys.modules[name]
    if str(folder) in _folders:
        sys.path.remove(str(folder))
        _folders.remove(str(folder))
    sys.path.insert(len(sys.path) - len(_folders), str(folder))
    _folders.append(str(folder))


sys.meta_path.insert(0, _FilesByPath())
