"""What excuses a loss from a law: a bound it reaches, a factor held fixed in backward, cosines; and what does not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, ModelOutput, Need, PerClass, Trait, loss_info
from lossbench.authoring import class_weights
from lossbench.losses.softmax import softmax
from lossbench.testing import Configuration, Effort, Result, find_law, judge

DEEP = Effort(deep=True, examples=40, compile=False)


class Sharpened(LogitLoss):
    """Softmax times 1 - p, which backward takes for a constant."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.STOP_GRADIENT})

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        cost = softmax(logits, targets)
        return cost * -torch.expm1(-cost).detach()


class Undeclared(Sharpened):
    """The same, which does not say so."""

    traits = frozenset({Trait.SAMPLEWISE})


class NothingHeld(LogitLoss):
    """Softmax, which claims to hold a factor fixed."""

    traits = frozenset({Trait.SAMPLEWISE, Trait.STOP_GRADIENT})

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets)


class Bounded(LogitLoss):
    """w_y (1 - p), with a bound that the class of the largest weight reaches."""

    traits = frozenset({Trait.SAMPLEWISE})

    def __init__(self, context: LossContext, *, slack: float = 1.0) -> None:
        super().__init__(context)
        self.upper_bound = slack * context.num_classes

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (targets + 1) * (1 - (-softmax(logits, targets)).exp())


class SaturatedLog(LogitLoss):
    """-log(p + 1e-8), whose slope is lost where p is."""

    traits = frozenset({Trait.SAMPLEWISE})

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -(logits.softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1) + 1e-8).log() + 1e-8


def verdict(factory: Any, law: str, effort: Effort | None = None, **given: Any) -> Result:
    hyperparameters = given.pop("hyperparameters", {})
    spec = LossSpec(
        name="mine", factory=factory, summary="-", reference="-", needs=given.pop("needs", frozenset({Need.LOGITS}))
    )
    return judge(Configuration(spec=replace(spec, **given), hyperparameters=hyperparameters), find_law(law), effort)


# Stop-gradient


def test_a_factor_held_fixed_is_excused_where_it_is_declared() -> None:
    found = verdict(Sharpened, "gradient-of-inputs")
    assert (found.status, found.message) == ("skipped", "declared stop-gradient")
    found = verdict(Sharpened, "gradient-of-inputs", DEEP)
    assert (found.status, found.message) == ("skipped", "declared stop-gradient, rightly")


def test_a_factor_held_fixed_is_found_where_it_is_not_declared() -> None:
    assert verdict(Undeclared, "gradient-of-inputs").status == "failed"


def test_an_excuse_that_excuses_nothing_is_stale() -> None:
    found = verdict(NothingHeld, "gradient-of-inputs", DEEP)
    assert found.status == "failed"
    assert "stale: holds in" in found.message
    assert found.message.endswith("do not declare the trait stop-gradient")


# Bounds


def test_a_bounded_loss_may_level_off() -> None:
    assert verdict(Bounded, "large-logits").status == "passed"


def test_a_bound_that_is_never_reached_explains_nothing() -> None:
    found = verdict(Bounded, "large-logits", hyperparameters={"slack": 3.0})
    assert found.status == "failed"
    assert "its gradient is 0; the bound of 6 does not explain it: no label costs more than 2" in found.message


def test_a_saturated_log_is_no_bounded_loss() -> None:
    assert "labelled wrong by 1e4 and its gradient is 0" in verdict(SaturatedLog, "large-logits").message


# Several laws of one trait


@pytest.mark.parametrize("law", ["bounded-pull", "learns-the-weighted-prior"])
def test_a_trait_of_several_laws_is_rightly_left_out_if_one_is_broken(law: str) -> None:
    """Smoothed labels pull with bounded force and learn another prior: no weighted likelihood."""
    found = judge(Configuration(spec=loss_info("label-smoothing")), find_law(law), DEEP)
    assert found.status == "skipped"
    assert "not declared weighted-likelihood, rightly" in found.message


# Cosines


@pytest.mark.parametrize("law", ["extreme-norms", "zero-at-separation"])
def test_cosines_have_no_extremes(law: str) -> None:
    found = judge(Configuration(spec=loss_info("norm-face")), find_law(law), DEEP)
    assert found.status == "skipped"
    assert "cosines" in found.message


def test_generated_cosines_are_cosines() -> None:
    largest = []

    class Watching(LogitLoss):
        traits = frozenset({Trait.SAMPLEWISE})

        def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
            largest.append(float(logits.detach().abs().max()))
            return softmax(logits, targets)

    needs = frozenset({Need.COSINE_LOGITS})
    assert verdict(Watching, "not-negative", Effort(examples=300), needs=needs).status == "passed"
    assert 0.75 < max(largest) <= 1


# Limits


def test_the_gradient_of_a_limit_on_cosines_is_compared() -> None:
    class Twice(LogitLoss):
        """NormFace in value, with twice the slope."""

        traits = frozenset({Trait.SAMPLEWISE})

        def __init__(self, context: LossContext, *, scale: float = 2.0) -> None:
            super().__init__(context)
            self.scale = scale

        def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
            cost = softmax(self.scale * logits, targets)
            return 2 * cost - cost.detach()

    found = verdict(
        Twice, "limits", limits=(({"scale": 3.0}, "norm-face(scale=3)"),), needs=frozenset({Need.COSINE_LOGITS})
    )
    assert found.status == "failed"
    assert "scale=3.0 against norm-face(scale=3), gradient" in found.message


def test_a_limit_without_a_parent_is_broken() -> None:
    found = verdict(NothingHeld, "limits", limits=(({}, "sofmax"),))
    assert found.status == "failed"
    assert "UnknownLossError: unknown loss 'sofmax'" in found.message


def test_softmax_reaches_separation_at_a_tenth_of_the_distance() -> None:
    """600 is far enough for a loss that scales a rare class's logits down."""
    assert judge(Configuration(spec=loss_info("vector-scaling")), find_law("zero-at-separation")).status == "passed"
    assert math.exp(-600 / 10) < 1e-12


class CountsOnRequest(LogitLoss):
    """Weights from the class counts, if a hyper-parameter asks for them."""

    traits = frozenset({Trait.SAMPLEWISE})

    def __init__(self, context: LossContext, *, power: float = 0.0) -> None:
        super().__init__(context)
        self.weight = PerClass(class_weights(context.class_counts, power))

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return softmax(logits, targets) * self.weight(logits.dtype).index_select(0, targets)


class CountsAlways(CountsOnRequest):
    def __init__(self, context: LossContext, *, power: float = 1.0) -> None:
        super().__init__(context, power=power)


class LogitsToo(LogitLoss):
    """A loss that declares embeddings alone, and reads the logits as well if a hyper-parameter says so."""

    traits = frozenset({Trait.BATCH_COUPLED})

    def __init__(self, context: LossContext, *, share: float = 0.0) -> None:
        super().__init__(context)
        self.share = share

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.embeddings.square().mean() + self.share * output.logits.square().mean()


@pytest.mark.parametrize(
    ("factory", "needs", "given", "message"),
    [
        (CountsOnRequest, {Need.LOGITS}, {}, ""),
        (CountsOnRequest, {Need.LOGITS}, {"power": 1.0}, ""),
        (CountsAlways, {Need.LOGITS}, {}, "it reads class_counts and gives other values for other counts"),
        (CountsAlways, {Need.LOGITS, Need.CLASS_COUNTS}, {}, ""),
        (LogitsToo, {Need.EMBEDDINGS}, {}, ""),
        (LogitsToo, {Need.EMBEDDINGS}, {"share": 0.1}, "with other logits, which it does not declare"),
    ],
)
def test_counts_are_declared_if_the_defaults_read_them_and_tensors_in_every_configuration(
    factory: type[LogitLoss], needs: set[Need], given: dict[str, float], message: str
) -> None:
    spec = LossSpec(name="some-loss", factory=factory, summary="-", reference="-", needs=frozenset(needs))
    result = judge(Configuration(spec=spec, hyperparameters=given), find_law("reads-what-it-declares"))
    assert result.status == ("failed" if message else "passed")
    assert result.message.startswith(message)
