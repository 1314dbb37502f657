"""Galleries of test images for a page: worst errors, rarest classes, and images on which two losses differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from ..errors import ConfigError
from ..expression import split_losses
from ..verdict.comparison import Comparison
from ..verdict.entrants import Entrant
from ..verdict.named import find_entrant
from ..verdict.runs import Run
from .thumbnails import Gallery, Tile, make_tile, thumbnails

_WORST, _CLASSES, _EACH, _DIFFERENT = 24, 6, 6, 18  # images and classes that are shown


def run_galleries(run: Run, data: str | None = None) -> list[Gallery]:
    """Return the worst errors of a run and images of its rarest classes.

    Args:
        run: the run.
        data: where its data lies now; None for where the run read it.

    Raises:
        DataError: the images are no longer in the data.
    """
    test, names = run.predictions.test, run.record.data.class_names
    probability = softmax(np.asarray(test.scores, dtype=np.float64), axis=1)
    own = probability[np.arange(len(test.targets)), test.targets]
    wrong = np.flatnonzero(run.predicted != run.targets)
    worst = wrong[np.argsort(own[wrong], kind="stable")][:_WORST].tolist()
    counts = np.bincount(test.targets, minlength=len(names))
    training = run.record.data.in_order(run.record.data.training_counts)
    rare = [c for c in sorted(range(len(names)), key=lambda c: training[c]) if counts[c]][:_CLASSES]
    by_class = {c: np.flatnonzero(test.targets == c)[:_EACH].tolist() for c in rare}
    rows = sorted({*worst, *(row for chosen in by_class.values() for row in chosen)})
    shown = thumbnails(run, rows, data)
    if not shown:
        return []

    def tile(row: int) -> Tile:
        called, true = int(run.predicted[row]), int(run.targets[row])
        said = f"{names[called]} {probability[row, called]:.0%}"
        caption = (said,) if called == true else (said, f"true: {names[true]} {own[row]:.0%}")
        return make_tile(shown[row], caption, wrong=called != true)

    galleries = [
        Gallery(
            "worst",
            "Worst errors",
            tuple(map(tile, worst)),
            f"The {len(worst)} of {len(wrong):,} wrong predictions that give the true class the lowest probability. "
            "First line: the prediction.",
        )
    ]
    galleries += [
        Gallery(
            f"rare-{names[c]}",
            f"{names[c]}: {training[c]:,} training images",
            tuple(map(tile, chosen)),
            f"The first {len(chosen)} of {counts[c]:,} test images, one of the {len(rare)} rarest classes in training. "
            f"Recall {(run.predicted[run.targets == c] == c).mean():.0%}.",
        )
        for c, chosen in by_class.items()
    ]
    return [gallery for gallery in galleries if gallery.tiles]


def difference_galleries(comparison: Comparison, data: str | None = None, between: str | None = None) -> list[Gallery]:
    """Return images that one loss classifies correctly and another one does not, in both directions.

    Args:
        comparison: the comparison.
        data: where the data of the runs lies now; None for where they read it.
        between: the two losses, as "center, softmax"; None for those of the first planned claim, or the best one and
            plain softmax, or the second one if plain softmax is the best or absent.

    Raises:
        ConfigError: `between` does not name two losses that share test images.
        DataError: the images are no longer in the data.
    """
    pair = _pair(comparison) if between is None else _named_pair(comparison, between)
    if pair is None:
        return []
    one, other = pair
    seeds = _same_images(one, other)
    if not seeds:
        if between is not None:
            raise ConfigError(f"--images-between {between!r}: these losses share no seed with the same test images")
        return []
    right = {e.label: np.stack([_right(e.runs[seed]) for seed in seeds]).mean(axis=0) for e in (one, other)}
    change = right[one.label] - right[other.label]
    run = one.runs[seeds[0]]
    order = np.argsort(-np.abs(change), kind="stable")
    chosen = {
        one.label: [row for row in order.tolist() if change[row] > 0][:_DIFFERENT],
        other.label: [row for row in order.tolist() if change[row] < 0][:_DIFFERENT],
    }
    shown = thumbnails(run, sorted({row for rows in chosen.values() for row in rows}), data)
    if not shown:
        return []
    names = run.record.data.class_names
    galleries = []
    for better, worse in ((one, other), (other, one)):
        tiles = []
        for row in chosen[better.label]:
            caption = (f"true: {names[int(run.targets[row])]}", f"{worse.label}: {_called(worse, seeds, row, names)}")
            tiles.append(make_tile(shown[row], caption, wrong=False))
        total = int((change > 0).sum() if better is one else (change < 0).sum())
        galleries.append(
            Gallery(
                f"repaired-{better.label}",
                f"Right with {better.label}, wrong with {worse.label}",
                tuple(tiles),
                f"{len(tiles)} of {total:,} test images that {better.label} classifies correctly with more of the "
                f"{len(seeds)} seeds than {worse.label} does; the largest differences first. Second line: the most "
                f"frequent prediction of {worse.label}.",
            )
        )
    return [gallery for gallery in galleries if gallery.tiles]


def _named_pair(comparison: Comparison, between: str) -> tuple[Entrant, Entrant]:
    names = split_losses(between)
    found = [find_entrant(name, comparison.trained, comparison.records, "--images-between") for name in names]
    if reasons := [reason for reason in found if isinstance(reason, str)]:
        raise ConfigError(f"--images-between {between!r}: {reasons[0]}")
    chosen = [entrant for entrant in found if isinstance(entrant, Entrant) and not entrant.derived]
    if len(chosen) != 2 or len(found) != 2 or chosen[0] is chosen[1]:
        raise ConfigError(
            f"--images-between {between!r}: expected two different losses as trained, as in 'center, softmax'"
        )
    return chosen[0], chosen[1]


def _pair(comparison: Comparison) -> tuple[Entrant, Entrant] | None:
    for claim in comparison.claims:
        if claim.one.runs and claim.other.runs and not (claim.one.derived or claim.other.derived):
            return claim.one, claim.other
    trained = [e for e in comparison.of_sampler(comparison.records.samplers[0]) if e.runs]
    if len(trained) < 2:
        return None
    base = comparison.baseline
    return trained[0], (base if base is not None and base is not trained[0] and base.runs else trained[1])


def _same_images(one: Entrant, other: Entrant) -> list[int]:
    """Return the seeds of both losses whose runs share their test images with the first one."""
    shared = [seed for seed in one.runs if seed in other.runs]
    digest = {e.label: {seed: e.runs[seed].record.data.test_digest for seed in shared} for e in (one, other)}
    first = digest[one.label][shared[0]] if shared else ""
    return [seed for seed in shared if digest[one.label][seed] == digest[other.label][seed] == first]


def _right(run: Run) -> Any:
    return (run.predicted == run.targets).astype(np.float64)


def _called(entrant: Entrant, seeds: Sequence[int], row: int, names: Sequence[str]) -> str:
    predicted = np.array([entrant.runs[seed].predicted[row] for seed in seeds])
    wrong = predicted[predicted != entrant.runs[seeds[0]].targets[row]]
    return names[int(np.bincount(wrong).argmax())]
