"""Batches are pure functions of (seed, epoch, row), whatever the workers, the cache or the processes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from lossbench.data import Augment, Sampler
from lossbench.data.augmentation import Augmentation
from lossbench.data.loader import BatchLoader
from lossbench.data.loading import EpochBatches, ImageBatches, evaluation_batches
from lossbench.data.sources import open_data
from lossbench.data.square import mirrored, square
from lossbench.data.table import ImageTable
from lossbench.types import Batch


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """Twenty-three files of different shapes, of noise: every crop and mirror differs."""
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for row in range(23):
        pixels = draw.integers(0, 256, (20 + row, 40 - row, 3), dtype=np.uint8)
        path = folder / "train" / "abc"[row % 3] / f"{row:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    for label in "abc":
        path = folder / "val" / label / "x.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path)
    return open_data(f"folder:{folder}").train


def epochs(table: ImageTable, *, workers: int = 0, cache: bool = False, seed: int = 5) -> list[list[Batch]]:
    """The batches of three epochs."""
    batches = EpochBatches(table, 6, seed=3, sampler=Sampler.NATURAL)
    images = ImageBatches(table, 16, augmentation=Augmentation(Augment.STANDARD, seed), cache=cache)
    reader = BatchLoader(images, batches, workers=workers, pin_memory=False)
    found = []
    for epoch in range(3):
        batches.epoch = epoch
        found.append(list(reader))
    return found


def test_a_batch_is_uint8_images_with_their_targets_and_rows(table: ImageTable) -> None:
    first, *_, last = epochs(table)[0]
    assert (first.images.shape, first.images.dtype) == ((6, 3, 16, 16), torch.uint8)
    assert last.images.shape[0] == 23 % 6
    assert first.targets.tolist() == table.targets[first.index.numpy()].tolist()
    assert first.targets.dtype == first.index.dtype == torch.int64


@pytest.mark.parametrize(("workers", "cache"), [(2, False), (0, True), (2, True)])
def test_workers_and_cache_change_nothing(table: ImageTable, workers: int, cache: bool) -> None:
    for expected, found in zip(epochs(table), epochs(table, workers=workers, cache=cache), strict=True):
        for one, other in zip(expected, found, strict=True):
            for field in range(3):
                assert torch.equal(one[field], other[field])


def test_epochs_and_seeds_differ_in_order_and_in_pixels(table: ImageTable) -> None:
    def by_row(batches: list[Batch]) -> tuple[list[int], dict[int, bytes]]:
        rows = torch.cat([b.index for b in batches]).tolist()
        return rows, dict(zip(rows, (i.numpy().tobytes() for b in batches for i in b.images), strict=True))

    runs = [by_row(batches) for batches in epochs(table)]
    assert all(sorted(rows) == list(range(23)) for rows, _ in runs)
    assert len({tuple(rows) for rows, _ in runs}) == 3
    for row in range(23):
        assert len({pixels[row] for _, pixels in runs}) == 3
    other_rows, other_pixels = by_row(epochs(table, seed=6)[0])
    assert other_rows == runs[0][0]  # the order has its own seed
    assert other_pixels[0] != runs[0][1][0]


def test_the_cache_decodes_each_row_once(table: ImageTable) -> None:
    read: list[int] = []

    def counting(row: int) -> Image.Image:
        read.append(row)
        return table.read(row)

    counted = ImageTable(
        name="x", class_names=table.class_names, targets=table.targets, sample_ids=table.sample_ids, read=counting
    )
    epochs(counted, cache=True)
    assert sorted(read) == list(range(23))


def test_evaluation_shows_the_central_square_without_augmentation() -> None:
    picture = np.zeros((10, 30, 3), dtype=np.uint8)
    picture[:, 10:20] = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    expected = picture[:, 10:20]
    np.testing.assert_array_equal(square(Image.fromarray(picture), 10), expected)
    tall = np.ascontiguousarray(picture.transpose(1, 0, 2))
    np.testing.assert_array_equal(square(Image.fromarray(tall), 10), expected.transpose(1, 0, 2))


@pytest.mark.parametrize(("across", "down", "corner"), [(0, 0, 0), (1, 0, 8), (0, 1, 128), (1, 1, 136)])
def test_a_window_lies_where_it_is_asked_for(across: float, down: float, corner: int) -> None:
    numbers = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    window = square(Image.fromarray(numbers), 8, share=0.5, across=across, down=down)
    assert window.shape == (8, 8, 3)
    assert window[0, 0, 0] == corner


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 61), (16, 20), (9, 30), (1, 2)])
def test_a_window_of_an_array_is_scaled_as_torch_does(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    for share, across, down in ((1.0, 0.5, 0.5), (0.8, 0.0, 1.0), (0.9, 0.3, 0.6)):
        side = max(1, round(share * min(height, width)))
        x, y = round(across * (width - side)), round(down * (height - side))
        window = whole[:, :, y : y + side, x : x + side]
        (expected,) = torch.nn.functional.interpolate(window, (16, 16), mode="bilinear", antialias=True)
        pixels.flags.writeable = not pixels.flags.writeable  # caches cannot be written
        found = square(pixels, 16, share=share, across=across, down=down)
        np.testing.assert_array_equal(found, expected.permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(mirrored(found), found[:, ::-1])
        by_pillow = square(Image.fromarray(pixels), 16, share=share, across=across, down=down)
        assert by_pillow.shape == found.shape


@pytest.mark.parametrize("kind", Augment)
def test_an_augmentation_mirrors_and_crops_what_its_name_says(kind: Augment) -> None:
    """Pixels rise by one from left to right: a mirrored image falls, and a part of it spans less."""
    ramp = Image.fromarray(np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2))
    images = [Augmentation(kind, 0)(ramp, 64, 1.0, 0, row) for row in range(100)]
    assert all((image.shape, image.dtype) == ((64, 64, 3), np.uint8) for image in images)
    if kind is Augment.STRONG:
        standard = [Augmentation(Augment.STANDARD, 0)(ramp, 64, 1.0, 0, row) for row in range(100)]
        assert 50 < sum(not np.array_equal(a, b) for a, b in zip(images, standard, strict=True)) <= 100
        return
    mirrored = sum(int(image[0, 0, 0]) > int(image[0, -1, 0]) for image in images)
    whole = sum(int(np.ptp(image)) == 63 for image in images)
    assert (30 < mirrored < 70) if kind in ("mirror", "standard") else mirrored == 0
    assert whole == 100 if kind in ("none", "mirror") else whole < 10


def test_without_augmentation_training_shows_the_square_of_evaluation(table: ImageTable) -> None:
    training = ImageBatches(table, 16, augmentation=Augmentation(Augment.NONE, 3), crop_share=0.875)
    evaluation = ImageBatches(table, 16, augmentation=None, crop_share=0.875)
    for row in range(5):
        np.testing.assert_array_equal(training.image(7, row), evaluation.image(0, row))


@pytest.mark.parametrize("kind", [Augment.STANDARD, Augment.STRONG])
def test_an_augmentation_is_a_function_of_seed_epoch_and_row(kind: Augment) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = Augmentation(kind, 5)(noise, 16, 1.0, 2, 3)
    assert torch.equal(torch.get_rng_state(), state)  # a model's dropout does not depend on it
    torch.manual_seed(2)
    np.testing.assert_array_equal(Augmentation(kind, 5)(noise, 16, 1.0, 2, 3), first)
    for seed, epoch, row in ((6, 2, 3), (5, 3, 3), (5, 2, 4)):
        assert not np.array_equal(Augmentation(kind, seed)(noise, 16, 1.0, epoch, row), first)


def test_crops_keep_at_least_four_fifths_of_the_side() -> None:
    ramp = Image.fromarray(np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2))
    table = ImageTable(
        name="x", class_names=("a", "b"), targets=np.zeros(300, dtype=np.int64),
        sample_ids=[str(row) for row in range(300)], read=lambda row: ramp,
    )  # fmt: skip
    images = ImageBatches(table, 100, augmentation=Augmentation(Augment.CROP, 0))
    spans = [int(np.ptp(images.image(0, row)[0, :, 0])) for row in range(300)]
    assert 77 < min(spans) < 84
    assert 95 < max(spans) <= 99


def parts(rows: int, batch_size: int, processes: int, epoch: int = 1) -> tuple[EpochBatches, list[list[list[int]]]]:
    """The row lists of each process."""
    table = ImageTable(
        name="x", class_names=("a", "b"), targets=np.arange(rows) % 2, sample_ids=[str(r) for r in range(rows)],
        read=lambda row: Image.new("RGB", (1, 1)),
    )  # fmt: skip
    found = []
    for rank in range(processes):
        batches = EpochBatches(table, batch_size, seed=0, sampler=Sampler.NATURAL, rank=rank, processes=processes)
        batches.epoch = epoch
        found.append([[row for _, row in keys] for keys in batches])
        assert all(key == epoch for keys in batches for key, _ in keys)
        assert len(batches) == len(found[-1])
    return batches, found


@pytest.mark.parametrize(("rows", "batch_size", "processes"), [(24, 6, 2), (23, 6, 4), (23, 5, 3), (7, 7, 7)])
def test_processes_share_each_global_batch(rows: int, batch_size: int, processes: int) -> None:
    batches, shares = parts(rows, batch_size, processes)
    (_, [whole]) = parts(rows, batch_size, 1)
    for number, expected in enumerate(whole):
        sizes = batches.sizes(len(expected))
        assert max(sizes) - min(sizes) <= 1
        got = [share[number][:size] for share, size in zip(shares, sizes, strict=True)]
        assert [row for part in got for row in part] == expected
        assert [len(share[number]) for share in shares] == [max(size, 1) for size in sizes]


def test_an_empty_part_holds_a_stand_in_of_no_weight() -> None:
    batches, shares = parts(9, 4, 3)  # the last batch has one row for three processes
    assert batches.sizes(1) == [1, 0, 0]
    assert shares[0][-1] == shares[1][-1] == shares[2][-1]


@pytest.mark.parametrize(("rows", "processes"), [(10, 1), (10, 3), (2, 4)])
def test_evaluation_shows_every_row_once_over_all_processes(rows: int, processes: int) -> None:
    lists = [evaluation_batches(rows, 4, rank, processes) for rank in range(processes)]
    assert [row for batches in lists for keys in batches for _, row in keys] == list(range(rows))
    assert all(1 <= len(keys) <= 4 for batches in lists for keys in batches)


def test_augmented_pixels_do_not_depend_on_the_rest_of_the_batch(table: ImageTable) -> None:
    images = ImageBatches(table, 16, augmentation=Augmentation(Augment.STRONG, 1))
    alone = images[(4, 9)].images[0]
    together: npt.NDArray[np.uint8] = images.__getitems__([(4, 2), (4, 9), (5, 9)]).images.numpy()
    np.testing.assert_array_equal(together[1], alone.numpy())
    assert not np.array_equal(together[2], alone.numpy())
