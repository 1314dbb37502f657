"""Systems without `fcntl`, `resource` and the flags and signals of Unix, such as Windows."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from warm import start

import lossbench

UNIX_ONLY = {"fcntl", "grp", "pwd", "resource", "termios"}
PROGRAM = """
import os, signal, sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None
import warnings
warnings.filterwarnings("ignore", "only soft file lock is available")  # filelock, without fcntl
from lossbench.cli import main
main()
"""


def module_level_imports(tree: ast.Module) -> set[str]:
    """The modules that are imported when a module is imported."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return found


def test_no_module_needs_a_module_of_unix_to_be_imported() -> None:
    files = list(Path(lossbench.__file__).parent.rglob("*.py"))
    plugins = list((Path(__file__).parents[2] / "plugins").glob("*/src/**/*.py"))
    assert plugins
    for file in files + plugins:
        assert not module_level_imports(ast.parse(file.read_text())) & UNIX_ONLY, file


@pytest.mark.slow
def test_the_default_job_runs_without_the_modules_of_unix(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    given = ("--loss", "softmax", "--data", "synthetic(images=48,test_images_per_class=2)", "--epochs", 1)
    tiny = ("--model", "senet-tiny", "--image-size", 32, "--batch-size", 24, "--device", "cpu")
    done = start(tmp_path, program, "run", *given, *tiny, "--out", tmp_path / "run").wait()
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run/record.json").read_text())["memory"]["peak_bytes"] > 0
    assert not (tmp_path / "run/.lock").exists()
