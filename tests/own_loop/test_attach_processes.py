"""An attached loss in two real processes: the same state in both, equal to one process that sees all rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from warm import start_ranks

import lossbench

COUNTS = (40, 30, 20, 10)
# Formula -> whether rows are gathered; the processes then have shares of different sizes.
FORMULAS = {
    "weighted-cluster": False,
    "softmax + 0.1*gaussian-affinity(lr_scale=10)": False,
    "softmax + 0.5*triplet + 0.2*supervised-contrastive + 0.1*gaussian-affinity + 0.1*center": True,
    "softmax + pml/ProxyAnchorLoss": True,
}
WAYS = ("ddp", "outside", "fsdp", "accelerate")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc = nn.Linear(5, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.body(x))
        return logits


class Training(nn.Module):
    """Model and criterion in one module, as FSDP needs it."""

    def __init__(self, formula: str, gather: bool) -> None:
        super().__init__()
        self.model = Model()
        self.criterion = lossbench.attach(formula, head=self.model.fc, class_counts=COUNTS, gather=gather)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        value: Tensor = self.criterion(self.model(x), y)
        return value


def rows(rank: int, step: int, gather: bool) -> tuple[Tensor, Tensor]:
    generator, size = torch.Generator().manual_seed(100 * step + rank), 8 - 5 * gather * rank
    x = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (size,), generator=generator)


def train(formula: str, ranks: tuple[int, ...], way: str) -> dict[str, Tensor]:
    gather = FORMULAS[formula]
    training = Training(formula, gather).double()
    model, criterion, called = training.model, training.criterion, training
    if way == "ddp":
        called = DistributedDataParallel(training)
    if way == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        called = fully_shard(training, mesh=init_device_mesh("cpu", (2,)))
    optimizer: Any = criterion.follow(torch.optim.SGD(training.parameters(), lr=0.1))
    backward = torch.Tensor.backward
    if way == "outside":
        training.model = DistributedDataParallel(model)
    if way == "accelerate":
        from accelerate import Accelerator

        accelerator = Accelerator(cpu=True)
        training.model, optimizer, prepared = accelerator.prepare(model, optimizer, criterion)
        assert isinstance(training.model, DistributedDataParallel)
        assert prepared is criterion
        backward = accelerator.backward
    for step in range(4):
        x, y = (torch.cat(parts) for parts in zip(*(rows(rank, step, gather) for rank in ranks), strict=True))
        backward(called(x, y))
        optimizer.step()
        optimizer.zero_grad()
    training.model = model
    state = {name: value for name, value in training.state_dict().items() if value.is_floating_point()}
    return {name: getattr(value, "full_tensor", lambda value=value: value)() for name, value in state.items()}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """The states of each process, by way and formula."""
    folder = tmp_path_factory.mktemp("ranks")
    ended = start_ranks(folder, __file__, folder)
    assert [done.code for done in ended] == [0, 0], [done.err for done in ended]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_are_one(way: str, formula: str, states: list[dict[str, dict[str, Tensor]]]) -> None:
    first, second = (state[f"{way} {formula}"] for state in states)
    alone = train(formula, (0, 1), "alone")
    assert first.keys() == alone.keys()
    for name, tensor in first.items():
        assert tensor.equal(second[name]), name
        torch.testing.assert_close(tensor, alone[name], rtol=0, atol=1e-12, msg=name)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    this, folder = dist.get_rank(), Path(sys.argv[1])
    found = {f"{way} {formula}": train(formula, (this,), way) for way in WAYS for formula in FORMULAS}
    torch.save(found, folder / f"{this}.pt")
    dist.destroy_process_group()
