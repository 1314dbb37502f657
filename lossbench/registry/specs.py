"""The specs of losses that have a name: built in, registered in this process, of a plugin, or adapted."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from ..discovery import Learned, Plugin, remember
from ..errors import PluginError, UnknownLossError, UsageError, did_you_mean
from ..losses import BUILT_INS
from ..spec import LossSpec

BUILT_IN_ORIGIN = "lossbench"
THIS_PROCESS = "this process"
_registered: dict[str, LossSpec] = {}


def registered() -> dict[str, LossSpec]:
    """Return the losses registered in this process, by name."""
    return _registered


@cache
def built_ins() -> Mapping[str, str]:
    return {b.name: b.module for b in BUILT_INS}


def built_in_spec(name: str) -> LossSpec:
    spec: LossSpec = importlib.import_module(built_ins()[name]).SPEC
    return spec


@cache
def plugin_spec(plugin: Plugin) -> LossSpec:
    try:
        spec = plugin.load_spec()
    except PluginError as error:
        remember(plugin, Learned(False, reason=str(error)))
        raise
    remember(plugin, learned_of(spec))
    return spec


def try_load(plugin: Plugin) -> PluginError | None:
    """Load a plugin and return its error instead of raising it."""
    try:
        plugin_spec(plugin)
    except PluginError as error:
        return error
    return None


def learned_of(spec: LossSpec) -> Learned:
    return Learned(True, spec.summary, None, dict(spec.expected_failures))


def adapted_names(adapter: Plugin) -> list[str]:
    origin = adapter.load_origin()
    try:
        return list(origin.names())
    except Exception as error:  # errors of adapters can have any type
        raise PluginError(f"{adapter.where} cannot list its losses: {type(error).__name__}: {error}") from error


def adapted_spec(adapter: Plugin, name: str) -> LossSpec:
    origin = adapter.load_origin()
    if reason := getattr(origin, "refused", {}).get(name):
        raise PluginError(f"{adapter.name}/{name} is not supported: {reason}")
    if name not in (names := adapted_names(adapter)):
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
