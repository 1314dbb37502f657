"""An idea in one file: it is described, trained, and never imported because a record names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench.errors import Interrupted

Command = Callable[..., tuple[int, str, str]]

IDEA = '''
import torch.nn.functional as F
from lossbench import LogitLoss

class Focal(LogitLoss):
    """Focal loss."""

    def __init__(self, context, *, gamma: float = 2.0):
        super().__init__(context)
        self.gamma = gamma

    def per_sample(self, logits, targets):
        nats = F.cross_entropy(logits, targets, reduction="none")
        return (1 - (-nats).exp()) ** self.gamma * nats
'''


@pytest.fixture
def idea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a loss, in the current directory; what is allowed in one test is not in the next."""
    file = tmp_path / "idea.py"
    file.write_text(IDEA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSBENCH_OBJECTS", "")
    return file


def test_a_file_is_described_like_a_registered_loss(lossbench: Command, idea: Path) -> None:
    code, out, _ = lossbench("info", "idea.py:Focal", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["summary"], found["hyperparameters"], found["needs"]) == ("Focal loss.", {"gamma": 2.0}, ["logits"])


@pytest.mark.slow
def test_an_interrupted_run_names_the_file_in_the_command_that_resumes_it(
    lossbench: Command, idea: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossbench.harness.run.finish", interrupted)
    small = ("--data", "synthetic(images=20,test_images_per_class=1)", "--epochs", "1", "--image-size", "32")
    code, _, err = lossbench("run", "--loss", "idea.py:Focal(gamma=1)", *small, "--device", "cpu", "--out", "run")
    resume = "lossbench run --resume run --loss idea.py:Focal"
    assert code == 130
    assert err.endswith(f"; resume with: {resume}\n")
    monkeypatch.undo()
    monkeypatch.chdir(idea.parent)
    monkeypatch.setenv("LOSSBENCH_OBJECTS", "")
    code, _, err = lossbench("run", "--resume", "run")
    assert code == 2
    assert "nothing is imported; pass --loss idea.py:Focal" in err
    code, _, err = lossbench(*resume.split()[1:])
    assert code == 0, err
    assert json.loads(Path("run/record.json").read_text())["formula"] == "idea.py:Focal(gamma=1)"


def interrupted(*arguments: object) -> None:
    raise Interrupted("stopped by Ctrl-C", 2)


@pytest.mark.slow
def test_a_run_keeps_the_digest_and_its_record_imports_nothing(
    lossbench: Command, idea: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("--data", "digits", "--epochs", "1", "--image-size", "32", "--device", "cpu", "--out", "run")
    code, _, err = lossbench("run", "--loss", "idea.py:Focal(gamma=1)", *small)
    assert code == 0, err
    (term,) = json.loads(Path("run/record.json").read_text())["terms"]
    assert term["source"].startswith("file idea.py, sha256 ")
    monkeypatch.setenv("LOSSBENCH_OBJECTS", "")
    code, _, err = lossbench("predict", "run", "no-image.png")
    assert code == 2
    assert "nothing is imported; pass --loss idea.py:Focal" in err
    idea.write_text(IDEA + "# changed\n")
    code, _, err = lossbench("predict", "run", "no-image.png", "--loss", "idea.py:Focal")
    assert code == 2
    assert "was file idea.py, sha256" in err
