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
FORMULAS = ("weighted-cluster", "softmax + 0.1*gaussian-affinity(lr_scale=10)")


class Training(nn.Module):
    """Model and criterion in one module, as DistributedDataParallel and FSDP need it."""

    def __init__(self, formula: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc = nn.Linear(5, 6), nn.Linear(6, 4)
        self.criterion = lossbench.attach(formula, head=self.fc, class_counts=COUNTS)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        value: Tensor = self.criterion(self.fc(self.body(x)), y)
        return value


def rows(rank: int, step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 * step + rank)
    return torch.randn(8, 5, generator=generator, dtype=torch.float64), torch.randint(4, (8,), generator=generator)


def train(formula: str, ranks: tuple[int, ...], way: str) -> dict[str, Tensor]:
    training = Training(formula).double()
    called: Any = training
    if way == "ddp":
        called = DistributedDataParallel(training)
    if way == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        called = fully_shard(training, mesh=init_device_mesh("cpu", (2,)))
    optimizer = training.criterion.follow(torch.optim.SGD(training.parameters(), lr=0.1))
    for step in range(4):
        x, y = (torch.cat(parts) for parts in zip(*(rows(rank, step) for rank in ranks), strict=True))
        called(x, y).backward()
        optimizer.step()
        optimizer.zero_grad()
    state = {name: value for name, value in training.state_dict().items() if value.is_floating_point()}
    return {name: getattr(value, "full_tensor", lambda value=value: value)() for name, value in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ddp", "fsdp"])
def test_two_processes_are_one(way: str, tmp_path: Path) -> None:
    ended = start_ranks(tmp_path, __file__, tmp_path, way)
    assert [done.code for done in ended] == [0, 0], [done.err for done in ended]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for formula in FORMULAS:
        alone = train(formula, (0, 1), "alone")
        for name, tensor in first[formula].items():
            assert tensor.equal(second[formula][name]), name
            torch.testing.assert_close(tensor, alone[name], rtol=0, atol=1e-12, msg=name)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    this, folder = dist.get_rank(), Path(sys.argv[1])
    torch.save({formula: train(formula, (this,), sys.argv[2]) for formula in FORMULAS}, folder / f"{this}.pt")
    dist.destroy_process_group()
