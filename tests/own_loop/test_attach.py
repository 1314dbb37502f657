"""`lossbench.attach` beside a loop that calls everything by hand: equal to the last bit."""

from __future__ import annotations

import copy
import pickle
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import lossbench
from lossbench import LossContext, ModelOutput, create_loss
from lossbench.errors import UsageError

COUNTS, DIM = (400, 120, 40, 12), 16
CONTEXT = LossContext(num_classes=4, embedding_dim=DIM, class_counts=COUNTS)
LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")


class Net(nn.Module):
    """Returns logits alone, as a classifier of any library."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, DIM), nn.ReLU())
        self.fc = head or nn.Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(x))
        return logits


def data(rows: int = 256) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.multinomial(torch.tensor(COUNTS, dtype=torch.float32), rows, replacement=True, generator=generator)
    x = 1.2 * torch.randn(4, 20, generator=generator)[y] + torch.randn(rows, 20, generator=generator)
    return x, y


def by_hand(formula: str, accumulate: int, skip: frozenset[int] = frozenset()) -> list[Tensor]:
    """The explicit loop: body and head apart, outputs collected, `update_state` after each step that is taken."""
    torch.manual_seed(0)
    net, loss = Net(), create_loss(formula, CONTEXT)
    optimizer = torch.optim.SGD([*net.parameters(), *loss.parameters()], lr=0.05)
    (x, y), outputs = data(), []
    for k in range(8):
        rows = slice(32 * k, 32 * k + 32)
        embeddings = net.body(x[rows])
        output = ModelOutput(embeddings, net.fc(embeddings))
        (loss(output, y[rows]) / accumulate).backward()
        outputs.append((embeddings.detach(), output.logits.detach(), y[rows]))
        if (k + 1) % accumulate == 0:
            if k not in skip:
                optimizer.step()
                e, z, t = (torch.cat(parts) for parts in zip(*outputs, strict=True))
                loss.update_state(ModelOutput(e, z), t)
            optimizer.zero_grad()
            outputs = []
    return [*net.state_dict().values(), *loss.state_dict().values()]


def attached(
    formula: str, accumulate: int, skip: frozenset[int] = frozenset(), *, set_to_none: bool = True
) -> list[Tensor]:
    torch.manual_seed(0)
    net = Net()
    criterion = lossbench.attach(formula, head=net.fc, class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD([*net.parameters(), *criterion.parameters()], lr=0.05))
    x, y = data()
    for k in range(8):
        rows = slice(32 * k, 32 * k + 32)
        (criterion(net(x[rows]), y[rows]) / accumulate).backward()
        if (k + 1) % accumulate == 0:
            if k not in skip:  # as a gradient scaler does where a gradient is not finite
                optimizer.step()
            optimizer.zero_grad(set_to_none=set_to_none)
        if k % 3 == 0:  # evaluation between steps moves nothing
            net.eval()
            criterion(net(x[:16]), y[:16])
            with torch.no_grad():
                criterion(net.train()(x[:16]), y[:16])
    return [*net.state_dict().values(), *criterion.loss.state_dict().values()]


def largest_difference(one: list[Tensor], other: list[Tensor]) -> float:
    assert len(one) == len(other)
    return max(float((a - b).abs().nan_to_num(0).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("formula", LOSSES)
def test_it_is_the_loop_by_hand(formula: str, accumulate: int) -> None:
    assert largest_difference(by_hand(formula, accumulate), attached(formula, accumulate)) == 0


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize(("accumulate", "skip"), [(1, {0, 3, 4}), (2, {3}), (2, {1, 7}), (4, {3})])
def test_a_skipped_step_moves_nothing_and_leaves_nothing(accumulate: int, skip: set[int], set_to_none: bool) -> None:
    skipped = frozenset(skip)
    found = attached("weighted-cluster", accumulate, skipped, set_to_none=set_to_none)
    assert largest_difference(by_hand("weighted-cluster", accumulate, skipped), found) == 0


def test_with_a_gradient_scaler() -> None:
    torch.manual_seed(0)
    net, (x, y) = Net(), data()
    criterion = lossbench.attach("softmax + 0.1*center", head=net.fc, class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=0.01))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    steps = 0
    for k in range(8):
        rows = slice(32 * k, 32 * k + 32)
        value = criterion(net(x[rows]), y[rows])
        scaler.scale(value * (float("inf") if k in (1, 2, 6) else 1)).backward()
        before = copy.deepcopy(criterion.loss.state_dict())
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        changed = any(
            not a.equal(b) for a, b in zip(before.values(), criterion.loss.state_dict().values(), strict=True)
        )
        assert changed == (k not in (1, 2, 6))
        steps += changed
    assert criterion.moves == steps == 5


def test_zeroing_between_forward_and_backward_as_lightning_does() -> None:
    net, (x, y) = Net(), data()
    criterion = lossbench.attach("softmax + 0.1*center", head=net.fc, class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=0.0))
    for k in range(4):
        value = criterion(net(x[32 * k : 32 * k + 32]), y[32 * k : 32 * k + 32])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    loss = create_loss("softmax + 0.1*center", CONTEXT)
    for k in range(4):
        e = net.body(x[32 * k : 32 * k + 32]).detach()
        loss.update_state(ModelOutput(e, net.fc(e).detach()), y[32 * k : 32 * k + 32])
    assert criterion.loss.terms()[1].loss.centers.equal(loss.terms()[1].loss.centers)  # type: ignore[union-attr]


def test_learned_parameters_get_a_group_of_their_own() -> None:
    net = Net()
    criterion = lossbench.attach("softmax + 0.1*gaussian-affinity(lr_scale=100)", head=net.fc)
    for given in ([*net.parameters(), *criterion.parameters()], [*net.parameters()]):
        optimizer = torch.optim.AdamW(given, lr=1e-3, weight_decay=0.1)
        assert criterion.follow(optimizer) is optimizer
        assert [len(group["params"]) for group in optimizer.param_groups] == [6, 1]
        assert (optimizer.param_groups[1]["lr"], optimizer.param_groups[1]["weight_decay"]) == (0.1, 0.0)


def test_a_schedule_follows_the_number_of_steps() -> None:
    net, (x, y) = Net(lossbench.CosineHead(DIM, 4)), data()
    criterion = lossbench.attach("ldam(defer=0.5)", head=net.fc, class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=0.1), epochs=4, steps_per_epoch=3)
    weighs = []
    for _ in range(12):
        weighs.append(bool(criterion.loss.weighs))
        criterion(net(x), y).backward()
        optimizer.step()
    assert weighs == [False] * 6 + [True] * 6


@pytest.mark.parametrize(
    "way", [list, np.array, torch.tensor, "counter", "dict", "dataset", "loader", "rows", "labels"]
)
def test_counts_from_whatever_there_is(way: Any) -> None:
    labels = [0] * 5 + [1] * 3 + [2] * 2 + [3]
    dataset = TensorDataset(torch.zeros(len(labels), 2), torch.tensor(labels))
    given = {
        "counter": lambda: Counter(labels),
        "dict": lambda: {0: 5, 1: 3, 2: 2, 3: 1},
        "dataset": lambda: dataset,
        "loader": lambda: DataLoader(dataset, batch_size=3, shuffle=True),
        "rows": lambda: [(torch.zeros(2), label) for label in labels],
    }
    if way == "labels":  # four labels of four classes could be counts
        assert lossbench.attach("softmax", Net().fc, [3, 3, 3, 0]).context.class_counts == (3, 3, 3, 0)
        assert lossbench.attach("softmax", Net().fc, labels=[3, 3, 3, 0]).context.class_counts == (1, 0, 0, 3)
        return
    counts = way(labels) if callable(way) else given[way]()
    assert lossbench.attach("weighted-softmax", Net().fc, counts).context.class_counts == (5, 3, 2, 1)


def test_its_state_is_saved_with_a_fingerprint() -> None:
    def criterion(formula: str = "softmax + 0.1*center", counts: Any = COUNTS) -> Any:
        return lossbench.attach(formula, head=Net().fc, class_counts=counts)

    trained = criterion()
    trained.loss.terms()[1].loss.centers.fill_(3)
    state = trained.state_dict()
    assert all(isinstance(value, Tensor) for value in state.values())
    restored = criterion()
    restored.load_state_dict(state)
    assert restored.loss.terms()[1].loss.centers.eq(3).all()
    with pytest.raises(UsageError, match=r"this state belongs to another loss: its formula is softmax \+ 0.1\*center"):
        criterion("softmax + 0.2*center").load_state_dict(state)
    with pytest.raises(UsageError, match=r"its class_counts is \[400, 120, 40, 12\], and here it is \[9, 9, 9, 9\]"):
        criterion(counts=(9, 9, 9, 9)).load_state_dict(state)
    for damaged in (torch.tensor([1, 2], dtype=torch.uint8), torch.tensor(list(b"[1]"), dtype=torch.uint8), None):
        with pytest.raises(UsageError, match="the fingerprint of this state is damaged"):
            criterion().load_state_dict({**state, "_extra_state": damaged})


class Both(nn.Module):
    """As a LightningModule holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()
        self.criterion = lossbench.attach("softmax + 0.1*center", head=self.net.fc, class_counts=COUNTS)


def test_copies_are_independent() -> None:
    both, (x, y) = Both(), data(32)
    for other in (copy.deepcopy(both), pickle.loads(pickle.dumps(both))):
        optimizer = other.criterion.follow(torch.optim.SGD(other.net.parameters(), lr=0.1))
        other.criterion(other.net(x), y).backward()
        optimizer.step()
        assert (other.criterion.moves, both.criterion.moves) == (1, 0)
    average = copy.deepcopy(both.net)
    logits = both.net(x)
    average(2 * x)  # a forward of the copy does not disturb the criterion
    assert both.criterion(logits, y).isfinite()


@pytest.mark.parametrize("library", ["timm", "torch"])
def test_a_class_that_starts_late_is_in_a_moving_average(library: str) -> None:
    both, (x, y) = Both(), data(64)
    optimizer = both.criterion.follow(torch.optim.SGD(both.net.parameters(), lr=0.1))
    average: Any = (
        ModelEmaV3(both, decay=0.9, exclude_buffers=True)
        if library == "timm"
        else torch.optim.swa_utils.AveragedModel(both)
    )
    for late in (False, True):
        rows = y == 0 if not late else slice(None)
        both.criterion(both.net(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(both) if library == "timm" else average.update_parameters(both)
    centers = both.criterion.loss.terms()[1].loss.centers
    assert centers.isfinite().all()
    assert average.module.criterion.loss.terms()[1].loss.centers.equal(centers)


@pytest.mark.parametrize("library", ["timm", "torch"])
def test_a_class_that_starts_late_is_left_out_of_averaged_buffers(library: str) -> None:
    """As docs/decisions/0016 states: it contributes zero, the others are exact, and training starts it again."""
    both, (x, y) = Both(), data(64)
    optimizer = both.criterion.follow(torch.optim.SGD(both.net.parameters(), lr=0.1))
    average: Any = (
        ModelEmaV3(both, decay=0.9)
        if library == "timm"
        else torch.optim.swa_utils.AveragedModel(both, use_buffers=True)
    )
    for late in (False, False, True):
        rows = y == 0 if not late else slice(None)
        both.criterion(both.net(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(both) if library == "timm" else average.update_parameters(both)
    copied = average.module.criterion.loss.terms()[1].loss
    if library == "timm":  # an average that started before the first center has none at all
        assert copied.centers.isnan().all()
    else:
        assert copied.centers[0].isfinite().all()
        assert copied.centers[1:].isnan().all()
    output = ModelOutput(average.module.net.body(x).detach(), average.module.net(x).detach())
    assert copied(output, y).isfinite()
    assert float(copied(ModelOutput(output.embeddings[y == 1], output.logits[y == 1]), y[y == 1])) == 0
    copied.update_state(output, y)
    assert copied.centers.isfinite().all()


def test_values_per_sample_and_soft_targets() -> None:
    net, (x, y) = Net(), data(32)
    criterion = lossbench.attach("weighted-softmax", head=net.fc, class_counts=COUNTS)
    values = criterion.per_sample(net(x), y)
    torch.testing.assert_close(values.mean(), criterion(net(x), y))
    torch.testing.assert_close(criterion(net(x), nn.functional.one_hot(y, 4).float()), criterion(net(x), y))


def test_forgetting_follow_is_said_once() -> None:
    net, (x, y) = Net(), data(32)
    criterion = lossbench.attach("softmax + 0.1*center", head=net.fc, class_counts=COUNTS)

    def train() -> None:
        for _ in range(30):
            criterion(net(x), y)

    with pytest.warns(UserWarning, match=r"follows no optimizer, .* call criterion.follow\(optimizer\)") as seen:
        train()
    assert len(seen) == 1


def frozen() -> nn.Module:
    return Net().fc.requires_grad_(False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lossbench.attach("softmax", head=frozen()), "the head is frozen"),
        (lambda: lossbench.attach("softmax", head=nn.LazyLinear(4)), "call the model once before attach"),
        (lambda: lossbench.attach(nn.CrossEntropyLoss(), Net().fc), "expected a formula, .* got CrossEntropyLoss"),  # type: ignore[arg-type]
        (lambda: lossbench.attach("softmax", head="fc"), "head must be a torch.nn.Module, such as model.fc, got str"),
        (lambda: lossbench.attach("softmax", head=nn.ReLU()), "does not tell its sizes: pass embedding_dim="),
        (lambda: lossbench.attach("softmax", Net().fc, num_classes=7), "num_classes=7 does not match the head, .* 4"),
        (lambda: lossbench.attach("softmax", Net().fc, {0: 1, 7: 2}), "class_counts has the key 7; expected .* 0 to 3"),
        (lambda: lossbench.attach("softmax", Net().fc, [0, 1, 2, 3, 4]), "labels must be class numbers .* 3, got 4"),
        (lambda: lossbench.attach("softmax", Net().fc, [1, 1, 1, 1], labels=[0]), "class_counts or labels, not both"),
        (lambda: lossbench.attach("softmax", Net().fc, (100, 20, 3)), "got 100; class counts are 4 numbers, one per"),
        (lambda: lossbench.attach("weighted-softmax", Net().fc), "weighted-softmax needs class_counts"),
        (lambda: lossbench.attach("arc-face", Net().fc), r"head = lossbench.CosineHead\(16, 4\)"),
    ],
)  # fmt: skip
def test_a_wrong_head_or_count_is_refused(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_wrong_use_is_refused() -> None:
    net, other, (x, y) = Net(), Net(), data(32)
    criterion = lossbench.attach("center", head=net.fc, class_counts=COUNTS)
    with pytest.raises(UsageError, match="the head was not called since the last loss"):
        criterion(torch.randn(32, 4), y)
    with pytest.raises(UsageError, match="the head was not called since the last loss"):
        criterion(other(x), y)
    criterion(net(x), y)
    with pytest.raises(UsageError, match="call the model before the criterion, once for each loss"):
        criterion(torch.randn(32, 4), y)
    with pytest.raises(UsageError, match="the optimizer holds no parameter of the head"):
        criterion.follow(torch.optim.SGD(other.parameters(), lr=0.1))
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(UsageError, match="this optimizer is followed already"):
        criterion.follow(optimizer)
    with pytest.raises(UsageError, match="epochs and steps_per_epoch together"):
        lossbench.attach("softmax", net.fc).follow(torch.optim.SGD(net.parameters(), lr=0.1), epochs=3)
    with pytest.raises(UsageError, match=r"follow takes the optimizer of the model, .* got NoneType"):
        lossbench.attach("softmax", net.fc).follow(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="epochs and steps_per_epoch must be at least 1, got 0 and 5"):
        lossbench.attach("softmax", net.fc).follow(
            torch.optim.SGD(net.parameters(), lr=0.1), epochs=0, steps_per_epoch=5
        )
    scheduler: Any = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(net.parameters(), lr=0.1), 1)
    with pytest.raises(UsageError, match=r"follow takes the optimizer of the model, .* got StepLR"):
        lossbench.attach("softmax", net.fc).follow(scheduler)
    logits = net(x)
    with pytest.raises(UsageError, match=r"the input of the head has shape \(32, 16\), expected \(8, 16\)"):
        criterion(logits[:8], y[:8])


def test_a_scheduler_before_follow_is_refused() -> None:
    net = Net()
    criterion = lossbench.attach("softmax + 0.1*gaussian-affinity", head=net.fc)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.raises(UsageError, match="call follow first, then make the scheduler"):
        criterion.follow(optimizer)
    lossbench.attach("center", head=net.fc).follow(optimizer)  # adds no group


def test_a_head_that_is_frozen_later_is_refused() -> None:
    net = Net()
    criterion = lossbench.attach("softmax", head=net.fc)
    net.fc.requires_grad_(False)
    with pytest.raises(UsageError, match="the head is frozen"):
        criterion.follow(torch.optim.SGD(net.parameters(), lr=0.1))


@pytest.mark.parametrize("formula", ["softmax + 0.1*center", "triplet", "softmax"])
def test_the_head_within_a_reentrant_checkpoint_is_refused_where_embeddings_are_read(formula: str) -> None:
    net, (x, y) = Net(), data(32)
    criterion = lossbench.attach(formula, head=net.fc, class_counts=COUNTS)
    criterion.follow(torch.optim.SGD(net.parameters(), lr=0.1))
    x.requires_grad_()
    assert criterion(checkpoint(net, x, use_reentrant=False), y).isfinite()
    assert criterion(net.fc(checkpoint(net.body, x, use_reentrant=True)), y).isfinite()
    if formula == "softmax":
        assert criterion(checkpoint(net, x, use_reentrant=True), y).isfinite()
        return
    with pytest.raises(UsageError, match=r"the head ran without gradients, .* pass use_reentrant=False"):
        criterion(checkpoint(net, x, use_reentrant=True), y)


def test_a_head_that_is_called_by_keyword() -> None:
    net, (x, y) = Net(), data(32)
    criterion = lossbench.attach("softmax + 0.1*center", head=net.fc, class_counts=COUNTS)
    logits = net.fc(input=net.body(x))
    assert criterion(logits, y).equal(criterion(net(x), y))


def test_mixup_by_two_calls_is_refused_with_what_to_pass() -> None:
    net, (x, y) = Net(), data(32)
    criterion, logits = lossbench.attach("softmax", head=net.fc), net(x)
    criterion(logits, y)
    with pytest.raises(UsageError, match=r"For mixup, call the criterion once, with probabilities of shape \(B, C\)"):
        criterion(logits, y.flip(0))


class ValueCounts:
    """What `Series.value_counts()` of pandas returns: by class number, the most frequent first."""

    def __len__(self) -> int:
        return 4

    def to_dict(self) -> dict[int, int]:
        return {2: 9, 0: 5, 3: 2, 1: 1}


def test_counts_of_pandas_are_read_by_their_class_numbers() -> None:
    assert lossbench.attach("softmax", Net().fc, ValueCounts()).context.class_counts == (5, 1, 9, 2)


def test_overhead_of_a_step() -> None:
    """At most 30 µs of the machine in the figures; ten times that here, where other programs run."""
    net = Net()
    criterion = lossbench.attach("softmax + 0.1*center", head=net.fc, class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=0.0))
    x, y = data(8)
    output = ModelOutput(net.body(x).detach(), net(x).detach())
    seconds = []
    for _ in range(200):
        criterion._capture(net.fc, (output.embeddings,), {}, output.logits)
        began = time.perf_counter()
        taken, _ = criterion._output(output.logits, y)
        criterion._cycle.add(taken.embeddings, taken.logits, y)
        criterion._cycle.after_backward(net.fc.weight)
        criterion._cycle.take()
        seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[20] < 3e-4
    assert optimizer.param_groups
