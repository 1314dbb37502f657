"""What to simulate so that it is like a comparison that was run: its losses, seeds, images and variances."""

from __future__ import annotations

import statistics

import numpy as np

from .comparison import Comparison
from .simulation import Setting


def setting_of(comparison: Comparison) -> Setting:
    """Return the setting that a judged comparison is an example of.

    The spread of runs and the losses' own share of an image's difficulty are medians over the tested pairs; without a
    tested pair they keep their defaults.
    """
    entrants = comparison.of_sampler(comparison.records.samplers[0]) or comparison.trained
    targets = next(iter(entrants[0].seed_targets.values()))
    counts = tuple(int(n) for n in np.bincount(targets) if n)
    seeds = max(len(e.scores) for e in entrants)
    setting = Setting(
        counts=counts,
        losses=max(len(entrants), 2),
        seeds=max(seeds, 2),
        accuracy=float(np.clip(statistics.median(e.mean for e in entrants), 0.05, 0.99)),
    )
    errors = [p.error for p in comparison.pairs if p.error is not None]
    if not errors:
        return setting
    own = statistics.median(float(e.v_seeds - e.v_interaction) * e.seeds / 2 for e in errors)
    chance = statistics.median(float(e.v_interaction) * e.seeds / 2 for e in errors)
    different = statistics.median(max(float(e.v_images - e.v_interaction), 0.0) / 2 for e in errors)
    single = sum(setting.accuracy * (1 - setting.accuracy) / n for n in counts) / len(counts) ** 2
    of_images = max(single - chance, 1e-12)
    return Setting(
        counts=counts,
        losses=setting.losses,
        seeds=setting.seeds,
        accuracy=setting.accuracy,
        seed_sd=max(own, 0.0) ** 0.5,
        own_share=float(np.clip(different / of_images, 0.0, 1.0)),
    )
