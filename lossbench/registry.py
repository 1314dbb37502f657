"""Find losses by name: built-in, registered in this process, or installed by other distributions."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Literal

from .discovery import LOSSES, ORIGINS, Learned, Plugin, learned, mend, plugins, remember
from .errors import PluginError, UnknownLossError, UsageError, did_you_mean
from .expression import Formula, is_object_path, parse_formula
from .known_losses import where_to_find
from .losses import BUILT_INS
from .spec import LossSpec

Status = Literal["built-in", "installed", "ambiguous", "usable", "broken"]
BUILT_IN_ORIGIN = "lossbench"
_THIS_PROCESS = "this process"
_ALLOWED = "LOSSBENCH_OBJECTS"
_OBJECT = re.compile(r"[^\s+*(),=\[\]\"']+:[A-Za-z_][\w.]*")

_registered: dict[str, LossSpec] = {}


@dataclass(frozen=True)
class LossEntry:
    """One row of `lossbench list`. `summary` is None until the plugin was loaded once; `reason` is its problem.

    `expected_failures` are the laws that the loss breaks by definition, with the reasons.
    """

    name: str
    summary: str | None
    origin: str
    version: str
    status: Status
    reason: str | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)


def list_losses() -> list[str]:
    """Return the sorted names of all losses, without importing plugins.

    Example:
        >>> {"center", "softmax"} <= set(list_losses())
        True
    """
    return sorted({entry.name for entry in loss_entries() if entry.status != "ambiguous" and "*" not in entry.name})


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
    if bare in _built_ins():
        return _built_in_spec(bare)
    if name in _registered:
        return _registered[name]
    if is_object_path(name):
        return _object_spec(name)
    plugin = _find_plugin(name)
    if plugin.entry_point.group == ORIGINS:
        return _adapted_spec(plugin, name.rpartition("/")[2])
    return _plugin_spec(plugin)


def loss_origin(name: str) -> str:
    """Return the distribution of a loss with its version, for messages and records.

    Raises:
        UnknownLossError: no such loss, or several.

    Example:
        >>> loss_origin("center").split()[0]
        'lossbench'
    """
    if name.removeprefix(f"{BUILT_IN_ORIGIN}/") in _built_ins():
        return f"{BUILT_IN_ORIGIN} {version('lossbench')}"
    if name in _registered:
        return _THIS_PROCESS
    if is_object_path(name):
        return _object_origin(name)
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
    return "" if origin in ("", _THIS_PROCESS) or distribution == BUILT_IN_ORIGIN else f"\n{mend(distribution)}"


def allow_objects(*expressions: str) -> None:
    """Allow the files and modules that formulas name to be imported, in this process and those that it starts.

    What a command line or a caller names is allowed; what a record of a run names never is by itself.

    Args:
        expressions: formulas, or lists of formulas.
    """
    known = _allowed()
    found = [name for text in expressions for name in _OBJECT.findall(text) if name not in known]
    if found:
        os.environ[_ALLOWED] = "\n".join([*known, *found])


def object_names(formula: str) -> list[str]:
    """Return the `file.py:object` and `module:object` in a formula.

    Example:
        >>> object_names("softmax + 0.1*mine.py:Center(alpha=0.5)")
        ['mine.py:Center']
    """
    return [term.name for term in parse_formula(formula).terms if is_object_path(term.name)]


def _allowed() -> list[str]:
    return [name for name in os.environ.get(_ALLOWED, "").split("\n") if name]


def _allowed_name(name: str) -> str | None:
    """Return an allowed name for an object: its own, or one of an object of the same name in another place."""
    allowed = _allowed()
    same = [each for each in allowed if each.rpartition(":")[2] == name.rpartition(":")[2]]
    return name if name in allowed else same[-1] if same else None


def _object_spec(name: str) -> LossSpec:
    given = _allowed_name(name)
    if given is None:
        raise UsageError(
            f"{name} is named by a record or a file of options, from which nothing is imported; pass --loss {name}"
        )
    from .adapters import object_spec

    return object_spec(given)


def _object_origin(name: str) -> str:
    from .adapters import file_digest, file_of

    file = file_of(_allowed_name(name) or name)
    if file is None:
        return f"module {name.partition(':')[0]}"
    return f"file {file.name}, sha256 {file_digest(file)}"


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
    raise UnknownLossError(f"unknown loss {name!r}. {hint.rstrip('.')}. To list all: lossbench list")


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
    _registered[spec.name] = spec
    return spec


def loss_entries(*, load: bool = False) -> list[LossEntry]:
    """Return all losses as rows, sorted by name; with `load`, plugins are imported and checked.

    Without `load`, an adapted library is one row, `origin/*`; with it, one row per loss.
    """
    here = version("lossbench")
    rows = [LossEntry(b.name, b.summary, BUILT_IN_ORIGIN, here, "built-in") for b in BUILT_INS]
    rows += [
        LossEntry(s.name, s.summary, _THIS_PROCESS, "", "usable", None, s.expected_failures)
        for s in _registered.values()
    ]
    taken = {row.name for row in rows}
    installed = plugins(LOSSES)
    names = [p.name for p in installed]
    for plugin in installed:
        if load:
            try_load(plugin)
        rows.append(_plugin_row(plugin, names.count(plugin.name) > 1 or plugin.name in taken, load))
    for adapter in plugins(ORIGINS):
        rows += _origin_rows(adapter, load)
    return sorted(rows, key=lambda row: (row.status != "built-in", row.name, row.origin))


def plugin_errors() -> dict[str, str]:
    """Import all plugins and return the problem of every broken one, by distribution and name."""
    return {f"{e.origin}/{e.name}": e.reason or "" for e in loss_entries(load=True) if e.status == "broken"}


@cache
def _built_ins() -> Mapping[str, str]:
    return {b.name: b.module for b in BUILT_INS}


def _built_in_spec(name: str) -> LossSpec:
    spec: LossSpec = importlib.import_module(_built_ins()[name]).SPEC
    return spec


@cache
def _plugin_spec(plugin: Plugin) -> LossSpec:
    try:
        spec = plugin.load_spec()
    except PluginError as error:
        remember(plugin, Learned(False, reason=str(error)))
        raise
    remember(plugin, _of_spec(spec))
    return spec


def try_load(plugin: Plugin) -> PluginError | None:
    """Load a plugin and return its error instead of raising it."""
    try:
        _plugin_spec(plugin)
    except PluginError as error:
        return error
    return None


def _plugin_row(plugin: Plugin, ambiguous: bool, loaded: bool) -> LossEntry:
    known = learned(plugin) or Learned(False)
    reason = known.reason
    if ambiguous:
        reason = f"the name is used more than once; use {plugin.distribution}/{plugin.name}"
    status: Status = "ambiguous" if ambiguous else "installed"
    if loaded:
        error = try_load(plugin)
        reason, broken = (str(error), True) if error else (reason, False)
        status = "broken" if broken else "ambiguous" if ambiguous else "usable"
        known = Learned(False) if broken else _of_spec(_plugin_spec(plugin))
    where = (plugin.distribution, plugin.version)
    return LossEntry(plugin.name, known.summary, *where, status, reason, known.expected_failures)


def _of_spec(spec: LossSpec) -> Learned:
    return Learned(True, spec.summary, None, dict(spec.expected_failures))


def _origin_rows(adapter: Plugin, load: bool) -> list[LossEntry]:
    row = LossEntry(f"{adapter.name}/*", None, adapter.distribution, adapter.version, "installed")
    if not load:
        return [row]
    try:
        names = _adapted_names(adapter)
    except PluginError as error:
        return [replace(row, status="broken", reason=str(error))]
    rows = []
    for name in names:
        full = f"{adapter.name}/{name}"
        try:
            spec = _adapted_spec(adapter, name)
            failures = spec.expected_failures
            rows.append(replace(row, name=full, summary=spec.summary, status="usable", expected_failures=failures))
        except UsageError as error:
            rows.append(replace(row, name=full, status="broken", reason=str(error)))
    return rows


def _adapted_names(adapter: Plugin) -> list[str]:
    origin = adapter.load_origin()
    try:
        return list(origin.names())
    except Exception as error:  # errors of adapters can have any type
        raise PluginError(f"{adapter.where} cannot list its losses: {type(error).__name__}: {error}") from error


def _adapted_spec(adapter: Plugin, name: str) -> LossSpec:
    origin = adapter.load_origin()
    if reason := getattr(origin, "refused", {}).get(name):
        raise PluginError(f"{adapter.name}/{name} is not supported: {reason}")
    if name not in (names := _adapted_names(adapter)):
        raise UnknownLossError(f"{adapter.where} has no loss {name!r}. {did_you_mean(name, names)}")
    full = f"{adapter.name}/{name} of {adapter.where}"
    try:
        spec = origin.spec(name)
    except UsageError:
        raise
    except Exception as error:  # as above
        raise PluginError(f"{full} cannot be adapted: {type(error).__name__}: {error}") from error
    if not isinstance(spec, LossSpec):
        raise PluginError(f"{full} must be a LossSpec, got {type(spec).__name__}")
    return spec
