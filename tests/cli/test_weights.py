"""`--weights` from files and earlier runs, and `lossbench weights`: by the command line."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_weights import write_made_weights
from PIL import Image
from safetensors.torch import load_file

from lossbench.data.square import square
from lossbench.runs.finished_run import read_run

TINY = ("--loss", "softmax", "--epochs", 1, "--batch-size", 16)
# So small a rate changes nothing but the statistics of batch normalisation.
STILL = ("--lr", 1e-30, "--weight-decay", 0)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint/weights.safetensors")


def backbone(run: Path) -> dict[str, torch.Tensor]:
    """What training at no rate leaves alone."""
    moving = ("running_mean", "running_var", "num_batches_tracked")
    return {n: v for n, v in weights_of(run).items() if n.startswith("model.backbone") and not n.endswith(moving)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A pickle with the published names and few identities."""
    path = write_made_weights(tmp_path_factory.mktemp("made") / "senet50_ft_weight.pkl", identities=5)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def data(faces: Path) -> tuple[str, str]:
    return "--data", f"csv:{faces}/train.csv"


@pytest.fixture(scope="module")
def first(lossbench: Any, data: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of senet-tiny at 32 px; don't change it."""
    out = tmp_path_factory.mktemp("first") / "run"
    done = lossbench("run", *TINY, *data, "--image-size", 32, "--seed", 5, "--out", out)
    assert done.code == 0, done.err
    return out


# --- weights inspect, weights convert --------------------------------------------------------------------------------


def test_inspect_says_what_a_file_holds(lossbench: Any, made: Path) -> None:
    done = lossbench("weights", "inspect", made, "--json")
    content = json.loads(done.out)
    assert done.code == 0
    assert (content["kind"], content["model"], content["problem"]) == ("vggface2-pickle", "legacy_seresnet50", None)
    assert content["sha256"] == hashlib.sha256(made.read_bytes()).hexdigest()
    assert content["container"] == "numpy pickle"
    rows = {row["name"]: row for row in content["tensors"]}
    assert len(rows) == 331
    assert rows["layer1.0.conv5.bias"] == {
        "name": "layer1.0.conv5.bias", "shape": [256], "dtype": "float32", "becomes": "layer1.0.se_module.fc2.bias"
    }  # fmt: skip
    assert rows["fc.weight"]["becomes"] is None
    assert content["parameters"] == 26_039_024 + 5 * 2048 + 5
    wants = {"channels": "RGB", "scale": "0..255", "std": [1, 1, 1], "image_size": 224, "crop_share": 0.875}
    assert content["preprocessing"] == {**wants, "mean": [131.0912, 103.8827, 91.4953]}
    text = lossbench("weights", "inspect", f"vggface2:{made}").out
    for part in ("vggface2-pickle", content["sha256"], "a digest not known to lossbench", "5 identities", "expects BGR",
                 "minus (131.091, 103.883, 91.4953)", "224 px; evaluation sees the central 87.5%"):  # fmt: skip
        assert part in text
    assert re.search(r"skipped +2 +10,245", text)
    assert "layer4.2.se_module.fc1.weight" in lossbench("weights", "inspect", made, "--keys").out


def test_inspect_takes_runs(lossbench: Any, first: Path) -> None:
    for target in (first, f"run:{first}"):
        content = json.loads(lossbench("weights", "inspect", target, "--json").out)
        assert (content["kind"], content["model"], content["container"]) == ("run", "senet-tiny", "run")
        assert content["origin"]["formula"] == "softmax"
        assert content["preprocessing"]["mean"] == [127.5, 127.5, 127.5]
        assert content["preprocessing"]["image_size"] == 32
    assert "softmax on csv:" in lossbench("weights", "inspect", first).out


def test_inspect_shows_what_does_not_fit_and_ends_with_1(lossbench: Any, first: Path) -> None:
    file = first / "checkpoint/weights.safetensors"
    done = lossbench("weights", "inspect", file, "--json")
    content = json.loads(done.out)
    assert (done.code, content["kind"]) == (1, None)
    assert f"{file} is not VGGFace2's SENet-50" in content["problem"]
    assert len(content["tensors"]) == len(weights_of(first))
    assert "problem" in lossbench("weights", "inspect", file).out
    done = lossbench("weights", "inspect", "nowhere.pkl")
    assert (done.code, done.err) == (2, "error: nowhere.pkl: no such weight file\n")


def test_convert_writes_once_and_what_it_writes_is_read_back(lossbench: Any, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    done = lossbench("weights", "convert", f"vggface2:{made}", out)
    assert (done.code, done.out) == (0, f"{out}\n")
    assert "senet50_ft_weight.pkl (vggface2-pickle; sha256 " in done.err
    blob = out.read_bytes()
    done = lossbench("weights", "convert", f"vggface2:{made}", out)
    assert done.code == 2
    assert done.err == f"error: {out} already exists; pass another name, or --force to replace it\n"
    assert out.read_bytes() == blob
    assert lossbench("weights", "convert", f"vggface2:{out}", out, "--force").code == 0  # of itself, too
    text = lossbench("weights", "inspect", out).out
    assert "senet50_ft_weight.pkl, sha256 " + hashlib.sha256(made.read_bytes()).hexdigest() in text
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("imagenet", "w.safetensors", "only vggface2:FILE can be converted, got 'imagenet'"),
        ("w.pkl", "w.safetensors", "only vggface2:FILE can be converted, got 'w.pkl'"),
        ("vggface2:w.pkl", "w.pth", "w.pth must end in .safetensors"),
        ("vggface2:w.pkl", "w.safetensors", "w.pkl: no such weight file"),
    ],
)
def test_convert_refuses_and_writes_nothing(
    lossbench: Any, source: str, out: str, message: str, tmp_path: Path
) -> None:
    done = lossbench("weights", "convert", source, out)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


# --- run --weights vggface2:FILE -------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_run_starts_from_vggface2_s_weights_and_brings_their_preprocessing(
    lossbench: Any, made: Path, data: Any, faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = ("--model", "legacy_seresnet50", "--weights", f"vggface2:{made}", "--image-size", 64)
    done = lossbench("run", *TINY, *data, *options, *STILL, "--out", out)
    assert done.code == 0, done.err
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    assert f"weights: senet50_ft_weight.pkl (vggface2-pickle; sha256 {sha256[:12]}…, a digest not known" in done.err
    record = json.loads((out / "record.json").read_text())
    assert record["weights"]["spec"] == record["model"]["weights"] == f"vggface2:{made}"
    assert record["weights"]["kind"] == "vggface2-pickle"
    assert record["weights"]["sha256"] == sha256
    assert record["model"]["preprocessing"]["crop_share"] == 0.875
    assert record["model"]["preprocessing"]["image_size"] == 64
    first_convolution = backbone(out)["model.backbone.layer0.conv1.weight"]
    from lossbench.models.weights import read_vggface2

    assert torch.equal(first_convolution, read_vggface2(made).state["layer0.conv1.weight"])
    # predict looks at the same central square as evaluation did.
    picture = next((faces / "images/val/amber").iterdir())
    row = json.loads(lossbench("predict", out, picture, "--json").out)[0]
    with np.load(out / "predictions.npz") as stored_arrays:
        scores = dict(stored_arrays)
    place = [Path(name).parts[-2:] for name in scores["test_sample_ids"]].index(picture.parts[-2:])
    stored = torch.from_numpy(scores["test_scores"][place]).softmax(dim=0)
    assert list(row["probabilities"].values()) == pytest.approx(stored.tolist(), abs=1e-4)


def test_the_default_size_is_that_of_the_weights(made: Path, data: Any) -> None:
    from lossbench.harness.prepare import prepare
    from lossbench.harness.reporter import SilentReporter
    from lossbench.runs.options import RunConfig

    config = RunConfig(loss="softmax", data=data[1], model="legacy_seresnet50", weights=f"vggface2:{made}")
    task = prepare(config, SilentReporter())
    assert task.config.image_size == 224
    assert task.weights is not None
    assert task.weights.preprocessing.crop_share == 224 / 256


def test_the_central_share_is_the_short_side_at_256_cut_to_224() -> None:
    draw = np.random.default_rng(0)
    image = Image.fromarray(draw.integers(0, 256, (256, 300, 3), dtype=np.uint8))
    cut = np.asarray(image.crop((38, 16, 262, 240)))
    np.testing.assert_array_equal(square(image, 224, share=224 / 256), cut)


# --- run --weights run:DIR -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_starts_from_the_backbone_of_another(lossbench: Any, first: Path, data: Any, tmp_path: Path) -> None:
    out = tmp_path / "second"
    done = lossbench("run", *TINY, *data, "--weights", f"run:{first}", *STILL, "--seed", 1, "--out", out)
    assert done.code == 0, done.err
    assert f"weights: the backbone of {first} (softmax on {data[1]}); the head is new" in done.err
    assert all(torch.equal(value, backbone(first)[name]) for name, value in backbone(out).items())
    head, old = weights_of(out)["model.head.weight"], weights_of(first)["model.head.weight"]
    assert not torch.allclose(head, old)
    record, theirs = (json.loads((run / "record.json").read_text()) for run in (out, first))
    assert record["model"]["image_size"] == 32  # the first run's
    assert record["weights"] == {
        "spec": f"run:{first}", "kind": "run", "file": "run", "sha256": theirs["weights_sha256"],
        "formula": "softmax", "seed": 5, "data": data[1],
        "train_digest": theirs["data"]["train_digest"], "test_digest": theirs["data"]["test_digest"],
    }  # fmt: skip
    assert theirs["weights"] is None


@pytest.mark.slow
def test_images_that_an_earlier_run_may_have_seen_are_said(lossbench: Any, faces: Path, tmp_path: Path) -> None:
    """People of all images first, then expressions whose evaluation split is carved from the same."""
    rows = [line.split(",") for line in (faces / "train.csv").read_text().splitlines()[1:]]
    lines = [f"{faces / name},{label},{'abcd'[n % 4]}" for n, (name, label) in enumerate(rows)]
    images = tmp_path / "images"
    shutil.copytree(faces / "images", images)
    lines = [line.replace(f"{faces}/", "") for line in lines]
    (tmp_path / "all.csv").write_text("\n".join(["path,label,person", *lines]))
    small = ("--image-size", 32, "--data", "csv:all.csv")
    assert lossbench("run", *TINY, *small, "--label", "person", "--out", "people").code == 0
    done = lossbench("run", *TINY, *small, "--weights", "run:people", "--out", "expressions")
    assert done.code == 0, done.err
    held_out = "people was trained on the same data with different images held out, possibly on images that are now in"
    assert done.err.count(held_out) == 1
    done = lossbench("run", *TINY, *small, "--weights", "run:expressions", "--seed", 1, "--out", "again")
    assert done.code == 0, done.err
    assert "held out" not in done.err  # the same split, carved alike for every seed


# --- weights of any model --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_starts_from_a_checkpoint_of_any_model_and_says_what_it_took(
    lossbench: Any, first: Path, data: Any, faces: Path, tmp_path: Path
) -> None:
    """Inspected, trained from, resumed, evaluated and predicted with the mean that the option states."""
    state = {n.removeprefix("model.backbone."): v for n, v in backbone(first).items()}
    state |= {n.removeprefix("model.backbone."): v for n, v in weights_of(first).items() if "running" in n}
    checkpoint = {"state_dict": {f"module.{n}": v for n, v in state.items()} | {"module.fc.weight": torch.ones(3, 128)}}
    torch.save(checkpoint, "w.pth")
    done = lossbench("weights", "inspect", "w.pth", "--model", "senet-tiny", "--image-size", 32)
    assert done.code == 0, done.err
    for part in ("without the prefix 'state_dict.module.'", "left out (1):", "state_dict.module.fc.weight"):
        assert part in done.out
    options = ("--weights", "file:w.pth", "--weights-mean", "0.5,0.4,0.3", "--weights-std", 0.25, "--image-size", 32)
    done = lossbench("run", *TINY, *data, *options, *STILL, "--out", "a")
    assert done.code == 0, done.err
    assert "weights: file:w.pth: 86 tensors taken, without the prefix 'state_dict.module.'; 1 left out" in done.err
    assert all(torch.equal(value, backbone(first)[name]) for name, value in backbone(tmp_path / "a").items())
    record = json.loads(Path("a/record.json").read_text())
    assert record["weights"]["sha256"] == hashlib.sha256(Path("w.pth").read_bytes()).hexdigest()
    assert record["weights"]["left_out"] == ["state_dict.module.fc.weight"]
    assert record["weights"]["images_from"]["mean"] == "options"
    assert record["model"]["preprocessing"]["mean"] == [127.5, 102, 76.5]
    assert weights_of(tmp_path / "a")["model.mean"].flatten().tolist() == [127.5, 102, 76.5]
    picture = next((faces / "images/val/amber").iterdir())
    assert lossbench("predict", "a", picture, "--json").code == 0
    Path("a/record.json").unlink()  # as if it had been stopped
    assert lossbench("run", "--resume", "a").code == 0
    assert json.loads(Path("a/record.json").read_text())["weights"] == record["weights"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "file:w.pth"), "w.pth: no such weight file"),
        (("--weights", "file:"), "--weights must be none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR"),
        (("--weights-mean", "0.5"), "--weights-mean applies to --weights file:PATH and hf:REPO, not to 'none'"),
        (("--weights", "file:w.pth", "--weights-std", "58"), "write 58/255"),
        (("--weights", "file:w.pth", "--weights-channels", "gbr"), "--weights-channels must be one of rgb, bgr"),
    ],
)
def test_options_of_weights_that_don_t_suit_are_refused(
    options: tuple[str, ...], message: str, lossbench: Any, data: Any, tmp_path: Path
) -> None:
    done = lossbench("run", *TINY, *data, *options, "--out", "out")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_preprocessing_travels_on_from_run_to_run(lossbench: Any, made: Path, data: Any, tmp_path: Path) -> None:
    options = (*TINY, *data, "--model", "legacy_seresnet50", "--image-size", 64)
    for name, start in (("a", f"vggface2:{made}"), ("b", "run:a")):
        done = lossbench("run", *options, "--weights", start, "--out", name)
        assert done.code == 0, done.err
    runs = [read_run(tmp_path / name) for name in ("a", "b")]
    assert runs[0].preprocessing() == runs[1].preprocessing()
    assert runs[1].preprocessing().crop_share == 0.875
    assert runs[1].state["model.std"].flatten().tolist() == [1, 1, 1]


@pytest.mark.slow
def test_a_run_in_double_precision_can_be_started_from(lossbench: Any, data: Any, tmp_path: Path) -> None:
    small = (*TINY, *data, "--image-size", 32)
    assert lossbench("run", *small, "--precision", "fp64", "--out", "a").code == 0
    assert weights_of(tmp_path / "a")["model.head.weight"].dtype is torch.float64
    done = lossbench("run", *small, "--weights", "run:a", *STILL, "--out", "b")
    assert done.code == 0, done.err
    one, other = backbone(tmp_path / "a"), backbone(tmp_path / "b")
    assert all(torch.equal(value.float(), other[name]) for name, value in one.items())


def damaged(run: Path) -> None:
    file = run / "checkpoint/weights.safetensors"
    blob = bytearray(file.read_bytes())
    blob[-5] ^= 1
    file.write_bytes(blob)


def without_mean(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    del record["model"]["image_size"]
    (run / "record.json").write_text(json.dumps(record))


BROKEN = {
    "no such directory": (shutil.rmtree, "no such directory; expected the directory of a finished run"),
    "unfinished": (lambda run: (run / "record.json").unlink(), "holds no finished run (an unfinished run?): "),
    "empty": (lambda run: (shutil.rmtree(run), run.mkdir()), "holds no finished run: "),
    "without weights": (lambda run: (run / "checkpoint/weights.safetensors").unlink(), "holds no finished run"),
    "a flipped bit": (damaged, "does not fit its record: its SHA-256 differs, so it was damaged or replaced"),
    "truncated weights": (
        lambda run: (run / "checkpoint/weights.safetensors").write_bytes(b"x" * 20), "it is not a safetensors file"
    ),
    "no record": (
        lambda run: (run / "record.json").write_text("{}"), "is not a record of a run: schema_version is missing"
    ),
    "half a record": (without_mean, "is not a record of a run: model.image_size is missing"),
    "another version": (
        lambda run: (run / "record.json").write_text('{"schema_version": 99, "weights_sha256": ""}'),
        "has schema version 99, this lossbench reads 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_run_that_can_t_be_started_from_is_one_clear_error(
    case: str, lossbench: Any, first: Path, data: Any, tmp_path: Path
) -> None:
    change, message = BROKEN[case]
    shutil.copytree(first, tmp_path / "copy")
    change(tmp_path / "copy")
    done = lossbench("run", *TINY, *data, "--weights", "run:copy", "--out", "out")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--weights", "run:{first}", "--model", "test_resnet"),
            "--weights run:{first} has model senet-tiny, but --model is test_resnet; pass --model senet-tiny",
        ),
        (("--weights", "run:"), "--weights must be none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR, got"),
        (("--weights", "vggface2:w.pkl"), "and --model is senet-tiny: add --model legacy_seresnet50"),
        (
            ("--weights", "vggface2:w.pkl", "--model", "legacy_seresnet50"),
            "w.pkl: no such weight file",
        ),
    ],
)
def test_weights_that_don_t_suit_are_refused(
    options: tuple[str, ...], message: str, lossbench: Any, first: Path, data: Any, tmp_path: Path
) -> None:
    given = [option.format(first=first) for option in options]
    done = lossbench("run", *TINY, *data, *given, "--out", "out")
    assert done.code == 2
    assert message.format(first=first) in done.err
    assert not (tmp_path / "out").exists()


class Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was-executed",)


@pytest.mark.parametrize(
    "command",
    [
        ("run", *TINY, "--model", "legacy_seresnet50", "--weights", "vggface2:w.pkl", "--out", "out"),
        ("weights", "inspect", "w.pkl"),
        ("weights", "convert", "vggface2:w.pkl", "out.safetensors"),
    ],
)
def test_a_hostile_file_does_nothing(command: tuple[object, ...], lossbench: Any, tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"conv1.weight": Runs()}, protocol=2))
    done = lossbench(*command)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: w.pkl names posix.system, which is not part of an array of numbers, so it is refused. "
        "Nothing was executed\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["w.pkl"]


def test_another_size_of_a_transformer_is_said(lossbench: Any, data: Any, tmp_path: Path) -> None:
    small = (*TINY, *data, "--model", "test_vit")
    assert lossbench("run", *small, "--image-size", 32, "--out", "a").code == 0
    done = lossbench("run", *small, "--weights", "run:a", "--image-size", 48, "--out", "b")
    assert done.code == 2
    assert "the weights of a do not fit test_vit at 48 px:\n  pos_embed has shape (1, 5, 64)" in done.err
