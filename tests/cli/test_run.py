"""`lossbench run` from its options to its record, and `predict` on what it leaves."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, registry
from lossbench.harness.evaluation.metrics import classification_metrics, retrieval_quality
from lossbench.harness.task import derived_seed

pytestmark = pytest.mark.slow

LOSSES = {
    "softmax": "softmax",
    "weighted-softmax": "weighted-softmax",
    "center": "softmax + 0.001*center",
    "triplet": "softmax + ",
    "weighted-cluster": "weighted-softmax + ",
}
FILES = ["checkpoint/weights.safetensors", "config.toml", "history.jsonl", "predictions.npz", "record.json"]
NUMBER, SOME = (int, float), (int, float, type(None))
# Path in the record -> type; what other tools read is here, whole.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema_version": int, "formula": str, "loss": str, "terms": list, "seed": int, "config": dict,
    "selected_epoch": (int, type(None)), "confusion_matrix": list, "weights_sha256": str,
    "refit.images": int, "refit.seconds": float,
    "metrics.balanced_accuracy": float, "metrics.accuracy": float, "metrics.macro_f1": float,
    "metrics.cohen_kappa": float, "metrics.krippendorff_alpha": float, "metrics.auroc": float,
    "metrics.average_precision": float, "metrics.mean_average_precision_at_r": float,
    "metrics.per_class_recall": dict, "metrics.per_class_recall_interval_95": dict, "metrics.absent_classes": list,
    "model.name": str, "model.weights": str, "model.parameters": int, "model.embedding_dim": int,
    "model.image_size": int, "model.preprocessing": dict, "weights": (dict, type(None)),
    "data.spec": str, "data.release": (str, type(None)), "data.class_names": list, "data.training_counts": dict,
    "data.drawn_counts": dict, "data.test_counts": dict, "data.selection_images": int,
    "data.split_origin": str, "data.train_digest": str, "data.test_digest": str, "data.skipped_unreadable": list,
    "data.notes": list, "data.dropped": dict,
    "data.box_margin": (float, type(None)), "data.crop": (dict, type(None)),
    "timing.seconds_per_step": float, "timing.loss_seconds_per_step": float, "timing.loss_share": float,
    "timing.data_wait_seconds": float, "timing.data_wait_share": float,
    "timing.images_per_second": float, "timing.train_seconds": float, "timing.evaluation_seconds": float,
    "timing.total_seconds": float, "timing.steps": int, "timing.sampled_steps": int, "timing.steps_skipped": int,
    "timing.checkpoints": int, "timing.checkpoint_seconds": float, "timing.resumed": int,
    "timing.data_seconds_per_step": SOME, "timing.forward_seconds_per_step": SOME,
    "timing.loss_forward_seconds_per_step": SOME, "timing.backward_seconds_per_step": SOME,
    "timing.step_seconds_per_step": SOME,
    "memory.peak_bytes": int,
    "environment.lossbench": str, "environment.python": str, "environment.packages": dict,
    "environment.device": str, "environment.cpu_threads": int, "environment.processes": int,
    "environment.command": list, "environment.git": (dict, type(None)),
}  # fmt: skip


def read_json(path: Path) -> Any:
    """JSON without the NaN and Infinity that Python would accept."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


def history_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def arrays_of(run: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(run / "predictions.npz", allow_pickle=False) as file:
        return dict(file)


def weights_of(run: Path) -> dict[str, Tensor]:
    return load_file(run / "checkpoint" / "weights.safetensors")


@pytest.fixture
def train(lossbench: Any, faces: Path, tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any], Any]]:
    """`train("softmax", "--epochs", 3)`: the directory, the record and the outcome of a small run that ends well."""
    count = iter(range(100))

    def run(loss: str, *options: object) -> tuple[Path, dict[str, Any], Any]:
        out = tmp_path / f"run{next(count)}"
        given = {str(option) for option in options}
        defaults = {"--data": f"csv:{faces}/train.csv", "--epochs": 1, "--batch-size": 16}
        defaults |= {} if "--model" in given else {"--model": "test_resnet", "--image-size": 32}
        chosen = [part for name, value in defaults.items() if name not in given for part in (name, value)]
        done = lossbench("run", "--loss", loss, *chosen, *options, "--out", out)
        assert done.code == 0, done.err
        return out, read_json(out / "record.json"), done

    return run


@pytest.fixture(scope="module")
def trained(lossbench: Any, faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """The five losses, two epochs each with the embedded model: directories and outcomes."""
    runs = {}
    for loss in LOSSES:
        out = tmp_path_factory.mktemp("trained") / loss
        done = lossbench(
            "run", "--loss", loss, "--data", f"csv:{faces}/train.csv", "--epochs", 2, "--batch-size", 8, "--out", out
        )
        assert done.code == 0, done.err
        runs[loss] = out, done
    return runs


# --- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_writes_its_files_and_prints_the_expanded_formula(trained: Any, loss: str) -> None:
    out, done = trained[loss]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == FILES
    record = read_json(out / "record.json")
    assert record["loss"] == loss
    assert record["formula"].startswith(LOSSES[loss])
    assert loss in record["formula"]
    assert f"objective  {record['formula']}\n" in done.out
    for text in ("balanced accuracy", "Recall by class", "Time per training step", "amber", str(out)):
        assert text in done.out
    assert done.err.count("epoch ") == 2


@pytest.mark.parametrize("loss", LOSSES)
def test_the_record_holds_what_others_read(trained: Any, loss: str) -> None:
    record = read_json(trained[loss][0] / "record.json")
    for path, kind in FIELDS.items():
        value: Any = record
        for key in path.split("."):
            value = value[key]
        assert isinstance(value, kind), path
        assert isinstance(value, bool) is False, path
    assert record["data"]["training_counts"] == {"amber": 24, "blue": 12, "cyan": 10}
    assert record["data"]["test_counts"] == {"amber": 4, "blue": 4, "cyan": 4}
    assert record["data"]["split_origin"].endswith("val.csv, next to train.csv")
    assert [sum(row) for row in record["confusion_matrix"]] == [4, 4, 4]
    assert set(record["metrics"]["per_class_recall"]) == {"amber", "blue", "cyan"}
    assert record["timing"]["steps"] == 12
    assert record["timing"]["sampled_steps"] == 7
    parts = ("data", "forward", "loss_forward", "backward", "step")
    total = sum(record["timing"][f"{part}_seconds_per_step"] for part in parts)
    assert record["timing"]["seconds_per_step"] == pytest.approx(total)
    assert [term["name"] for term in record["terms"]][-1] == loss
    assert all(isinstance(term["coefficient"], float) for term in record["terms"])


def test_the_weights_are_hashed_and_complete(trained: Any) -> None:
    out = trained["weighted-cluster"][0]
    record = read_json(out / "record.json")
    blob = (out / "checkpoint" / "weights.safetensors").read_bytes()
    assert record["weights_sha256"] == hashlib.sha256(blob).hexdigest()
    weights = weights_of(out)
    assert weights["model.head.weight"].shape == (3, record["model"]["embedding_dim"])
    centers = [name for name in weights if name.endswith("centers")]
    assert len(centers) == 1
    assert torch.isfinite(weights[centers[0]]).all()
    np.testing.assert_array_equal(weights[centers[0]].numpy(), arrays_of(out)["centers"])


@pytest.mark.parametrize("loss", LOSSES)
def test_metrics_can_be_recomputed_from_the_predictions(trained: Any, loss: str) -> None:
    out = trained[loss][0]
    record, arrays = read_json(out / "record.json"), arrays_of(out)
    expected = {"test_scores", "test_embeddings", "test_targets", "test_sample_ids", "test_refit_scores", "class_names"}
    assert set(arrays) == expected | ({"centers"} if loss in ("center", "weighted-cluster") else set())
    assert (arrays["test_scores"].dtype, arrays["test_embeddings"].dtype) == (np.float32, np.float16)
    assert arrays["test_sample_ids"][0] == "images/val/amber/0.png"
    assert arrays["class_names"].tolist() == ["amber", "blue", "cyan"]
    assert [name.split("/")[2] for name in arrays["test_sample_ids"]] == [
        record["data"]["class_names"][target] for target in arrays["test_targets"]
    ]
    metrics = classification_metrics(arrays["test_scores"], arrays["test_targets"], ("amber", "blue", "cyan"))
    assert metrics.pop("confusion_matrix") == record["confusion_matrix"]
    metrics |= retrieval_quality(arrays["test_embeddings"], arrays["test_targets"])
    assert json.loads(json.dumps(metrics)) == record["metrics"]
    weights = weights_of(out)
    logits = arrays["test_embeddings"].astype(np.float32) @ weights["model.head.weight"].numpy().T
    np.testing.assert_allclose(arrays["test_scores"], logits + weights["model.head.bias"].numpy(), atol=0.02)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_history_has_a_line_an_epoch(trained: Any, loss: str) -> None:
    rows = history_of(trained[loss][0])
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[1]["loss"] < rows[0]["loss"]
    joint = loss not in ("softmax", "weighted-softmax")
    assert set(rows[0]["gradient_ratio"]) == ({loss} if joint else set())
    assert len(rows[0]["terms"]) == (2 if joint else 0)
    assert all(isinstance(row[name], float) for row in rows for name in ("lr", "seconds", "images_per_second"))


def test_the_directory_is_named_by_the_run_where_none_is_given(lossbench: Any, faces: Path, elsewhere: Path) -> None:
    options = ("run", "--loss", "softmax", "--data", f"csv:{faces}/train.csv", "--model", "test_resnet")
    for n in (1, 2):
        done = lossbench(*options, "--image-size", 32, "--epochs", 1, "--seed", 4)
        assert done.code == 0
        assert (elsewhere / f"runs/softmax-train-s4-{n}/record.json").exists()


# --- reproducible ----------------------------------------------------------------------------------------------------


def test_one_seed_gives_one_result_whatever_the_workers_and_another_gives_another(train: Any) -> None:
    options = ("--model", "senet-tiny", "--epochs", 2)
    first, again, workers, other = (
        train("weighted-cluster", *options, *more)[1] for more in ((), ("--workers", 2, "--cache"), (), ("--seed", 1))
    )
    for record in (again, workers):
        assert record["weights_sha256"] == first["weights_sha256"]
        assert record["metrics"] == first["metrics"]
        assert record["confusion_matrix"] == first["confusion_matrix"]
    assert other["weights_sha256"] != first["weights_sha256"]


def test_losses_of_one_seed_see_the_same_batches(train: Any) -> None:
    """So small a rate changes nothing: what is left of a difference is the data's order and the first weights."""
    options = ("--lr", 1e-30, "--optimizer", "sgd", "--weight-decay", 0)
    one, other = (weights_of(train(loss, *options)[0]) for loss in ("softmax", "triplet"))
    assert any("running_mean" in name for name in one)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-20)


def test_micro_batches_change_nothing_without_batch_statistics(train: Any) -> None:
    options = ("--model", "test_vit", "--image-size", 32, "--precision", "fp64", "--epochs", 2)
    whole, parts = (train("weighted-cluster", *options, "--micro-batches", n)[0] for n in (1, 3))  # of unequal sizes
    expected, found = weights_of(whole), weights_of(parts)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
        assert value.dtype is torch.float64
    assert history_of(parts)[1]["loss"] == pytest.approx(history_of(whole)[1]["loss"], abs=1e-9)


# --- options ---------------------------------------------------------------------------------------------------------


def test_select_keeps_the_epoch_that_the_selection_split_likes_best(train: Any) -> None:
    for seed in (2, 5, 6, 0, 1, 3):  # one whose last epoch is not the best: four pictures decide by chance
        out, record, done = train(
            "softmax", "--select", "--epochs", 5, "--lr", 0.05, "--augment", "standard", "--seed", seed
        )
        scores = [row["selection_balanced_accuracy"] for row in history_of(out)]
        if scores[4] < max(scores):
            break
    assert scores[4] < max(scores)
    kept = record["selected_epoch"]
    assert kept == scores.index(max(scores))
    arrays = arrays_of(out)
    targets = arrays["selection_targets"]
    metrics = classification_metrics(arrays["selection_scores"], targets, ("amber", "blue", "cyan"))
    assert metrics["balanced_accuracy"] == scores[kept]
    assert record["data"]["selection_images"] == len(targets) == 4  # a tenth, at least one a class of ten
    assert sum(record["data"]["training_counts"].values()) == 42
    assert not set(arrays["selection_sample_ids"]) & set(arrays["test_sample_ids"])
    assert f"kept epoch {kept + 1}, the best on the selection split" in done.out


def test_carving_holds_the_same_images_back_and_keeps_the_last_epoch(train: Any) -> None:
    selected, carved = (train("softmax", option, "--epochs", 2)[0] for option in ("--select", "--carve"))
    np.testing.assert_array_equal(
        arrays_of(selected)["selection_sample_ids"], arrays_of(carved)["selection_sample_ids"]
    )
    record = read_json(carved / "record.json")
    assert record["selected_epoch"] is None
    assert [row["selection_balanced_accuracy"] for row in history_of(carved)] == [
        row["selection_balanced_accuracy"] for row in history_of(selected)
    ]
    assert record["refit"]["images"] == sum(record["data"]["training_counts"].values()) == 42


def test_a_run_prints_what_a_threshold_would_do(trained: Any) -> None:
    _, done = trained["softmax"]
    assert "Is it the loss or the decision threshold?" in done.out
    assert "scores shifted by the training frequencies, tau = 1" in done.out
    assert "balanced linear refit on the embeddings" in done.out


def test_of_equal_epochs_the_first_is_kept(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossbench.harness.epochs.classification_metrics", lambda *_: {"balanced_accuracy": 0.5})
    assert train("softmax", "--select", "--epochs", 2)[1]["selected_epoch"] == 0


@pytest.mark.parametrize(
    ("sampler", "counts"), [("natural", (24, 12, 10)), ("balanced", (15, 15, 15)), ("sqrt", (20, 14, 13))]
)
def test_a_sampler_changes_the_counts_that_the_loss_is_told(train: Any, sampler: str, counts: Any) -> None:
    _, record, _ = train("weighted-softmax", "--sampler", sampler)
    assert tuple(record["data"]["drawn_counts"].values()) == counts
    assert tuple(record["data"]["training_counts"].values()) == (24, 12, 10)


def test_batches_of_classes_let_a_loss_on_pairs_work(train: Any) -> None:
    out, record, done = train("triplet(margin=4)", "--sampler", "classes:3x4", "--batch-size", 12, "--epochs", 2)
    assert record["config"]["batch_size"] == 12
    assert tuple(record["data"]["drawn_counts"].values()) == (15, 15, 15)
    assert all(row["gradient_ratio"]["triplet"] > 0 for row in history_of(out))
    assert "is idle" not in done.err


def test_batches_of_more_classes_than_there_are_is_refused(lossbench: Any, faces: Path, tmp_path: Path) -> None:
    done = lossbench("run", "--loss", "triplet", "--data", f"csv:{faces}/train.csv", "--sampler", "classes:4x4",
                     "--epochs", 1, "--out", tmp_path / "run")  # fmt: skip
    assert done.code == 2
    assert "--sampler classes:4x4: the training split has 3 classes; use at most classes:3xN" in " ".join(
        done.err.split()
    )


def test_flags_override_a_file_that_overrides_the_defaults(train: Any, tmp_path: Path) -> None:
    config = tmp_path / "options.toml"
    config.write_text("epochs = 3\nbatch-size = 23\nweight_decay = 0\nseed = 5\n")
    out, record, _ = train("softmax", "--config", config, "--epochs", 2, "--batch-size", 10)
    assert record["config"]["epochs"] == len(history_of(out)) == 2
    assert (record["config"]["batch_size"], record["config"]["seed"], record["seed"]) == (10, 5, 5)
    assert record["config"]["weight_decay"] == 0


def test_the_config_of_a_run_repeats_it(lossbench: Any, train: Any, tmp_path: Path) -> None:
    out, record, _ = train("softmax + 0.1*center(alpha=0.25)", "--sampler", "sqrt", "--lr", 0.002)
    assert tomllib.loads((out / "config.toml").read_text()) == record["config"]
    done = lossbench("run", "--config", out / "config.toml", "--out", tmp_path / "again")
    assert done.code == 0, done.err
    again = read_json(tmp_path / "again" / "record.json")
    assert again["config"] == record["config"]
    assert again["weights_sha256"] == record["weights_sha256"]


def test_json_prints_the_record_alone(train: Any) -> None:
    out, record, done = train("softmax", "--json")
    assert json.loads(done.out) == {**record, "directory": str(out)}


def test_bf16_trains_on_the_cpu_and_keeps_float32_weights(train: Any) -> None:
    out, record, _ = train("weighted-cluster", "--precision", "bf16", "--device", "cpu")
    assert {value.dtype for value in weights_of(out).values() if value.is_floating_point()} == {torch.float32}
    plain, _, _ = train("weighted-cluster", "--device", "cpu")
    assert record["environment"]["device"] == "cpu"
    assert not torch.equal(weights_of(out)["model.head.weight"], weights_of(plain)["model.head.weight"])


def test_sgd_is_an_optimizer_too(train: Any) -> None:
    assert train("softmax", "--optimizer", "sgd")[1]["config"]["lr"] == 0.01  # its own default


@pytest.mark.parametrize(
    ("data", "names", "subject"),
    [
        ("digits", list("0123456789"), "digit"),
        ("synthetic(images=40,test_images_per_class=1)", None, "a cropped face"),
        ("folder:{faces}/images", ["amber", "blue", "cyan"], "image"),
    ],
)
def test_every_source_trains(train: Any, faces: Path, data: str, names: list[str] | None, subject: str) -> None:
    _, record, _ = train("softmax", "--data", data.format(faces=faces))
    assert names is None or record["data"]["class_names"] == names
    assert subject in record["data"]["subject"]


def test_a_class_without_evaluation_images_may_be_allowed(train: Any, tmp_path: Path) -> None:
    for label in ("amber", "blue"):
        Image.new("RGB", (32, 32), label if label == "blue" else "orange").save(tmp_path / f"{label}.png")
    (tmp_path / "few.csv").write_text("path,label\namber.png,amber\nblue.png,blue\n")
    _, record, done = train("softmax", "--val", tmp_path / "few.csv", "--allow-missing-classes")
    assert record["metrics"]["absent_classes"] == ["cyan"]
    assert record["metrics"]["per_class_recall"]["cyan"] is None
    assert "no test images of: cyan" in done.out


# --- a loss of one's own ---------------------------------------------------------------------------------------------


class Watched(Loss):
    """Softmax that writes down how it is used, trains two numbers at two rates, and scores against its logits."""

    calls: list[tuple[Any, ...]]

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.context = context
        self.slow, self.fast = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.register_buffer("drawn", torch.rand(3))
        type(self).calls = [("made", context)]

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits, targets) + self.slow + self.fast

    def scores(self, output: ModelOutput) -> Tensor:
        return -output.logits

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.calls.append(("epoch", epoch, total))

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        assert not output.logits.requires_grad
        assert not output.embeddings.requires_grad
        self.calls.append(("update", len(targets), len(output.embeddings), self.slow.item()))

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.slow], "lr_scale": 1.0}, {"params": [self.fast], "lr_scale": 10.0}]


class TurnsNaN(Watched):
    """Fine for two steps."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        updates = sum(call[0] == "update" for call in self.calls)
        return super().forward(output, targets) * (torch.nan if updates == 2 else 1)


class ScoresNaN(Watched):
    def scores(self, output: ModelOutput) -> Tensor:
        return output.logits.log() - torch.inf


class NoScalar(Watched):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits, targets, reduction="none")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[Loss]], str]]:
    """Registers a class as a loss for one test; gives its name."""
    monkeypatch.setattr("lossbench.registry.specs._registered", {})

    def register(factory: type[Loss]) -> str:
        spec = LossSpec(name="own", factory=factory, summary="-", reference="-", needs=frozenset({Need.LOGITS}))
        return registry.register_loss(spec).name

    return register


def test_the_harness_uses_all_of_a_loss(train: Any, own: Any) -> None:
    options = ("--epochs", 2, "--micro-batches", 2, "--optimizer", "sgd", "--weight-decay", 0, "--seed", 3)
    out, record, _ = train(own(Watched), *options)
    made, *calls = Watched.calls
    context = made[1]
    assert (context.num_classes, context.class_counts) == (3, (24, 12, 10))
    assert context.class_names == ("amber", "blue", "cyan")
    assert context.embedding_dim == record["model"]["embedding_dim"]
    assert context.seed == derived_seed(3, "loss")

    # 46 images in steps of 16: once a step and after it, with the rows of both micro-batches.
    steps = [("update", rows, rows) for rows in (16, 16, 14)]
    assert [call[:3] for call in calls] == [("epoch", 0, 2), *steps, ("epoch", 1, 2), *steps]
    assert all(call[3] < 0 for call in calls if call[0] == "update")  # after the step: the weight has moved

    # Both gradients are 1 throughout, so that the weights have gone as far as their rates.
    weights = weights_of(out)
    torch.manual_seed(context.seed)
    assert torch.equal(weights["loss.drawn"], torch.rand(3))
    assert weights["loss.fast"].item() == pytest.approx(10 * weights["loss.slow"].item(), rel=1e-5)

    arrays = arrays_of(out)
    embeddings = arrays["test_embeddings"].astype(np.float32)
    logits = embeddings @ weights["model.head.weight"].numpy().T + weights["model.head.bias"].numpy()
    np.testing.assert_allclose(arrays["test_scores"], -logits, atol=0.02)
    predicted = arrays["test_scores"].argmax(axis=1)
    assert record["metrics"]["accuracy"] == (predicted == arrays["test_targets"]).mean()


def test_a_nan_loss_stops_the_run_without_a_record(lossbench: Any, own: Any, faces: Path, tmp_path: Path) -> None:
    done = lossbench(
        "run", "--loss", own(TurnsNaN), "--data", f"csv:{faces}/train.csv", "--model", "test_resnet",
        "--image-size", 32, "--epochs", 3, "--batch-size", 8, "--out", tmp_path / "out",
    )  # fmt: skip
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(
        "error: training stopped at step 2: the loss is nan. This step did not change any weights"
    )
    assert "--lr" in done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bad-batch.safetensors", "config.toml"]
    predicted = lossbench("predict", tmp_path / "out", faces / "images/val/amber/0.png")
    assert predicted.code == 2
    assert "holds no finished run (an unfinished run?)" in predicted.err


def test_scores_that_are_not_finite_are_no_result(lossbench: Any, own: Any, faces: Path, tmp_path: Path) -> None:
    done = lossbench(
        "run", "--loss", own(ScoresNaN), "--data", f"csv:{faces}/train.csv", "--model", "test_resnet",
        "--image-size", 32, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "out",
    )  # fmt: skip
    assert (done.code, done.out) == (1, "")
    assert "error: the scores of 12 of 12 images of " in done.err
    assert not (tmp_path / "out" / "record.json").exists()


def test_a_loss_that_gives_no_number_is_named(lossbench: Any, own: Any, faces: Path, tmp_path: Path) -> None:
    done = lossbench(
        "run", "--loss", own(NoScalar), "--data", f"csv:{faces}/train.csv", "--model", "test_resnet",
        "--image-size", 32, "--epochs", 1, "--batch-size", 8, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 2
    assert "its forward returned a tensor of shape (6,), expected one number" in done.err
    assert not (tmp_path / "out").exists()


# --- predict ----------------------------------------------------------------------------------------------


def test_predict_gives_the_probabilities_of_the_run_s_scores(lossbench: Any, trained: Any, faces: Path) -> None:
    out = trained["weighted-cluster"][0]
    arrays = arrays_of(out)
    chosen = [0, 5, 11]
    paths = [faces / str(arrays["test_sample_ids"][row]) for row in chosen]
    done = lossbench("predict", out, *paths, "--json")
    assert done.code == 0
    assert done.err.startswith("This run expects")  # beside the answer, which a program can read
    rows = json.loads(done.out)
    assert [row["path"] for row in rows] == list(map(str, paths))
    for row, scores in zip(rows, arrays["test_scores"][chosen], strict=True):
        probabilities = np.exp(scores) / np.exp(scores).sum()
        assert list(row["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-4)
        assert row["class"] == ("amber", "blue", "cyan")[scores.argmax()]


def test_predict_says_what_it_expects_and_shows_a_table(lossbench: Any, trained: Any, faces: Path) -> None:
    done = lossbench("predict", trained["softmax"][0], faces / "images/val/amber/0.png")
    assert done.code == 0
    assert done.err == "This run expects an image like those of the training folder, 48 px or larger.\n"
    header, rule, row = done.out.splitlines()
    assert set(rule) <= {"─", " "}
    assert header.split() == ["image", "class", "probability", "next"]
    path, *classes = row.replace(",", "").split()
    assert path == str(faces / "images/val/amber/0.png")
    assert sorted(classes[::2]) == ["amber", "blue", "cyan"]
    assert sum(map(float, classes[1::2])) == pytest.approx(1, abs=0.002)


def test_predict_names_all_images_that_it_can_t_read(lossbench: Any, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "zero.png").touch()
    done = lossbench("predict", trained["softmax"][0], tmp_path / "zero.png", tmp_path / "nowhere.png")
    assert (done.code, done.out) == (2, "")
    assert "zero.png: zero bytes" in done.err
    assert "nowhere.png: no such file" in done.err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "record.json").unlink(), "holds no finished run"),
        (lambda run: (run / "record.json").write_text("{"), "is not a record of a run"),
        (lambda run: (run / "record.json").write_text('{"schema_version": 99}'), "has schema version 99"),
        (lambda run: (run / "checkpoint/weights.safetensors").write_bytes(b"x" * 20), "is not a safetensors file"),
        (lambda run: (run / "checkpoint/weights.safetensors").unlink(), "holds no finished run"),
    ],
)
def test_predict_refuses_a_damaged_run(
    lossbench: Any, trained: Any, faces: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    run = tmp_path / "copy"
    (run / "checkpoint").mkdir(parents=True)
    for name in FILES:
        (run / name).write_bytes((trained["softmax"][0] / name).read_bytes())
    damage(run)
    done = lossbench("predict", run, faces / "images/val/amber/0.png")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert message in done.err


def made_ferplus(root: Path) -> Path:
    """Three training images and one test image of each expression, with six votes for it and three for the next."""
    random, votes, pixels = np.random.default_rng(0), [], []
    for usage, count in (("Training", 3), ("PrivateTest", 1)):
        for number in range(8 * count):
            cast = [0] * 10
            cast[number % 8], cast[(number + 1) % 8] = 6, 3
            votes.append(",".join([usage, f"{usage}{number}.png", *map(str, cast)]))
            grays = " ".join(map(str, random.integers(0, 256, 48 * 48)))
            pixels.append(f'0,"{grays}",{usage}')
    root.mkdir()
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    (root / "fer2013new.csv").write_text("\n".join([header, *votes]))
    (root / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *pixels]))
    return root


@pytest.mark.slow
def test_soft_votes_train_losses_on_logits_and_others_are_refused(lossbench: Any, tmp_path: Path) -> None:
    data = ("--data", f"ferplus:{made_ferplus(tmp_path / 'faces')}?votes=soft", "--batch-size", 8, "--image-size", 32)
    done = lossbench("run", "--loss", "softmax", *data, "--epochs", 1, "--mixup", 0.5, "--carve", "--out", "a")
    assert done.code == 0, done.err
    assert "votes=soft: training targets are the shares of the votes" in done.err
    record = json.loads((tmp_path / "a/record.json").read_text())
    assert record["data"]["training_counts"] == dict.fromkeys(record["data"]["class_names"], 2)
    done = lossbench("run", "--loss", "center", *data, "--out", "b")
    assert done.code == 2
    assert "?votes=soft: the targets are probabilities, and center takes class numbers only" in done.err
