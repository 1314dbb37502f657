"""One call before a run: what would end in a wrong number, or in an error far away, is named at once."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossbench import Loss, LossContext, ModelOutput, create_loss
from lossbench.contract import check_contract, check_hooks, made_batch
from lossbench.errors import PluginError, RunFailed, UsageError
from lossbench.harness.training.step import TrainStep
from lossbench.losses.weighted_sum import WeightedSum
from lossbench.registry import loss_entries, loss_info

CONTEXT = LossContext(num_classes=3, embedding_dim=4, class_counts=(30, 20, 10))


class Mine(Loss):
    """A sound loss with a state; what is broken is changed in subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("moved", torch.zeros(3))
        self.label = "mine of my-dist 1.2"

    def forward(self, output: ModelOutput, targets: Tensor) -> Any:
        return self.scale * nn.functional.cross_entropy(output.logits, targets) + output.embeddings.square().mean()


class Vector(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits, targets, reduction="none")


class NotATensor(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> float:
        return super().forward(output, targets).item()  # type: ignore[no-any-return]


class Detached(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output.logits.detach(), targets)


class LearnsAlone(Mine):
    """Connected to its own parameter, and to nothing of the model."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.scale * nn.functional.cross_entropy(output.logits.detach(), targets)


class NotFinite(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return (0 * output.logits).log().mean()


class GradientNotFinite(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return (0 * output.logits).square().sum().sqrt()


class NoBackward(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return Refusing.apply(output.logits)  # type: ignore[no-any-return, no-untyped-call]


class Refusing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        return logits.mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        raise NotImplementedError("no backward yet")


class WritesInput(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.sub_(1).logsumexp(1).mean()


class WritesTargets(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return super().forward(output, targets.fill_(0))  # type: ignore[no-any-return]


class WritesState(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        self.moved += 1
        return super().forward(output, targets)  # type: ignore[no-any-return]


class CastsState(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        value = super().forward(output, targets)
        self.scale.data = self.scale.data.double()
        return value  # type: ignore[no-any-return]


class DropsState(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        del self.moved
        return super().forward(output, targets)  # type: ignore[no-any-return]


class OtherArguments(Mine):
    def forward(self, logits: Tensor) -> Tensor:  # type: ignore[override]
        return logits.mean()


class Exits(Mine):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        sys.exit("enough")


BROKEN = {
    Vector: r"its forward returned a tensor of shape \(6,\), expected one number\. Take the mean over the rows",
    NotATensor: "its forward returned float, expected a tensor with one number",
    Detached: r"its forward returned a number that does not depend on the model's output\. Look for \.detach\(\)",
    LearnsAlone: r"its forward returned a number that does not depend on the model's output\. Look for \.detach\(\)",
    NotFinite: r"its value is -inf on finite embeddings and logits\. Look for log\(0\)",
    GradientNotFinite: r"its gradient is not finite on finite embeddings and logits\. Look for a square root or norm",
    NoBackward: "its backward raised NotImplementedError: no backward yet",
    WritesInput: r"its forward changed its input, logits\. Forward is pure: compute on copies",
    WritesTargets: "its forward changed its input, targets",
    WritesState: r"its forward changed its state, moved\. Forward is pure: move state in update_state",
    CastsState: r"its forward changed its state, scale \(torch\.float32 became torch\.float64\)",
    DropsState: "its forward changed its state, moved",
    OtherArguments: r"its forward raised TypeError: .*It is called as forward\(output, targets\), here with "
    r"embeddings \(6, 4\), logits \(6, 3\), targets \(6,\)",
    Exits: "its forward raised SystemExit: enough",
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_loss_is_named_with_its_distribution_and_what_to_change(kind: type[Mine]) -> None:
    output, targets = made_batch(CONTEXT)
    kept = [tensor.clone() for tensor in (output.embeddings, output.logits, targets)]
    with pytest.raises(PluginError, match=rf"^mine of my-dist 1\.2 cannot be trained: {BROKEN[kind]}") as error:
        check_contract(kind(), output, targets)
    assert str(error.value).endswith("\nUpdate or remove it: pip install -U my-dist, or pip uninstall my-dist")
    for now, before in zip((output.embeddings, output.logits, targets), kept, strict=True):
        assert now.equal(before)  # whatever the loss did


def test_the_broken_term_of_a_formula_is_the_one_that_is_named() -> None:
    sound = Mine()
    sound.label = "sound of other-dist 2"
    both = WeightedSum([sound, WeightedSum([Vector()], [1.0], ["mine"])], [1.0, 0.5], ["sound", "sum"])
    with pytest.raises(PluginError, match=r"^mine of my-dist 1\.2 cannot be trained"):
        check_contract(both, *made_batch(CONTEXT))


def test_a_sound_loss_is_left_as_it_was() -> None:
    """Neither its state, nor a gradient, nor the random numbers of the run move."""
    loss, generator = Mine(), torch.get_rng_state()
    state = {name: tensor.clone() for name, tensor in loss.state_dict().items()}
    with torch.no_grad():  # as in an evaluation
        check_contract(loss, *made_batch(CONTEXT))
    assert all(tensor.equal(state[name]) for name, tensor in loss.state_dict().items())
    assert loss.scale.grad is None
    assert generator.equal(torch.get_rng_state())


def test_a_loss_s_own_complaint_about_its_use_stays_as_it_is() -> None:
    class Needy(Mine):
        def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
            raise UsageError("this loss needs two views")

    with pytest.raises(UsageError, match=r"^this loss needs two views$"):
        check_contract(Needy(), *made_batch(CONTEXT))


def test_numbers_that_were_not_finite_before_are_not_the_loss_s_doing() -> None:
    output, targets = made_batch(CONTEXT)
    output.logits[0, 0] = torch.inf
    check_contract(Mine(), output, targets)


@pytest.mark.parametrize("classes", [2, 300])
def test_every_loss_that_is_installed_with_the_tests_keeps_it(classes: int) -> None:
    context = LossContext(num_classes=classes, embedding_dim=5, class_counts=tuple(range(1, classes + 1)))
    names = [row.name for row in loss_entries(load=True) if row.status in ("built-in", "usable")]
    ours = [name for name in names if not loss_info(name).is_adapted]
    assert len(ours) >= 21
    output, targets = made_batch(context)
    assert set(targets.tolist()) == set(range(min(classes, 8)))
    for name in ours:
        loss = create_loss(name, context)
        check_contract(loss, output, targets)
        check_hooks(loss, output, targets)


def test_the_first_batch_of_a_run_is_looked_at_once() -> None:
    """An error then has the exit code of a run that began."""

    class Model(nn.Module):
        def forward(self, images: Tensor) -> ModelOutput:
            return ModelOutput(images, images[:, :3])

    step = TrainStep(Model(), Vector())  # type: ignore[arg-type]
    with pytest.raises(RunFailed, match=r"mine of my-dist 1\.2 cannot be trained: its forward returned a tensor"):
        step(torch.ones(2, 4), torch.tensor([0, 1]))
    sound = TrainStep(Model(), Mine())  # type: ignore[arg-type]
    sound(torch.ones(2, 4), torch.tensor([0, 1]))
    sound.loss = Vector()  # not looked at again
    assert sound(torch.ones(2, 4), torch.tensor([0, 1]))[0].shape == (2,)


class BadEpoch(Mine):
    def begin_epoch(self, epoch: int) -> None:  # type: ignore[override]
        pass


class BadScores(Mine):
    def scores(self, output: ModelOutput) -> Tensor:
        return output.embeddings


class BadUpdate(Mine):
    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        raise KeyError("centers")


class BadGroups(Mine):
    def param_groups(self) -> Any:
        return [self.scale]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (BadEpoch, r"begin_epoch\(epoch, total\) of it raised TypeError: .* takes 2 positional arguments but 3 were"),
        (
            BadScores,
            r"scores\(output\) of it raised ValueError: .*shape \(6, 3\), one number a row and class, got \(6, 4",
        ),
        (BadUpdate, r"update_state\(output, targets\) of it raised KeyError: 'centers'"),
        (BadGroups, r"param_groups\(\) of it raised "),
    ],
)
def test_what_else_a_run_calls_is_tried(kind: type[Mine], message: str) -> None:
    with pytest.raises(PluginError, match=rf"^mine of my-dist 1\.2 cannot be trained: {message}") as error:
        check_hooks(kind(), *made_batch(CONTEXT))
    assert "pip uninstall my-dist" in str(error.value)
