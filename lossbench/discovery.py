"""Find losses of other distributions by their entry points, and import them only when they are used.

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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions, version
from pathlib import Path
from typing import Any, Protocol

from .caches import user_cache
from .errors import PluginError
from .spec import LossSpec

LOSSES, ORIGINS = "lossbench.losses", "lossbench.origins"


class Origin(Protocol):
    """The adapted losses of another library: the object of a `lossbench.origins` entry point.

    An origin may also have `refused`, a mapping from names of unsupported losses to the reason.
    """

    def names(self) -> list[str]: ...

    def spec(self, name: str) -> LossSpec: ...


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed distribution, not yet imported."""

    name: str
    distribution: str
    version: str
    requires: tuple[str, ...]
    entry_point: EntryPoint

    @property
    def where(self) -> str:
        return f"{self.distribution} {self.version} ({self.entry_point.value})"

    def load(self) -> object:
        """Import the object.

        Raises:
            PluginError: the import failed; the message names the distribution and what to do.
        """
        self._check_compatibility()
        try:
            return self.entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may also call sys.exit, which must not end the tool
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"{self.name!r} of {self.where} cannot be imported: {reason}\n{mend(self.distribution)}"
            ) from error

    def load_spec(self) -> LossSpec:
        """Import the `LossSpec` of a `lossbench.losses` entry point.

        Raises:
            PluginError: the import failed, or the object is something else.
        """
        spec = self.load()
        if not isinstance(spec, LossSpec):
            raise PluginError(f"{self.name!r} of {self.where} must be a LossSpec, got {type(spec).__name__}")
        if spec.name != self.name:
            raise PluginError(
                f"{self.name!r} of {self.where} has a different name in its entry point than in its LossSpec, "
                f"{spec.name!r}"
            )
        return spec

    def load_origin(self) -> Origin:
        """Import the object of a `lossbench.origins` entry point.

        Raises:
            PluginError: the import failed, or the object has no `names` and `spec`.
        """
        origin = self.load()
        if not (callable(getattr(origin, "names", None)) and callable(getattr(origin, "spec", None))):
            raise PluginError(f"{self.name!r} of {self.where} must have names() and spec(name)")
        return origin  # type: ignore[return-value]  # checked above

    def _check_compatibility(self) -> None:
        from packaging.requirements import InvalidRequirement, Requirement

        here = version("lossbench")
        for text in self.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement as error:
                raise PluginError(f"{self.name!r} of {self.where} has an invalid requirement: {text!r}") from error
            if requirement.name.lower() != "lossbench" or (requirement.marker and not requirement.marker.evaluate()):
                continue
            if not requirement.specifier.contains(here, prereleases=True):
                raise PluginError(
                    f"{self.name!r} of {self.where} needs lossbench{requirement.specifier}, but this is {here}. "
                    f"Install compatible versions: pip install -U lossbench {self.distribution}"
                )


def mend(distribution: str) -> str:
    """What a user can do about a distribution whose loss cannot be used."""
    return f"Update or remove it: pip install -U {distribution}, or pip uninstall {distribution}"


def plugins(group: str) -> tuple[Plugin, ...]:
    """Return the entry points of a group over all distributions, each distribution once."""
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
    except Exception:  # metadata may be damaged; an unreadable distribution has no losses
        return ()


def _distribution_name(distribution: Distribution) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(distribution.metadata["Name"]))


@dataclass(frozen=True)
class Learned:
    """The result of an earlier load of a plugin."""

    usable: bool
    summary: str | None = None
    reason: str | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)


def learned(plugin: Plugin) -> Learned | None:
    """Return the cached result of this version of a plugin, or None."""
    try:
        row = _memory()[_memory_key(plugin)]
        return Learned(bool(row["usable"]), row["summary"], row["reason"], dict(row["expected_failures"]))
    except (KeyError, TypeError, ValueError):
        return None


def remember(plugin: Plugin, result: Learned) -> None:
    """Cache the result of a load; a cache that cannot be written is ignored."""
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
    """Return the cached results of all plugins, read again only if the file has changed."""
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
