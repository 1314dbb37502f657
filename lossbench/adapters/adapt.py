"""Build a spec for a loss without one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_args

from torch import nn

from ..errors import UsageError
from ..spec import LossSpec
from ..traits import Need
from ..types import LossContext
from .factory import AdaptedFactory
from .loss import Form, Takes
from .signatures import EMBEDDING_SIZE, parameters_of, sizes_taken

_NAMES_OF_LOGITS = {"input", "inputs", "logit", "logits", "pred", "preds", "prediction", "output", "outputs", "scores"}
_NAMES_OF_EMBEDDINGS = {"anchor", "embedding", "embeddings", "feat", "feats", "feature", "features"}
_STATE_AXES: Mapping[str, tuple[str, ...]] = {
    "W": ("embedding", "class"),
    "proxies": ("class", "embedding"),
    "centers": ("class", "embedding"),
    "weight": ("class",),
}


def adapt(path: str, made: Any, takes: str | None) -> LossSpec:
    """Return a spec for a third-party loss.

    Args:
        path: "module:name".
        made: the object: a module class, a module or a function.
        takes: "logits" or "embeddings", or None to infer it.

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
    names = [name for name in parameters_of(call) if name != "self"]
    if len(names) < 2:
        raise UsageError(f"{path} has the arguments ({', '.join(names)}); expected (inputs, targets)")
    chosen = _takes(path, made, names[0], takes)
    form: Form = "triplets" if names[:3] == ["anchor", "positive", "negative"] else "labels"
    form = "one-hot" if path.endswith(":SoftTargetCrossEntropy") else form
    axes = _state_axes(made) if isinstance(made, type) else {}
    return LossSpec(
        name=path,
        factory=AdaptedFactory(path, chosen, form),
        summary=(inspect.getdoc(made) or "").partition("\n")[0],
        reference="-",
        needs=frozenset({Need.LOGITS if chosen == "logits" else Need.EMBEDDINGS}),
        state_axes=axes,
    )


def _takes(path: str, made: Any, first: str, told: str | None) -> Takes:
    if told is not None:
        for choice in get_args(Takes):
            if told == choice:
                return choice  # type: ignore[no-any-return]
        raise UsageError(f"--takes must be logits or embeddings, got {told!r}")
    kind = made if isinstance(made, type) else type(made)
    library = kind.__module__.partition(".")[0]
    by_size = isinstance(made, type) and bool(EMBEDDING_SIZE & sizes_taken(made))
    if library == "pytorch_metric_learning" or first in _NAMES_OF_EMBEDDINGS or by_size:
        return "embeddings"
    if library == "timm" or first in _NAMES_OF_LOGITS:
        return "logits"
    raise UsageError(
        f"cannot tell whether {path}({first}, …) takes logits or embeddings; pass --takes logits or --takes embeddings"
    )


def _state_axes(made: type) -> Mapping[str, tuple[str, ...]]:
    """Return the axes of proxies and centers, if their names and sizes identify them."""
    context = LossContext(num_classes=3, embedding_dim=5, class_counts=(1, 1, 1))
    sizes = {"class": 3, "embedding": 5}
    try:
        held = AdaptedFactory(f"{made.__module__}:{made.__qualname__}", "embeddings")(context).state_dict()
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
