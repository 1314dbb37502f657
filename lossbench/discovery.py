"""Losses of other distributions, found by their entry points and imported only when asked for.

[project.entry-points."lossbench.losses"]
my-loss = "my_package.my_loss:SPEC"          # a LossSpec

[project.entry-points."lossbench.origins"]
pml = "my_package.adapter:ORIGIN"            # names() -> list[str], spec(name) -> LossSpec
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions, version
from pathlib import Path
from typing import Any, Protocol

from .caches import user_cache
from .errors import PluginError
from .spec import LossSpec

LOSSES, ORIGINS = "lossbench.losses", "lossbench.origins"


class Origin(Protocol):
    """A family of losses of another library, adapted one by one: the object of a `lossbench.origins` entry point.

    An origin may also have `refused`, a mapping from names of losses that don't fit to the reason.
    """

    def names(self) -> list[str]: ...

    def spec(self, name: str) -> LossSpec: ...


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed distribution, not imported yet."""

    name: str
    distribution: str
    version: str
    requires: tuple[str, ...]
    entry_point: EntryPoint

    @property
    def where(self) -> str:
        return f"{self.distribution} {self.version} ({self.entry_point.value})"

    def load(self) -> object:
        """Imports the object.

        Raises:
            PluginError: whatever went wrong, naming the distribution and what to do.
        """
        self._check_compatibility()
        try:
            return self.entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may also call sys.exit; it must not take the tool with it
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"{self.name!r} of {self.where} can't be imported: {reason}\n{mend(self.distribution)}"
            ) from error

    def load_spec(self) -> LossSpec:
        """Imports the `LossSpec` of a `lossbench.losses` entry point.

        Raises:
            PluginError: also when the object is something else.
        """
        spec = self.load()
        if not isinstance(spec, LossSpec):
            raise PluginError(f"{self.name!r} of {self.where} must be a LossSpec, got {type(spec).__name__}")
        if spec.name != self.name:
            raise PluginError(
                f"{self.name!r} of {self.where} is registered under that name, but calls itself {spec.name!r}"
            )
        return spec

    def load_origin(self) -> Origin:
        """Imports the object of a `lossbench.origins` entry point.

        Raises:
            PluginError: also when the object has no `names` and `spec`.
        """
        origin = self.load()
        if not (callable(getattr(origin, "names", None)) and callable(getattr(origin, "spec", None))):
            raise PluginError(f"{self.name!r} of {self.where} must have names() and spec(name)")
        return origin  # type: ignore[return-value]  # just checked by hand

    def _check_compatibility(self) -> None:
        from packaging.requirements import InvalidRequirement, Requirement

        here = version("lossbench")
        for text in self.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                raise PluginError(
                    f"{self.name!r} of {self.where} has a requirement that can't be read: {text!r}"
                ) from error
            if requirement.name.lower() != "lossbench" or (requirement.marker and not requirement.marker.evaluate()):
                continue
            if not requirement.specifier.contains(here, prereleases=True):
                raise PluginError(
                    f"{self.name!r} of {self.where} needs lossbench{requirement.specifier}, this is {here}. "
                    f"Install a version that fits: pip install -U lossbench {self.distribution}"
                )


def mend(distribution: str) -> str:
    """What a user can do about a distribution whose loss can't be used."""
    return f"Mend or remove it: pip install -U {distribution}, or pip uninstall {distribution}"


def plugins(group: str) -> tuple[Plugin, ...]:
    """The entry points of a group over all distributions, each distribution once however often it is on the path."""
    return tuple(plugin for plugin in _all_plugins() if plugin.entry_point.group == group)


@cache
def _all_plugins() -> tuple[Plugin, ...]:
    found: dict[tuple[str, str, str], Plugin] = {}
    for distribution in distributions():
        for entry_point in _entry_points(distribution):
            if entry_point.group in (LOSSES, ORIGINS):
                name = _distribution_name(distribution)
                found.setdefault(
                    (entry_point.group, name, entry_point.name),
                    Plugin(
                        entry_point.name,
                        name,
                        distribution.version,
                        tuple(distribution.requires or ()),
                        entry_point,
                    ),
                )
    return tuple(sorted(found.values(), key=lambda plugin: (plugin.name, plugin.distribution)))


def _entry_points(distribution: Distribution) -> Iterable[EntryPoint]:
    try:
        return distribution.entry_points
    except Exception:  # anyone's metadata may be damaged; what can't be read offers no loss
        return ()


def _distribution_name(distribution: Distribution) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(distribution.metadata["Name"]))


@dataclass(frozen=True)
class Learned:
    """What an earlier load of a plugin found out."""

    usable: bool
    summary: str | None = None
    reason: str | None = None


def learned(plugin: Plugin) -> Learned | None:
    """What is remembered of this version of a plugin, or None."""
    try:
        row = _memory()[_memory_key(plugin)]
        return Learned(bool(row["usable"]), row["summary"], row["reason"])
    except (KeyError, TypeError):
        return None


def remember(plugin: Plugin, result: Learned) -> None:
    """Keeps what was found out; a cache that can't be written is no reason to fail."""
    file = _memory_file()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = _memory()
        if rows.get(_memory_key(plugin)) == asdict(result):
            return
        rows[_memory_key(plugin)] = asdict(result)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as beside:
            json.dump(rows, beside, indent=1)
        os.replace(beside.name, file)


def _memory() -> dict[str, Any]:
    """What is remembered of all plugins, read anew only when the file is another one."""
    try:
        state = _memory_file().stat()
    except OSError:
        return {}
    return dict(_read_memory(_memory_file(), state.st_ino, state.st_mtime_ns))


@lru_cache(maxsize=1)
def _read_memory(file: Path, inode: int, changed_ns: int) -> dict[str, Any]:
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return rows if isinstance(rows, dict) else {}


def _memory_file() -> Path:
    return user_cache() / "plugins.json"


def _memory_key(plugin: Plugin) -> str:
    return f"{plugin.distribution}=={plugin.version}:{plugin.name}"
