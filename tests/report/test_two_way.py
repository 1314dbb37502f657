"""The error over seeds and images against naive loops, its edge cases, and that intervals and tests agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench.verdict.two_way import TwoWay, two_way


def naive(difference: np.ndarray, targets: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, V_seeds, V_images and V_interaction of a pair, term by term from the formulas."""
    seeds = len(difference)
    classes = np.unique(targets)
    squares, squares_rest, free = 0.0, 0.0, 0
    for c in classes:
        d = difference[:, targets == c]
        x, m = d.mean(axis=0), d.mean(axis=1)
        squares += float(sum((value - d.mean()) ** 2 for value in x))
        squares_rest += float(sum((d[s, i] - x[i] - m[s] + d.mean()) ** 2 for s in range(seeds) for i in range(len(x))))
        free += d.shape[1] - 1
    images = rest = 0.0
    for c in classes:
        d = difference[:, targets == c]
        n = d.shape[1]
        x, m = d.mean(axis=0), d.mean(axis=1)
        own = x.var(ddof=1) if n > 1 else squares / free
        inner = sum((d[s, i] - x[i] - m[s] + d.mean()) ** 2 for s in range(seeds) for i in range(n))
        mean_square = inner / ((seeds - 1) * (n - 1)) if n > 1 else squares_rest / ((seeds - 1) * free)
        images += own / n / len(classes) ** 2
        rest += mean_square / (seeds * n) / len(classes) ** 2
    by_seed = np.mean([difference[:, targets == c].mean(axis=1) for c in classes], axis=0)
    return float(by_seed.mean()), float(by_seed.var(ddof=1)) / seeds, float(images), float(rest)


@pytest.mark.parametrize("counts", [(4, 7, 3), (1, 2, 9), (5,)])
@pytest.mark.parametrize("seeds", [2, 5])
def test_the_variances_are_those_of_the_formulas(counts: tuple[int, ...], seeds: int) -> None:
    draw = np.random.default_rng(sum(counts) + seeds)
    targets = np.repeat(np.arange(len(counts)), counts)
    right = (draw.random((3, seeds, len(targets))) < 0.6).astype(np.float64)
    found = two_way(right, targets, [(0, 1), (2, 0)])
    for k, (a, b) in enumerate([(0, 1), (2, 0)]):
        assert (found.mean[k], found.v_seeds[k], found.v_images[k], found.v_interaction[k]) == pytest.approx(
            naive(right[a] - right[b], targets)
        )
    assert found.borrowed == sum(n == 1 for n in counts)


def test_leading_axes_are_comparisons_of_their_own() -> None:
    draw = np.random.default_rng(0)
    targets = np.repeat([0, 1], [6, 3])
    right = (draw.random((4, 2, 3, 9)) < 0.5).astype(np.float64)
    together = two_way(right, targets, [(0, 1)])
    for k in range(4):
        alone = two_way(right[k], targets, [(0, 1)])
        assert together.p_value()[k] == pytest.approx(alone.p_value())
        assert together.half_width(0.05)[k] == pytest.approx(alone.half_width(0.05))


def test_without_variance_nothing_is_claimed() -> None:
    right = np.ones((2, 3, 4))
    right[1] = 0.0
    found = two_way(right, np.array([0, 0, 1, 1]), [(0, 1), (0, 0)])
    assert found.mean.tolist() == [1.0, 0.0]
    assert found.p_value().tolist() == [1.0, 1.0]
    assert np.isinf(found.half_width(0.05)).all()


def test_three_equal_differences_of_an_image_are_not_certainty() -> None:
    targets = np.repeat(np.arange(4), 5)
    right = np.ones((2, 3, 20))
    right[1, :, 0] = 0.0
    found = two_way(right, targets, [(0, 1)])
    assert found.v_seeds.tolist() == [0.0]
    assert found.p_value()[0] > 0.2


ERRORS = st.builds(
    lambda mean, s, i, rest, df, seeds: TwoWay(*(np.array([v]) for v in (mean, s, i, rest, df)), seeds),
    st.floats(-0.5, 0.5), st.floats(0, 0.01), st.floats(0, 0.01), st.floats(0, 0.01), st.floats(1, 500),
    st.integers(2, 30),
)  # fmt: skip


@settings(deadline=None)
@given(ERRORS, st.floats(1e-6, 0.5))
def test_the_interval_excludes_zero_exactly_if_p_is_below_alpha(error: TwoWay, alpha: float) -> None:
    p, half = error.p_value()[0], error.half_width(alpha)[0]
    if abs(p - alpha) > 1e-9 and error.variance[0] > 0:
        assert (p < alpha) == (abs(error.mean[0]) > half)


@settings(deadline=None)
@given(ERRORS, st.floats(0.001, 0.4))
def test_a_smaller_alpha_gives_a_wider_interval(error: TwoWay, alpha: float) -> None:
    assert error.half_width(alpha / 2)[0] >= error.half_width(alpha)[0]


def test_many_seeds_and_images_give_the_normal_interval() -> None:
    error = TwoWay(np.array([0.0]), np.array([1e-4]), np.array([3e-4]), np.array([1e-6]), np.array([1e6]), 1000)
    assert error.half_width(0.05)[0] == pytest.approx(1.96 * error.variance[0] ** 0.5, rel=0.01)


def test_the_smallest_difference_of_a_plain_t_test() -> None:
    """Without images the approximation is that of Student's test: 3.5 points at sd 2.1 and 5 seeds."""
    error = TwoWay(np.array([0.0]), np.array([0.021**2 / 5]), np.array([0.0]), np.array([0.0]), np.array([1.0]), 5)
    assert error.smallest(0.05)[0] == pytest.approx(0.0353, rel=0.02)
