"""The recipe of the reference experiment says where each value comes from, and runs on made data and weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import affectnet_losses
import pytest
import results_page
import two_stage
from figures import interval, recall
from made_affectnet import make_affectnet
from made_records import make_records
from made_weights import write_made_weights

from lossbench.cli import main
from lossbench.runs.options import RunConfig
from lossbench.verdict.comparison import compare

CONFIG = affectnet_losses.CONFIG


def test_every_value_of_the_recipe_says_where_it_comes_from() -> None:
    values = [line for line in CONFIG.read_text().splitlines() if line and not line.startswith("#")]
    assert len(values) >= 12
    for line in values:
        assert re.search(r"  # (paper|VGGFace2 practice|ours)(:|$)", line), line


@pytest.mark.slow
def test_the_recipe_runs_on_made_data_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_affectnet(tmp_path / "affectnet", images=24, validation=1, size=48)
    weights = write_made_weights(tmp_path / "w.pkl", identities=3)
    options = ["--image-size", "32", "--epochs", "1", "--batch-size", "8", "--workers", "0", "--device", "cpu"]
    command = ["lossbench", "run", "--config", CONFIG, "--loss", "weighted-cluster", "--data", f"affectnet:{data}"]
    command += ["--weights", f"vggface2:{weights}", *options, "--out", tmp_path / "run"]
    monkeypatch.setattr("sys.argv", [str(part) for part in command])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    weights.unlink()
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["data"]["release"] == "full-2017"
    assert record["model"]["name"] == "legacy_seresnet50"
    assert record["weights"]["kind"] == "vggface2-pickle"
    assert record["config"]["lr"] == 1e-4
    text = affectnet_losses.table({"weighted-cluster": [record]})
    assert "| weighted-cluster | `weighted-softmax + 0.3*weighted-cluster" in text
    assert "Release full-2017: 24 training images in 8 classes" in affectnet_losses.described(record)


def test_the_recipe_is_a_run_s_options() -> None:
    import tomllib

    config = RunConfig(loss="softmax", **tomllib.loads(CONFIG.read_text()))
    assert (config.model, config.image_size, config.classes) == ("legacy_seresnet50", 224, 8)


def test_paired_intervals_are_student_s() -> None:
    from scipy.stats import ttest_1samp

    values = [1.0, 2.5, -0.5, 3.0]
    mean, half = interval(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))


def test_recall_over_some_classes() -> None:
    assert recall([[8, 2, 0], [0, 5, 5], [1, 0, 0]], [0, 1]) == pytest.approx(0.65)


def test_the_two_stages_see_as_many_images_as_one() -> None:
    """Of faces8, where stage one has 4,778 images and expressions 9,538."""
    together = two_stage.IDENTITY_EPOCHS * 4778 + two_stage.EXPRESSION_EPOCHS * 9538
    assert together == pytest.approx(two_stage.SCRATCH_EPOCHS * 9538, rel=0.002)


def test_the_paper_s_order_is_judged_step_by_step(tmp_path: Path) -> None:
    losses = {"softmax": 0.5, "center": 0.5, "weighted-softmax": 0.52, "weighted-cluster": 1.0}
    grid = make_records(tmp_path / "grid", losses)
    comparison = compare(grid)
    assert results_page.step(comparison, "weighted-cluster", "weighted-softmax")[3] == "**yes**"
    assert results_page.step(comparison, "weighted-softmax", "weighted-cluster")[3] == "**the reverse**"
    assert results_page.step(comparison, "weighted-softmax", "center")[3] == "no, not shown"
    assert "weighted-cluster > weighted-softmax: yes (+" in results_page.in_short(comparison)
    text = results_page.section("made data", comparison, tmp_path)
    assert "(images/results-made-data-forest.svg)" in text
    assert (tmp_path / "images" / "results-made-data-forest.svg").read_text().startswith("<?xml")
    assert "## Every pair" in (tmp_path / "results" / "made-data.md").read_text()


def test_differences_are_taken_by_seed() -> None:
    def record(hits: int) -> dict[str, Any]:
        return {
            "data": {"test_counts": {"a": 20, "b": 20, "c": 5}},
            "confusion_matrix": [[hits, 20 - hits, 0], [0, 20, 0], [0, 0, 5]],
        }

    arms = {
        two_stage.TWO_STAGE: [record(14), record(16)],
        two_stage.SCRATCH: [record(10), record(10)],
        two_stage.SHORT: [record(14), record(16)],
    }
    text = two_stage.paired(arms)
    assert "same budget | all | +6.7, +10.0 | +8.3 ±" in text
    assert "same budget | with 19 or more test images | +10.0, +15.0 | +12.5 ±" in text
    assert "stage two alone | all | +0.0, +0.0 | +0.0 ± 0.0 |" in text
