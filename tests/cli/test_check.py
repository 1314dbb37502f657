"""`lossbench check` and `lossbench verify`, by the command line."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lossbench import loss_info
from lossbench.cli.check_output import print_results
from lossbench.cli.terminal import Console
from lossbench.losses import BUILT_INS
from lossbench.testing import LAWS, Result, configurations

Command = Callable[..., tuple[int, str, str]]

MINE = '''
import torch.nn.functional as F
from lossbench import Loss, LossSpec, Need

class Summed(Loss):
    """A sum where a mean is due."""
    def __init__(self, context, *, power: float = 1.0):
        super().__init__()
        self.num_classes = context.num_classes
    def forward(self, output, targets):
        return F.cross_entropy(output.logits, targets, reduction="sum")

class Fine(Summed):
    def forward(self, output, targets):
        return F.cross_entropy(output.logits, targets)

class NoLoss: ...

class Raises(Loss):
    def __init__(self, context):
        raise OSError("no disk")
    def forward(self, output, targets): ...

class NoForward(Loss): ...

def by_position(a, b):
    return F.cross_entropy(a, b)

def one_argument(a):
    return a.sum()
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the current directory; each test has its own, for Python imports a name once."""
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_sum_is_told_from_a_mean(lossbench: Command, mine: str) -> None:
    place = next(n for n, law in enumerate(LAWS, start=1) if law.name == "not-negative")
    code, out, _ = lossbench("check", f"{mine}:Summed", "--law", "repeated-batch", "--law", place)
    assert code == 1
    assert re.search(r"\d+ repeated-batch  failed", out)
    assert "three times the batch against once: 2.079441542 against 0.6931471806" in out
    assert "targets=[0], class_counts=(1, 1), logits=[[0.0, 0.0]]" in out
    assert "remedy  divide by the number of rows, or of the pairs that were added up, once." in out
    assert f"{mine}:Summed breaks 1 laws and obeys 1" in out


def test_json_has_a_row_for_each_law(lossbench: Command) -> None:
    code, out, err = lossbench("check", "softmax", "--json", "--examples", "3", "--no-compile")
    rows = json.loads(out)
    assert code == 0
    assert re.fullmatch(r"(judging softmax: \d+ of \d+\n)*", err)  # said after a few seconds without a terminal
    assert [row["law"] for row in rows] == [law.name for law in LAWS]
    assert [row["number"] for row in rows] == [law.number for law in LAWS]
    assert {row["status"] for row in rows} == {"passed", "skipped"}
    assert all(row["message"] for row in rows if row["status"] == "skipped")
    assert all(row["loss"] == "softmax" for row in rows)


def test_all_judges_the_built_ins_in_their_variants(lossbench: Command) -> None:
    code, out, _ = lossbench("check", "--all", "--json", "--law", "52", "--examples", "3")
    names = {row["loss"] for row in json.loads(out)}
    assert code == 0
    assert {"softmax", "center", "center, started", 'triplet(mining="hard")'} <= names
    assert names == {
        str(configuration) for built_in in BUILT_INS for configuration in configurations(loss_info(built_in.name))
    }


def test_a_certificate_is_verified_and_tampering_seen(lossbench: Command, mine: str, tmp_path: Path) -> None:
    file = tmp_path / "fine.json"
    code, _, err = lossbench("check", f"{mine}:Fine", "--certificate", file, "--examples", "3", "--no-compile")
    assert code == 1  # it knows nothing of labels out of range
    assert f"written to {file}" in err
    content = json.loads(file.read_text())
    assert content["quote"].startswith(f"{mine}:Fine obeys ")
    assert len(content["results"]) == len(LAWS)

    code, _, err = lossbench("verify", file)
    assert code == 2
    assert f"repeat it: lossbench verify CERTIFICATE {mine}:Fine" in err
    code, out, _ = lossbench("verify", file, f"{mine}:Fine")
    assert (code, f"verified: all {len(LAWS)} results are the same" in out) == (0, True)

    broken = next(row for row in content["results"] if row["status"] == "failed")
    broken["status"] = "passed"
    content["source_sha256"] = "0" * 64
    file.write_text(json.dumps(content))
    code, out, _ = lossbench("verify", file, f"{mine}:Fine", "--json")
    assert code == 1
    assert json.loads(out) == {
        "verified": False,
        "changed": [f"{mine}:Fine, {broken['law']}: passed in the certificate, failed now"],
        "notes": ["the loss's source is not the one that was judged"],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which loss? Name one, as in: lossbench check weighted-cluster; or give --all"),
        (["softmax", "--all"], "name losses, or give --all, not both"),
        (["softmax", "--installed"], "--installed goes with --all"),
        (["triplett"], "unknown loss 'triplett'. Did you mean 'triplet'"),
        (["softmax + 0.1*center"], "is a formula; the laws judge one bare term at a time, such as center"),
        (["center(alpha=2)"], "alpha must be above 0 and at most 1, got 2"),
        (["center(beta=1)"], "center has no hyper-parameter 'beta'"),
        (["softmax", "--law", "no-law"], "there is no law 'no-law'"),
        (["softmax", "--traits", "convexx"], "there is no trait 'convexx'. Did you mean 'convex'?"),
        (["softmax", "--takes", "logits"], "--takes is for losses without a spec"),
        (["torch.nn:CrossEntropyLoss", "--takes", "images"], "--takes must be logits or embeddings, got 'images'"),
        (["no_such_module:X"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["torch.nn:"], "names no object; write module:object"),
        (["nowhere.py:X"], "there is no file nowhere.py"),
        (["torch.nn:CrosEntropyLoss"], "torch.nn has no 'CrosEntropyLoss'. Did you mean 'CrossEntropyLoss' or"),
        (["torch.nn:Linear"], "torch.nn:Linear has the arguments (input); expected (inputs, targets)"),
        (["torch.nn:BCELoss"], "cannot be called with logits of 12 rows and their labels: ValueError"),
        (["collections:OrderedDict"], "is not a loss; expected a torch.nn.Module, a lossbench.Loss or a function"),
        (["softmax", "center", "--certificate", "x.json"], "--certificate is for one loss and all laws"),
        (["softmax", "--certificate", "no/where.json"], "--certificate no/where.json: there is no directory no"),
        (["{mine}:NoLoss"], "{mine}:NoLoss is not a loss"),
        (["{mine}:Raises"], "{mine}:Raises cannot be built and called: OSError: no disk"),
        (["{mine}:NoForward"], "{mine}:NoForward has no forward"),
        (
            ["{mine}:by_position"],
            "cannot tell whether {mine}:by_position(a, …) takes logits or embeddings; pass --takes",
        ),
        (["{mine}:one_argument"], "{mine}:one_argument has the arguments (a); expected (inputs, targets)"),
    ],
)
def test_bad_use_is_one_clear_error(
    lossbench: Command, mine: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = lossbench("check", *(argument.replace("{mine}", mine) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message.replace("{mine}", mine) in err
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".py"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        ("not json", "is not a certificate: it is not valid JSON"),
        ("[]", "is not a certificate: effort"),
        ('{"target": "softmax"}', "is not a certificate: effort"),
        ("[" * 100_000, "is not a certificate: it nests too deeply"),
    ],
)
def test_what_is_no_certificate_is_refused(
    lossbench: Command, tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "certificate.json"
    if content is not None:
        file.write_text(content)
    code, out, err = lossbench("verify", file)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "is a certificate of schema 99, this lossbench reads 1"),
        ({"effort": {"speed": 1}}, "the certificate is damaged: TypeError"),
        ({"effort": {"examples": "many"}}, "the certificate is damaged: TypeError"),
        ({"results": [{"loss": "softmax"}]}, "the certificate is damaged: KeyError('law')"),
        ({"target": "nono"}, "unknown loss 'nono'"),
        ({"versions": 3}, "is not a certificate: versions is of another type than lossbench writes"),
    ],
)
def test_a_damaged_certificate_is_refused(
    lossbench: Command, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    content = {
        "schema_version": 1, "quote": "", "target": "softmax", "takes": None, "traits": [], "versions": {},
        "effort": {"examples": 3, "seed": 0, "deep": False, "compile": False}, "source_sha256": "", "results": [],
    }  # fmt: skip
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps({**content, **change}))
    code, out, err = lossbench("verify", file)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("width", [20, 40, 80])
def test_names_of_losses_and_laws_are_never_cut(width: int) -> None:
    rows = [
        Result(loss="a-loss-of-a-long-name", number=law.number, law=law.name, group=law.group, status="skipped",
               message="a long reason " * 9)
        for law in LAWS
    ]  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    print_results(console, rows)
    printed = re.sub(r"\s", "", console.file.getvalue())  # type: ignore[attr-defined]
    assert all(name in printed for name in ("a-loss-of-a-long-name", *(law.name for law in LAWS)))
