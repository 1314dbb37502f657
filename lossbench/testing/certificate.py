"""A certificate: what was judged, with what result, so that others can judge it again."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from ..allocations import bounded_allocations
from ..errors import UsageError
from ..machine.facts import LAW_PACKAGES, versions
from ..runs.json_text import FieldError, parse
from ..strict_files import read_bytes
from .configuration import Configuration
from .effort import Effort
from .judge import judge_all
from .quote import quote_of
from .resolve import resolve
from .results import Result
from .source_digest import source_digest

SCHEMA_VERSION = 1
_LIMIT, _MOST_EXAMPLES = 64 * 2**20, 1_000_000


_KEYS: dict[str, type | tuple[type, ...]] = {
    "schema_version": int, "quote": str, "target": str, "takes": (str, NoneType), "traits": list, "effort": dict,
    "source_sha256": str, "versions": dict, "results": list,
}  # fmt: skip
_MOST_BYTES = 2**30  # that building the loss may take at once


@dataclass(frozen=True)
class Asked:
    """The arguments of a check.

    Attributes:
        target: target of `resolve`.
        takes: `takes` of `resolve`.
        traits: `traits` of `resolve`.
        form: `form` of `resolve`.
    """

    target: str
    takes: str | None = None
    traits: tuple[str, ...] = ()
    form: str | None = None

    def configurations(self) -> list[Configuration]:
        """The configurations."""
        return resolve(self.target, takes=self.takes, traits=self.traits, form=self.form)


def certificate(
    asked: Asked, configurations: Sequence[Configuration], effort: Effort, results: Iterable[Result]
) -> dict[str, Any]:
    """The content of a certificate.

    Args:
        asked: what was judged.
        configurations: its configurations.
        effort: how hard was looked.
        results: all of them.
    """
    rows = [_row(result) for result in results]
    digest, known = source_digest(configurations[0]), _versions()
    return {
        "schema_version": SCHEMA_VERSION,
        "quote": quote_of(asked.target, rows, digest, known, effort),
        "target": asked.target,
        "takes": asked.takes,
        "traits": list(asked.traits),
        "form": asked.form,
        "effort": asdict(effort),
        "source_sha256": digest,
        "versions": known,
        "results": rows,
    }


def read_certificate(path: Path) -> dict[str, Any]:
    """A certificate from a file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    text = read_bytes(path, _LIMIT, links=True, error=UsageError)
    try:
        content = parse(text)
    except FieldError as error:
        raise UsageError(f"{path} is not a certificate: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS.keys():
        missing = sorted(_KEYS.keys() - (content.keys() if isinstance(content, dict) else set()))
        raise UsageError(
            f"{path} is not a certificate: {', '.join(missing)} missing. Write one with: lossbench "
            "check LOSS --certificate FILE"
        )
    if content["schema_version"] != SCHEMA_VERSION:
        raise UsageError(
            f"{path} is a certificate of schema {str(content['schema_version'])[:40]}, this lossbench reads "
            f"{SCHEMA_VERSION}; judge the loss again with lossbench check"
        )
    if wrong := [name for name, kind in _KEYS.items() if not isinstance(content[name], kind)]:
        raise UsageError(f"{path} is not a certificate: {', '.join(wrong)} is of another type than lossbench writes")
    return content


@dataclass(frozen=True)
class Verification:
    """What judging again brought.

    Attributes:
        changed: one line for each law whose result differs.
        notes: what differs in source and versions.
        results: the new ones.
    """

    changed: tuple[str, ...]
    notes: tuple[str, ...]
    results: tuple[Result, ...]


def verify(
    content: Mapping[str, Any], progress: Callable[[Result], None] = lambda result: None, target: str | None = None
) -> Verification:
    """Judges what a certificate names, in the same way, and compares.

    Args:
        content: of `read_certificate`.
        progress: is told of each result.
        target: the loss as the user repeats it; needed where the certificate names a module or a file, whose code a
            file alone must not run.

    Raises:
        UsageError: the certificate is damaged, or the loss cannot be judged here.
    """
    try:
        asked = Asked(str(content["target"]), content["takes"], tuple(map(str, content["traits"])), content.get("form"))
        effort = Effort(**content["effort"])
        if [type(value) for value in asdict(effort).values()] != [int, int, bool, bool]:
            raise TypeError(f"effort {content['effort']}")
        claimed = {(str(row["loss"]), str(row["law"])): str(row["status"]) for row in content["results"]}
        certified = {str(name): str(number) for name, number in content["versions"].items()}
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise UsageError(f"the certificate is damaged: {error!r}") from error
    name = asked.target.partition("(")[0].strip()
    if (":" in name or name.endswith(".py")) and target != asked.target:
        raise UsageError(
            f"the certificate is of {asked.target!r}, which is not a registered loss: verifying it runs that code. "
            f"If you trust it, repeat it: lossbench verify CERTIFICATE {shlex.quote(asked.target)}"
        )
    if not 1 <= effort.examples <= _MOST_EXAMPLES or not 0 <= effort.seed < 2**63:
        raise UsageError(f"the certificate is damaged: {effort}")
    with bounded_allocations(_MOST_BYTES, lambda text: UsageError(f"{asked.target[:200]}: {text}")):
        configurations = asked.configurations()
    notes = []
    if source_digest(configurations[0]) != content["source_sha256"]:
        notes.append("the loss's source is not the one that was judged")
    for name, number in _versions().items():
        if (then := certified.get(name)) != number:
            notes.append(f"{name} is {number}, was {then}")
    results = []
    for result in judge_all(configurations, effort):
        results.append(result)
        progress(result)
    changed = []
    found = {(result.loss, result.law): result for result in results}
    for key in sorted(claimed.keys() | found.keys()):
        then, now = claimed.get(key, "not judged"), found[key].status if key in found else "not judged"
        if then != now:
            changed.append(f"{key[0]}, {key[1]}: {then} in the certificate, {now} now")
    return Verification(tuple(changed), tuple(notes), tuple(results))


def _row(result: Result) -> dict[str, Any]:
    row = asdict(result)
    row["seconds"] = round(result.seconds, 3)
    return row


def _versions() -> dict[str, str]:
    known = versions(LAW_PACKAGES)
    return {"python": platform.python_version(), **{name: number or "unknown" for name, number in known.items()}}
