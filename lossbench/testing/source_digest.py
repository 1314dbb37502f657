"""The digest of the source that defines a loss."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from ..adapters import AdaptedFactory, load_object
from .configuration import Configuration

_FORMULAS = ("lossbench.losses", "lossbench.ops")


def source_digest(configuration: Configuration) -> str:
    """SHA-256 of the source files that define a loss: its class's module, its bases', and the kernels they import.

    Only modules of the package of the class count; what torch or another library does is named by its version.
    """
    factory: Any = configuration.spec.factory
    made = load_object(factory.path) if isinstance(factory, AdaptedFactory) else factory
    kinds = inspect.getmro(made) if isinstance(made, type) else (made if callable(made) else type(made),)
    package = kinds[0].__module__.partition(".")[0]
    pending = [inspect.getmodule(kind) for kind in kinds if kind.__module__.partition(".")[0] == package]
    files: dict[str, bytes] = {}
    while pending:
        module = pending.pop()
        file = getattr(module, "__file__", None)
        if module is None or file is None or module.__name__ in files:
            continue
        files[module.__name__] = Path(file).read_bytes()
        if package == "lossbench":
            used = (inspect.getmodule(value) for value in vars(module).values() if callable(value))
            pending += [each for each in used if each is not None and each.__name__.startswith(_FORMULAS)]
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
    return digest.hexdigest()
