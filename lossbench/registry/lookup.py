"""Find a loss by its name, and register one."""

from __future__ import annotations

from ..discovery import LOSSES, ORIGINS, Plugin, mend, plugins
from ..errors import UnknownLossError, UsageError, did_you_mean
from ..expression import Formula, is_object_path
from ..known_losses import where_to_find
from ..spec import LossSpec
from ..versions import version
from .entries import list_losses, loss_entries
from .objects import allowed_spec, object_origin
from .specs import BUILT_IN_ORIGIN, THIS_PROCESS, adapted_spec, built_in_spec, built_ins, plugin_spec, registered


def loss_info(name: str) -> LossSpec:
    """Return the spec of a loss, importing its plugin.

    Args:
        name: a registry name, "origin/name" for one of several distributions or an adapted library, or
            "file.py:object" or "module:object" that `allow_objects` has been given.

    Raises:
        UnknownLossError: no such loss, or several.
        PluginError: the distribution's loss cannot be used.

    Example:
        >>> loss_info("center").joint
        'softmax + 0.001*center'
    """
    bare = name.removeprefix(f"{BUILT_IN_ORIGIN}/")
    if bare in built_ins():
        return built_in_spec(bare)
    if name in registered():
        return registered()[name]
    if is_object_path(name):
        return allowed_spec(name)
    plugin = _find_plugin(name)
    if plugin.entry_point.group == ORIGINS:
        return adapted_spec(plugin, name.rpartition("/")[2])
    return plugin_spec(plugin)


def loss_origin(name: str) -> str:
    """Return the distribution of a loss with its version, for messages and records.

    Raises:
        UnknownLossError: no such loss, or several.

    Example:
        >>> loss_origin("center").split()[0]
        'lossbench'
    """
    if name.removeprefix(f"{BUILT_IN_ORIGIN}/") in built_ins():
        return f"{BUILT_IN_ORIGIN} {version('lossbench')}"
    if name in registered():
        return THIS_PROCESS
    if is_object_path(name):
        return object_origin(name)
    plugin = _find_plugin(name)
    return f"{plugin.distribution} {plugin.version}"


def remedy(origin: str) -> str:
    """Return a remedy for a broken loss of `loss_origin` on its own line; empty for built-in and registered losses.

    Example:
        >>> remedy("my-dist 1.2")
        '\\nUpdate or remove it: pip install -U my-dist, or pip uninstall my-dist'
    """
    distribution = origin.partition(" ")[0]
    if distribution in ("file", "module"):  # the author's own
        return ""
    return "" if origin in ("", THIS_PROCESS) or distribution == BUILT_IN_ORIGIN else f"\n{mend(distribution)}"


def _find_plugin(name: str) -> Plugin:
    origin, slash, bare = name.rpartition("/")
    adapters = [p for p in plugins(ORIGINS) if slash and p.name == origin]
    found = [p for p in plugins(LOSSES) if p.name == bare and origin in ("", p.distribution)]
    if len(found) + len(adapters) > 1:
        ways = [f"{p.distribution}/{bare}" for p in found] or [p.where for p in adapters]
        raise UnknownLossError(f"{len(ways)} distributions have a loss {name!r}; use one of: {', '.join(ways)}")
    if adapters or found:
        return (adapters or found)[0]
    known = list_losses() + [f"{p.distribution}/{p.name}" for p in plugins(LOSSES)]
    hint = where_to_find(bare, known) or did_you_mean(name, known)
    end = "" if hint.endswith((".", "?")) else "."
    raise UnknownLossError(f"unknown loss {name!r}. {hint}{end} To list all: lossbench list")


def check_names(formula: Formula) -> None:
    """Check that the losses of a formula exist, without importing them.

    Raises:
        UnknownLossError: naming one that does not.
    """
    for term in formula.terms:
        loss_origin(term.name)


def register_loss(spec: LossSpec) -> LossSpec:
    """Register a loss in this process under its own name.

    Raises:
        UsageError: the name is already in use.
    """
    taken = [e.origin for e in loss_entries() if e.name == spec.name]
    if taken:
        raise UsageError(f"the name {spec.name!r} is already used by {taken[0]}; choose another name")
    registered()[spec.name] = spec
    return spec
