"""The list of all losses, without importing plugins unless asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..discovery import LOSSES, ORIGINS, Learned, Plugin, learned, plugins
from ..errors import PluginError, UsageError
from ..losses import BUILT_INS
from ..versions import version
from .specs import (
    BUILT_IN_ORIGIN,
    THIS_PROCESS,
    adapted_names,
    adapted_spec,
    learned_of,
    plugin_spec,
    registered,
    try_load,
)

Status = Literal["built-in", "installed", "ambiguous", "usable", "broken"]


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


def loss_entries(*, load: bool = False) -> list[LossEntry]:
    """Return all losses as rows, sorted by name; with `load`, plugins are imported and checked.

    Without `load`, an adapted library is one row, `origin/*`; with it, one row per loss.
    """
    here = version("lossbench")
    rows = [LossEntry(b.name, b.summary, BUILT_IN_ORIGIN, here, "built-in") for b in BUILT_INS]
    rows += [
        LossEntry(s.name, s.summary, THIS_PROCESS, "", "usable", None, s.expected_failures)
        for s in registered().values()
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
        known = Learned(False) if broken else learned_of(plugin_spec(plugin))
    where = (plugin.distribution, plugin.version)
    return LossEntry(plugin.name, known.summary, *where, status, reason, known.expected_failures)


def _origin_rows(adapter: Plugin, load: bool) -> list[LossEntry]:
    row = LossEntry(f"{adapter.name}/*", None, adapter.distribution, adapter.version, "installed")
    if not load:
        return [row]
    try:
        names = adapted_names(adapter)
    except PluginError as error:
        return [replace(row, status="broken", reason=str(error))]
    rows = []
    for name in names:
        full = f"{adapter.name}/{name}"
        try:
            spec = adapted_spec(adapter, name)
            failures = spec.expected_failures
            rows.append(replace(row, name=full, summary=spec.summary, status="usable", expected_failures=failures))
        except UsageError as error:
            rows.append(replace(row, name=full, status="broken", reason=str(error)))
    return rows
