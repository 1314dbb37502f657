"""`lossbench new`: from a name to a package, and from there to laws, a list and a trained run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lossbench
from lossbench.errors import UsageError
from lossbench.scaffold import KINDS, write_package

REPOSITORY = Path(lossbench.__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyLoss", r"^a loss name is kebab-case, such as my-loss, got 'MyLoss'$"),
        ("my_loss", "is kebab-case"),
        ("-loss", "is kebab-case"),
        ("../loss", "is kebab-case"),
        ("", "is kebab-case"),
        ("lambda", r"^'lambda' is a keyword of Python and can't name a module; choose another: lambda-loss$"),
        ("match", "is a keyword"),
        ("center", r"^there is a loss 'center' already, of lossbench; choose another name$"),
        ("json", "there is one of that name already; choose another, such as json-loss"),
        ("torch", "would make a module torch"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_package(name, "stateful", tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "my-loss").write_text("mine")
    with pytest.raises(UsageError, match=r"my-loss exists already; choose another name, or remove it$"):
        write_package("my-loss", "stateful", tmp_path)
    (tmp_path / "your-loss").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists already"):
        write_package("your-loss", "stateful", tmp_path)
    assert (tmp_path / "my-loss").read_text() == "mine"


def test_a_place_that_can_t_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my-loss can't be written: No such file or directory$"):
        write_package("my-loss", "stateful", tmp_path / "nowhere")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def full(path: Path, *arguments: str, **options: str) -> int:
        if path.name == "pyproject.toml":
            raise OSError(28, "No space left on device")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_package("my-loss", "stateful", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_reads_as_if_written_by_hand(tmp_path: Path, kind: str) -> None:
    """No placeholder is left, and ruff finds nothing to change."""
    files = write_package("ring", kind, tmp_path)
    assert [path.name for path in files] == ["README.md", "ring.py", "pyproject.toml", "test_laws.py"]
    assert not [path for path in files if "$" in path.read_text()]
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check", "--select", "E,F,UP,B"]):
        subprocess.run([*ruff, *command, "--isolated", "--line-length", "120", tmp_path], check=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one package of each kind, as pip builds and installs it."""
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        done = subprocess.run(
            [sys.executable, "-m", "lossbench", "new", f"new-{kind}", "--kind", kind],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f"new-{kind}/pyproject.toml" in done.stdout.splitlines()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    packages = [folder / f"new-{kind}" for kind in KINDS]
    subprocess.run([*pip, "--no-build-isolation", "--target", folder / "site", *packages], check=True)
    return folder / "site"


def python(site: Path, *arguments: str | Path) -> str:
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY)]),
        "XDG_CACHE_HOME": str(site / "cache"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *arguments], cwd=site.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_is_installed_is_listed(site: Path) -> None:
    rows = json.loads(python(site, "-m", "lossbench", "list", "--load", "--json"))
    usable = {row["name"]: row for row in rows if row["status"] == "usable"}
    for kind in KINDS:
        assert usable[f"new-{kind}"]["origin"] == f"new-{kind}"
        assert usable[f"new-{kind}"]["version"] == "0.1.0"


@pytest.mark.slow
def test_packages_as_they_are_pass_their_laws(site: Path) -> None:
    """Their own tests, in one process. Compiling and two processes are left out: they take longest."""
    files = [path for kind in KINDS for path in (site.parent / f"new-{kind}").glob("*.py")]
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "--doctest-modules",
        "-k",
        "not 43 and not 44",
    )
    said = python(site, "-m", "pytest", *options, "--rootdir", site.parent, *files)
    assert " passed" in said
    assert "failed" not in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_as_it_is_trains(site: Path, kind: str) -> None:
    python(
        site, "-m", "lossbench", "run", "--loss", f"new-{kind}", "--data", "digits", "--epochs", "12", "--image-size",
        "32", "--device", "cpu", "--precision", "bf16", "--out", f"run-{kind}",
    )  # fmt: skip
    record = json.loads((site.parent / f"run-{kind}" / "record.json").read_text())
    assert f"new-{kind}" in record["formula"]
    # Chance is 0.1; softmax has 0.6 here, and the scaffolds 0.48 to 0.63.
    assert record["metrics"]["balanced_accuracy"] > 0.3


@pytest.mark.slow
def test_no_trait_is_left_out(site: Path) -> None:
    """A deep look for counterexamples of the traits that are not declared."""
    said = python(
        site,
        "-c",
        f"""
from lossbench import loss_info
from lossbench.testing import LAWS, Effort, judge, subjects
for kind in {list(KINDS)}:
    for subject in subjects(loss_info("new-" + kind)):
        for law in LAWS:
            if law.trait is not None:
                result = judge(subject, law, Effort(deep=True, examples=40, compile=False))
                if result.status == "failed":
                    print(result.loss, result.law, result.message)
""",
    )
    assert said == ""
