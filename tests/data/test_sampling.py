"""The order of an epoch: reproducible, fresh each epoch, and as often per class as the sampler says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lossbench.data import Sampler
from lossbench.data.sampling import class_shares, drawn_counts, epoch_order
from lossbench.data.table import ImageTable


def table_of(*counts: int) -> ImageTable:
    targets = np.repeat(np.arange(len(counts)), counts)
    return ImageTable(
        name="made",
        class_names=tuple(f"class{c}" for c in range(len(counts))),
        targets=targets,
        sample_ids=[str(row) for row in range(len(targets))],
        read=lambda row: Image.new("RGB", (4, 4)),
    )


@pytest.mark.parametrize("sampler", Sampler)
def test_the_order_is_a_function_of_seed_and_epoch(sampler: Sampler) -> None:
    table = table_of(60, 30, 10)
    orders = {(seed, epoch): epoch_order(table, sampler, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)}
    for (seed, epoch), order in orders.items():
        assert epoch_order(table, sampler, seed, epoch).tolist() == order
        assert len(order) == 100
    assert len({tuple(order) for order in orders.values()}) == 4


def test_the_natural_order_shows_every_row_once() -> None:
    order = epoch_order(table_of(60, 30, 10), Sampler.NATURAL, 0, 0)
    assert sorted(order.tolist()) == list(range(100))
    assert order.tolist() != list(range(100))


@pytest.mark.parametrize(
    ("sampler", "shares"), [(Sampler.BALANCED, [1 / 3, 1 / 3, 1 / 3]), (Sampler.SQRT, [4 / 7, 2 / 7, 1 / 7])]
)
def test_classes_are_drawn_as_often_as_the_sampler_says(sampler: Sampler, shares: list[float]) -> None:
    table = table_of(1600, 400, 100)
    assert class_shares(table.class_counts, sampler) == pytest.approx(shares)
    drawn = np.concatenate([epoch_order(table, sampler, 0, epoch) for epoch in range(20)])
    frequencies = np.bincount(table.targets[drawn]) / len(drawn)
    assert frequencies == pytest.approx(shares, abs=0.01)  # 42,000 draws: four standard errors
    rows_of_last = np.bincount(drawn, minlength=len(table))[-100:]
    assert rows_of_last.min() > 0.4 * rows_of_last.mean()  # rows of a class alike


def test_a_class_without_images_is_never_drawn() -> None:
    table = table_of(5, 0, 5)
    for sampler in Sampler:
        assert 1 not in table.targets[epoch_order(table, sampler, 0, 0)]
        assert drawn_counts(table.class_counts, sampler)[1] == 0


@pytest.mark.parametrize(
    ("sampler", "counts"),
    [(Sampler.NATURAL, (1600, 400, 100)), (Sampler.BALANCED, (700, 700, 700)), (Sampler.SQRT, (1200, 600, 300))],
)
def test_a_loss_is_told_the_counts_as_sampled(sampler: Sampler, counts: tuple[int, ...]) -> None:
    assert drawn_counts((1600, 400, 100), sampler) == counts


def test_a_class_with_an_image_is_counted_at_least_once() -> None:
    assert drawn_counts((1, 1_000_000), Sampler.NATURAL) == (1, 1_000_000)
    assert drawn_counts((1,) * 10 + (1,), Sampler.BALANCED) == (1,) * 11


def test_batches_of_classes_hold_n_images_of_m_classes() -> None:
    from lossbench.data import ClassBatches, parse_sampler

    sampler = parse_sampler("classes:3x4")
    assert sampler == ClassBatches(3, 4)
    targets = np.repeat(np.arange(5), [40, 20, 10, 3, 2])
    table = Table(targets)
    order = epoch_order(table, sampler, seed=1, epoch=2)  # type: ignore[arg-type]
    assert len(order) == len(targets)
    assert np.array_equal(order, epoch_order(table, sampler, seed=1, epoch=2))  # type: ignore[arg-type]
    for start in range(0, len(order) // 12 * 12, 12):
        classes, counts = np.unique(targets[order[start : start + 12]], return_counts=True)
        assert counts.tolist() == [4, 4, 4]
        for c in classes:
            rows = [row for row in order[start : start + 12] if targets[row] == c]
            assert len(set(rows)) == min(4, (targets == c).sum()) or (targets == c).sum() < 4
    assert drawn_counts(table.class_counts, sampler) == (15, 15, 15, 15, 15)


class Table:
    """As much of a table as an order needs."""

    def __init__(self, targets: np.ndarray) -> None:
        self.targets, self.class_counts = targets, tuple(np.bincount(targets).tolist())

    def __len__(self) -> int:
        return len(self.targets)
