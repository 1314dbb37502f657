"""Whether runs may stand in one comparison: they must agree in all but loss, sampler, seed and what the seed makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..data.crop_recipe import CropRecipe
from ..errors import ConfigError, listed
from ..printable import shortened
from ..runs.option import Role, flag
from ..runs.options import option_names
from .runs import Run

_DATA = ("class_names", "release", "box_margin")
_OF_TEST = "test_digest"
_OF_A_SEED = ("train_digest", "training_counts", "selection_images")
_MODEL = ("name", "weights", "embedding_dim", "image_size", "preprocessing")
_ENVIRONMENT = ("lossbench", "python", "packages", "tf32", "deterministic_algorithms", "processes")
_OF_TIMES = ("device_name", "cpu_threads", "cpu_cores", "platform")


def differences(runs: Sequence[Run], tuned: Collection[str] = ()) -> list[str]:
    """Return the differences that make runs incomparable, one line per field with its values.

    Args:
        runs: at least one.
        tuned: options that were tuned for each loss, which may differ.
    """
    found = []
    trained = [part for run in runs for part in run.trained]
    free = {*option_names(Role.COMPARED, Role.NO_EFFECT), *tuned}
    names = dict.fromkeys(name for run in trained for name in run.record.config if name not in free)
    for name in names:
        found += _differing(flag(name), trained, lambda run, n=name: run.record.config.get(n))
    for part, fields in (("data", _DATA), ("model", _MODEL), ("environment", _ENVIRONMENT)):
        for name in fields:
            found += _differing(
                f"{part}.{name}", trained, lambda run, p=part, n=name: getattr(getattr(run.record, p), n)
            )
    for name in CropRecipe.__dataclass_fields__:
        found += _differing(f"data.crop.{name}", runs, lambda run, n=name: getattr(run.record.data.crop, n, None))
    found += _differing("environment.device", trained, lambda run: run.record.environment.device.partition(":")[0])
    found += _differing("weights", trained, lambda run: run.record.weights and run.record.weights.sha256)
    found += _differing(f"data.{_OF_TEST}", runs, lambda run: run.record.data.test_digest)
    for place in dict.fromkeys((part.seed, part.fold) for part in trained):
        own = [part for part in trained if (part.seed, part.fold) == place]
        seed, fold = place
        where = f"seed {seed}" + (f", fold {fold}" if fold else "")
        for name in _OF_A_SEED:
            found += _differing(f"data.{name} of {where}", own, lambda run, n=name: getattr(run.record.data, n))
    return found


def check_comparable(runs: Sequence[Run], tuned: Collection[str], allow: bool) -> list[str]:
    """Refuses runs that differ in more than what is compared; with `allow`, says so instead.

    Raises:
        ConfigError: naming each field, with its values.
    """
    found = differences(runs, tuned)
    if found and not allow:
        raise ConfigError(
            f"these runs cannot be compared, they differ in more than loss, sampler and seed:\n{listed(found)}\n"
            "Run them again under equal conditions, or pass --allow-differences to compare them all the same"
        )
    notes = [f"compared all the same (--allow-differences): {text}" for text in found]
    if times := [
        name for name in _OF_TIMES if _differing(name, runs, lambda r, n=name: getattr(r.record.environment, n))
    ]:
        notes.append(f"times were not taken under equal conditions: runs differ in {', '.join(times)}")
    return notes


def _differing(field: str, runs: Sequence[Run], value: Any) -> list[str]:
    """A line where runs hold several values, the commonest first, each with a run that holds it."""
    holders: dict[str, list[Run]] = {}
    for run in runs:
        holders.setdefault(shortened(str(value(run))), []).append(run)
    if len(holders) < 2:
        return []
    shown = sorted(holders.items(), key=lambda item: -len(item[1]))
    told = "; ".join(f"{text} in {len(held)} run(s), such as {held[0].directory.name}" for text, held in shown[:3])
    return [f"{field}: {told}"]
