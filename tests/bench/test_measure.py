"""What is measured is what happens: memory, operators and waits of known calls; failures become rows."""

from __future__ import annotations

import gc
import resource

import pytest
import torch
from torch import Tensor

from lossbench import Loss, LossContext, ModelOutput
from lossbench.bench import Contender, Workload, contender, measure, measure_growth, peers_of
from lossbench.bench.growth import _exponent
from lossbench.errors import ConfigError, UsageError
from lossbench.losses import BUILT_INS

SMALL = Workload(16, 4, 8)
NAMES = [built_in.name for built_in in BUILT_INS]


class Square(Loss):
    """Keeps `extra` bytes for the time of the call, and waits `waits` times."""

    def __init__(self, extra: int = 0, waits: int = 0) -> None:
        super().__init__()
        self.extra, self.waits = extra, waits

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        kept = torch.zeros(self.extra // 4)
        for _ in range(self.waits):
            float(targets.sum())
        return output.embeddings.square().sum() + kept[:1].sum()


class Masked(Square):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.embeddings[targets > 0].sum() + len(targets.unique()) + len(targets.nonzero())


class Failing(Square):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        raise ValueError("no such luck\nmore")


class Greedy(Square):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.embeddings.sum() + torch.ones(1 << 45).sum()


def made(loss: Loss) -> Contender:
    return Contender(type(loss).__name__, lambda context: loss, ("embeddings",))


def test_memory_and_waits_of_a_known_call() -> None:
    light, heavy = measure([made(Square()), made(Square(extra=1_000_000, waits=3))], SMALL, seconds=0.02)
    assert heavy.peak_bytes is not None
    assert light.peak_bytes is not None
    assert 1_000_000 <= heavy.peak_bytes <= 1_000_000 + 2 * light.peak_bytes
    assert (light.host_syncs, heavy.host_syncs) == (0, 3)
    assert heavy.operations is not None
    assert light.operations is not None
    assert heavy.operations > light.operations


def test_masks_unique_and_nonzero_are_waits() -> None:
    (row,) = measure([made(Masked())], SMALL, seconds=0.02)
    assert row.host_syncs == 4  # the mask twice: its backward writes by it


def test_a_failure_and_lack_of_memory_are_rows_and_the_others_go_on() -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    first, failing, greedy, last = measure(
        [made(Square()), made(Failing()), made(Greedy()), made(Square(waits=1))], SMALL, seconds=0.02
    )
    assert failing.error == "ValueError: no such luck"
    assert failing.seconds is None
    assert greedy.error is not None
    assert greedy.error.startswith("out of memory: ")
    assert first.error is last.error is None
    assert last.times_faster is not None
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert gc.isenabled()


def test_update_state_is_timed_where_there_is_a_state() -> None:
    with_state, without = measure([contender("center"), contender("softmax")], SMALL, seconds=0.02)
    assert with_state.update_seconds is not None
    assert with_state.update_seconds > 0
    assert without.update_seconds is None


@pytest.mark.parametrize("name", NAMES)
def test_no_built_in_waits_for_the_host(name: str) -> None:
    for workload in (SMALL, Workload(300, 8, 16), Workload(1100, 8, 16, state_learns=True)):
        (row,) = measure([contender(name)], workload, seconds=0.02)
        assert row.error is None
        assert row.host_syncs == 0


@pytest.mark.parametrize(
    ("expression", "against"),
    [
        *((name, "naive") for name in NAMES),
        ("softmax", "torch"),
        ("weighted-softmax", "torch"),
        ("triplet", "pml"),
        ("triplet(mining=hard,distance=euclidean)", "pml"),
        ("triplet(mining=semihard)", "pml"),
        ('weighted-cluster(separation="mean",delta=0.1)', "naive"),
    ],
)
def test_a_peer_computes_the_same(expression: str, against: str) -> None:
    """Or weighted-softmax by torch, which divides by the batch's own weights: proportional."""
    (peer,) = peers_of(expression, against)
    workload = Workload(24, 4, 6)
    output, targets = workload.batch_of_model()
    values, slopes = [], []
    for each in (contender(expression), peer):
        loss = each.build(workload.context)
        if isinstance(centers := getattr(loss, "centers", None), Tensor):
            centers.copy_(workload.centers())
        leaves = ModelOutput(*(t.clone().requires_grad_() for t in output[:2]))
        value = loss(leaves, targets)
        values.append(value.detach())
        slopes.append(torch.autograd.grad(value, getattr(leaves, each.reads[0]))[0])
    factor = values[1] / values[0] if (expression, against) == ("weighted-softmax", "torch") else torch.ones(())
    torch.testing.assert_close(values[1], factor * values[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(slopes[1], factor * slopes[0], rtol=1e-3, atol=1e-6)


@pytest.mark.long
def test_growth_of_a_naive_form_is_cubic_in_memory_and_ours_is_not() -> None:
    contenders = [contender("triplet"), *peers_of("triplet", "naive")]
    ours, naive = measure_growth(contenders, Workload(1, 4, 4), "B", [64, 32, 128], seconds=0.01)
    assert [row.workload[0] for row in naive.rows] == [32, 64, 128]
    assert naive.memory_exponent == pytest.approx(3, abs=0.3)
    assert ours.memory_exponent is not None
    assert ours.memory_exponent < 2.3


def test_who_failed_is_not_asked_again_at_larger_sizes() -> None:
    (growth,) = measure_growth([made(Failing())], SMALL, "D", [2, 4, 8], seconds=0.01)
    assert len(growth.rows) == 1
    assert growth.time_exponent is growth.memory_exponent is None
    assert _exponent([(2, 1.0), (4, 2.0)]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 1), "--batch must be at least 1, got 0"),
        ((1, 1, 1), "--classes must be at least 2, got 1"),
        ((1, 2, 0), "--dim must be at least 1, got 0"),
        ((1, 2, 1, "tpu"), "--device must be cpu, cuda or cuda:N, got 'tpu'"),
        ((1, 2, 1, "cuda:99"), "--device cuda:99: this machine has"),
    ],
)
def test_a_workload_that_can_t_be_is_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Workload(*arguments)


def test_an_unknown_peer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--against naif: unknown peer"):
        peers_of("triplet", "naif")


def test_centers_learn_where_asked() -> None:
    context = LossContext(num_classes=4, embedding_dim=8, class_counts=(1,) * 4)
    loss = contender("center").build(context)
    assert not loss.get_buffer("centers").requires_grad
    still, learning = (
        measure([contender("center")], Workload(16, 4, 4096, state_learns=learn), seconds=0.02)[0]
        for learn in (False, True)
    )
    assert still.peak_bytes is not None
    assert learning.peak_bytes is not None
    assert learning.peak_bytes - still.peak_bytes > 0.99 * 4 * 4096 * 4
