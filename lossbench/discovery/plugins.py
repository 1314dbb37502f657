"""Entry points of installed distributions, imported only when they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Protocol

from ..errors import PluginError
from ..spec import LossSpec
from ..versions import version

LOSSES, ORIGINS = "lossbench.losses", "lossbench.origins"
DETECTORS, EXECUTORS = "lossbench.detectors", "lossbench.executors"


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
            if entry_point.group in (LOSSES, ORIGINS, DETECTORS, EXECUTORS):
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
