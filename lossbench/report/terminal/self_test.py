"""The self-test of the verdict on a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...verdict.self_test import COMPARISONS, PLANTED, Rate, Setting, expected_smallest, false_alarms, found
from ..tables.table import Table

HEAVY = "with heavy tails"


def self_test(setting: Setting, comparisons: int = COMPARISONS) -> dict[str, Any]:
    """Return false-alarm rates and power, for normal and for heavy-tailed seeds.

    Args:
        setting: what is simulated.
        comparisons: for each figure.
    """
    heavy = replace(setting, heavy_tails=True)
    named = expected_smallest(setting)
    return {
        "setting": vars(setting),
        "comparisons": comparisons,
        "false_alarms": {"normal": false_alarms(setting, comparisons), HEAVY: false_alarms(heavy, comparisons)},
        "smallest_difference": named,
        "power": {planted: found(setting, planted, comparisons) for planted in (*PLANTED, named)},
    }


def self_test_table(content: dict[str, Any]) -> Table:
    """Return one row per simulated rate."""
    rows = [(f"A/A, {kind}: a difference is claimed", *_shown(rate)) for kind, rate in content["false_alarms"].items()]
    rows += [
        (f"{100 * planted:.1f} points planted: found", *_shown(rate))
        for planted, rate in sorted(content["power"].items())
    ]
    s = content["setting"]
    note = (
        f"{content['comparisons']:,} simulated comparisons each: {s['entrants']} losses, {s['seeds']} seeds, "
        f"{s['classes']} classes of {s['images']} test images, runs spread by {100 * s['seed_sd']:.1f} points over "
        f"seeds. A false alarm is any pair called different, of {s['entrants'] * (s['entrants'] - 1) // 2}. The "
        f"verdict would name {100 * content['smallest_difference']:.1f} points as the smallest difference shown four "
        "times in five."
    )
    return Table("self-test", "Can you trust the verdict?", ("simulated", "share", "95 % interval"), tuple(rows), note)


def _shown(rate: Rate) -> tuple[str, str]:
    low, high = rate.interval
    return f"{rate.value:.1%}", f"{low:.1%} to {high:.1%}"
