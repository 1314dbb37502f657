"""Build a spec for a loss without one."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..loss import Loss
from ..spec import LossSpec
from ..traits import Need
from ..types import LossContext, ModelOutput
from .factory import AdaptedFactory, CountsAs
from .loss import Form, Takes
from .signatures import (
    CLASS_COUNTS,
    COUNTS_FILE,
    EMBEDDING_SIZE,
    NAMES_OF_COSINES,
    NAMES_OF_EMBEDDINGS,
    NAMES_OF_LOGITS,
    NAMES_OF_TARGETS,
    call_parameters,
    constructor_parameters,
    sizes_taken,
)

_STATE_AXES: Mapping[str, tuple[str, ...]] = {
    "W": ("embedding", "class"),
    "proxies": ("class", "embedding"),
    "centers": ("class", "embedding"),
    "weight": ("class",),
}
_NEEDS = {"logits": Need.LOGITS, "embeddings": Need.EMBEDDINGS, "cosine-logits": Need.COSINE_LOGITS}


def adapt(path: str, made: Any, takes: str | None, form: str | None = None) -> LossSpec:
    """Return a spec for a third-party loss.

    Args:
        path: "module:name" or "file.py:name".
        made: the object: a module class, a module or a function.
        takes: "logits", "embeddings" or "cosine-logits", or None to infer it.
        form: "labels", "one-hot", "triplets" or "views", or None to infer it.

    Raises:
        UsageError: the object is not a loss, or its input cannot be inferred from its signature.
    """
    call = made.forward if isinstance(made, type | nn.Module) and hasattr(made, "forward") else made
    if not callable(call) or (isinstance(made, type) and not issubclass(made, nn.Module)):
        raise UsageError(
            f"{path} is not a loss; expected a torch.nn.Module, a lossbench.Loss or a function of (inputs, "
            "targets), got "
            f"{'the class' if isinstance(made, type) else 'a'} {_name(made)}"
        )
    parameters = call_parameters(call)
    names = list(parameters)
    if len(names) < 2:
        raise UsageError(f"{path} has the arguments ({', '.join(names)}); expected (inputs, targets)")
    labels_first = names[0] in NAMES_OF_TARGETS and names[1] not in NAMES_OF_TARGETS
    chosen = _takes(path, made, names[1] if labels_first else names[0], takes)
    told = _form(path, names, form)
    factory = AdaptedFactory(path, chosen, told or "labels", {}, labels_first)
    factory = replace(factory, fixed=_reduction(made, parameters, required_only=True))
    factory = _that_works(factory, made, parameters, told)
    given = constructor_parameters(made) if isinstance(made, type) else parameters
    needs = {_NEEDS[chosen]} | ({Need.CLASS_COUNTS} if (CLASS_COUNTS | COUNTS_FILE) & set(given) else set())
    return LossSpec(
        name=path,
        factory=factory,
        summary=(inspect.getdoc(made) or "").partition("\n")[0],
        reference="-",
        needs=frozenset(needs),
        state_axes=_state_axes(made, factory) if isinstance(made, type) else {},
    )


def wrapper(path: str) -> str:
    """Return a hint with the function to write where a loss cannot be called as it is."""
    name = path.rpartition(":")[2].partition("(")[0]
    return (
        "Write a function that calls it, and check that, in a file mine.py:\n"
        f"  def loss(logits, targets): return {name}(...)(logits, targets)  # one number; convert arguments here\n"
        "  lossbench check mine.py:loss"
    )


def _form(path: str, names: list[str], told: str | None) -> Form | None:
    if told is not None:
        for choice in get_args(Form):
            if told == choice:
                return choice  # type: ignore[no-any-return]
        raise UsageError(f"--form must be one of {', '.join(get_args(Form))}, got {told!r}")
    if names[:3] == ["anchor", "positive", "negative"]:
        return "triplets"
    return "one-hot" if path.endswith(":SoftTargetCrossEntropy") else None


def _reduction(made: Any, call: Mapping[str, inspect.Parameter], *, required_only: bool) -> dict[str, Any]:
    """Return a reduction to the mean if the loss has one to give, or only if it must be given."""
    parameters = constructor_parameters(made) if isinstance(made, type) else {} if isinstance(made, nn.Module) else call
    p = parameters.get("reduction")
    if p is None or (required_only and p.default is not p.empty):
        return {}
    return {"reduction": "mean"}


def _that_works(
    factory: AdaptedFactory, made: Any, call: Mapping[str, inspect.Parameter], form: Form | None
) -> AdaptedFactory:
    """Return the first way to call the loss that gives one number, or the plainest if none does."""
    mean = _reduction(made, call, required_only=False)
    for each in _ways(factory, form):
        value = _value(each)
        if isinstance(value, Tensor) and value.numel() > 1 and mean:
            each = replace(each, fixed={**each.fixed, **mean})  # noqa: PLW2901
            value = _value(each)
        if isinstance(value, Tensor) and value.numel() == 1:
            return each
    return factory


def _ways(factory: AdaptedFactory, form: Form | None) -> Iterator[AdaptedFactory]:
    forms: tuple[Form, ...] = (form,) if form else ("labels", "one-hot", "views")
    counts: tuple[CountsAs, ...] = get_args(CountsAs)
    for each, as_ in itertools.product(forms, counts):
        if each != "views" or factory.takes == "embeddings":
            yield replace(factory, form=each, counts_as=as_)


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def _value(factory: AdaptedFactory) -> Any:
    """Return what the loss gives for an ordinary batch, or that it fails."""
    context = LossContext(num_classes=4, embedding_dim=6, class_counts=(601, 201, 67, 23))
    generator = torch.Generator().manual_seed(0)
    embeddings, logits = torch.randn(12, 6, generator=generator), torch.randn(12, 4, generator=generator)
    logits = logits.tanh() if factory.takes == "cosine-logits" else logits
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            loss: Loss = factory(context)
            return loss(ModelOutput(embeddings, logits), torch.arange(12) % 4)
    except (Exception, SystemExit) as error:  # said when it is called to be judged
        return _Failed(error)


def _takes(path: str, made: Any, first: str, told: str | None) -> Takes:
    if told is not None:
        for choice in get_args(Takes):
            if told == choice:
                return choice  # type: ignore[no-any-return]
        raise UsageError(
            f"--takes must be logits or embeddings, got {told!r}; or cosine-logits, for a loss that takes cosines"
        )
    kind = made if isinstance(made, type) else type(made)
    library = kind.__module__.partition(".")[0]
    by_size = isinstance(made, type) and bool(EMBEDDING_SIZE & sizes_taken(made))
    if library == "pytorch_metric_learning" or first.lower() in NAMES_OF_EMBEDDINGS or by_size:
        return "embeddings"
    if first.lower() in NAMES_OF_COSINES:
        return "cosine-logits"
    if library == "timm" or first.lower() in NAMES_OF_LOGITS:
        return "logits"
    raise UsageError(
        f"cannot tell whether {path}({first}, …) takes logits or embeddings; pass --takes logits or --takes embeddings."
        f" If it takes something else: {wrapper(path)}"
    )


def _state_axes(made: type, factory: AdaptedFactory) -> Mapping[str, tuple[str, ...]]:
    """Return the axes of proxies and centers, where their names and sizes leave no doubt."""
    context = LossContext(num_classes=3, embedding_dim=5, class_counts=(1, 1, 1))
    sizes = {"class": 3, "embedding": 5}
    try:
        held = factory(context).state_dict()
    except KeyboardInterrupt:
        raise
    except BaseException:  # its problem is reported when it is built to be tested
        return {}
    found = {}
    for name, tensor in held.items():
        axes = _STATE_AXES.get(name.rpartition(".")[2])
        if axes and tuple(tensor.shape) == tuple(sizes[axis] for axis in axes):
            found[name] = axes
    return found


def _name(made: Any) -> str:
    return made.__name__ if isinstance(made, type) else type(made).__name__
