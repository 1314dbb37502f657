"""The types that data, model and loss exchange, and the argument of a naive loop of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ContextError

if TYPE_CHECKING:
    from torch import Tensor


class ModelOutput(NamedTuple):
    """The output of a model for a batch, which a loss may read.

    Attributes:
        embeddings: (B, D) input of the classifier head.
        logits: (B, C) output of the classifier head.
        extras: named tensors beyond these, such as feature maps or a second view.
    """

    embeddings: Tensor
    logits: Tensor
    extras: Mapping[str, Tensor] = MappingProxyType({})


class Batch(NamedTuple):
    """A batch of labeled images.

    Attributes:
        images: (B, 3, H, W) uint8 in RGB; the model normalizes them.
        targets: (B,) int64 in [0, C).
        index: (B,) int64 row in the dataset.
    """

    images: Tensor
    targets: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch does not need


@dataclass(frozen=True, kw_only=True)
class LossContext:
    """The facts about a task that a loss may use before it receives a batch.

    Attributes:
        num_classes: number of classes C, at least 2.
        embedding_dim: embedding size D, at least 1.
        class_counts: C expected images of each class per epoch, as the sampler draws them; with the natural sampler,
            the training images of each class.
        class_names: C names, or empty.
        seed: seed for losses that draw their initial parameters.

    Raises:
        ContextError: sizes do not fit each other.

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
        if self.num_classes < 2:
            raise ContextError(f"num_classes must be at least 2, got {self.num_classes}")
        if self.embedding_dim < 1:
            raise ContextError(f"embedding_dim must be at least 1, got {self.embedding_dim}")
        if len(self.class_counts) != self.num_classes:
            raise ContextError(
                f"class_counts must have one count for each of {self.num_classes} classes, got {len(self.class_counts)}"
            )
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ContextError(
                f"class_names must be empty or have {self.num_classes} names, got {len(self.class_names)}"
            )
        if min(self.class_counts) < 0:
            raise ContextError(f"class_counts must not be negative, got {min(self.class_counts)}")

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
