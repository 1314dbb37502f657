"""The options of a run are written once: every command, file, digest and comparison follows from their definition."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_records import make_records

from lossbench.data.sources import SOURCES, source_of
from lossbench.runs.cells import Cell
from lossbench.runs.option import Role, about, flag
from lossbench.runs.options import RunConfig, option_names

# Runs `lossbench` with the lines of argv[1] added to the definition of the options, and to no other file.
ADDED = """
import importlib.util, sys
from lossbench.runs import option
added = sys.argv.pop(1)
spec = importlib.util.find_spec("lossbench.runs.options")
source = spec.loader.get_source(spec.name)
assert source.count("    def __post_init__") == 1
source = source.replace("    def __post_init__", f"{added}\\n    def __post_init__")
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
exec(compile(source, spec.origin, "exec"), module.__dict__)
"""
SMOOTHING = (
    '    smoothing: float = _training(0.5, help="Strength of the smoothing.", rule=POSITIVE, roles=[Role.TUNABLE])\n'
)
NICKNAME = '    nickname: str = _machine("none", help="Nickname of the run.", roles=_ANY_TIME)\n'


def with_options(added: str, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ADDED + script, added, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def command_line(added: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return with_options(added, "from lossbench.cli import main\nmain()\n", *arguments)


# --- one place to add an option --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "losses"), [("run", "--loss"), pytest.param("compare", "--losses", marks=pytest.mark.long)]
)
def test_an_added_option_is_on_the_command_line_and_in_options_files(command: str, losses: str, tmp_path: Path) -> None:
    shown = command_line(SMOOTHING, command, "--help").stdout
    assert "--smoothing" in shown
    assert "Strength of the smoothing." in shown
    file = tmp_path / "o.toml"
    file.write_text("smoothing = -2\n")
    call = (command, losses, "softmax", "--out", tmp_path / "out", "--config", file)
    for given, value in (((), "-2.0"), (("--smoothing", "-1"), "-1.0")):
        done = command_line(SMOOTHING, *call, *given)
        assert (done.returncode, done.stderr) == (2, f"error: --smoothing must be a positive number, got {value}\n")


def test_an_added_option_is_in_the_digest_of_a_cell_unless_it_has_no_effect() -> None:
    script = (
        "from lossbench.runs.cells import Cell\nfrom lossbench.runs.options import RunConfig\n"
        "from lossbench.harness.grid.tuning import parse_range\n"
        "digest = lambda **given: Cell(loss='softmax', config=RunConfig(loss='softmax', **given), matters={}).digest\n"
        "print(digest() == digest(nickname='x'), digest() == digest(smoothing=0.1))\n"
        "print(parse_range('smoothing=0.1:1').is_option)\n"
    )
    done = with_options(SMOOTHING + NICKNAME, script)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr


@pytest.mark.long
def test_an_added_option_is_compared_unless_it_has_no_effect(tmp_path: Path) -> None:
    grid = make_records(tmp_path / "grid", {"softmax": 0.5, "center": 0.6}, seeds=2)
    record = next(grid.glob("cells/center*/record.json"))
    content = json.loads(record.read_text())
    for name, code in (("nickname", 0), ("smoothing", 2)):
        record.write_text(json.dumps(content | {"config": content["config"] | {name: 0.1}}))
        done = command_line(SMOOTHING + NICKNAME, "report", grid, "--json")
        assert done.returncode == code, done.stderr
    assert "--smoothing: None in 3 run(s)" in done.stderr


def test_an_added_option_is_refused_with_resume_unless_it_may_change(tmp_path: Path) -> None:
    done = command_line(SMOOTHING + NICKNAME, "run", "--resume", tmp_path, "--nickname", "x", "--smoothing", "1")
    assert done.returncode == 2
    assert "with --smoothing it would be a different run" in done.stderr
    assert done.stderr.strip().endswith("--nickname")


# --- options files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, Any]]:
    """What `compare` would run; it ends before it runs anything."""
    calls: list[tuple[RunConfig, Any]] = []

    def end(config: RunConfig, grid: Any, out: Path) -> None:
        calls.append((config, grid))
        raise SystemExit(0)

    monkeypatch.setattr(importlib.import_module("lossbench.cli.run_grid"), "_run", end)
    return calls


COMPARE = ("compare", "--losses", "softmax", "--out", "out")


def test_compare_takes_every_option_that_is_not_its_own(lossbench: Callable[..., Any], asked: Any) -> None:
    done = lossbench(*COMPARE, "--on-nonfinite", "skip", "--max-unreadable", 7, "--compile", "--batch-size", 9)
    assert done.code == 0, done.err
    config = asked[0][0]
    assert (config.on_nonfinite, config.max_unreadable, config.compile, config.batch_size) == ("skip", 7, True, 9)
    shown = lossbench("compare", "--help").out
    own = {*option_names(Role.COMPARED, Role.SET_BY_COMPARE)}
    assert own == {"loss", "sampler", "seed", "fold", "carve"}
    for name in option_names():
        assert (f"{flag(name)} " in shown) is (name not in own), name


def test_an_options_file_means_the_same_to_run_and_compare(
    lossbench: Callable[..., Any], asked: Any, tmp_path: Path
) -> None:
    file = tmp_path / "o.toml"
    file.write_text('on_nonfinite = "skip"\nmax-unreadable = 7\nsampler = "balanced"\nseed = 3\ncompile = true\n')
    done = lossbench(*COMPARE, "--config", file, "--seeds", 2)
    assert done.code == 0, done.err
    config, grid = asked[0]
    assert (config.on_nonfinite, config.max_unreadable, config.compile) == ("skip", 7, True)
    assert (grid.samplers, grid.seeds) == (("balanced",), (3, 4))
    lossbench(*COMPARE, "--config", file, "--samplers", "sqrt", "--first-seed", 0, "--seeds", 1, "--max-unreadable", 8)
    config, grid = asked[1]
    assert (grid.samplers, grid.seeds, config.max_unreadable) == (("sqrt",), (0,), 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('loss = "center"', "this command does not use loss (pass --losses). Remove what it does not use"),
        ('carve = true\nloss = "center"', "does not use carve (compare always holds out a tenth"),
        ("jobs = 2", "there is no option 'jobs'. Known: "),
        ("on_nonfinit = 2", "there is no option 'on_nonfinit'. Did you mean 'on_nonfinite'?"),
        ("lr = 1\n'l-r' = 2", "there is no option 'l-r'"),
        ("batch-size = 1\nbatch_size = 2", "batch_size stands twice"),
    ],
)
def test_a_key_that_compare_does_not_use_is_refused_by_name(
    lossbench: Callable[..., Any], asked: Any, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "o.toml").write_text(text)
    done = lossbench(*COMPARE, "--config", "o.toml")
    assert (done.code, asked) == (2, [])
    assert done.err.startswith("error: --config o.toml: ")
    assert message in done.err


# --- what is derived -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", option_names())
def test_every_option_is_described_by_a_sentence(name: str) -> None:
    known = about(RunConfig, name)
    assert known.help[0].isupper()
    assert known.help.endswith(".")
    decided = "(default: decided by" in known.help or "(default: " in known.help
    assert decided is (RunConfig.__dataclass_fields__[name].default is None)


def test_every_source_is_named_in_the_help_of_data() -> None:
    assert all(name in about(RunConfig, "data").help for name in SOURCES)


def test_a_source_says_what_it_is() -> None:
    assert {name for name, source in SOURCES.items() if source.depends_on_seed} == {"digits"}
    kinds = {name: source.augment for name, source in SOURCES.items()}
    assert kinds.pop("digits") == "crop"  # a mirrored digit is another one
    assert {name for name, kind in kinds.items() if kind == "none"} == {"csv", "folder"}
    assert {name for name, kind in kinds.items() if kind == "standard"} == {
        "synthetic",
        "affectnet",
        "ferplus",
        "rafdb",
    }
    assert source_of("digits(imbalance=10)") is SOURCES["digits"]
    assert source_of("csv:digits.csv") is SOURCES["csv"]
    for spec, source in (("digits", SOURCES["digits"]), ("folder:digits", SOURCES["folder"])):
        config = RunConfig(loss="softmax", data=spec).resolved(48)
        assert (config.epochs, config.batch_size) == (source.epochs, source.batch_size)


def test_a_comparison_trains_built_in_data_until_softmax_fits_it() -> None:
    for spec in ("digits(imbalance=10)", "synthetic"):
        config, source = RunConfig(loss="softmax", data=spec), source_of(spec)
        assert config.of_comparison().epochs == source.epochs_to_fit
        assert (source.epochs_to_fit or 0) > source.epochs
        assert dataclasses.replace(config, epochs=3).of_comparison().epochs == 3
    config = RunConfig(loss="softmax", data="folder:photos")
    assert config.of_comparison() == config


def test_a_limit_on_unreadable_images_is_part_of_what_data_is_kept_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from lossbench.harness.grid import kept_data

    reads: list[RunConfig] = []
    monkeypatch.setattr(kept_data, "read_splits", lambda config, reporter: (reads.append(config), ()))
    kept, config = kept_data.WarmSplits(), RunConfig(loss="softmax", data=f"folder:{tmp_path}")
    changes: list[dict[str, Any]] = [{}, {"seed": 2}, {"lr": 1.0}, {"max_unreadable": 3}, {"max_unreadable": 3}]
    for change in changes:
        kept(dataclasses.replace(config, **change), None)  # type: ignore[arg-type]
    assert [read.max_unreadable for read in reads] == [100, 3]
    reads.clear()
    for seed in (1, 1, 2):
        kept(dataclasses.replace(config, data="digits", seed=seed), None)  # type: ignore[arg-type]
    assert [read.seed for read in reads] == [1, 2]


def test_the_role_of_an_option_decides_whether_it_names_a_cell() -> None:
    config = RunConfig(loss="softmax", weights="file:w.pth", folds=9, cache_on="disk")
    other: dict[type, Any] = {bool: True, int: 7, float: 0.25, str: "x"}
    numbers = ("weights_mean", "weights_std")
    for name in option_names():
        known, value = about(RunConfig, name), getattr(config, name)
        if known.rule is not None and str(RunConfig.__dataclass_fields__[name].type).startswith("str"):
            continue  # a choice
        if name in ("weights", "checkpoint_every"):
            continue  # of a form
        changed = dataclasses.replace(
            config, **{name: "0.5" if name in numbers else other[type(value) if value is not None else int]}
        )
        same = Cell(loss="a", config=changed, matters={}).digest == Cell(loss="a", config=config, matters={}).digest
        assert same is (Role.NO_EFFECT in known.roles), name
