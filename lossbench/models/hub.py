"""Find the files of a model on the Hugging Face hub: in the local cache, else by a download that fails quickly."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModelError
from ..strict_files import read_bytes

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CONFIG, _MOST_CONFIG = "config.json", 2**20  # bytes
_SPEC = re.compile(r"([\w.-]+/)?[\w.-]+(@[\w./-]+)?")
_WAIT = 5  # seconds for the first answer of the hub


class HubFiles(NamedTuple):
    """The files of a model.

    Attributes:
        weights: path of the file with the weights.
        config: content of `config.json`; empty if the repository has none.
        repository: name of the repository with the commit of the files.
    """

    weights: Path
    config: dict[str, Any]
    repository: str


def hub_files(spec: str) -> HubFiles:
    """Return the files of a repository, from the cache or, if they are not there, from the hub.

    Args:
        spec: `OWNER/NAME` or `OWNER/NAME@REVISION`; the revision is "main" by default.

    Raises:
        ModelError: the repository has no weights or cannot be reached.
    """
    if not _SPEC.fullmatch(spec):
        raise ModelError(f"--weights hf:{spec}: expected a repository of the hub, such as hf:timm/resnet18.a1_in1k")
    repo, _, revision = spec.partition("@")
    weights = next(filter(None, (_cached(repo, name, revision) for name in _WEIGHTS)), None)
    config = _cached(repo, _CONFIG, revision) if weights else None
    if weights is None:
        weights, config = _download(repo, revision)
    commit = weights.parent.name if weights.parent.parent.name == "snapshots" else revision or "main"
    return HubFiles(weights, _config(config) if config else {}, f"{repo}@{commit}")


@contextlib.contextmanager
def quick_hub() -> Iterator[None]:
    """Use only the cache of the hub's client if the hub cannot be reached, so that it does not retry for minutes."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or _unreachable() is not None
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _cached(repo: str, name: str, revision: str) -> Path | None:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, name, cache_dir=constants.HF_HUB_CACHE, revision=revision or None)
    except HFValidationError as error:
        raise ModelError(f"--weights hf:{repo}: {error}") from error
    return Path(found) if isinstance(found, str) else None


def _download(repo: str, revision: str) -> tuple[Path, Path | None]:
    """Download weights and configuration into the cache.

    Raises:
        ModelError: the hub cannot be reached, or does not have them.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _unreachable()
    if reason:
        raise ModelError(
            f"--weights hf:{repo}: its weights are not in the cache {constants.HF_HUB_CACHE}, and {reason}. On a "
            f"machine with a network, run: hf download {repo}; then copy that folder, or pass --weights file:PATH"
        )
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)

    def get(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(repo, name, cache_dir=constants.HF_HUB_CACHE, revision=revision or None))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None

    try:
        weights = next(filter(None, map(get, _WEIGHTS)), None)
        config = get(_CONFIG) if weights else None
    except Exception as error:  # the client raises errors of several libraries
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"--weights hf:{repo}: cannot download it: {lines[0][:300]}") from error
    if weights is None:
        raise ModelError(f"--weights hf:{repo}: the repository has neither {' nor '.join(_WEIGHTS)}")
    return weights, config


def _unreachable() -> str | None:
    """Return why the hub cannot be reached, by one request without retries; None if it answers."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_WAIT)
    except Exception as error:  # the client has used requests, httpx and others
        return f"{constants.ENDPOINT} cannot be reached ({str(error).strip()[:200] or type(error).__name__})"
    return None


def _config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bytes(path, _MOST_CONFIG, links=True, error=ModelError))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is not JSON ({str(error)[:100]}); delete it, so that it is downloaded again"
        ) from error
    return content if isinstance(content, dict) else {}
