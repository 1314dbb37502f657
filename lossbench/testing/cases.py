"""The batches that laws are judged on: small, made of numbers that float32 holds exactly, and shrinkable.

Values are quarters from -2 to 2, so that zero rows, coincident rows and ties are common, or quarters moved by some
1024ths, so that a batch lies on no kink. Some batches are half learned: the largest number of a row is the one of its
class, so that some margins are met and others not. Hypothesis shrinks a failing batch to the fewest rows, smallest
labels and plainest numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache

import torch
from hypothesis import strategies as st
from torch import Tensor

from ..types import LossContext, ModelOutput

Rows = tuple[tuple[float, ...], ...]
LARGEST_COUNT = 134_415
"""Images of the most frequent class of AffectNet: real counts are as unequal as this, against one of the rarest."""


@dataclass(frozen=True)
class Case:
    """One batch with its task, as Python numbers.

    Attributes:
        class_counts: C training images per class.
        targets: B labels.
        logits: B rows of C.
        embeddings: B rows of D.
    """

    class_counts: tuple[int, ...]
    targets: tuple[int, ...]
    logits: Rows
    embeddings: Rows
    embedding_dim: int

    @cached_property
    def context(self) -> LossContext:
        """The task that the loss is built for."""
        return LossContext(
            num_classes=len(self.class_counts), embedding_dim=self.embedding_dim, class_counts=self.class_counts
        )

    def output(self, dtype: torch.dtype = torch.float64) -> ModelOutput:
        """What a model would have given."""
        embeddings, logits = self._tensors
        return ModelOutput(embeddings.to(dtype, copy=True), logits.to(dtype, copy=True))

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        return _tensor(self.embeddings, self.embedding_dim), _tensor(self.logits, len(self.class_counts))

    @cached_property
    def largest_logit(self) -> float:
        """The largest absolute value of a logit; 0 without one."""
        logits = self._tensors[1]
        return float(logits.abs().max()) if logits.numel() else 0.0

    def labels(self) -> Tensor:
        """(B,) int64."""
        return torch.tensor(self.targets, dtype=torch.int64)

    def with_targets(self, targets: tuple[int, ...]) -> Case:
        """The same rows with other labels."""
        return replace(self, targets=targets)

    def first_rows(self, size: int) -> Case:
        """The first `size` rows."""
        return replace(self, targets=self.targets[:size], logits=self.logits[:size], embeddings=self.embeddings[:size])

    def describe(self, reads: tuple[str, ...]) -> str:
        """What to type to see the batch again: labels, counts, and the inputs that the loss reads."""
        parts = [f"targets={list(self.targets)}", f"class_counts={self.class_counts}"]
        parts += [f"{name}={[list(row) for row in getattr(self, name)]}" for name in reads]
        return ", ".join(parts)


def _tensor(rows: Rows, columns: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), columns)


_QUARTERS = st.integers(-8, 8)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    min_batch: int = 1,
    max_batch: int = 6,
    max_classes: int = 4,
    max_dim: int = 3,
    sizes: Sequence[tuple[int, int]] = (),
) -> Case:
    """Draw batches of `min_batch` to `max_batch` rows.

    Args:
        min_batch: smallest B.
        max_batch: largest B.
        max_classes: largest C, at least 2.
        max_dim: largest D.
        sizes: pairs of C and D to choose from, instead of all up to the largest.
    """
    if sizes:
        classes, dim = draw(st.sampled_from(list(sizes)))
    else:
        classes, dim = draw(st.integers(2, max_classes)), draw(st.integers(1, max_dim))
    targets = draw(st.lists(st.integers(0, classes - 1), min_size=min_batch, max_size=max_batch))
    size = len(targets)
    counts = draw(st.lists(st.integers(1, 500), min_size=classes, max_size=classes))
    numbers = draw(st.lists(_QUARTERS, min_size=size * (classes + dim), max_size=size * (classes + dim)))
    jitter, learned, twins = draw(st.integers(0, 5)), draw(st.booleans()), draw(st.booleans())
    values = _jittered([n / 4 for n in numbers], jitter)
    logits, embeddings = _rows(values[: size * classes], classes), _rows(values[size * classes :], dim)
    if learned:
        logits = tuple(_learned(row, y) for row, y in zip(logits, targets, strict=True))
        embeddings = tuple(_learned(row, y) for row, y in zip(embeddings, targets, strict=True))
    if twins and size > 1:  # coincident rows that are otherwise on no kink
        logits, embeddings = (logits[0], *logits[:-1]), (embeddings[0], *embeddings[:-1])
    return Case(tuple(counts), tuple(targets), logits, embeddings, dim)


def _jittered(values: list[float], seed: int) -> list[float]:
    if not seed:
        return values
    shifts = _integers(random.Random(seed), 200, len(values))
    return [value + shift / 1024 for value, shift in zip(values, shifts, strict=True)]


def _learned(row: tuple[float, ...], target: int) -> tuple[float, ...]:
    """A row whose largest entry changes places with that of its class; classes beyond the axes take the other ends."""
    place, sign = target % len(row), (-1) ** (target // len(row))
    largest = max(range(len(row)), key=lambda i: abs(row[i]))
    entries = list(row)
    entries[largest] = entries[place]
    entries[place] = sign * abs(row[largest])
    return tuple(entries)


def _rows(values: list[float], columns: int) -> Rows:
    return tuple(tuple(values[i : i + columns]) for i in range(0, len(values), columns))


def _integers(generator: random.Random, largest: int, number: int) -> list[int]:
    """Return what `generator.randint(-largest, largest)` would, in a third of the time."""
    found: list[int] = []
    span, draw = 2 * largest + 1, generator.getrandbits
    bits = span.bit_length()
    while len(found) < number:
        if (value := draw(bits)) < span:
            found.append(value - largest)
    return found


@lru_cache(maxsize=64)
def fixed_case(*, size: int = 12, classes: int = 4, dim: int = 6, seed: int = 1) -> Case:
    """One ordinary batch on no kink, with every class in it when `size` allows.

    Example:
        >>> fixed_case(size=3, classes=3, dim=1).targets
        (0, 1, 2)
    """
    generator = random.Random(seed)
    values = [value / 1024 for value in _integers(generator, 2048, size * (classes + dim))]
    counts = tuple(600 // 3**c + 1 for c in range(classes))
    targets = tuple(i % classes for i in range(size))
    return Case(counts, targets, _rows(values[: size * classes], classes), _rows(values[size * classes :], dim), dim)


@cache
def full_batch(classes: int, dim: int, dtype: torch.dtype, seed: int) -> tuple[ModelOutput, Tensor]:
    """Two or three rows a class, around class means that lie apart."""
    case = fixed_case(size=2 * classes + seed % 2 * classes, classes=classes, dim=dim, seed=seed)
    output, targets = case.output(dtype), case.labels()
    means = fixed_case(size=classes, classes=classes, dim=dim, seed=7).output(dtype).embeddings
    return ModelOutput(2 * means[targets] + output.embeddings / 4, output.logits), targets
