"""The recipe of the reference experiment states its sources and runs; two stages are trained and judged."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import ferplus
import halves
import numpy as np
import pytest
import two_stage
from made_affectnet import make_affectnet
from made_records import make_records
from made_weights import write_made_weights
from PIL import Image

from lossbench.cli import main
from lossbench.runs.grid_file import read_grid_file, write_grid_file
from lossbench.runs.options import RunConfig
from lossbench.verdict.judge import compare

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "benchmarks" / "affectnet.toml"


def test_every_value_of_the_recipe_says_where_it_comes_from() -> None:
    values = [line for line in CONFIG.read_text().splitlines() if line and not line.startswith("#")]
    assert len(values) >= 12
    for line in values:
        assert re.search(r"  # (paper|VGGFace2 practice|ours)(:|$)", line), line


@pytest.mark.long
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
    assert record["formula"].startswith("weighted-softmax + 0.3*weighted-cluster")
    assert sum(record["data"]["training_counts"].values()) == 24


def test_the_recipe_is_a_run_s_options() -> None:
    import tomllib

    config = RunConfig(loss="softmax", **tomllib.loads(CONFIG.read_text()))
    assert (config.model, config.image_size, config.classes) == ("legacy_seresnet50", 224, 8)


def test_the_two_stages_see_as_many_images_as_one() -> None:
    """Of faces8, where stage one has 4,778 images and expressions 9,538."""
    on_people, on_expressions = two_stage.EPOCHS
    assert two_stage.scratch_epochs(4778, 9538, on_people, on_expressions) == 20
    assert on_people * 4778 + on_expressions * 9538 == pytest.approx(20 * 9538, rel=0.002)


@pytest.mark.long
def test_two_stages_are_trained_resumed_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, out = make_people(tmp_path / "people"), tmp_path / "out"
    calls: list[tuple[str, ...]] = []

    def call(*arguments: str) -> None:
        calls.append(arguments)
        monkeypatch.setattr("sys.argv", ["lossbench", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, arguments

    def two_stages(epochs: tuple[str, str] = ("1", "1")) -> None:
        options = ["--model", "test_resnet", "--image-size", "32", "--batch-size", "24", "--device", "cpu"]
        expressions = ["--expressions", f"csv:{manifest}", "--epochs", *epochs]
        monkeypatch.setattr(
            "sys.argv", ["two_stage.py", str(manifest), str(out), "--seeds", "2", *expressions, "--", *options]
        )
        two_stage.main()

    monkeypatch.setattr(two_stage, "lossbench", call)
    two_stages()
    assert [call[0] for call in calls] == ["run"] * 8 + ["judge"]
    people, stage_two = (json.loads((out / n / "record.json").read_text()) for n in ("people-s1", "people-first-s1"))
    assert people["data"]["class_names"] == ["a", "b", "c", "d"]
    assert stage_two["weights"]["sha256"] == people["weights_sha256"]
    verdict = (out / "verdict.md").read_text()
    assert all(f"| {arm} |" in verdict for arm in ("people-first", "scratch", "scratch-short"))

    (out / "scratch-s0" / "record.json").unlink()  # as if it had been interrupted
    calls.clear()
    two_stages()
    assert [call[:3] for call in calls[:-1]] == [("run", "--resume", str(out / "scratch-s0"))]
    assert (out / "verdict.md").read_text() == verdict

    with pytest.raises(SystemExit, match=r"people-s0 has 1 epochs, not 2; pass another OUT with other epochs"):
        two_stages(("2", "1"))


def make_people(folder: Path) -> Path:
    """Write `train.csv` and `val.csv` with images of three classes and of four people each."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for split, count, people in (("train", 24, "abcd"), ("val", 12, "efgh")):
        lines = ["path,label,person"]
        for row in range(count):
            pixels = draw.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{split}{row}.png")
            lines.append(f"{split}{row}.png,{'xyz'[row % 3]},{people[row // 3 % 4]}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return folder / "train.csv"


# --- FER+ ------------------------------------------------------------------------------------------------------------


def test_every_value_of_ferplus_says_where_it_comes_from_and_is_an_option() -> None:
    import tomllib

    path = ROOT / "benchmarks" / "ferplus.toml"
    values = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.search(r"  # (publishers|AffectNet|ours)(:|$)", line) for line in values)
    config = RunConfig(loss="softmax", **tomllib.loads(path.read_text()))
    assert (config.model, config.image_size, config.classes, config.epochs) == ("senet-tiny", 48, 8, None)


@pytest.mark.parametrize(
    ("fits", "epochs", "words"),
    [
        ({24: 60.0, 48: 61.9}, 24, "48 raise the balanced accuracy on training images by 1.9 points"),
        ({24: 60.0, 48: 62.0, 96: 63.0}, 48, "from 62.0"),
        ({24: 60.0, 48: 70.0, 96: 80.0}, 96, "not trained to the end"),
        ({24: 60.0, 48: 59.0}, 24, "by -1.0 points"),
    ],
)
def test_the_pilot_takes_the_smallest_budget_after_which_training_gains_little(
    fits: dict[int, float], epochs: int, words: str
) -> None:
    chosen, sentence = ferplus.decide(fits)
    assert chosen == epochs
    assert words in sentence


def test_the_reference_experiment_is_one_pilot_one_comparison_and_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands that it starts, which other tests run."""
    fits, calls = {24: 0.5, 48: 0.6, 96: 0.61}, []
    codes = {"compare": 1}  # of a grid in which a run failed: the page is written, and says so

    def call(*arguments: str, allowed: Sequence[int] = (0,)) -> int:
        calls.append(arguments)
        code = codes.get(arguments[0], 0)
        assert code in allowed
        return code

    monkeypatch.setattr(two_stage, "lossbench", call)

    def record(run: Path) -> SimpleNamespace:
        return SimpleNamespace(training=SimpleNamespace(balanced_accuracy=fits[int(run.name.removeprefix("pilot-"))]))

    monkeypatch.setattr(ferplus, "read_record", record)
    command = ["ferplus.py", "ferplus:faces", str(tmp_path), "--seeds", "2", "--", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit, match="1"):
        ferplus.main()
    assert [call[0] for call in calls] == ["run", "run", "run", "compare", "report"]
    compare = calls[3]
    assert compare[compare.index("--epochs") + 1] == "48"
    assert compare[compare.index("--losses") + 1].split(", ") == list(ferplus.LOSSES)
    assert [compare[n + 1] for n, word in enumerate(compare) if word == "--claim"] == list(ferplus.CLAIMS)
    assert json.loads((tmp_path / "pilot.json").read_text())["epochs"] == 48
    for call in calls[:4]:
        assert {"--device", "--config", "ferplus:faces"} <= set(call)


def test_the_claims_on_ferplus_are_ones_that_compare_takes() -> None:
    from lossbench.verdict.asked_before import check_names

    check_names(ferplus.CLAIMS, None, ferplus.LOSSES)


# --- halves ----------------------------------------------------------------------------------------------------------

SKILLS = {"softmax": 0.4, "weighted-softmax": 0.7}


def half(out: Path, first_seed: int, skills: dict[str, float] = SKILLS) -> Path:
    """Write a grid of three seeds with one claim."""
    grid = make_records(out, skills, seeds=3, first_seed=first_seed, images=160, embedding_dim=4)
    claim = "softmax (shifted) > weighted-softmax"
    write_grid_file(grid, dataclasses.replace(read_grid_file(grid), claims=(claim,)))
    return grid


@pytest.fixture(scope="module")
def first_half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return half(tmp_path_factory.mktemp("halves") / "first", 0)


def compared_halves(monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> int:
    monkeypatch.setattr("sys.argv", ["halves.py", *map(str, arguments)])
    return halves.main()


def test_other_seeds_of_the_same_losses_agree(
    first_half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the better loss of a pair, which is named first, is not the same in both halves."""
    assert compared_halves(monkeypatch, first_half, half(tmp_path / "b", 3), "--md", tmp_path / "halves.md") == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "halves.md").read_text()
    assert text.startswith("2 of 2 differences agree.")
    assert "| claim: softmax (post-hoc) - weighted-softmax |" in text
    assert "| seeds 0, 1 and 2 | seeds 3, 4 and 5 |" in text


def test_a_half_in_which_the_order_is_reversed_does_not_agree(
    first_half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = half(tmp_path / "b", 3, dict(zip(SKILLS, reversed(SKILLS.values()), strict=True)))
    assert compared_halves(monkeypatch, first_half, other) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| weighted-softmax - softmax"))
    one, two = re.findall(r"[|] ([+-][\d.]+) [(]", line)
    assert float(one) > 0 > float(two)
    assert line.endswith("| no |")


def test_a_half_without_variance_is_not_said_to_agree(
    first_half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its interval is as wide as the scale, so any difference would lie within it."""
    monkeypatch.setattr(halves, "compare", lambda grid: constant if grid.name == "b" else compare(grid))
    second = compare(half(tmp_path / "b", 3))
    (pair,) = second.pairs
    constant = dataclasses.replace(second, pairs=(dataclasses.replace(pair, interval=(-1.0, 1.0), seed_share=None),))
    assert compared_halves(monkeypatch, first_half, tmp_path / "b") == 1
    assert capsys.readouterr().out.startswith("1 of 2 differences agree; 1 cannot be judged.")


def test_what_is_no_second_half_is_refused(
    first_half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = half(tmp_path / "b", 3, {"softmax": 0.4, "center": 0.7, "weighted-softmax": 0.7})
    for second, message in (
        (first_half, "both grids have seed 0, 1 and 2"),
        (other, "center is in one grid alone"),
        (tmp_path / "nowhere", "nowhere"),
    ):
        assert compared_halves(monkeypatch, first_half, second) == 2
        assert message in capsys.readouterr().err


def test_the_page_of_costs_follows_from_its_speeds() -> None:
    from grid_costs import table

    page = (ROOT / "docs/grid-costs.md").read_text()
    (found,) = re.findall(r"^290,000 training images.*\n\n(?:\|.*\n)+", page, re.MULTILINE)
    speeds = re.search(r"([\d.]+) images/s of training, ([\d.]+) of evaluation \((.*)\)\.", found)
    assert speeds is not None
    assert found == table(290_000, 10, float(speeds[1]), float(speeds[2]), speeds[3]) + "\n"
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) h \| ([\d.]+) h \| ([\d,.]+) h \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for row in rows:
        speed, *hours = [float(text.replace(",", "")) for text in row]
        assert hours == pytest.approx([cells * 748.8 / speed for cells in (1, 15, 440)], rel=0.02)


@pytest.mark.long
def test_a_run_with_very_many_classes_ends() -> None:
    """In a process of its own, whose peak of memory is the run's."""
    script = ROOT / "benchmarks" / "many_classes.py"
    options = ["--classes", "21000", "--test", "50", "--batch-size", "2000"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=True)
    *_, row = done.stdout.strip().splitlines()
    peak_mib = float(row.split("|")[6].replace(",", ""))
    assert peak_mib < 21_000**2 * 4 / 2**20  # less than one matrix of classes by classes
