"""Options of a run in a TOML file: `--config FILE`, and the `config.toml` of a run."""

from __future__ import annotations

import tomllib
import typing
from pathlib import Path
from typing import Any

from ..errors import ConfigError, did_you_mean
from .options import RunConfig

_WRITTEN = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_LIMIT = 2**20  # bytes


def read_options(path: Path, named: str) -> dict[str, Any]:
    """Option -> value, each of the type that it has.

    Args:
        path: the file.
        named: how messages call it: "--config FILE".

    Raises:
        ConfigError: it can't be read, is no TOML, or holds an unknown option or a value of another type.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT + 1)
        if len(text) > _LIMIT:
            raise ConfigError(f"{named} is larger than {_LIMIT:,} bytes; options take a few hundred")
        values = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{named} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{named} is no valid TOML: {error}") from error
    known = typing.get_type_hints(RunConfig)
    options = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(f"{named}: there is no option {key!r}. {did_you_mean(name, known)}")
        kinds = typing.get_args(known[name]) or (known[name],)
        if type(value) not in kinds and not (float in kinds and type(value) is int):
            wanted = next(_WRITTEN[kind] for kind in kinds if kind in _WRITTEN)
            raise ConfigError(f"{named}: {key} must be {wanted}, got {value!r}")
        options[name] = value
    return options
