"""`lossbench export`: files that predict as the run does, without lossbench, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faults.runs import make_pictures, tiny
from huggingface_hub import ModelCard

from lossbench import load_run
from lossbench.export import build, export_run
from lossbench.harness.run import run as train

MARKUP = "<b>a</b>|`x`"  # the name of a class


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_pictures(tmp_path_factory.mktemp("pictures"), rows=60)
    odd = re.sub(r"^(train\d*[13579]\.png,)c", r"\1a", path.read_text(), flags=re.MULTILINE)  # imbalanced
    path.write_text(re.sub(r",a,", f",{MARKUP},", odd))
    return path


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny(manifest, "softmax + 0.01*center", model="test_resnet", epochs=1, lr=1e-4, carve=True)
    return train(config, tmp_path_factory.mktemp("trained") / "run").directory


@pytest.fixture(scope="module")
def picture(manifest: Path) -> Path:
    return manifest.parent / "val1.png"


def code_of(card: Path, picture: Path) -> str:
    """The program of a model card, for a picture, which prints its probabilities."""
    (program,) = re.findall(r"^```python\n(.*?)^```", card.read_text(), re.MULTILINE | re.DOTALL)
    return f"{program.replace('image.jpg', str(picture))}\nprint(probabilities.tolist())\n"


WITHOUT = """import sys
sys.modules["lossbench"] = None  # an import of it fails
"""


def printed_elsewhere(program: str, folder: Path) -> Any:
    """What a program prints in a new process that cannot import lossbench."""
    file = folder / "program.py"
    file.write_text(WITHOUT + program)
    done = subprocess.run([sys.executable, file], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_torch_export_predicts_in_a_fresh_process(lossbench: Any, run: Path, picture: Path, tmp_path: Path) -> None:
    done = lossbench("export", run, "--to", "torch", "--out", tmp_path / "model.pt2", "--shift", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["images"], told["format"]) == (6, "torch")
    assert told["largest_difference"] <= 1e-5
    program = code_of(tmp_path / "model.pt2.md", picture)
    about = "import json\nfiles = {'lossbench.json': ''}\ntorch.export.load('model.pt2', extra_files=files)\n"
    about += "assert json.loads(files['lossbench.json'])['class_names'][0] == '<b>a</b>|`x`', files\n"
    batches = "assert model(torch.zeros(5, 3, 32, 32, dtype=torch.uint8)).shape == (5, 3)\n"
    found = printed_elsewhere(program + about + batches, tmp_path)
    np.testing.assert_allclose(found, load_run(run).predict_proba(picture, shifted=True), atol=1e-5)


@pytest.mark.clients
def test_an_onnx_export_predicts_in_a_fresh_process(lossbench: Any, run: Path, picture: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra [export] is not installed")
    done = lossbench("export", run, "--to", "onnx", "--out", tmp_path / "model.onnx", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["largest_difference"] <= 1e-5
    program = code_of(tmp_path / "model.onnx.md", picture)
    batches = "assert session.run(None, {'images': images.repeat(5, 0)})[0].shape == (5, 3)\n"
    found = printed_elsewhere(program + batches + "assert 'torch' not in sys.modules\n", tmp_path)
    np.testing.assert_allclose(found, load_run(run).predict_proba(picture), atol=1e-5)
    model = onnx.load(tmp_path / "model.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["class_names"])[0] == MARKUP
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["probabilities"]
    assert b"site-packages" not in (tmp_path / "model.onnx").read_bytes()  # stack traces of the exporting machine


def test_weights_are_loaded_by_timm_as_the_card_says(lossbench: Any, run: Path, picture: Path, tmp_path: Path) -> None:
    done = lossbench("export", run, "--to", "safetensors", "--out", tmp_path / "release", "--shift")
    assert done.code == 0, done.err
    assert "on 6 of its test images" in done.out
    file = tmp_path / "release/model.safetensors"
    program = code_of(tmp_path / "release/README.md", picture).replace(file.name, str(file))
    names: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), names)
    np.testing.assert_allclose(names["probabilities"], load_run(run).predict_proba(picture, shifted=True), atol=1e-5)


def test_the_card_states_what_was_measured_and_what_was_not(lossbench: Any, run: Path, tmp_path: Path) -> None:
    assert lossbench("export", run, "--to", "safetensors", "--out", tmp_path / "m.safetensors").code == 0
    card, record = (tmp_path / "m.safetensors.md").read_text(), load_run(run).record
    front = dict(line.split(": ", 1) for line in card.split("---\n")[1].splitlines())
    assert json.loads(front["pipeline_tag"]) == "image-classification"
    read = ModelCard(card).data  # as the Hugging Face hub reads it
    assert (read.library_name, read.license, read.base_model) == ("lossbench", "other", None)
    assert {result.metric_type: result.metric_value for result in read.eval_results} == {
        name: round(getattr(record.metrics, name), 4) for name in ("balanced_accuracy", "accuracy")
    }
    assert all((result.task_type, result.dataset_split) == ("image-classification", "test")
               for result in read.eval_results)  # fmt: skip
    for name, recall in record.metrics.per_class_recall.items():
        low, high = record.metrics.per_class_recall_interval_95[name] or (0, 0)
        row = next(line for line in card.splitlines() if line.endswith(f"| {100 * low:.1f} to {100 * high:.1f} % |"))
        assert f"{100 * (recall or 0):.1f} %" in row
    assert "<b>" not in card.partition("---\n\n")[2]
    assert "fewer than 12 test images" in card
    assert "trained from random weights" in card
    assert str(run.parent) not in card  # no path of this machine


def test_nothing_is_written_if_the_export_differs(
    lossbench: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("export", run, "--to", "safetensors", "--out", tmp_path / "m.safetensors")

    def changed(by: float) -> Callable[..., bytes]:
        def built(form: Any, module: torch.nn.Module, image_size: int, about: Any) -> bytes:
            other = load_run(run).module
            with torch.no_grad():
                other.model.head.bias += torch.tensor([by, 0.0, 0.0])
            return build.built(form, other, image_size, about)

        return built

    for by, code in ((1e-3, 2), (float("nan"), 2), (1e-7, 0)):
        monkeypatch.setattr(export_run, "built", changed(by))
        done = lossbench(*arguments)
        assert done.code == code, done.err
        assert (tmp_path / "m.safetensors").exists() == (code == 0)
        assert len(list(tmp_path.iterdir())) == (2 if code == 0 else 0)
        if code:
            assert re.search(r"differs from the run by (nan|\d\.\de-04) on its test images", done.err)


def test_a_model_that_cannot_be_traced_is_refused(
    lossbench: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("Constraints violated (batch)!\nmore")

    monkeypatch.setattr(torch.export, "export", refuse)
    done = lossbench("export", run, "--to", "torch", "--out", tmp_path / "out")
    assert done.code == 2
    assert "torch.export cannot follow this model for any number of images (RuntimeError: Constraints" in done.err
    assert "--to safetensors" in done.err
    assert not (tmp_path / "out").exists()


def test_images_that_moved_are_found_with_data(lossbench: Any, run: Path, manifest: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    moved = Path(shutil.copytree(manifest.parent, tmp_path / "moved")) / "all.csv"
    content = json.loads((copy / "record.json").read_text())
    content["config"]["data"] = f"csv:{tmp_path}/gone.csv"
    (copy / "record.json").write_text(json.dumps(content))
    arguments = ("export", copy, "--to", "safetensors", "--out", tmp_path / "m.safetensors")
    done = lossbench(*arguments)
    assert done.code == 2
    assert "gone.csv" in done.err
    assert "Pass --data with where they are now" in done.err
    assert lossbench(*arguments, "--data", f"csv:{moved}").code == 0
    moved.write_text("\n".join(moved.read_text().splitlines()[:-2]) + "\n")
    done = lossbench(*arguments, "--data", f"csv:{moved}")
    assert done.code == 2
    assert "2 of 6 images are no longer in this data:\n  val4.png\n  val5.png" in done.err


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown format": (("RUN", "--to", "onx", "--out", "m.onnx"), "--to onx: no such format. Did you mean 'onnx'?"),
    "another ending": (("RUN", "--to", "torch", "--out", "m.pt"), "expected a name that ends in .pt2 for --to torch"),
    "the run's own weights": (
        ("RUN", "--to", "safetensors", "--out", "RUN/checkpoint/weights.safetensors"),
        "lies in the directory of the run",
    ),
    "the run itself": (("RUN", "--to", "safetensors", "--out", "RUN"), "lies in the directory of the run"),
    "a README of a project": (("RUN", "--to", "safetensors", "--out", "."), "README.md exists and is not a model card"),
    "no run": (("RUN/checkpoint", "--to", "torch", "--out", "m.pt2"), "holds no finished run"),
    "no directory": (("nowhere", "--to", "torch", "--out", "m.pt2"), "no such directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused(lossbench: Any, run: Path, tmp_path: Path, case: str) -> None:
    (tmp_path / "README.md").write_text("# My project\n")
    arguments, message = REFUSED[case]
    done = lossbench("export", *(argument.replace("RUN", str(run)) for argument in arguments))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_missing_package_is_one_error_with_its_command(
    lossbench: Any, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = lossbench("export", run, "--to", "onnx", "--out", tmp_path / "m.onnx")
    assert done.code == 2
    assert "Install it: pip install 'lossbench[export]'" in done.err


def test_a_shift_that_was_not_measured_is_refused(lossbench: Any, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    content = json.loads((copy / "record.json").read_text())
    content["data"]["selection_images"] = 0
    (copy / "record.json").write_text(json.dumps(content))
    done = lossbench("export", copy, "--to", "safetensors", "--out", tmp_path / "m.safetensors", "--shift")
    assert done.code == 2
    assert "has measured no shift" in done.err
