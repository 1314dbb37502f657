"""A user's mistake: one clear error, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

Arguments = list[object]
Case = tuple[str, Callable[[Path], Arguments], str]
SMALL = "synthetic(images=24,test_images_per_class=1)"


def picture(path: Path, shade: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (shade, 100, 100)).save(path)
    return path.name


def pictures(folder: Path, labels: str = "aaabbb", header: str = "path,label") -> Path:
    """A manifest `my.csv` of small pictures, one a letter of `labels`."""
    names = [picture(folder / f"{n}.png", n) for n in range(len(labels))]
    manifest = folder / "my.csv"
    manifest.write_text("\n".join([header, *map(",".join, zip(names, labels, strict=True))]))
    return manifest


def written(folder: Path, text: str, name: str = "my.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def toml(folder: Path, text: str) -> Arguments:
    return ["--data", SMALL, "--config", written(folder, text, "options.toml")]


def csv_of(text: str) -> Callable[[Path], Arguments]:
    def arguments(folder: Path) -> Arguments:
        for n in range(4):
            picture(folder / f"{n}.png", n)
        return ["--data", f"csv:{written(folder, text)}"]

    return arguments


def loss(formula: str) -> Callable[[Path], Arguments]:
    return lambda folder: ["--loss", formula, "--data", SMALL]


def options(*given: object, data: str = SMALL) -> Callable[[Path], Arguments]:
    return lambda folder: ["--data", data, *given]


def file_in_both(folder: Path) -> Arguments:
    manifest = pictures(folder)
    os.link(folder / "0.png", folder / "v.png")
    return ["--data", f"csv:{manifest}", "--val", written(folder, "path,label\nv.png,a\n1.png,b", "v.csv")]


def val_with_another_label(folder: Path) -> Arguments:
    manifest = pictures(folder)
    for name in "xyz":
        picture(folder / f"{name}.png")
    return ["--data", f"csv:{manifest}", "--val", written(folder, "path,label\nx.png,a\ny.png,b\nz.png,zebra", "v.csv")]


def split_column(splits: str, labels: str = "aabb") -> Callable[[Path], Arguments]:
    """Rows of train (t) or val (v)."""
    rows = [f"{n}.png,{labels[n]},{'train' if s == 't' else 'val'}" for n, s in enumerate(splits)]
    return csv_of("path,label,split\n" + "\n".join(rows))


def path_outside(folder: Path) -> Arguments:
    picture(folder / "outside.png")
    (folder / "data").mkdir()
    picture(folder / "data" / "in.png")
    manifest = written(folder / "data", "path,label\n../outside.png,a\n" + f"{folder}/outside.png,a\nin.png,b")
    return ["--data", f"csv:{manifest}"]


def damaged(folder: Path) -> Arguments:
    """Zero bytes, cut off, no image, and a good one each."""
    draw = np.random.default_rng(0)
    for name in ("good", "fine", "cut"):
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{name}.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("hello")
    rows = "good.jpg,a\ncut.jpg,a\nfine.jpg,b\nzero.jpg,b\ntext.jpg,b\n"
    manifest = written(folder, "path,label\n" + rows)
    return ["--data", f"csv:{manifest}"]


def another_run(folder: Path) -> Arguments:
    (folder / "old").mkdir()
    written(folder / "old", 'loss = "softmax"', "config.toml")
    return ["--data", SMALL, "--out", folder / "old"]


CASES: list[Case] = [
    # formulas
    ("unknown loss", loss("sotfmax"), "unknown loss 'sotfmax'. Did you mean 'softmax'"),
    ("unreadable formula", loss("softmax + * center"), r"expected the name of a loss, found '\*' at character 11"),
    ("empty formula", loss(""), "expected the name of a loss, found the end"),
    ("minus", loss("softmax - 0.1*center"), r"expected '\+' or the end"),
    ("zero coefficient", loss("softmax + 0*center"), "a coefficient must be finite and positive"),
    ("auxiliary terms only", loss("center + triplet"), r"no term of 'center \+ triplet' reads .* softmax \+ 0.001"),
    ("unknown hyper-parameter", loss("center(alhpa=1)"), "no hyper-parameter 'alhpa'. Did you mean 'alpha'"),
    ("hyper-parameter outside its range", loss("center(alpha=2)"), "center: alpha must be above 0 and at most 1"),
    ("hyper-parameter of another type", loss("center(alpha=big)"), "center: alpha must be a finite number, got 'big'"),
    # options
    ("negative epochs", options("--epochs", -1), "--epochs must be at least 1, got -1"),
    ("no epochs", options("--epochs", 0), "--epochs must be at least 1, got 0"),
    ("negative batch size", options("--batch-size", -8), "--batch-size must be at least 1, got -8"),
    ("negative image size", options("--image-size", -8), "--image-size must be at least 1, got -8"),
    ("negative learning rate", options("--lr", -0.1), "--lr must be a positive number, got -0.1"),
    ("nan learning rate", options("--lr", "nan"), "--lr must be a positive number, got nan"),
    ("negative seed", options("--seed", -1), "--seed must be at least 0, got -1"),
    ("negative workers", options("--workers", -1), "--workers must be at least 0, got -1"),
    ("epochs in words", options("--epochs", "many"), "Invalid value for '--epochs'"),
    ("unknown option", options("--epoch", "3"), "No such option: --epoch"),
    ("unknown sampler", options("--sampler", "fair"), "--sampler must be one of natural, balanced, sqrt, got 'fair'"),
    ("unknown precision", options("--precision", "fp8"), "--precision must be one of .*, got 'fp8'"),
    ("unknown device", options("--device", "gpu"), "--device must be auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
    ("fp16 on the CPU", options("--device", "cpu", "--precision", "fp16"), "--precision fp16 needs a CUDA device"),
    ("unknown model", options("--model", "resnet81"), "unknown model 'resnet81'. Did you mean .*'resnet18'"),
    ("image size too small", options("--image-size", 8), "images of 8 px are too small for 'senet-tiny'"),
    ("a batch of one image", options("--batch-size", 23, "--model", "test_resnet", "--image-size", 32), "has 1 and"),
    ("weights that are not there", options("--weights", "imagenet"), "senet-tiny has no ImageNet weights"),
    # TOML
    ("unknown key", lambda f: toml(f, "epoch = 3"), "there is no option 'epoch'. Did you mean 'epochs'"),
    ("spelled as in Python", lambda f: toml(f, "compile_ = true"), "there is no option 'compile_'. Did you mean 'comp"),
    ("negative in TOML", lambda f: toml(f, "epochs = -3"), "--epochs must be at least 1, got -3"),
    ("text for a count", lambda f: toml(f, 'epochs = "3"'), "epochs must be a whole number, got '3'"),
    ("fraction for a count", lambda f: toml(f, "epochs = 2.5"), "epochs must be a whole number, got 2.5"),
    ("truth for a count", lambda f: toml(f, "epochs = true"), "epochs must be a whole number, got True"),
    ("text for a number", lambda f: toml(f, 'lr = "fast"'), "lr must be a number, got 'fast'"),
    ("number for a switch", lambda f: toml(f, "select = 1"), "select must be true or false, got 1"),
    ("text for a switch", lambda f: toml(f, 'select = "true"'), "select must be true or false, got 'true'"),
    ("number for a text", lambda f: toml(f, "sampler = 5"), "sampler must be text, got 5"),
    ("list for a value", lambda f: toml(f, "epochs = [1, 2]"), r"epochs must be a whole number, got \[1, 2\]"),
    ("table for a value", lambda f: toml(f, "[epochs]\na = 1"), "epochs must be a whole number, got {'a': 1}"),
    ("no TOML", lambda f: toml(f, "epochs 3"), "options.toml is not valid TOML"),
    ("no TOML file", options("--config", "nowhere.toml"), "--config nowhere.toml cannot be read: No such file"),
    ("a folder for a TOML file", options("--config", "."), r"--config \. cannot be read: Is a directory"),
    # manifests and folders
    ("unknown source", options(data="sythetic"), "unknown source 'sythetic'. Did you mean 'synthetic'"),
    ("unknown dial", options(data="digits(imbalence=3)"), "has no parameter 'imbalence'. Did you mean 'imbalance'"),
    ("missing manifest", options(data="csv:nowhere.csv"), "nowhere.csv: no such manifest"),
    ("empty manifest", csv_of(""), "my.csv: empty; expected a header"),
    ("manifest without rows", csv_of("path,label\n"), "my.csv: no rows below the header"),
    ("wrong columns", csv_of("file,label\n0.png,a"), "no column 'path'; found columns: file, label; expected: pa"),
    ("wrong label column", csv_of("path,class\n0.png,a"), "no column 'label'; found columns: path, class"),
    ("missing files", csv_of("path,label\n0.png,a\n9.png,b"), "row 3: '9.png': no such file"),
    ("path outside the root", path_outside, "2 problem.*row 2: '../outside.png': is outside the manifest.*row 3"),
    ("label that training lacks", val_with_another_label, r"1 label\(s\) that do not occur in .*'zebra' \(1 image"),
    ("one file in both splits", file_in_both, r"2 file\(s\) are also in .*v.png.*1.png"),
    ("one class only", csv_of("path,label\n0.png,a\n1.png,a\n2.png,a\n3.png,a"), "only one class"),
    ("a class without a training image", split_column("ttvv"), r"label\(s\) that do not occur in .*:\s+'b'"),
    ("a class without a test image", split_column("ttvt", "abab"), "no test image of b; .*--allow"),
    ("no test image", split_column("tttt"), "no images in split val"),
    ("missing folder", options(data="folder:nowhere"), "nowhere"),
    ("unreadable images", damaged, r"Cannot read 3 image\(s\):.*cut.jpg: trunc.*zero.jpg: zero.*text.jpg: not an"),
    ("nothing to select by", options("--select", data="synthetic(images=8)"), "--select: no class has the 2"),
    # AffectNet and people
    ("a folder without AffectNet", options(data="affectnet:."), "not a release of AffectNet. Looked for one of"),
    ("seven classes of other data", options("--classes", 7), "--classes does not apply to --data"),
    ("six classes", options("--classes", 6, data="affectnet:."), "--classes must be 7 or 8, got 6"),
    ("no image of a person", options("--min-images", 1), "--min-images must be at least 2, got 1"),
    ("people without people", options("--min-images", 4), "--min-images applies only to people as classes"),
    # output
    ("output that holds another run", another_run, "--out .*old contains another run; pass a new directory"),
    ("output below a file", lambda f: ["--data", SMALL, "--out", written(f, "") / "r"], "cannot write .*: Not a"),
    ("output that is a file", lambda f: ["--data", SMALL, "--out", written(f, "")], "cannot write .*: it is a file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_clear_error_and_nothing_written(
    lossbench: Any, tmp_path: Path, arguments: Callable[[Path], Arguments], message: str
) -> None:
    given = arguments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    chosen = [] if "--loss" in given else ["--loss", "softmax"]
    out = [] if "--out" in given else ["--out", tmp_path / "out"]
    done = lossbench("run", *chosen, *given, *out)
    assert done.code == 2, done
    assert re.search(message, done.err, re.DOTALL), done.err
    usage_error = done.err.startswith("Usage: ")
    assert usage_error or done.err.startswith("error: ")
    assert done.err.lower().count("error:") == (not usage_error)
    assert "Traceback" not in done.err
    assert done.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_without_a_loss_is_told_to_name_one(lossbench: Any) -> None:
    done = lossbench("run")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --loss is missing: a loss or formula, such as --loss weighted-cluster\n"


@pytest.mark.parametrize("arguments", [["rum"], ["predict", "somewhere"], ["info"]])
def test_a_command_that_is_not_complete_is_a_usage_error(lossbench: Any, arguments: list[str]) -> None:
    done = lossbench(*arguments)
    assert done.code == 2
    assert done.err.startswith("Usage: ")


def test_an_unknown_loss_is_refused_by_info_too(lossbench: Any) -> None:
    done = lossbench("info", "centre")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: unknown loss 'centre'. Did you mean 'center'")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_a_device(lossbench: Any, tmp_path: Path, device: str) -> None:
    done = lossbench("run", "--loss", "softmax", "--device", device, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err == f"error: --device {device}: this machine has 0 CUDA devices; pass --device cpu or auto\n"
    assert not (tmp_path / "out").exists()


def test_an_output_without_permission(lossbench: Any, unwritable: Path) -> None:
    done = lossbench("run", "--loss", "softmax", "--data", SMALL, "--out", unwritable / "run")
    assert done.code == 2
    assert "cannot write " in done.err
    assert ": Permission denied" in done.err


@pytest.mark.slow
def test_a_mistake_found_by_a_real_process_has_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lossbench", "run", "--loss", "softmax", "--epochs", "-1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (done.stdout, done.stderr) == ("", "error: --epochs must be at least 1, got -1\n")
    assert list(tmp_path.iterdir()) == []


def run_on(lossbench: Any, tmp_path: Path, *arguments: object) -> dict[str, Any]:
    """The record of an epoch with a small model."""
    done = lossbench(
        "run", "--loss", "softmax", "--model", "test_resnet", "--image-size", 32, "--epochs", 1, "--batch-size", 8,
        *arguments, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    record: dict[str, Any] = json.loads((tmp_path / "out" / "record.json").read_text())
    return record | {"stderr": done.err}


@pytest.mark.slow
def test_unreadable_images_may_be_skipped_and_are_recorded(lossbench: Any, faces: Path, tmp_path: Path) -> None:
    damaged(tmp_path)
    val = f"{faces}/val.csv"
    rows = "".join(f"{n}.jpg,blue\n" for n in ("good", "cut", "zero")) + "fine.jpg,amber\ntext.jpg,cyan\n"
    picture(tmp_path / "c.png")
    manifest = written(tmp_path, "path,label\n" + rows + "c.png,cyan\n")
    record = run_on(lossbench, tmp_path, "--data", f"csv:{manifest}", "--val", val, "--skip-unreadable")
    assert record["data"]["skipped_unreadable"] == ["cut.jpg", "zero.jpg", "text.jpg"]
    assert record["data"]["training_counts"] == {"amber": 1, "blue": 1, "cyan": 1}
    assert "warning: 3 unreadable images are skipped" in record["stderr"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_skipping_may_not_empty_a_class(lossbench: Any, faces: Path, tmp_path: Path, split: str) -> None:
    labels = ("amber", "blue", "cyan")
    for n, label in enumerate(labels):
        picture(tmp_path / f"{label}.png", n)
    (tmp_path / "cyan.png").write_bytes(b"")
    damaged_split = written(tmp_path, "path,label\n" + "".join(f"{label}.png,{label}\n" for label in labels))
    good = f"{faces}/{'val' if split == 'train' else 'train'}.csv"
    train, val = (damaged_split, good) if split == "train" else (good, damaged_split)
    done = lossbench(
        "run", "--loss", "softmax", "--data", f"csv:{train}", "--val", val, "--skip-unreadable", "--out", "out"
    )
    assert done.code == 2
    assert re.search(r"error: .*(no training images are left of: cyan|no test image of cyan)", done.err)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_windows_line_ends_and_a_byte_order_mark_are_read(lossbench: Any, tmp_path: Path) -> None:
    manifest = pictures(tmp_path, "aaaaabbbbb")
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    config = tmp_path / "c.toml"
    config.write_bytes(b'\xef\xbb\xbfdata = "csv:my.csv"\r\nlr = 0.01\r\n')
    record = run_on(lossbench, tmp_path, "--config", config)
    assert record["data"]["class_names"] == ["a", "b"]
    assert record["data"]["training_counts"] == {"a": 4, "b": 4}
    assert record["config"]["lr"] == 0.01
