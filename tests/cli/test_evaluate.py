"""`lossbench evaluate`: a finished run on other data, with a record of its own."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

COLORS = {"amber": (220, 160, 20), "blue": (30, 40, 200), "cyan": (20, 200, 200)}


@pytest.fixture(scope="module")
def trained(lossbench: Callable[..., Any], faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("evaluate") / "run"
    done = lossbench(
        "run", "--loss", "weighted-cluster", "--data", f"csv:{faces}/train.csv", "--model", "test_resnet",
        "--image-size", 32, "--epochs", 2, "--batch-size", 16, "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    return out


def folder(root: Path, **counts: int) -> Path:
    draw = np.random.default_rng(1)
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for n in range(count):
            noise = draw.integers(-60, 60, (32, 32, 3))
            pixels = np.clip(np.array(COLORS.get(label, (0, 0, 0))) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{n}.png")
    return root


def test_the_same_test_split_gives_the_same_metrics(
    lossbench: Callable[..., Any], faces: Path, trained: Path, tmp_path: Path
) -> None:
    done = lossbench("evaluate", trained, "--data", f"csv:{faces}/train.csv", "--out", tmp_path / "e", "--json")
    assert done.code == 0, done.err
    before, after = (json.loads((place / "record.json").read_text()) for place in (trained, tmp_path / "e"))
    assert json.loads(done.out)["metrics"] == after["metrics"]
    for name in ("confusion_matrix", "weights_sha256", "formula"):
        assert after[name] == before[name]
    assert after["metrics"]["balanced_accuracy"] == before["metrics"]["balanced_accuracy"]
    with np.load(trained / "predictions.npz") as one, np.load(tmp_path / "e/predictions.npz") as other:
        np.testing.assert_allclose(one["test_scores"], other["test_scores"], atol=1e-5)


def test_other_data_is_evaluated_whole_by_the_names_of_its_classes(
    lossbench: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    photos = folder(tmp_path / "photos", cyan=5, blue=3)
    done = lossbench("evaluate", trained, "--data", f"folder:{photos}", "--out", tmp_path / "e")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "e/record.json").read_text())
    assert record["data"]["test_counts"] == {"amber": 0, "blue": 3, "cyan": 5}
    assert record["data"]["split_origin"] == "all images"
    assert [sum(row) for row in record["confusion_matrix"]] == [0, 3, 5]
    assert record["metrics"]["absent_classes"] == ["amber"]
    assert "no images of: amber" in done.out
    assert "8 images (all images)" in done.out
    val = lossbench("evaluate", trained, "--data", f"folder:{photos}", "--val", photos, "--out", tmp_path / "v")
    assert val.code == 0, val.err


def test_reports_read_evaluations(lossbench: Callable[..., Any], faces: Path, trained: Path, tmp_path: Path) -> None:
    done = lossbench("evaluate", trained, "--data", f"csv:{faces}/train.csv", "--out", tmp_path / "all/e")
    assert done.code == 0, done.err
    done = lossbench("report", tmp_path / "all", "--json")
    assert done.code == 0, done.err
    assert "weighted-cluster" in done.out
    with np.load(tmp_path / "all/e/predictions.npz") as found:
        assert found["class_names"].tolist() == ["amber", "blue", "cyan"]
    record = json.loads((tmp_path / "all/e/record.json").read_text())
    for loss, seed in itertools.product(("softmax", "weighted-cluster"), (0, 1)):
        place = tmp_path / f"judged/{loss}-{seed}"
        shutil.copytree(tmp_path / "all/e", place)
        changed = record | {"seed": seed, "config": record["config"] | {"loss": loss}}
        (place / "record.json").write_text(json.dumps(changed))
    done = lossbench("judge", *sorted((tmp_path / "judged").iterdir()), "--json")
    assert done.code == 0, done.err
    assert {entrant["loss"] for entrant in json.loads(done.out)["entrants"]} == {"softmax", "weighted-cluster"}


def test_what_cannot_be_evaluated_is_refused(lossbench: Callable[..., Any], trained: Path, tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", cyan=2, green=3)
    done = lossbench("evaluate", trained, "--data", f"folder:{photos}", "--out", tmp_path / "e")
    assert done.code == 2
    assert "1 label(s) that" in done.err
    assert "'green' (3 image(s))" in done.err
    assert "It knows: amber, blue, cyan" in done.err
    assert not (tmp_path / "e").exists()
    (photos / "green").rename(photos / "Amber ")
    done = lossbench("evaluate", trained, "--data", f"folder:{photos}", "--out", tmp_path / "e")
    assert "'Amber ' (3 image(s)), which looks like 'amber'" in done.err
    assert "--fold-labels reads labels that look equal as one" in done.err
    (photos / "cyan/x.png").write_bytes(b"")
    done = lossbench("evaluate", trained, "--data", f"folder:{photos}", "--fold-labels", "--out", tmp_path / "e")
    assert "x.png: zero bytes\nReplace or remove these files.\n" in done.err
    (photos / "cyan/x.png").unlink()
    done = lossbench(
        "evaluate", trained, "--data", f"folder:{photos}", "--fold-labels", "--out", tmp_path / "f", "--json"
    )
    assert json.loads(done.out)["data"]["test_counts"] == {"amber": 3, "blue": 0, "cyan": 2}
    assert lossbench("evaluate", tmp_path, "--data", f"folder:{photos}", "--out", tmp_path / "e").code == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    done = lossbench("evaluate", trained, "--data", "digits", "--out", tmp_path / "full")
    assert done.code == 2
    done = lossbench("evaluate", trained, "--data", "digits", "--out", trained)
    assert done.err == f"error: --out {trained} contains another run; pass a new directory\n"
