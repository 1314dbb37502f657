"""The self-test of the verdict on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ...verdict.self_test import (
    COMPARISONS,
    PLANTED,
    Rate,
    contradicted,
    coverage,
    coverage_of_one,
    false_alarms,
    followed_advice,
    power,
)
from ...verdict.simulation import Setting
from ..tables.table import Table

_TINY = 3  # test images of the rarest class, where tiny classes are simulated
_LATER = (1.6, 2.4)  # times as many seeds at the looks after the first
_RANDOM = 200  # random comparisons whose sentences are derived again


def self_test(setting: Setting, comparisons: int = COMPARISONS) -> dict[str, Any]:
    """Measure false alarms, coverage, power, the price of looks, and contradictions.

    Args:
        setting: what is simulated.
        comparisons: for each figure but contradictions.
    """
    looks = tuple(dict.fromkeys((setting.seeds, *(round(setting.seeds * more) for more in _LATER))))
    tiny = (1, _TINY, *setting.counts[2:]) if len(setting.counts) > 2 else (1, *setting.counts[1:])
    variants = {
        "normal": setting,
        "heavy tails": replace(setting, heavy_tails=True),
        "losses find different images hard": replace(setting, own_share=max(setting.own_share, 0.3)),
        "unequal spread over seeds": replace(setting, unequal=3.0),
        "diverging runs": replace(setting, diverging=0.1),
        "tiny classes": replace(setting, counts=tiny),
    }
    return {
        "setting": asdict(setting),
        "comparisons": comparisons,
        "false_alarms": {name: false_alarms(one, comparisons) for name, one in variants.items()},
        "looks": looks,
        "followed_advice": followed_advice(setting, looks, comparisons),
        "coverage": {"pair": coverage(setting, comparisons), "one_loss": coverage_of_one(setting, comparisons)},
        "power": {planted: power(replace(setting, planted=planted), comparisons) for planted in PLANTED},
        "contradictions": contradicted(_RANDOM),
    }


def self_test_table(content: dict[str, Any]) -> Table:
    """Return one row per simulated rate."""
    rows = [(f"A/A, {kind}: a difference is claimed", *_shown(rate)) for kind, rate in content["false_alarms"].items()]
    looks = ", ".join(map(str, content["looks"]))
    rows.append((f"A/A, looks at {looks} seeds: a difference is claimed", *_shown(content["followed_advice"])))
    named: list[tuple[str, Callable[[dict[str, Any]], Rate]]] = [
        ("interval of a pair holds the true difference", lambda c: c["coverage"]["pair"]),
        ("interval of one loss holds the true score", lambda c: c["coverage"]["one_loss"]),
    ]
    rows += [(text, *_shown(of(content))) for text, of in named]
    rows += [
        (f"{100 * planted:.1f} points planted: found", *_shown(rate))
        for planted, rate in sorted(content["power"].items())
    ]
    rows.append(
        ("random comparisons with a sentence that their numbers contradict", *_shown(content["contradictions"]))
    )
    s = content["setting"]
    counts = s["counts"]
    sizes = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    note = (
        f"{content['comparisons']:,} simulated comparisons each: {s['losses']} losses, {s['seeds']} seeds, "
        f"{len(counts)} classes of {sizes} test images, accuracy {s['accuracy']:.0%}, runs spread by "
        f"{100 * s['seed_sd']:.1f} points over seeds, {s['own_share']:.0%} of an image's difficulty the loss's own. A "
        f"false alarm is any pair called different, of {s['losses'] * (s['losses'] - 1) // 2}."
    )
    return Table("self-test", "Can you trust the verdict?", ("simulated", "share", "95 % interval"), tuple(rows), note)


def _shown(rate: Rate) -> tuple[str, str]:
    low, high = rate.interval
    return f"{rate.value:.1%}", f"{low:.1%} to {high:.1%}"
