"""Values from a JSON text, read strictly: one clear error for what is not JSON, too deep, repeated or not finite."""

from __future__ import annotations

import json
from typing import Any

from ..printable import shortened

_MOST_VALUES = 4_000_000  # of one file: a record of 50,000 classes, or a confusion matrix of 1,000, has fewer


class FieldError(ValueError):
    """A value that is missing or not of its kind."""


def parse(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        FieldError: it is not JSON, nests too deeply, repeats a key, or has a number that is not finite.
    """
    content = text.encode(errors="replace") if isinstance(text, str) else text
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise FieldError(f"it holds more than {_MOST_VALUES:,} values")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise FieldError("it nests too deeply") from None
    except UnicodeDecodeError as error:
        raise FieldError(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise FieldError(f"it is not valid JSON ({error.msg} at line {error.lineno})") from None
    except FieldError:
        raise
    except ValueError as error:  # a number with more digits than Python reads
        raise FieldError(str(error)) from None


def _refuse_constant(name: str) -> Any:
    raise FieldError(f"it has the number {name}, which is not finite")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise FieldError(f"the key {shortened(twice)!r} appears twice")
    return content
