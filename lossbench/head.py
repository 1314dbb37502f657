"""What a head says of a task, and class counts from whatever a program has: numbers, labels, data sets, loaders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from .errors import UsageError
from .models.classifier import CosineHead
from .types import LossContext


def check_head(head: nn.Module, *, cosine: bool, formula: str) -> None:
    """Refuse a head that a loss cannot be attached to.

    Args:
        head: the module.
        cosine: whether the loss reads cosines.
        formula: for messages.

    Raises:
        UsageError: it is not a module, is frozen, has lazy layers that were not called yet, or gives plain logits to a
            loss on cosines.
    """
    if not isinstance(head, nn.Module):
        raise UsageError(f"head must be a torch.nn.Module, such as model.fc, got {type(head).__name__}")
    if any(isinstance(parameter, UninitializedParameter) for parameter in head.parameters()):
        raise UsageError("the sizes of the head are not known yet: call the model once before attach")
    check_not_frozen(head)
    if cosine and not any(isinstance(module, CosineHead) for module in head.modules()):
        found = _linear_layers(head)
        sizes = f"{found[0].in_features}, {found[-1].out_features}" if found else "embedding_dim, num_classes"
        raise UsageError(
            f"{formula} reads cosines, and {type(head).__name__} gives plain logits: put a cosine head into the model "
            f"before the optimizer is made, head = lossbench.CosineHead({sizes})"
        )


def check_not_frozen(head: nn.Module) -> None:
    """Refuse a head without a parameter that is trained.

    Raises:
        UsageError: it has parameters, and none requires a gradient.
    """
    parameters = list(head.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        raise UsageError(
            "the head is frozen: none of its parameters requires a gradient, so the loss could not train it; "
            "call head.requires_grad_(True)"
        )


def sizes_of(head: nn.Module, embedding_dim: int | None, num_classes: int | None) -> tuple[int, int]:
    """Return D and C of a head.

    Args:
        head: a linear layer, a cosine head, or a module that contains some.
        embedding_dim: D if known.
        num_classes: C if known.

    Raises:
        UsageError: the head does not tell a size, or contradicts it.

    Example:
        >>> sizes_of(nn.Sequential(nn.Dropout(), nn.Linear(16, 3)), None, None)
        (16, 3)
    """
    layers = [m for m in head.modules() if isinstance(m, nn.Linear | CosineHead)]
    sizes = [tuple(layer.weight.shape) for layer in layers]
    found = {"embedding_dim": sizes[0][1] if sizes else None, "num_classes": sizes[-1][0] if sizes else None}
    given = {"embedding_dim": embedding_dim, "num_classes": num_classes}
    for name, value in given.items():
        if value is None and found[name] is None:
            raise UsageError(f"the head, {type(head).__name__}, does not tell its sizes: pass {name}=…")
        if value is not None and found[name] not in (None, value):
            raise UsageError(f"{name}={value} does not match the head, which has {found[name]}")
    chosen = [found[name] if value is None else value for name, value in given.items()]
    return int(chosen[0] or 0), int(chosen[1] or 0)


def class_counts_of(class_counts: Any, labels: Any, num_classes: int) -> tuple[int, ...] | None:
    """Return the number of training images of each class; None if nothing was passed.

    Args:
        class_counts: a mapping, or exactly C numbers; everything else is labels.
        labels: labels, a data set or a loader.
        num_classes: C.

    Raises:
        UsageError: both were passed, or a label is outside [0, C).

    Example:
        >>> class_counts_of([0, 0, 1, 2, 0], None, 3)
        (3, 1, 1)
        >>> class_counts_of([5, 4, 3], None, 3)
        (5, 4, 3)
    """
    if class_counts is not None and labels is not None:
        raise UsageError("pass class_counts or labels, not both")
    if class_counts is None and labels is None:
        return None
    given = class_counts
    if hasattr(given, "to_dict") and len(given) == num_classes:  # value_counts() of pandas, sorted by count
        given = given.to_dict()
    if isinstance(given, Mapping) or _is_counts(given, num_classes):
        return LossContext(num_classes=num_classes, embedding_dim=1, class_counts=given).class_counts
    labels_only = labels is not None
    counted = Counter(_labels(labels if labels_only else class_counts))
    odd = [label for label in counted if not (isinstance(label, int) and 0 <= label < num_classes)]
    if odd:
        counts = "" if labels_only else f"; class counts are {num_classes} numbers, one per class"
        raise UsageError(f"labels must be class numbers from 0 to {num_classes - 1}, got {odd[0]!r}{counts}")
    return tuple(counted[number] for number in range(num_classes))


def _is_counts(given: Any, num_classes: int) -> bool:
    plain = isinstance(given, list | tuple | Tensor) or type(given).__module__.partition(".")[0] == "numpy"
    return plain and getattr(given, "ndim", 1) == 1 and len(given) == num_classes


def _labels(source: Any) -> list[int]:
    """Return the labels of a sequence, a data set or a loader."""
    source = getattr(source, "dataset", None) if hasattr(source, "batch_sampler") else source
    if hasattr(source, "indices") and hasattr(source, "dataset"):  # torch.utils.data.Subset
        whole = _labels(source.dataset)
        return [whole[index] for index in source.indices]
    for name in ("targets", "labels"):
        if hasattr(source, name):
            return _labels(getattr(source, name))
    if hasattr(source, "tensors"):  # torch.utils.data.TensorDataset
        return _labels(source.tensors[-1])
    if hasattr(source, "tolist"):
        return [_label(label) for label in source.tolist()]
    if not isinstance(source, Iterable) and hasattr(source, "__getitem__"):
        source = (source[index] for index in range(len(source)))
    if not isinstance(source, Iterable) or isinstance(source, str | bytes):
        raise UsageError(f"class_counts must be counts, labels, a data set or a loader, got {type(source).__name__}")
    return [_label(item) for item in source]


def _label(item: Any) -> Any:
    """Return the label of an item: a number itself, the last part of a tuple, or "label" or "labels" of a dict."""
    if isinstance(item, Mapping):
        found = [item[name] for name in ("label", "labels", "target") if name in item]
        item = found[0] if found else item
    elif isinstance(item, tuple | list) and item:
        item = item[-1]
    value = item.item() if isinstance(item, Tensor) or hasattr(item, "item") else item
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _linear_layers(head: nn.Module) -> list[nn.Linear]:
    return [module for module in head.modules() if isinstance(module, nn.Linear)]
