"""`lossbench data cache`, and runs that read from a cache on disk."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.runs import make_pictures, tiny
from PIL import Image

import lossbench as public
from lossbench.data.reading import Reading
from lossbench.errors import ConfigError
from lossbench.harness.cached_splits import with_source_size
from lossbench.harness.evaluation.evaluate_run import evaluate_run
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig


def test_the_command_makes_what_a_run_uses(lossbench: Any, tmp_path: Path) -> None:
    data = make_pictures(tmp_path)
    for index in range(6):  # by its content, a JPEG file, which fast decoding decodes at half its size
        Image.open(tmp_path / f"val{index}.png").resize((80, 72)).save(tmp_path / f"val{index}.png", "JPEG")
    place = ("--cache-dir", tmp_path / "caches")
    (tmp_path / "train0.png").rename(tmp_path / "kept.png")
    (tmp_path / "train0.png").write_bytes(b"\x89PNG")
    how = ("--size", 32, "--decoding", "fast", *place)
    partly = lossbench("data", "cache", f"csv:{data}", *how)
    assert partly.code == 0
    assert "1 image(s) cannot be read and are left out:\n  " in partly.err
    assert "train0.png: truncated or damaged in its header\n" in partly.err
    (tmp_path / "kept.png").rename(tmp_path / "train0.png")
    done = lossbench("data", "cache", f"csv:{data}", *how, "--json")
    assert "is out of date (1 of 37 images are new or have changed) and is made again" in done.err
    content = json.loads(done.out)
    assert (content["images"], content["source_size"], content["unreadable"]) == (37, 32, [])
    assert content["bytes"] == os.path.getsize(content["path"])
    config = tiny(data, "softmax", epochs=1, cache_on="disk", cache_dir=str(tmp_path / "caches"))
    config = dataclasses.replace(config, decoding="fast")
    written = os.stat(content["path"]).st_mtime_ns
    said: list[str] = []
    record = run(with_source_size(config, said.append), tmp_path / "run").record
    assert said == ["images are reduced to a shorter side of 32 px, as in their cache (--source-size 32)"]
    assert record is not None
    assert record.config["source_size"] == 32
    assert record.model.reading == Reading(source_size=32, decoding="fast")
    assert os.stat(content["path"]).st_mtime_ns == written
    uncached = dataclasses.replace(config, cache_on=None, cache_dir=None, source_size=32)
    assert run(uncached, tmp_path / "other").record.weights_sha256 == record.weights_sha256  # type: ignore[union-attr]
    with np.load(tmp_path / "run/predictions.npz") as stored:
        scores = stored["test_scores"]
    found = public.load_run(tmp_path / "run").predict_proba([tmp_path / f"val{index}.png" for index in range(6)])
    np.testing.assert_allclose(found, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), rtol=1e-5)
    evaluate_run(tmp_path / "run", RunConfig(loss="softmax", data=config.data), tmp_path / "evaluated")
    with np.load(tmp_path / "evaluated/predictions.npz") as stored:
        np.testing.assert_allclose(stored["test_scores"], scores, rtol=1e-5)
    assert lossbench("data", "cache", f"csv:{data}", "--decoding", "fast", *place).code == 0
    unreduced = dataclasses.replace(config, cache_dir=str(tmp_path / "none"))
    assert with_source_size(unreduced, print) == unreduced  # so that cells have the names of cells without a cache
    with pytest.raises(ConfigError, match=r"several source sizes; pass one of --source-size 0, 32 \(0: not reduced\)$"):
        with_source_size(config, print)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "cache", "digits"), "error: digits: its images are not in files, so there is nothing to decode"),
        (("data", "cache", "csv:a.csv", "--size", 20_000), "error: --source-size must be at most 16,384, got 20000"),
        (
            ("run", "--loss", "softmax", "--data", "digits", "--cache-on", "disk"),
            "error: --cache-on disk applies to images in files, not to --data 'digits'",
        ),
        (("run", "--loss", "softmax", "--cache-dir", "x"), "error: --cache-dir x applies with --cache-on disk only"),
        (
            ("run", "--loss", "softmax", "--data", "digits", "--source-size", 16, "--image-size", 24),
            "error: --source-size 16 is below the image size of 24 px, to which images would be enlarged again",
        ),
        (("run", "--loss", "softmax", "--decoding", "quick"), "error: --decoding must be one of exact, fast, got 'qui"),
    ],
)
def test_a_mistake_is_one_error(lossbench: Any, arguments: tuple[object, ...], message: str) -> None:
    done = lossbench(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(message)
