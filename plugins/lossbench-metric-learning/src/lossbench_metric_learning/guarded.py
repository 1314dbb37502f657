"""Another library's loss, kept to the promises of a training program as far as an adapter can.

It gets float32 (or the dtype of its own parameters) and no autocast, whatever the model gives: some losses put their
parameters into the dtype of their input, and some saturate in half precision. What is wrong inside it stays wrong:
`lossbench check pml/TripletMarginLoss` shows it, and a run stops where a loss hides a NaN or writes to its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, Trait
from lossbench.authoring import MEAN_OF_ROWS, AdaptedFactory, AdaptedLoss, Form, Takes, known_traits, load_object
from lossbench.errors import HyperparameterError

_MEAN = "is refused: a run relies on a loss that is the mean over the batch; leave it out"
_NOT_TAKEN = {
    "reduction": _MEAN,
    "size_average": _MEAN,
    "reduce": _MEAN,
    "ignore_index": "is refused: it leaves a class out of training; drop its rows from the data instead",
}
"""Arguments of torch's losses that break what a run relies on -> why they are refused."""
_DEFAULTS = {"reduction": "mean", "size_average": True, "reduce": True, "ignore_index": -100}


class GuardedLoss(AdaptedLoss):
    """An `AdaptedLoss` that computes in float32, or in the dtype of its own parameters, and outside autocast."""

    def __init__(
        self, inner: Callable[..., Any], takes: Takes, form: Form = "labels", knows_sizes: bool = False
    ) -> None:
        super().__init__(inner, takes, form, knows_sizes)
        # Where a parameter is kept: to look for one at each call would take longer than all else that is done here.
        self.learned = next(
            (
                (owner, name)
                for owner in self.modules()
                for name, parameter in owner.named_parameters(recurse=False)
                if parameter.is_floating_point()
            ),
            None,
        )

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        inputs = self.input_of(output)
        dtype = self._dtype(inputs)
        if inputs.dtype is not dtype and inputs.is_floating_point():
            inputs = inputs.to(dtype)
        if torch.is_autocast_enabled(inputs.device.type):
            with torch.autocast(inputs.device.type, enabled=False):
                value = self.value(inputs, targets)
        else:
            value = self.value(inputs, targets)
        if self.learned is not None and dist.is_available() and dist.is_initialized():
            # Processes wait for each other's gradients: a parameter that a batch leaves out must have one, too.
            value = sum((0 * parameter.sum() for parameter in self.parameters()), value)
        return value

    def _dtype(self, inputs: Tensor) -> torch.dtype:
        if self.learned is not None:
            owner, name = self.learned
            dtype: torch.dtype = getattr(owner, name).dtype
            return dtype
        return torch.float64 if inputs.dtype is torch.float64 else torch.float32


def _tensor(value: Any) -> Any:
    """Return a list of numbers as a tensor, which these libraries take for weights."""
    if isinstance(value, list | tuple) and value and all(type(each) in (int, float) for each in value):
        return torch.tensor(value, dtype=torch.float32)
    return value


@dataclass(frozen=True)
class GuardedFactory(AdaptedFactory):
    """Builds a `GuardedLoss` with the traits that are known of the class.

    Attributes:
        coupled: whether the rows of a batch meet, where `lossbench.adapters` does not know.
        formula: what is said of it: the library's own words, and where its documentation stands.
    """

    coupled: bool = False
    formula: str = ""

    def __call__(self, context: LossContext, /, **hyperparameters: Any) -> Loss:
        for name, reason in _NOT_TAKEN.items():
            if name in hyperparameters and hyperparameters[name] not in (None, _DEFAULTS.get(name)):
                raise HyperparameterError(f"{name}={hyperparameters[name]!r} {reason}")
        return super().__call__(context, **hyperparameters)

    def build(self, made: type, arguments: Mapping[str, Any]) -> nn.Module:
        return super().build(made, {name: _tensor(value) for name, value in arguments.items()})

    def wrap(self, inner: Callable[..., Any], hyperparameters: Mapping[str, Any], *, knows_sizes: bool) -> Loss:
        loss = GuardedLoss(inner, self.takes, self.form, knows_sizes)
        loss.traits = self.traits_with(hyperparameters)
        return loss

    def traits_with(self, hyperparameters: Mapping[str, Any]) -> frozenset[Trait]:
        """What is known to hold with these hyper-parameters beside the defaults."""
        known = known_traits(load_object(self.path), defaults=not hyperparameters)
        known |= {Trait.BATCH_COUPLED} if self.coupled else set()
        # With class weights torch's cross-entropy divides by the weights of the batch.
        by_weights = self.path == "torch.nn:CrossEntropyLoss" and hyperparameters.get("weight") is not None
        return known if Trait.BATCH_COUPLED in known or by_weights else known | MEAN_OF_ROWS


@dataclass(frozen=True)
class Origin:
    """A library's losses by name.

    Attributes:
        name: of the origin, before the slash.
        module: where the losses are looked up; imported when a loss is asked for.
        factories: name -> how it is built; a loss that the installed version lacks is left out.
        refused: name -> why it doesn't fit.
        documentation: page with an anchor `#{name}` for each loss.
        use_when, avoid_when: one sentence each, for losses that say nothing else.
        variants: name -> hyper-parameters with which the laws judge a loss that must be given some.
    """

    name: str
    module: str
    factories: Mapping[str, GuardedFactory]
    documentation: str
    refused: Mapping[str, str]
    use_when: str = ""
    avoid_when: str = ""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The losses that fit, of those that the installed version has."""
        library = load_object(f"{self.module}:__dict__")
        return [name for name in self.factories if name in library]

    def spec(self, name: str) -> LossSpec:
        """The spec of one; a loss that reads embeddings only is a term beside softmax."""
        factory = self.factories[name]
        auxiliary = factory.takes == "embeddings"
        return LossSpec(
            name=f"{self.name}/{name}",
            factory=factory,
            summary=f"{self.module}.{name}, adapted.",
            reference=self.documentation.format(name=name, anchor=name.lower()),
            needs=frozenset({Need.EMBEDDINGS if auxiliary else Need.LOGITS}),
            traits=factory.traits_with({}),
            auxiliary=auxiliary,
            joint=f"softmax + 1*{self.name}/{name}" if auxiliary else None,
            state_axes=STATE_AXES.get(f"{self.name}/{name}", {}),
            variants=(self.variants[name],) if name in self.variants else (),
            use_when=self.use_when,
            avoid_when=self.avoid_when,
        )


_PROXIES, _W = {"inner.proxies": ("class", "embedding")}, {"inner.W": ("embedding", "class")}
STATE_AXES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "pml/ProxyAnchorLoss": _PROXIES,
    "pml/ProxyNCALoss": _PROXIES,
    "pml/ArcFaceLoss": _W,
    "pml/CosFaceLoss": _W,
    "pml/NormalizedSoftmaxLoss": _W,
    "pml/LargeMarginSoftmaxLoss": _W,
    "pml/SphereFaceLoss": _W,
}
"""What the axes of learned parameters are. Those of SoftTripleLoss and SubCenterArcFaceLoss mix classes and centers."""
