"""What a newcomer meets first: names from elsewhere, errors at once, `~`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lossbench.cli import expanded
from lossbench.known_losses import DISTRIBUTIONS, where_to_find

PLUGINS = Path(__file__).parents[2] / "plugins"


@pytest.mark.parametrize(
    ("name", "found", "distribution"),
    [
        ("focal", "softmax-focal", "lossbench-imbalance"),
        ("FocalLoss", "softmax-focal", "lossbench-imbalance"),
        ("cross-entropy", "softmax", None),
        ("torch.nn.CrossEntropyLoss", "softmax", None),
        ("ArcMarginProduct", "arc-face", "lossbench-margin"),
        ("arcface", "arc-face", "lossbench-margin"),
        ("CosFace", "cos-face", "lossbench-margin"),
        ("circle_loss", "pml/CircleLoss", "lossbench-metric-learning"),
        ("triplet-loss", "triplet", None),
    ],
)
def test_a_name_from_elsewhere_is_found_and_its_distribution_named(
    name: str, found: str, distribution: str | None
) -> None:
    said = where_to_find(name, ["softmax", "triplet"])
    assert said is not None
    assert said.startswith(f"Here it is called {found!r}.")
    assert (distribution is None) is ("not installed" not in said)
    if distribution:
        assert said.endswith(f"pip install ./plugins/{distribution}")
        assert where_to_find(name, [found]) == f"Here it is called {found!r}."
    assert where_to_find("nothing-like-it", ["softmax"]) is None


def test_the_distributions_are_those_in_plugins() -> None:
    for name, losses in DISTRIBUTIONS.items():
        project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text())["project"]
        assert set(project["entry-points"]["lossbench.losses"]) == set(losses)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--loss", "focal"], "unknown loss 'focal'. Here it is called 'softmax-focal'"),
        (["run", "--loss", "softmax +"], "error: "),
        (["run", "--loss", "softmax", "--optimizer", "adam"], "--optimizer must be one of adamw, sgd, got 'adam'"),
        (
            ["compare", "--losses", "softmax, arcface", "--out", "o"],
            "unknown loss 'arcface'. Here it is called 'arc-face'",
        ),
    ],
    ids=["loss", "formula", "option", "compare"],
)
def test_cheap_errors_come_before_torch_is_imported(arguments: list[str], message: str) -> None:
    script = (
        "import sys\nsys.argv[0] = 'lossbench'\nfrom lossbench.cli import main\n"
        "try:\n    main()\nfinally:\n    print(sorted({'torch', 'timm'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
    assert message in done.stderr


@pytest.mark.long
def test_missing_files_are_named_before_torch_is_imported(tmp_path: Path) -> None:
    calls = {
        "run --loss softmax --data csv:gone.csv": "gone.csv: no such manifest",
        "run --loss softmax --data csv:gone.csv?root=x": "no such manifest",
        "run --loss softmax --data folder:gone": "gone: no such folder",
        "run --loss softmax --data nothing": "unknown source 'nothing'",
        "compare --losses softmax --data folder:gone --out o": "gone: no such folder",
        "run --resume gone": "--resume gone: not a run",
        "run --loss softmax --model legacy_seresnet50 --weights vggface2:gone.pkl": "gone.pkl: no such weight file",
        "run --loss softmax --weights run:gone": "--weights run:gone: no such directory",
        "run --loss gone.py:Loss": "gone.py: there is no file gone.py",
        "run --loss softmax --out /dev/null": "cannot write --out /dev/null: it is a file",
        "check unknown": "unknown loss 'unknown'",
        "check gone.py:Loss": "gone.py: there is no file gone.py",
        "check gone.py": "gone.py: there is no file gone.py",
        "replay gone": "gone: no such file; expected the bad-batch.safetensors of a stopped run",
        "run --loss softmax --config gone.toml": "--config gone.toml cannot be read",
        "predict gone a.png": "gone holds no finished run",
        "evaluate gone --data digits --out o": "gone holds no finished run",
        "report gone": "gone: no such directory",
        "judge gone.csv": "gone.csv: no such file",
        "data inspect folder:gone": "gone: no such folder",
    }
    script = (
        "import sys\nfrom lossbench.cli import main\nfor call in sys.argv[1:]:\n"
        "    sys.argv = ['lossbench', *call.split()]\n    try:\n        main()\n    except SystemExit as end:\n"
        "        print(end.code, sorted({'torch', 'timm'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *calls], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout == "2 []\n" * len(calls), done.stderr
    for said in calls.values():
        assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_home_directory_is_expanded_in_every_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    given = ["run", "--out=~/runs", "~/a.png", "--lr=0.1", "a~b", "--loss", "softmax + 0.1*center(alpha=0.5)", "~"]
    wanted = ["run", "--out=/home/ann/runs", "/home/ann/a.png", *given[3:7], "/home/ann"]
    assert expanded(given) == wanted
