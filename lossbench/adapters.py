"""Losses of other libraries, and classes without a spec, behind lossbench's interface.

What a loss takes is worked out from its call signature, or told. It is judged as samplewise, a mean, without state
that moves, and of unknown symmetry; what is known of torch.nn, timm and pytorch-metric-learning stands below.
"""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .errors import UsageError
from .loss import Loss
from .losses.arguments import check_target_range
from .spec import LossSpec
from .traits import Need, Trait
from .types import LossContext, ModelOutput

Takes = Literal["logits", "embeddings"]
Form = Literal["labels", "one-hot", "triplets"]

_NAMES_OF_LOGITS = {"input", "inputs", "logit", "logits", "pred", "preds", "prediction", "output", "outputs", "scores"}
_NAMES_OF_EMBEDDINGS = {"anchor", "embedding", "embeddings", "feat", "feats", "feature", "features"}
_NUMBER_OF_CLASSES = {"num_classes", "n_classes", "num_class", "nb_classes", "out_features"}
_EMBEDDING_SIZE = {"embedding_size", "embedding_dim", "feat_dim", "feature_dim", "in_features"}
_SIZES = _NUMBER_OF_CLASSES | _EMBEDDING_SIZE

MEAN_OF_ROWS = frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})
"""What is taken for granted of a loss that declares nothing."""

_SOFTMAX = frozenset({Trait.SHIFT_INVARIANT, Trait.CONVEX, Trait.SCALE_SAFE})
_ON_THE_SPHERE = frozenset({Trait.SCALE_INVARIANT, Trait.ROTATION_INVARIANT, Trait.SCALE_SAFE})
_PAIRS = _ON_THE_SPHERE | {Trait.BATCH_COUPLED, Trait.LABEL_EQUALITY}
KNOWN_TRAITS: Mapping[str, frozenset[Trait]] = {
    "torch.nn:CrossEntropyLoss": _SOFTMAX,
    "torch.nn:MultiMarginLoss": frozenset({Trait.SHIFT_INVARIANT, Trait.CONVEX, Trait.SCALE_SAFE}),
    "torch.nn:TripletMarginLoss": frozenset({Trait.BATCH_COUPLED, Trait.TRANSLATION_INVARIANT, Trait.LABEL_EQUALITY}),
    "timm:LabelSmoothingCrossEntropy": _SOFTMAX,
    "timm:SoftTargetCrossEntropy": _SOFTMAX,
    "timm:PolyCrossEntropy": frozenset({Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE}),
    "timm:AsymmetricLossSingleLabel": frozenset({Trait.SHIFT_INVARIANT, Trait.SCALE_SAFE}),
    "timm:BinaryCrossEntropy": frozenset({Trait.CONVEX, Trait.SCALE_SAFE}),
    **{
        f"pytorch_metric_learning:{name}": _PAIRS
        for name in ("TripletMarginLoss", "ContrastiveLoss", "SupConLoss", "NTXentLoss", "MultiSimilarityLoss")
    },
    "pytorch_metric_learning:ProxyAnchorLoss": _ON_THE_SPHERE | {Trait.BATCH_COUPLED},
    **{
        f"pytorch_metric_learning:{name}": _ON_THE_SPHERE
        for name in ("ArcFaceLoss", "CosFaceLoss", "NormalizedSoftmaxLoss", "ProxyNCALoss")
    },
    "pytorch_metric_learning:SoftTripleLoss": frozenset({Trait.SCALE_INVARIANT, Trait.SCALE_SAFE}),
}
"""library:class -> what holds for it whatever its numbers, beyond `MEAN_OF_ROWS` where it is not batch-coupled."""

_LIKELIHOOD = frozenset(
    {Trait.WEIGHTED_LIKELIHOOD, Trait.MONOTONE, Trait.ZERO_AT_SEPARATION, Trait.TWICE_DIFFERENTIABLE}
)
TRAITS_OF_DEFAULTS: Mapping[str, frozenset[Trait]] = {
    "torch.nn:CrossEntropyLoss": _LIKELIHOOD | {Trait.VMAP},
    "torch.nn:MultiMarginLoss": frozenset({Trait.MONOTONE, Trait.ZERO_AT_SEPARATION}),
    "torch.nn:TripletMarginLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
    "timm:LabelSmoothingCrossEntropy": frozenset({Trait.TWICE_DIFFERENTIABLE, Trait.VMAP}),
    "timm:SoftTargetCrossEntropy": _LIKELIHOOD,
    "pytorch_metric_learning:TripletMarginLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
    "pytorch_metric_learning:ContrastiveLoss": frozenset({Trait.ZERO_AT_SEPARATION}),
}
"""library:class -> what holds for it besides, with the defaults: label smoothing alone would change it."""

_STATE_AXES: Mapping[str, tuple[str, ...]] = {
    "W": ("embedding", "class"),
    "proxies": ("class", "embedding"),
    "centers": ("class", "embedding"),
    "weight": ("class",),
}


class AdaptedLoss(Loss):
    """A module or function called as `inner(inputs, labels)`.

    Args:
        inner: the loss.
        takes: which of the model's tensors it is given.
        form: how it wants the labels: as numbers, as one-hot rows, or as every triplet of the batch.
        knows_sizes: whether its constructor was told C or D, so that it could refuse others.
    """

    def __init__(
        self, inner: Callable[..., Any], takes: Takes, form: Form = "labels", knows_sizes: bool = False
    ) -> None:
        super().__init__()
        self.inner, self.takes, self.form, self.knows_sizes = inner, takes, form, knows_sizes

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return self.value(output.logits if self.takes == "logits" else output.embeddings, targets)

    def value(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """What the loss gives for its own input, and labels in its own form."""
        if self.form == "labels":
            value: Tensor = self.inner(inputs, targets)
        elif self.form == "one-hot":
            value = self.inner(inputs, _one_hot(targets, inputs))
        else:
            _must_be_labels(targets, inputs)
            value = self.inner(*(inputs[rows] for rows in _triplets(targets)))
        return value


def _one_hot(targets: Tensor, inputs: Tensor) -> Tensor:
    """Like `inputs`. What an adapter makes of labels it checks itself: the loss never sees them."""
    _must_be_labels(targets, inputs)
    if inputs.ndim != 2:
        raise ValueError(f"inputs must have shape (B, C), got {tuple(inputs.shape)}")
    try:
        return torch.zeros_like(inputs, requires_grad=False).scatter_(1, targets.long().unsqueeze(1), 1.0)
    except (IndexError, RuntimeError):
        check_target_range(targets, inputs.shape[1])
        raise


def _must_be_labels(targets: Tensor, inputs: Tensor) -> None:
    if targets.ndim != 1 or targets.is_floating_point():
        raise ValueError(f"targets must be whole numbers of shape (B,), got {targets.dtype} of {tuple(targets.shape)}")
    if len(targets) != len(inputs):
        raise ValueError(f"targets must be one label for each of {len(inputs)} rows, got {len(targets)}")


def _triplets(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of every triplet: two of one class and one of another."""
    same = targets.unsqueeze(0) == targets.unsqueeze(1)
    pairs = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    anchors, positives, negatives = (pairs.unsqueeze(2) & ~same.unsqueeze(1)).nonzero().unbind(1)
    return anchors, positives, negatives


@dataclass(frozen=True)
class AdaptedFactory:
    """Builds an `AdaptedLoss` from `module:object`, by name so that it can be sent to another process.

    Sizes of the task are given to a constructor that asks for them; parameters are drawn from the context's seed.
    """

    path: str
    takes: Takes
    form: Form = "labels"
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def __signature__(self) -> inspect.Signature:
        made = load_object(self.path)
        parameters = constructor_parameters(made) if isinstance(made, type) else {}
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_ONLY)
        hyperparameters = [p.replace(kind=p.KEYWORD_ONLY) for name, p in parameters.items() if name not in _SIZES]
        return inspect.Signature([context, *hyperparameters])

    def __call__(self, context: LossContext, /, **hyperparameters: Any) -> Loss:
        made = load_object(self.path)
        if not isinstance(made, type):
            return self.wrap(copy.deepcopy(made), hyperparameters, knows_sizes=False)
        sizes = dict.fromkeys(_NUMBER_OF_CLASSES, context.num_classes)
        sizes |= dict.fromkeys(_EMBEDDING_SIZE, context.embedding_dim)
        wanted = {name: sizes[name] for name in _sizes_taken(made)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            inner = self.build(made, {**wanted, **self.fixed, **hyperparameters})
        return self.wrap(inner, hyperparameters, knows_sizes=bool(wanted))

    def build(self, made: type, arguments: Mapping[str, Any]) -> nn.Module:
        """The loss itself; for subclasses that make objects of names."""
        inner: nn.Module = made(**arguments)
        return inner

    def wrap(self, inner: Callable[..., Any], hyperparameters: Mapping[str, Any], *, knows_sizes: bool) -> Loss:
        """The loss behind lossbench's interface; for subclasses that guard it or know its traits."""
        return AdaptedLoss(inner, self.takes, self.form, knows_sizes)


def load_object(path: str) -> Any:
    """The object that `module:name` names."""
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def adapt(path: str, made: Any, takes: str | None) -> LossSpec:
    """A spec for someone else's loss.

    Args:
        path: "module:name".
        made: what lies there: a module class, a module or a function.
        takes: "logits" or "embeddings", or None to work it out.

    Raises:
        UsageError: it is no loss, or what it takes can't be seen from its signature.
    """
    call = made.forward if isinstance(made, type | nn.Module) and hasattr(made, "forward") else made
    if not callable(call) or (isinstance(made, type) and not issubclass(made, nn.Module)):
        raise UsageError(
            f"{path} is no loss: expected a torch.nn.Module, a lossbench.Loss or a function of (inputs, targets), got "
            f"{'the class' if isinstance(made, type) else 'a'} {_name(made)}"
        )
    names = [name for name in _parameters(call) if name != "self"]
    if len(names) < 2:
        raise UsageError(f"{path} is called with ({', '.join(names)}); a loss takes (inputs, targets)")
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


def known_traits(made: Any, *, defaults: bool) -> frozenset[Trait]:
    """What is known of a class of torch.nn, timm or pytorch-metric-learning; nothing of others.

    Args:
        made: the class, or an instance.
        defaults: whether it is built with the defaults.
    """
    kind = made if isinstance(made, type) else type(made)
    library = "torch.nn" if kind.__module__.startswith("torch.nn.") else kind.__module__.partition(".")[0]
    key = f"{library}:{kind.__name__}"
    of_defaults = TRAITS_OF_DEFAULTS.get(key, frozenset()) if defaults else frozenset()
    return KNOWN_TRAITS.get(key, frozenset()) | of_defaults


def _takes(path: str, made: Any, first: str, told: str | None) -> Takes:
    if told is not None:
        for choice in get_args(Takes):
            if told == choice:
                return choice  # type: ignore[no-any-return]
        raise UsageError(f"--takes must be logits or embeddings, got {told!r}")
    kind = made if isinstance(made, type) else type(made)
    library = kind.__module__.partition(".")[0]
    by_size = isinstance(made, type) and bool(_EMBEDDING_SIZE & _sizes_taken(made))
    if library == "pytorch_metric_learning" or first in _NAMES_OF_EMBEDDINGS or by_size:
        return "embeddings"
    if library == "timm" or first in _NAMES_OF_LOGITS:
        return "logits"
    raise UsageError(f"{path}({first}, …) may take logits or embeddings; say which: --takes logits, or embeddings")


def _state_axes(made: type) -> Mapping[str, tuple[str, ...]]:
    """The axes of proxies and centers, where their names and sizes leave no doubt."""
    context = LossContext(num_classes=3, embedding_dim=5, class_counts=(1, 1, 1))
    sizes = {"class": 3, "embedding": 5}
    try:
        held = AdaptedFactory(f"{made.__module__}:{made.__qualname__}", "embeddings")(context).state_dict()
    except KeyboardInterrupt:
        raise
    except BaseException:  # what is wrong with it is said when it is built to be judged
        return {}
    found = {}
    for name, tensor in held.items():
        axes = _STATE_AXES.get(name.rpartition(".")[2])
        if axes and tuple(tensor.shape) == tuple(sizes[axis] for axis in axes):
            found[name] = axes
    return found


def constructor_parameters(made: type) -> dict[str, inspect.Parameter]:
    """What a constructor takes by name; one that hands `**kwargs` on takes its parent's names too.

    What a parent must be given, other than a size, its child gives it.
    """
    found: dict[str, inspect.Parameter] = {}
    for kind in made.__mro__:
        if "__init__" not in vars(kind) or kind in (nn.Module, object):
            continue
        parameters = list(_parameters(vars(kind)["__init__"]).values())[1:]  # the first is self
        for p in parameters:
            given_by_child = kind is not made and p.default is p.empty and p.name not in _SIZES
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and not given_by_child:
                found.setdefault(p.name, p)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def _sizes_taken(made: type) -> set[str]:
    """What a constructor calls C and D. One whose default is None is an option, not a size of the task."""
    return {name for name, p in constructor_parameters(made).items() if name in _SIZES and p.default is not None}


def _parameters(made: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(made).parameters
    except (TypeError, ValueError):
        return {}


def _name(made: Any) -> str:
    return made.__name__ if isinstance(made, type) else type(made).__name__
