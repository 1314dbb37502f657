"""What an adapted loss learns stays the same in two real processes, and is what one process learns from all rows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from warm import start_ranks

from lossbench import LossContext, ModelOutput, create_loss
from lossbench.harness.training.step import TrainStep

CONTEXT = LossContext(num_classes=4, embedding_dim=6, class_counts=(40, 30, 20, 10))
# Of rows alone, so that shards don't matter; and one with a parameter that takes part only where there are pairs.
ROWS, PAIRS = "softmax + 0.5*pml/ArcFaceLoss", "softmax + 0.5*pml/MarginLoss(learn_beta=true)"
# By process. In the last step the second has no two rows of a class: it has no pair.
LABELS = ([[0, 1, 2, 3], [0, 0, 1, 2], [3, 3, 2, 0]], [[3, 2, 1, 0], [1, 1, 1, 2], [0, 1, 2, 3]])


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.head = nn.Linear(5, CONTEXT.embedding_dim), nn.Linear(CONTEXT.embedding_dim, 4)

    def forward(self, images: Tensor) -> ModelOutput:
        embeddings = self.trunk(images)
        return ModelOutput(embeddings, self.head(embeddings))


def train(formula: str, ranks: tuple[int, ...]) -> dict[str, Tensor]:
    """The state after three steps on the rows of these processes."""
    step = TrainStep(Model(), create_loss(formula, CONTEXT)).double()  # type: ignore[arg-type]
    called = DistributedDataParallel(step) if dist.is_initialized() else step
    optimizer = torch.optim.SGD(step.parameters(), lr=0.1)
    for number in range(3):
        images = torch.cat([_images(rank, number) for rank in ranks]).double()
        value, _ = called(images, torch.tensor([label for rank in ranks for label in LABELS[rank][number]]))
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
    return dict(step.state_dict())


def _images(rank: int, number: int) -> Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(10 * number + rank))


@pytest.mark.slow
def test_learned_parameters_are_synchronised(tmp_path: Path) -> None:
    ended = start_ranks(tmp_path, __file__, tmp_path)
    assert [done.code for done in ended] == [0, 0], [done.err for done in ended]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    fresh = create_loss(ROWS, CONTEXT).state_dict()["terms.1.inner.W"]
    assert not first[ROWS]["loss.terms.1.inner.W"].equal(fresh)
    assert first[PAIRS]["loss.terms.1.inner.beta"] != 1.2  # where it starts
    for formula in (ROWS, PAIRS):
        for name, tensor in first[formula].items():
            assert tensor.equal(second[formula][name]), name
    alone = train(ROWS, (0, 1))
    for name, tensor in first[ROWS].items():
        torch.testing.assert_close(tensor, alone[name], rtol=0, atol=1e-12, msg=name)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    this, folder = dist.get_rank(), Path(sys.argv[1])
    torch.save({formula: train(formula, (this,)) for formula in (ROWS, PAIRS)}, folder / f"{this}.pt")
    dist.destroy_process_group()
