"""Measure what `lossbench.attach` adds to a training step, beyond the loss and its `update_state`.

    python benchmarks/attach_overhead.py [--rounds N] > benchmarks/results/attach-overhead.md

Two loops train equal models on equal batches: one calls the loss and `update_state` by hand, the other uses an attached
criterion. The losses do almost no work, because what `attach` adds does not depend on the loss. Blocks of 20 steps
alternate between the two loops. Times are CPU times of the calling thread, and each figure is the fastest block, so
that other work on the machine counts as little as possible.
Exits with 1 if the overhead exceeds 30 µs.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossbench import Loss, LossContext, ModelOutput
from lossbench.attached import Attached

BATCH, CLASSES, DIM = 32, 8, 64
CONTEXT = LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=(1,) * CLASSES)
MICROSECONDS, BLOCK = 30.0, 20


class WithoutState(Loss):
    """A loss that costs one operator."""

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.sum()


class WithState(WithoutState):
    """The same with a state that moves at no cost."""

    def update_state(self, output: ModelOutput, targets: Tensor) -> None:
        pass


class Net(nn.Module):
    """A linear body and a linear head; returns logits, or embeddings and logits."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.body, self.head, self.both = nn.Linear(DIM, DIM), nn.Linear(DIM, CLASSES), both

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor] | Tensor:
        embeddings: Tensor = self.body(x)
        logits: Tensor = self.head(embeddings)
        return (embeddings, logits) if self.both else logits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"# Overhead of `lossbench.attach`\n\n    python benchmarks/attach_overhead.py --rounds {rounds}\n")
    print(f"One step of SGD, B = {BATCH}, C = {CLASSES}, D = {DIM}; one thread of {platform.machine()}, torch")
    print(f"{torch.__version__}. Microseconds of CPU time of the calling thread, fastest of {rounds} blocks of {BLOCK}")
    print(f"steps; the limit is {MICROSECONDS:g} µs. The losses do almost no work.")
    print("\n| loss | step by hand, µs | step with attach, µs | overhead, µs |\n|-|-|-|-|")
    worst = 0.0
    for title, loss in (("without state", WithoutState), ("with state", WithState)):
        by_hand, attached = compare(loss, rounds)
        worst = max(worst, attached - by_hand)
        print(f"| {title} | {by_hand:.0f} | {attached:.0f} | {attached - by_hand:.1f} |", flush=True)
    return int(worst > MICROSECONDS)


def compare(loss: type[Loss], rounds: int) -> tuple[float, float]:
    """Return the microseconds of a step by hand and of a step with attach."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, DIM, generator=generator)
    y = torch.randint(CLASSES, (BATCH,), generator=generator)
    steps = (step_by_hand(loss(), x, y), step_with_attach(loss(), x, y))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, measured in zip(steps, seconds, strict=True):
            began = time.thread_time()
            for _ in range(BLOCK):
                step()
            measured.append((time.thread_time() - began) / BLOCK)
    return min(seconds[0]) * 1e6, min(seconds[1]) * 1e6


def step_by_hand(loss: Loss, x: Tensor, y: Tensor) -> Callable[[], None]:
    net = Net(both=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)

    def step() -> None:
        output = ModelOutput(*net(x))
        loss(output, y).backward()
        optimizer.step()
        loss.update_state(ModelOutput(output.embeddings.detach(), output.logits.detach()), y)
        optimizer.zero_grad()

    return step


def step_with_attach(loss: Loss, x: Tensor, y: Tensor) -> Callable[[], None]:
    net = Net(both=False)
    criterion = Attached(loss, net.head, "nothing", CONTEXT)
    optimizer = criterion.follow(torch.optim.SGD(net.parameters(), lr=1e-6))

    def step() -> None:
        criterion(net(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    sys.exit(main())
