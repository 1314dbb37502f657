"""A number that is not finite stops a run at that step, and the replay of its batch shows the row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from faults.runs import EPOCHS, ROWS, Listens, StopsAt, assert_same, outcome, tiny
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, registry
from lossbench.errors import Interrupted, ModelError, NonFiniteError
from lossbench.harness.checkpoints.bad_batch import read_bad_batch
from lossbench.harness.checkpoints.replay import replay
from lossbench.harness.resume import resume
from lossbench.harness.run import run
from lossbench.models.classifier import Classifier

pytestmark = pytest.mark.slow

ROW, EARLY, STEP = 3, 1, 6


@pytest.fixture
def corrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the model give NaN in row 3 of its embeddings at some of its steps; logits stay finite if asked to."""

    whole = Classifier.forward

    def patch(*steps: int, logits: bool = False) -> None:
        count = 0

        def forward(self: Classifier, images: Tensor) -> ModelOutput:
            nonlocal count
            output = whole(self, images)
            if not self.training:
                return output
            count += 1
            if count - 1 not in steps:
                return output
            keep = torch.ones(len(images), 1)
            keep[ROW] = torch.nan
            embeddings = output.embeddings * keep
            return ModelOutput(embeddings, self.head(embeddings) if logits else output.logits)

        monkeypatch.setattr(Classifier, "forward", forward)

    return patch


class SquareRoot(Loss):
    """Finite where all rows differ; its gradient is NaN where a row is all zero."""

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        # Twice two is four, and the square root of four away from zero.
        return nn.functional.cross_entropy(output.logits, targets) + output.embeddings.square().sum(dim=1).sqrt().mean()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("lossbench.registry.specs._registered", {})
    spec = LossSpec(
        name="own", factory=SquareRoot, summary="-", reference="-", needs=frozenset({Need.LOGITS, Need.EMBEDDINGS})
    )
    return registry.register_loss(spec).name


def test_a_loss_that_hides_nan_is_stopped_at_that_step_and_replay_shows_the_row(
    pictures: Path,
    tmp_path: Path,
    corrupt: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pytorch-metric-learning's triplet: comparisons with NaN are false, so that its value stays finite.

    Early, while triplets are active: later it multiplies the embeddings by zero, which is NaN, too.
    """
    out = tmp_path / "run"
    corrupt(EARLY)
    formula = "softmax + 1*pml/TripletMarginLoss"
    with pytest.raises(NonFiniteError) as stopped:
        run(tiny(pictures, formula), out)
    message = str(stopped.value)
    assert message.startswith(
        f"training stopped at step {EARLY}: a gradient or the model's output is non-finite (the loss is "
    )
    assert message.endswith(f". Inspect the batch with: lossbench replay {out}/bad-batch.safetensors")
    assert not (out / "record.json").exists()

    content = replay(out / "bad-batch.safetensors")
    assert content["formula"] == formula
    assert (content["epoch"], content["step"]) == (0, EARLY)
    assert isinstance(content["value"]["float32"], float)  # finite: hidden
    assert content["terms"][1]["name"] == "pml/TripletMarginLoss"
    assert not content["terms"][1]["float32 gradient finite"]
    assert content["terms"][0]["float32 gradient finite"]
    assert content["finding"] == (
        "the model's outputs are non-finite in 1 of 8 rows; the loss hides it: its value is finite"
    )
    (row,) = content["rows"]
    assert row["row"] == ROW
    assert row["what"] == "its embeddings are non-finite; without it, value and gradients are finite"
    bundle = read_bad_batch(out / "bad-batch.safetensors")
    assert row["image"] == bundle.facts["sample_ids"][ROW]
    assert row["image"].startswith("train")

    from lossbench.cli.replay import replay as command

    monkeypatch.setenv("COLUMNS", "200")
    command(out / "bad-batch.safetensors")
    said = capsys.readouterr().out
    assert f"objective  {formula}\n" in said
    assert "non-finite gradient" in said
    assert row["image"] in said
    command(out / "bad-batch.safetensors", json_=True)
    assert json.loads(capsys.readouterr().out) == content


def test_a_loss_that_is_wrong_on_finite_numbers_is_told_from_one_that_needs_precision(
    pictures: Path, tmp_path: Path, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, count = Classifier.forward, 0
    factor = 0.0

    def forward(self: Classifier, images: Tensor) -> ModelOutput:
        nonlocal count
        output = whole(self, images)
        count += self.training
        keep = torch.ones(len(images), 1)
        keep[ROW] = factor if self.training and count == STEP + 1 else 1
        return output._replace(embeddings=output.embeddings * keep)

    monkeypatch.setattr(Classifier, "forward", forward)
    findings = []
    for factor in (0.0, 1e30):  # read in forward
        count = 0
        out = tmp_path / f"{factor}"
        with pytest.raises(NonFiniteError, match=f"^training stopped at step {STEP}: "):
            run(tiny(pictures, own), out)
        content = replay(out / "bad-batch.safetensors")
        findings.append(content["finding"])
        assert [row["row"] for row in content["rows"]] == [ROW]
        assert content["terms"] == []
    assert findings == [
        f"the loss fails on finite inputs, also in float64: its gradient is non-finite; row {ROW} alone causes it",
        "the loss is finite in float64 but not in float32: values overflow or underflow",
    ]


def test_a_batch_on_which_the_loss_is_well_points_at_the_model(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, count = Classifier.forward, 0

    def forward(self: Classifier, images: Tensor) -> ModelOutput:
        nonlocal count
        output = whole(self, images)
        count += self.training
        if self.training and count == STEP + 1:
            output.embeddings.register_hook(lambda gradient: gradient * torch.nan)
        return output

    monkeypatch.setattr(Classifier, "forward", forward)
    out = tmp_path / "run"
    with pytest.raises(NonFiniteError):
        run(tiny(pictures, "center"), out)
    content = replay(out / "bad-batch.safetensors")
    assert content["rows"] == []
    assert content["finding"].startswith(
        "the loss and its gradients are finite here: the problem is in the model, whose gradient is non-finite in "
        "model.backbone."
    )


def test_the_last_checkpoint_is_untouched_and_a_run_goes_on_from_it(
    pictures: Path, tmp_path: Path, corrupt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context():
        corrupt(STEP)
        with pytest.raises(NonFiniteError):
            run(tiny(pictures, checkpoint_every="2"), out)
    monkeypatch.undo()
    assert sorted(path.name for path in (out / "checkpoint").iterdir()) == ["step-000000004", "step-000000006"]
    resume(out)
    run(tiny(pictures), tmp_path / "whole")
    assert_same(outcome(out), outcome(tmp_path / "whole"))


# --- skipping --------------------------------------------------------------------------------------------------------


def test_a_step_may_be_left_out_and_changes_nothing(pictures: Path, tmp_path: Path, corrupt: Any) -> None:
    out = tmp_path / "run"
    corrupt(STEP, logits=True)
    listener = Listens()
    record = run(tiny(pictures, on_nonfinite="skip"), out, listener).to_json()
    assert record["timing"]["steps_skipped"] == 1
    said = [text for text in listener.said if "non-finite" in text]
    batch = f"lossbench replay {out}/bad-batch.safetensors"
    assert said == [f"epoch 2, step 3 was non-finite and skipped; inspect its batch with: {batch}"]
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert len(rows) == EPOCHS
    assert all(0 < row["loss"] < 10 for row in rows)
    weights = load_file(out / "checkpoint/weights.safetensors")
    assert all(bool(value.isfinite().all()) for value in weights.values())
    assert replay(out / "bad-batch.safetensors")["rows"][0]["row"] == ROW


@pytest.mark.long
def test_skips_survive_an_interruption(pictures: Path, tmp_path: Path, corrupt: Any) -> None:
    corrupt(1, STEP, logits=True)
    run(tiny(pictures, on_nonfinite="skip"), tmp_path / "whole")
    out = tmp_path / "run"
    corrupt(1, STEP, logits=True)  # counts again, over both parts of the run
    with pytest.raises(Interrupted):
        run(tiny(pictures, on_nonfinite="skip"), out, StopsAt(4))
    record = resume(out).to_json()
    assert record["timing"]["steps_skipped"] == 2
    assert_same(outcome(out), outcome(tmp_path / "whole"))


def test_skips_are_bounded(pictures: Path, tmp_path: Path, corrupt: Any) -> None:
    corrupt(*range(80, 300), logits=True)  # late, so that the share of skipped steps is still small
    with pytest.raises(NonFiniteError, match=r"^training stopped: 20 consecutive steps had non-finite"):
        run(tiny(pictures, on_nonfinite="skip", epochs=40), tmp_path / "run")
    assert (tmp_path / "run/bad-batch.safetensors").exists()


# --- bundles of strangers --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right one."""
    out = tmp_path_factory.mktemp("bundle") / "run"
    whole = Classifier.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "forward", lambda self, x: ModelOutput(*(t * torch.nan for t in whole(self, x)[:2])))
        with pytest.raises(NonFiniteError):
            run(tiny(pictures, "center"), out)
    return out / "bad-batch.safetensors"


def changed(bundle: Path, out: Path, facts: dict[str, Any] | None = None, **tensors: Tensor) -> Path:
    from safetensors import safe_open

    with safe_open(bundle, "pt") as file:
        metadata = json.loads(file.metadata()["lossbench"])
    save_file(load_file(bundle) | tensors, out, {"lossbench": json.dumps(metadata | (facts or {}))})
    return out


BAD_BUNDLES: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "nowhere": (lambda b, o: o, "no such file; expected the bad-batch.safetensors of a stopped run"),
    "a folder": (lambda b, o: o.parent, "is not a regular file"),
    "text": (
        lambda b, o: (o.write_text("{}"), o)[1],
        "does not hold tensors as a run writes them",
    ),
    "a pickle": (lambda b, o: (o.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR."), o)[1], "is not a safetensors"),
    "weights": (lambda b, o: (save_file({"x": torch.ones(1)}, o), o)[1], "KeyError: 'lossbench'"),
    "newer": (lambda b, o: changed(b, o, {"schema_version": 2}), "has schema version 2, this lossbench reads 1"),
    "other shape": (lambda b, o: changed(b, o, logits=torch.ones(8, 9)), r"logits is \(8, 9\) torch.float32, expected"),
    "float targets": (
        lambda b, o: changed(b, o, targets=torch.ones(8)),
        "targets are neither class numbers nor probabilities of the classes",
    ),
    "other loss": (lambda b, o: changed(b, o, {"formula": "softmax"}), "belongs to a different version of softmax: "),
    "other context": (lambda b, o: changed(b, o, {"context": {"num_classes": 1}}), "is not a bad-batch"),
}


@pytest.mark.parametrize("kind", BAD_BUNDLES)
def test_a_bundle_that_is_none_is_refused(bundle: Path, tmp_path: Path, kind: str) -> None:
    make, message = BAD_BUNDLES[kind]
    with pytest.raises(ModelError, match=message):
        replay(make(bundle, tmp_path / "b.safetensors"))
    assert ROWS > 0
