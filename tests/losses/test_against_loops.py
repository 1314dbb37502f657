"""The losses against naive loops over scalars in float64, over the whole range of their hyper-parameters.

The loops are `lossbench.losses.loops`; the search and the definition of a tie are those of `lossbench.testing`. These
tests cover settings that the laws do not visit, and ties that floats hold exactly.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st
from torch import Tensor

from lossbench import Loss, ModelOutput, loss_info
from lossbench.losses.loops import triplet
from lossbench.testing import Case, Configuration, Effort, cases, configurations, find_law, judge
from lossbench.types import LoopBatch

LOOP = find_law("naive-loop")
SETTINGS = [
    *(("weighted-softmax", {"power": p, "average": a}) for p in (0.0, 0.5, 2.0) for a in ("dataset", "batch")),
    *(
        ("weighted-cluster", {"separation": s, "term_weight": w, "power": p, "delta": d})
        for s, w, p, d in itertools.product(("sum", "mean"), ("class", "none"), (0.0, 0.5, 1.0), (0.001, 2.5))
    ),
    *(
        ("triplet", {"mining": m, "distance": d, "normalize": n, "average": a, "margin": margin})
        for m, d, n, a in itertools.product(
            ("all", "semihard", "hard"), ("squared", "euclidean"), (True, False), ("active", "all")
        )
        for margin in (0.0, 0.25, 1.5)
    ),
]


# Fresh, and where a loss has a state, started.
EVERY = [configuration for name, settings in SETTINGS for configuration in configurations(loss_info(name), settings)]


@pytest.mark.parametrize("configuration", EVERY, ids=str)
@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.long)])
def test_a_loss_is_its_loop(configuration: Configuration, examples: int) -> None:
    result = judge(configuration, LOOP, Effort(examples=examples))
    assert (result.status, result.message) == ("passed", "")


def build(case: Case, **hyperparameters: object) -> Loss:
    return loss_info("triplet").factory(case.context, **hyperparameters).double()


@pytest.mark.parametrize("mining", ["all", "semihard"])
@pytest.mark.parametrize("average", ["active", "all"])
@given(cases(max_dim=1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_triplet_ties_that_floats_hold_exactly(mining: str, average: str, case: Case, margin: float) -> None:
    """On a line, distances of 1024ths are exact: a hinge of exactly 0 counts as inactive and pulls at nothing."""
    mode = {"margin": margin, "mining": mining, "distance": "euclidean", "normalize": False, "average": average}
    x = case.output().embeddings.requires_grad_()
    batch = LoopBatch(x, case.output().logits, list(case.targets), case.class_counts, mode, {})
    expected = triplet(batch)
    (slope,) = torch.autograd.grad(expected + 0 * x.sum(), x)
    torch.testing.assert_close(
        value_and_gradient(build(case, **mode), x.detach(), list(case.targets)), (expected.detach(), slope)
    )


def test_a_semihard_band_that_rounding_closes_is_empty() -> None:
    x = torch.tensor([[0.0], [1e4], [-1e4]])  # squared distances of 1e8, where float32 has no room for the margin
    case = Case((1, 1), (), (), (), 1)
    value, gradient = value_and_gradient(build(case, mining="semihard", normalize=False), x, [0, 0, 1])
    assert value == 0
    assert not gradient.any()


@given(cases(max_batch=8), st.sampled_from([0.05, 0.2, 1.0]))
def test_triplet_is_that_of_pytorch_metric_learning(case: Case, margin: float) -> None:
    from pytorch_metric_learning.losses import TripletMarginLoss

    from lossbench.testing.excuses import lies_on_kink
    from lossbench.testing.trial import Trial

    mode = {"margin": margin, "mining": "all", "distance": "euclidean", "normalize": True, "average": "active"}
    x = case.output().embeddings
    on_kink = lies_on_kink(Trial(Configuration(spec=loss_info("triplet"), hyperparameters=mode), case), 1e-6)
    if on_kink or not all(row.any() for row in x):  # it gives a zero row a direction of its own
        event("not comparable")
        return
    ours = value_and_gradient(build(case, **mode), x, list(case.targets))
    theirs = value_and_gradient(TripletMarginLoss(margin), x, list(case.targets), bare=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def value_and_gradient(
    loss: torch.nn.Module, x: Tensor, targets: list[int], *, bare: bool = False
) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    labels = torch.tensor(targets, dtype=torch.int64)
    value = loss(x, labels) if bare else loss(ModelOutput(x, x), labels)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient
