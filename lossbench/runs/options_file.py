"""Read the options of a run from a TOML file: `--config FILE`, and the `config.toml` of a run."""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from ..strict_files import read_bytes
from ..what_is import what_is
from .option import shown
from .options import RunConfig

_WRITTEN = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_LIMIT = 2**20  # bytes


def read_options(
    path: Path,
    named: str,
    used: Collection[str] | None = None,
    instead: Mapping[str, str] | None = None,
    *,
    links: bool = True,
) -> dict[str, Any]:
    """Return option -> value, each of the option's type.

    Args:
        path: the file.
        named: how messages call it: "--config FILE".
        used: the options that the reading command uses; None for all.
        instead: unused option -> what takes its place.
        links: whether the file may be a symbolic link or a pipe: true for a file that the user names.

    Raises:
        ConfigError: the file cannot be read or is not TOML, or has an unknown or unused option, an option that stands
            twice, or a value of another type.
    """
    try:
        if links:
            with path.open("rb") as file:
                text = file.read(_LIMIT + 1)
            if len(text) > _LIMIT:
                raise ConfigError(f"{named} is larger than {_LIMIT:,} bytes; options take a few hundred")
        else:
            text = read_bytes(path, _LIMIT, error=ConfigError)
        values = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{named} cannot be read: {error.strerror}; it is {what_is(path)}") from error
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, or a number with too many digits
        raise ConfigError(f"{named} is not valid TOML: {error}") from error
    known = typing.get_type_hints(RunConfig)
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(f"{named}: there is no option {key!r}. {did_you_mean(name, known)}")
        if name in options:
            raise ConfigError(f"{named}: {name} stands twice, with '_' and with '-'; remove one")
        kinds = typing.get_args(known[name]) or (known[name],)
        if type(value) not in kinds and not (float in kinds and type(value) is int):
            wanted = next(_WRITTEN[kind] for kind in kinds if kind in _WRITTEN)
            raise ConfigError(f"{named}: {key} must be {wanted}, got {shown(value)}")
        options[name] = value
    if used is not None and (unused := [name for name in options if name not in used]):
        hints = (f"{name} ({(instead or {}).get(name, 'without effect here')})" for name in unused)
        raise ConfigError(f"{named}: this command does not use {', '.join(hints)}. Remove what it does not use")
    return options
