"""Calls that would execute what a file says stand nowhere in the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "lossbench", ROOT / "benchmarks", *(ROOT / "plugins").glob("*/src")]
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))
# Neither reads a file: the one undoes what it has pickled a line before, the other seeds bugs into our own source.
ALLOWED = {
    "lossbench/testing/laws/copies.py": ["pickle.loads"],
    "lossbench/testing/processes.py": ["pickle.loads"],  # what the parent process sent over its own pipe
    "benchmarks/any_module.py": ["pickle.loads"],  # a loss that it pickled
    "benchmarks/mutations.py": ["compile"],
}
_BUILTINS = {"eval", "exec", "compile", "__import__"}
_PICKLES = {"load", "loads", "Unpickler", "read_pickle"}


def forbidden(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and name of each call that is not allowed."""
    found = []
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    imported |= {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = ast.unparse(node.func).partition(".")
        name = f"{imported.get(head, head)}{dot}{rest}"
        keywords = {k.arg: k.value for k in node.keywords}
        module, _, last = name.rpartition(".")
        wrong = (
            name in _BUILTINS
            or name.removeprefix("builtins.") in _BUILTINS
            or (module in ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
                and last in {*_PICKLES, "open"})
            or (name == "torch.load" and not _is(keywords.get("weights_only"), True))
            or (name in ("numpy.load", "np.load") and not _is(keywords.get("allow_pickle"), False))
            or name in ("os.system", "os.popen", "commands.getoutput", "subprocess.getoutput", "yaml.load")
            or (module == "subprocess" and "shell" in keywords and not _is(keywords["shell"], False))
            or last in ("extractall", "unpack_archive")
        )  # fmt: skip
        if wrong:
            found.append((node.lineno, name))
    return found


def _is(value: ast.expr | None, wanted: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is wanted


def test_no_file_makes_a_forbidden_call() -> None:
    assert len(FILES) > 100
    found = {
        str(path.relative_to(ROOT)): calls
        for path in FILES
        if (calls := forbidden(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert {file: [name for _, name in calls] for file, calls in found.items()} == ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(f)", "from pickle import loads as l\nl(b)", "import pickle as p\np.Unpickler(f)",
        "import torch\ntorch.load(f)", "import torch\ntorch.load(f, weights_only=False)",
        "from torch import load\nload(f)", "import numpy as np\nnp.load(f)", "np.load(f, allow_pickle=True)",
        "eval('1')", "exec(code)", "__import__(name)", "import os\nos.system('ls')", "from os import popen\npopen(c)",
        "import subprocess\nsubprocess.run(c, shell=True)", "subprocess.Popen(c, shell=flag)", "archive.extractall()",
    ],
)  # fmt: skip
def test_the_test_sees_them(code: str) -> None:
    assert forbidden(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    ["model.eval()", "json.load(f)", "re.compile('a')", "torch.load(f, weights_only=True)", "step.compile()",
     "np.load(f, allow_pickle=False)", "subprocess.run(['ls'])", "toml.loads(t)"],
)  # fmt: skip
def test_and_nothing_else(code: str) -> None:
    assert forbidden(ast.parse(code)) == []
