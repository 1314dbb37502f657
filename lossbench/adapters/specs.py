"""The spec of whatever a path names: a spec, a loss, or a loss of another library."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..loss import Loss
from ..spec import LossSpec
from ..traits import Need
from ..types import LossContext, ModelOutput
from .adapt import adapt
from .objects import load_object, specs_beside, where


class ReadingContext(LossContext):
    """A task that records whether its class counts are read."""

    def __init__(self, context: LossContext) -> None:
        super().__init__(**{name: getattr(context, name) for name in context.__dataclass_fields__})
        object.__setattr__(self, "read", False)

    def __getattribute__(self, name: str) -> Any:
        if name == "class_counts":
            object.__setattr__(self, "read", True)
        return super().__getattribute__(name)


def counts_were_read(context: ReadingContext) -> bool:
    """Return whether the class counts of a context have been read."""
    return bool(object.__getattribute__(context, "read"))


def object_spec(path: str, takes: str | None = None, form: str | None = None) -> LossSpec:
    """Return the spec of `module:object` or `file.py:object`.

    For a `Loss` without a spec, the name is the path, the summary is from its docstring, what it reads is what its
    value depends on, and the axes of its state are inferred from their lengths.

    Args:
        path: names a `LossSpec`, a subclass of `Loss`, a torch module or its class, or a function.
        takes: what a loss of another library takes; inferred if None.
        form: in which form it takes a batch; inferred if None.

    Raises:
        UsageError: there is no such object, or it cannot be built and called.

    Example:
        >>> object_spec("torch.nn:CrossEntropyLoss").needs
        frozenset({<Need.LOGITS: 'logits'>})
    """
    made = load_object(path)
    if isinstance(made, LossSpec):
        return made
    for spec in specs_beside(path):
        if spec.factory is made:
            return spec
    if isinstance(made, type) and issubclass(made, Loss):
        if inspect.isabstract(made):
            raise UsageError(f"{path} has no forward: a loss is a class with forward(self, output, targets)")
        return spec_of_class(path, made)
    return adapt(path, made, takes, form)


def spec_of_class(path: str, made: type[Loss]) -> LossSpec:
    """Return a spec for a `Loss` without one.

    Raises:
        UsageError: it cannot be built without hyper-parameters, or not be called.
    """
    needed = [p.name for p in list(inspect.signature(made).parameters.values())[1:] if p.default is p.empty]
    if required := [name for name in needed if name not in ("args", "kwargs")]:
        raise UsageError(
            f"{path} needs a value for {required[0]!r}; give it a default, or write a LossSpec with variants"
        )
    context = ReadingContext(LossContext(num_classes=4, embedding_dim=6, class_counts=(601, 201, 67, 23)))
    object.__setattr__(context, "read", False)
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(12, 6, generator=generator, requires_grad=True)
    logits = torch.rand(12, 4, generator=generator, requires_grad=True)
    try:
        loss = made(context)  # type: ignore[call-arg]  # a subclass's
        value = loss(ModelOutput(embeddings, logits), torch.arange(12) % 4)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = f"{path} cannot be built and called: {type(error).__name__}: {error}{where(error)}"
        raise UsageError(message) from error
    needs = {Need.LOGITS, Need.EMBEDDINGS}
    if isinstance(value, Tensor) and value.requires_grad:
        found = torch.autograd.grad(value.sum(), [embeddings, logits], allow_unused=True)
        pairs = zip((Need.EMBEDDINGS, Need.LOGITS), found, strict=True)
        needs = {need for need, gradient in pairs if gradient is not None}
    needs |= {Need.CLASS_COUNTS} if counts_were_read(context) else set()
    return LossSpec(
        name=path,
        factory=made,
        summary=(inspect.getdoc(made) or "").partition("\n")[0],
        reference="-",
        needs=frozenset(needs),
        state_axes=_axes_by_length(made),
    )


def _axes_by_length(made: type[Loss]) -> dict[str, tuple[str, ...]]:
    """Return the axes of the state of a loss whose lengths are the number of classes or the embedding size."""
    sizes = ((5, 7), (6, 11))
    held = []
    for classes, dim in sizes:
        context = LossContext(num_classes=classes, embedding_dim=dim, class_counts=tuple(range(9, 9 + classes)))
        try:
            held.append(made(context).state_dict())  # type: ignore[call-arg]
        except Exception:  # it does not take these sizes
            return {}
    axes = {}
    for name in held[0]:
        lengths = list(zip(*(_shape(state.get(name)) for state in held), strict=False))
        names = [_axis(pair, sizes) for pair in lengths]
        if all(names) and len(names) == held[0][name].ndim:
            axes[name] = tuple(name for name in names if name)
    return axes


def _shape(tensor: Tensor | None) -> Iterable[int]:
    return () if tensor is None else tensor.shape


def _axis(lengths: tuple[int, ...], sizes: tuple[tuple[int, int], ...]) -> str | None:
    for place, name in enumerate(("class", "embedding")):
        if lengths == tuple(size[place] for size in sizes):
            return name
    return "other" if len(set(lengths)) == 1 else None
