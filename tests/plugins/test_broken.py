"""Broken distributions beside a sound one, installed by pip: each is named with what to change, and breaks no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from wheels import LOSS, MARKED, Shell, Wheel, entry, install, loss_module

import lossbench

MINE = "output.logits.logsumexp(1) - output.logits.gather(1, targets.unsqueeze(1)).squeeze(1)"


def wheel(name: str, forward: str, arguments: str = "self, output, targets") -> Wheel:
    """A loss whose forward is `forward`."""
    code = LOSS.partition("    def forward")
    rest = "def spec" + code[2].partition("def spec")[2]
    body = "".join(f"        {line}\n" for line in forward.splitlines())
    return Wheel(
        name,
        f"{code[0]}    def forward({arguments}):\n{body}\n{rest}".replace("NAME", repr(name)),
        entry(name, name.replace("-", "_")),
    )


SOUND = Wheel("sound", loss_module("sound"), entry("sound", "sound"))
SLOW = Wheel("slow", "import time; time.sleep(1.1)\n" + loss_module("slow"), entry("slow", "slow"))
BROKEN = (
    Wheel("raises", MARKED + "import no_such_module", entry("raises", "raises")),
    Wheel("exits", MARKED + "import sys; sys.exit(3)", entry("exits", "exits")),
    Wheel("missing", loss_module("missing"), entry("missing", "missing", "SPECK")),
    Wheel("other-version", loss_module("other-version"), entry("other-version", "other_version"), ("lossbench>=99",)),
    Wheel(
        "no-factory",
        loss_module("no-factory").replace("factory=Mine", "factory='Mine'"),
        entry("no-factory", "no_factory"),
    ),
    wheel("vector", f"return {MINE}"),
    wheel("detached", f"return ({MINE}).mean().detach()"),
    wheel("not-finite", f"return ({MINE}).mean() / 0"),
    wheel("mutates", f"output.logits.mul_(2)\nreturn ({MINE}).mean()"),
    wheel("other-arguments", "return logits.mean()", "self, logits"),
    Wheel(
        "other-constructor",
        loss_module("other-constructor").replace("self, context, *, slope: float = 1.0", "self")
        .replace("slope = slope", "slope = 1"),
        entry("other-constructor", "other_constructor"),
    ),
    wheel("exits-later", "import sys; sys.exit(3)"),
)  # fmt: skip

# What `list --load` says; the others import.
REASONS = {
    "raises": "'raises' of raises 1.2 (raises:SPEC) cannot be imported: ModuleNotFoundError: No module named 'no_such_",
    "exits": "'exits' of exits 1.2 (exits:SPEC) cannot be imported: SystemExit: 3",
    "missing": "'missing' of missing 1.2 (missing:SPECK) cannot be imported: AttributeError: module 'missing' has no "
    "attribute 'SPECK'",
    "other-version": "of other-version 1.2 (other_version:SPEC) needs lossbench>=99, but this is "
    f"{lossbench.__version__}. Install compatible versions: pip install -U lossbench other-version",
    "no-factory": "of no-factory 1.2 (no_factory:SPEC) cannot be imported: ValueError: no-factory: factory must be "
    "callable as factory(context), got 'Mine'",
}
# What `run` says.
REFUSALS = {
    **REASONS,
    "vector": "vector of vector 1.2 cannot be trained: its forward returned a tensor of shape (16,), expected one "
    "number. Take the mean over the rows",
    "detached": "detached of detached 1.2 cannot be trained: its forward returned a number that does not depend on the "
    "model's output. Look for .detach()",
    "not-finite": "not-finite of not-finite 1.2 cannot be trained: its value is inf on finite embeddings and logits. "
    "Look for log(0), 0/0",
    "mutates": "mutates of mutates 1.2 cannot be trained: its forward changed its input, logits. Forward is pure: "
    "compute on copies",
    "other-arguments": "other-arguments of other-arguments 1.2 cannot be trained: its forward raised TypeError: ",
    "other-constructor": "other-constructor of other-constructor 1.2 cannot be built: TypeError: ",
    "exits-later": "exits-later of exits-later 1.2 cannot be trained: its forward raised SystemExit: 3",
}
# Those that the laws cannot be tried on, and what `check` says of the rest.
UNFIT = {
    **REASONS,
    "vector": "vector returns a tensor of shape (12,), one number for each row, expected one number. Take the mean",
    "other-arguments": "other-arguments cannot be called with logits of 12 rows and their labels: TypeError: ",
    "other-constructor": "other-constructor cannot be built: TypeError: ",
    "exits-later": "exits-later cannot be called with logits of 12 rows and their labels: SystemExit: 3",
}
JUDGED = {
    "detached": "gradient-of-inputs", "not-finite": "gradient-of-inputs",
    "mutates": "inputs-are-left-alone",
}  # fmt: skip

# One process for all commands: starting one takes longer than any of them.
COMMANDS = """
import contextlib, io, json, sys
from lossbench.cli import main

done = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lossbench", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    done.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Said(NamedTuple):
    """What the commands said, and the folder they ran in."""

    folder: Path
    by_command: dict[tuple[str, ...], Done]

    def __call__(self, *command: str) -> Done:
        return self.by_command[command]


LIST, DOCTOR = ("list", "--load", "--json"), ("doctor", "--json")
CHECK_ALL = ("check", "--all", "--installed", "--json", "--no-compile", "--examples", "3", *(
    part for law in {*JUDGED.values(), "convex-in-logits"} for part in ("--law", law)
))  # fmt: skip
DATA = ("--data", "synthetic(images=24,test_images_per_class=1)", "--device", "cpu", "--epochs", "1")


def run_of(name: str) -> tuple[str, ...]:
    return ("run", "--loss", name, *DATA, "--out", f"run-{name}")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Every command of this module, in one process beside the plugins."""
    folder = tmp_path_factory.mktemp("broken")
    shell = Shell(install((SOUND, SLOW, *BROKEN), folder), folder)
    names = [wheel.distribution for wheel in BROKEN]
    commands = [DOCTOR, LIST, CHECK_ALL, *map(run_of, [*names, "sound + 0.5*slow"])]
    commands += [("check", "sound", name, "--law", "convex-in-logits") for name in names]
    done = shell("-c", COMMANDS, json.dumps(commands)).out
    return Said(folder, dict(zip(commands, (Done(*each) for each in json.loads(done)), strict=True)))


@pytest.mark.slow
def test_the_list_says_what_is_broken_and_why(said: Said) -> None:
    done = said(*LIST)
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(done.out)}
    assert (done.code, done.err) == (0, "")
    assert {name for name, row in rows.items() if row["status"] == "broken"} == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in rows[name]["reason"]
        assert (rows[name]["origin"], rows[name]["version"]) == (name, "1.2")
    assert {rows[name]["status"] for name in ("sound", "slow", *(REFUSALS.keys() - REASONS.keys()))} == {"usable"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [wheel.distribution for wheel in BROKEN])
def test_a_run_is_refused_before_it_begins(said: Said, name: str) -> None:
    done = said(*run_of(name))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert REFUSALS[name] in done.err
    assert f"pip install -U {name}, or pip uninstall {name}" in done.err or name == "other-version"
    assert "Traceback" not in done.err
    assert not (said.folder / f"run-{name}").exists()


@pytest.mark.slow
def test_the_sound_ones_train(said: Said) -> None:
    done = said(*run_of("sound + 0.5*slow"))
    assert done.code == 0, done.err
    record = json.loads((said.folder / "run-sound + 0.5*slow" / "record.json").read_text())
    assert record["formula"] == "sound + 0.5*slow"


@pytest.mark.slow
@pytest.mark.parametrize("name", [wheel.distribution for wheel in BROKEN])
def test_the_laws_refuse_what_they_can_t_try_and_find_the_rest(said: Said, name: str) -> None:
    """Asked for by name, one that cannot be judged is an error, before anything is judged."""
    done = said("check", "sound", name, "--law", "convex-in-logits")
    assert "Traceback" not in done.err
    if name in UNFIT:
        assert (done.code, done.out) == (2, "")
        assert UNFIT[name] in done.err
        assert f"pip uninstall {name}" in done.err or name == "other-version"
    else:
        assert "sound obeys" in done.out


@pytest.mark.slow
def test_all_are_judged_whatever_one_of_them_does(said: Said) -> None:
    done = said(*CHECK_ALL)
    assert done.code == 1
    rows = json.loads(done.out)
    unfit = {row["loss"]: row["message"] for row in rows if row["law"] == "can-be-judged"}
    assert unfit.keys() == UNFIT.keys()
    for name, reason in UNFIT.items():
        assert reason in unfit[name]
    broken = {row["loss"]: row for row in rows if row["status"] == "failed" and row["law"] != "can-be-judged"}
    assert broken.keys() >= JUDGED.keys()
    for name, law in JUDGED.items():
        assert any((row["loss"], row["law"], row["status"]) == (name, law, "failed") for row in rows)
    judged = {row["loss"] for row in rows if row["status"] == "passed"}
    assert judged >= {"sound", "slow", "softmax"}
    assert not judged & UNFIT.keys()


@pytest.mark.slow
def test_the_doctor_names_broken_and_slow_ones(said: Said) -> None:
    done = said(*DOCTOR)
    rows = {row["what"]: row for row in json.loads(done.out)["findings"]}
    assert rows["plugin sound"] == {"state": "ok", "what": "plugin sound", "detail": "sound 1.2 (sound:SPEC)"}
    assert rows["plugin slow"]["state"] == "ok"
    assert "slow 1.2 (slow:SPEC), slow to import: 1." in rows["plugin slow"]["detail"]
    for name, reason in REASONS.items():
        assert rows[f"plugin {name}"]["state"] == "broken"
        assert reason in rows[f"plugin {name}"]["detail"]
    assert done.code == 0  # a broken plugin keeps no other loss from training
