"""Measure how often the interval of a pair holds the true difference where images are divided into folds.

    python benchmarks/fold_coverage.py [--comparisons 1000]

Nothing here is taken from the formulas that are tested: classifiers are trained. A data set is drawn from Gaussian
classes, and every seed divides it into stratified folds and trains both losses on all folds but one: ridge regression
of the classes on random features of the seed, plain and with class weights. Folds so share training images, the errors
of one seed's folds depend on each other, and a difficult image is difficult in every seed. `lossbench.verdict.two_way`
judges the seeds as it judges those of `compare --folds`.

The true difference is that of balanced accuracy on 4,000 new images. Given these images to train on (what the verdict
claims), it is the mean over 12 other divisions; over data sets of this size, it is the mean over all that are drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossbench.verdict.self_test import Rate
from lossbench.verdict.statistics import ALPHA
from lossbench.verdict.two_way import two_way

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_OTHER_DIVISIONS = 12
_NEW_IMAGES = 4_000
_RIDGE = 1.0


@dataclass(frozen=True, kw_only=True)
class World:
    """What is simulated.

    Attributes:
        counts: images of each class.
        folds: K.
        seeds: divisions that are judged.
        features: random features of a network.
        apart: distance between class centers.
        weighted: whether the second loss weights classes; otherwise it has other random features, and no difference.
    """

    counts: tuple[int, ...] = (100, 60, 30, 10)
    folds: int = 5
    seeds: int = 5
    features: int = 40
    apart: float = 1.5
    weighted: bool = True


WORLDS = {
    "5 folds, 5 seeds, classes of 100, 60, 30, 10": World(),
    "5 folds, 3 seeds, the same": World(seeds=3),
    "10 folds, 5 seeds, the same": World(folds=10),
    "5 folds, 5 seeds, classes of 30, 20, 10": World(counts=(30, 20, 10), features=20),
    "5 folds, 5 seeds, 300 images a class": World(counts=(300,) * 4),
    "5 folds, 5 seeds, equal losses": World(weighted=False),
}


class Judged(NamedTuple):
    """One data set: the interval of the difference, and the true one given these images."""

    mean: float
    half: float
    truth: float


@cache
def judged(world: World, comparisons: int, seed: int = 0) -> tuple[Judged, ...]:
    """Return that many simulated data sets with their verdicts."""
    return tuple(_judged(world, np.random.default_rng((seed, n))) for n in range(comparisons))


def coverage(world: World, comparisons: int) -> Rate:
    """Return how often the 95 % interval holds the true difference, given these images to train on."""
    found = judged(world, comparisons)
    return Rate(sum(abs(one.mean - one.truth) <= one.half for one in found), comparisons)


def coverage_over_data_sets(world: World, comparisons: int) -> Rate:
    """Return how often the 95 % interval holds the true difference over data sets of this size."""
    found = judged(world, comparisons)
    truth = float(np.mean([one.truth for one in found]))
    return Rate(sum(abs(one.mean - truth) <= one.half for one in found), comparisons)


def _judged(world: World, draw: np.random.Generator) -> Judged:
    classes = len(world.counts)
    centers = world.apart * np.eye(classes) @ np.linalg.qr(draw.standard_normal((classes, classes)))[0]
    targets = np.repeat(np.arange(classes), world.counts)
    new = np.repeat(np.arange(classes), _NEW_IMAGES // classes)
    images, others = (centers[t] + draw.standard_normal((len(t), classes)) for t in (targets, new))
    values = np.zeros((2, world.seeds, len(targets)))
    differences = []
    for division in range(world.seeds + _OTHER_DIVISIONS):
        place = _folds(targets, world.folds, draw)
        scores = np.zeros((2, world.folds))
        for loss, (known, unknown) in enumerate(_features(world, images, others, draw)):
            for fold in range(world.folds):
                solution = _fit(known[place != fold], targets[place != fold], world.weighted and loss == 1)
                if division < world.seeds:
                    own = place == fold
                    values[loss, division, own] = (known[own] @ solution).argmax(axis=1) == targets[own]
                else:
                    scores[loss, fold] = ((unknown @ solution).argmax(axis=1) == new).mean()
        if division >= world.seeds:
            differences.append(scores[0].mean() - scores[1].mean())
    error = two_way(values, targets, [(0, 1)])
    return Judged(float(error.mean[0]), float(error.half_width(ALPHA)[0]), float(np.mean(differences)))


def _features(world: World, images: Floats, others: Floats, draw: np.random.Generator) -> Iterator[tuple[Floats, Any]]:
    """Yield both losses' random features of images and of others; pairs of losses share them, as they share weights."""
    for loss in range(2):
        if loss == 0 or not world.weighted:
            directions = draw.standard_normal((images.shape[1], world.features))
            offsets = draw.standard_normal(world.features)
            found = tuple(np.maximum(x @ directions + offsets, 0.0) for x in (images, others))
        yield found[0], found[1]


def _folds(targets: Ints, folds: int, draw: np.random.Generator) -> Ints:
    """Return the fold of each image, stratified."""
    order = np.argsort(targets + draw.random(len(targets)), kind="stable")
    place = np.empty(len(targets), dtype=np.int64)
    place[order] = np.arange(len(targets)) % folds
    return place


def _fit(x: Floats, targets: Ints, weighted: bool) -> Floats:
    """Return the (F, C) solution of ridge regression on one-hot classes."""
    counts = np.bincount(targets)
    weight = (len(targets) / len(counts) / counts)[targets] if weighted else np.ones(len(targets))
    gram = (x * weight[:, None]).T @ x + _RIDGE * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, (x * weight[:, None]).T @ np.eye(len(counts))[targets]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=1000)
    comparisons = parser.parse_args().comparisons
    print("| setting | given these images | 95 % interval | over data sets of this size | 95 % interval |")
    print("|-|-:|-|-:|-|", flush=True)
    for name, world in WORLDS.items():
        rates = [measure(world, comparisons) for measure in (coverage, coverage_over_data_sets)]
        cells = [f"{rate.value:.1%} | " + "{:.1%} to {:.1%}".format(*rate.interval) for rate in rates]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
