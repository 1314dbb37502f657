"""The global generators are compared, seeded and put back."""

import random

import numpy as np
import torch

from lossbench.testing.generators import put_back, seeded, states


def draw() -> tuple[float, float, float]:
    return float(torch.rand(1)), random.random(), float(np.random.normal())


def test_a_seed_gives_the_same_numbers_and_leaves_no_trace() -> None:
    before = states()
    with seeded(3):
        first = draw()
        assert states() != before
    assert states() == before
    with seeded(3):
        assert draw() == first
    with seeded(4):
        assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_each_generator_is_seen_and_put_back() -> None:
    before = states()
    for name, number in (("torch", 0), ("Python", 1), ("NumPy", 2)):
        expected = draw()[number]
        put_back(before)
        (lambda: torch.rand(1), random.random, np.random.normal)[number]()
        assert [each for each, state in states().items() if state != before[each]] == [name]
        put_back(before)
        assert draw()[number] == expected
        put_back(before)
