"""Mixed images and their targets are pure functions of (seed, epoch, row)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossbench.data.mixing import Mixing
from lossbench.errors import ConfigError
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig

SIZE, ROWS = 16, 40
TARGETS = np.arange(ROWS) % 4
PIXELS = np.random.default_rng(0).integers(256, size=(ROWS, SIZE, SIZE, 3)).astype(np.uint8)
UNIFORM = np.cumsum(np.full(ROWS, 1 / ROWS))


def mixing(mixup: float = 0, cutmix: float = 0, seed: int = 3) -> Mixing:
    return Mixing(mixup=mixup, cutmix=cutmix, seed=seed, num_classes=4, cumulative=UNIFORM)


def mixed(made: Mixing, epoch: int, row: int) -> tuple[Any, Any]:
    return made.mixed(epoch, row, lambda epoch, row: PIXELS[row], TARGETS)


@pytest.mark.parametrize("given", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 0.5}])
def test_targets_are_distributions_that_hold_the_own_class(given: dict[str, float]) -> None:
    made, shares = mixing(**given), []
    for row in range(ROWS):
        pixels, target = mixed(made, 1, row)
        assert pixels.shape == (SIZE, SIZE, 3)
        assert pixels.dtype == np.uint8
        assert target.sum() == pytest.approx(1, abs=1e-6)
        assert (target > 0).sum() <= 2
        shares.append(float(target[TARGETS[row]]))
        again, same = mixed(mixing(**given), 1, row)
        assert np.array_equal(pixels, again)
        assert np.array_equal(target, same)
    assert 0.3 < np.mean(shares) < 0.9
    assert not np.array_equal(mixed(made, 1, 0)[0], mixed(made, 2, 0)[0])
    assert not np.array_equal(mixed(made, 1, 0)[0], mixed(mixing(**given, seed=4), 1, 0)[0])


def test_the_share_is_the_area_that_remains() -> None:
    for row in range(ROWS):
        pixels, target = mixed(mixing(cutmix=1.0), 0, row)
        kept = (pixels == PIXELS[row]).all(axis=2).mean()
        if (target > 0).sum() == 2:
            assert kept == pytest.approx(float(target[TARGETS[row]]), abs=0.02)


def test_mixup_is_the_average() -> None:
    black_and_white = np.stack([np.zeros((SIZE, SIZE, 3), np.uint8), np.full((SIZE, SIZE, 3), 255, np.uint8)])
    targets = np.array([0, 1])
    made = Mixing(mixup=1.0, cutmix=0, seed=0, num_classes=2, cumulative=np.array([0.0, 1.0]))  # the partner is row 1
    pixels, target = made.mixed(0, 0, lambda epoch, row: black_and_white[row], targets)
    assert pixels.mean() == pytest.approx(255 * target[1], abs=1)


def config(**given: Any) -> RunConfig:
    data = "synthetic(images=160,test_images_per_class=2)"
    return RunConfig(**{"data": data, "epochs": 1, "batch_size": 32, "image_size": 32, "device": "cpu", **given})


@pytest.mark.slow
@pytest.mark.long
def test_a_run_with_mixed_images_is_reproducible_with_any_workers(tmp_path: Path) -> None:
    mixes = {"mixup": 0.2, "cutmix": 0.5}
    given = {"one": {**mixes, "workers": 0}, "other": {**mixes, "workers": 1}, "plain": {}}
    digests = {}
    for name, options in given.items():
        run(config(loss="weighted-softmax", **options), tmp_path / name)
        digests[name] = json.loads((tmp_path / name / "record.json").read_text())["weights_sha256"]
    assert digests["one"] == digests["other"] != digests["plain"]


@pytest.mark.parametrize("option", ["mixup", "cutmix"])
def test_a_loss_on_class_numbers_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=f"--{option} 0.2: mixed images have probabilities as targets, and center takes"
    ):
        run(config(loss="center", **{option: 0.2}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_distributions_are_mixed_as_class_numbers_are() -> None:
    made = mixing(mixup=1.0)
    one_hot = np.eye(made.num_classes, dtype=np.float32)[TARGETS]
    pixels, target = made.mixed(2, 1, lambda epoch, row: PIXELS[row], one_hot)
    again, same = mixed(made, 2, 1)
    np.testing.assert_array_equal(pixels, again)
    np.testing.assert_allclose(target, same, rtol=1e-6)
