"""The types that data, model and loss exchange, and the argument of a naive loop of a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ContextError

if TYPE_CHECKING:
    from torch import Tensor


class ModelOutput(NamedTuple):
    """The output of a model for a batch: everything that a loss may read.

    It is an ordinary named tuple: it can be pickled, copied, exported and mapped by `torch.utils._pytree`.

    Attributes:
        embeddings: (B, D) input of the classifier head.
        logits: (B, C) output of the classifier head.
        extras: further named tensors, such as feature maps or a second view; not to be changed in place.
    """

    embeddings: Tensor
    logits: Tensor
    extras: Mapping[str, Tensor] = {}  # a plain dict: exporters and picklers know no other mapping


class Batch(NamedTuple):
    """A batch of labeled images.

    Attributes:
        images: (B, 3, H, W) uint8 in RGB; the model normalizes them.
        targets: (B,) int64 in [0, C), or (B, C) float32 probabilities if images are mixed.
        index: (B,) int64 row in the dataset.
    """

    images: Tensor
    targets: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch does not need


@dataclass(frozen=True, kw_only=True)
class LossContext:
    """The task of a loss: what it may use before it sees a batch.

    Values are checked and converted: counts may be a sequence, an array, a tensor, or a dict or Counter with a class
    number or a class name for each class; a class that a dict lacks has count 0.

    Attributes:
        num_classes: number of classes C, at least 2.
        embedding_dim: embedding size D, at least 1.
        class_counts: C expected images of each class per epoch, as the sampler draws them; with the natural sampler,
            the training images of each class.
        class_names: C names, or empty.
        seed: seed for losses that draw their initial parameters.

    Raises:
        ContextError: a value of the wrong type, or sizes that do not match each other.

    Example:
        >>> LossContext(num_classes=2, embedding_dim=4, class_counts=(90, 10)).class_label(1)
        'class 1'
    """

    num_classes: int
    embedding_dim: int
    class_counts: tuple[int, ...]
    class_names: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, minimum in (("num_classes", 2), ("embedding_dim", 1), ("seed", 0)):
            value = _whole(name, getattr(self, name))
            if value < minimum:
                raise ContextError(f"{name} must be at least {minimum}, got {value}")
            object.__setattr__(self, name, value)
        names = tuple(self.class_names)
        if names and len(names) != self.num_classes:
            raise ContextError(f"class_names must be empty or have {self.num_classes} names, got {len(names)}")
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "class_counts", _counts(self.class_counts, self.num_classes, names))

    def class_label(self, index: int) -> str:
        """Return the name of a class for messages, or its number if there are no names."""
        return repr(self.class_names[index]) if self.class_names else f"class {index}"


@dataclass(frozen=True)
class LoopBatch:
    """A batch with the task, the hyper-parameters and the state: the argument of `LossSpec.loop`.

    Attributes:
        embeddings: (B, D) float64.
        logits: (B, C) float64.
        targets: B labels.
        class_counts: C training images per class.
        hyperparameters: values by name, including defaults.
        state: tensors by name, from the `state_dict` of the loss.
    """

    embeddings: Tensor
    logits: Tensor
    targets: list[int]
    class_counts: tuple[int, ...]
    hyperparameters: Mapping[str, Any]
    state: Mapping[str, Tensor]


def _counts(given: Any, num_classes: int, names: tuple[str, ...]) -> tuple[int, ...]:
    if isinstance(given, Mapping):
        index = {name: number for number, name in enumerate(names)}
        by_class = {index.get(key, key): count for key, count in given.items()}
        odd = [key for key in by_class if key not in range(num_classes)]
        if odd:
            known = f"0 to {num_classes - 1}" + (f" or {', '.join(map(repr, names))}" if names else "")
            raise ContextError(f"class_counts has the key {odd[0]!r}; expected class numbers {known}")
        given = [by_class.get(number, 0) for number in range(num_classes)]
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ContextError(f"class_counts must be {num_classes} whole numbers or a dict of them, got {given!r}")
    counts = tuple(_whole("class_counts", count) for count in given)
    if len(counts) != num_classes:
        raise ContextError(f"class_counts must have a count for each of {num_classes} classes, got {len(counts)}")
    if min(counts) < 0:
        raise ContextError(f"class_counts must not be negative, got {min(counts)}")
    return counts


def _whole(name: str, value: Any) -> int:
    """Return a whole number of any numeric type as an int.

    Raises:
        ContextError: naming the argument and the value.
    """
    value = plain(value)
    if isinstance(value, bool | str | bytes):
        raise ContextError(f"{name} must be a whole number, got {value!r}")
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ContextError(f"{name} must be a whole number, got {value!r}") from None
    if whole != value:
        raise ContextError(f"{name} must be a whole number, got {value!r}")
    return whole


def plain(value: Any) -> Any:
    """Return a NumPy number, or an array or tensor without axes, as a Python number; a list or row as a tuple.

    Example:
        >>> import numpy
        >>> plain(numpy.float64(0.5)), plain([1, 2.5]), plain("mean")
        (0.5, (1, 2.5), 'mean')
    """
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0 and not getattr(value, "is_meta", False):
        return value.item()
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value
