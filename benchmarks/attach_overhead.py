"""Measure what `lossbench.attach` adds to a training step, beyond the loss and its `update_state`.

    python benchmarks/attach_overhead.py [--rounds N] > benchmarks/results/attach-overhead.md

Two loops train equal models on equal batches: one calls the loss and `update_state` by hand, the other uses an attached
criterion. Steps alternate between the two, in random order; the overhead is the median of the differences of
neighboring steps. Times are CPU times of the calling thread, so that other work on the machine does not count. The
model is small, because the overhead does not depend on it.
Exits with 1 if the overhead of a loss exceeds 30 µs.
"""

from __future__ import annotations

import argparse
import copy
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import lossbench
from lossbench import LossContext, ModelOutput, create_loss

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
BATCH, CLASSES, DIM = 32, 8, 64
COUNTS = (400, 200, 100, 50, 25, 12, 6, 3)
MICROSECONDS = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"# Overhead of `lossbench.attach`\n\n    python benchmarks/attach_overhead.py --rounds {rounds}\n")
    print(f"One step of SGD, B = {BATCH}, C = {CLASSES}, D = {DIM}; one thread of {platform.machine()}, torch")
    print(
        f"{torch.__version__}. Median microseconds of CPU time of the calling thread; the limit is {MICROSECONDS:g} µs."
    )
    print("\n| loss | step by hand, µs | step with attach, µs | overhead, µs |\n|-|-|-|-|")
    worst = 0.0
    for formula in LOSSES:
        by_hand, attached, added = compare(formula, rounds)
        worst = max(worst, added)
        print(f"| {formula} | {by_hand:.0f} | {attached:.0f} | {added:.1f} |", flush=True)
    return int(worst > MICROSECONDS)


def compare(formula: str, rounds: int) -> tuple[float, float, float]:
    """Return microseconds of a step by hand, of a step with attach, and the median difference."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, DIM, generator=generator)
    y = torch.randint(CLASSES, (BATCH,), generator=generator)
    body, head = nn.Linear(DIM, DIM), nn.Linear(DIM, CLASSES)
    steps = (_step_by_hand(formula, copy.deepcopy((body, head)), x, y), _step_with_attach(formula, (body, head), x, y))
    seconds: tuple[list[float], list[float]] = ([], [])
    order = random.Random(0)
    for _ in range(rounds):
        for which in order.sample((0, 1), 2):
            began = time.thread_time()
            steps[which]()
            seconds[which].append(time.thread_time() - began)
    differences = [b - a for a, b in zip(*seconds, strict=True)]
    found = (*map(statistics.median, seconds), statistics.median(differences))
    return found[0] * 1e6, found[1] * 1e6, found[2] * 1e6


def _step_by_hand(formula: str, model: tuple[nn.Module, nn.Module], x: Tensor, y: Tensor) -> Callable[[], None]:
    body, head = model
    loss = create_loss(formula, LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=COUNTS))
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=1e-3)

    def step() -> None:
        embeddings = body(x)
        output = ModelOutput(embeddings, head(embeddings))
        loss(output, y).backward()
        optimizer.step()
        loss.update_state(ModelOutput(output.embeddings.detach(), output.logits.detach()), y)
        optimizer.zero_grad()

    return step


def _step_with_attach(formula: str, model: tuple[nn.Module, nn.Module], x: Tensor, y: Tensor) -> Callable[[], None]:
    both = nn.Sequential(*model)
    criterion = lossbench.attach(formula, head=model[1], class_counts=COUNTS)
    optimizer = criterion.follow(torch.optim.SGD(both.parameters(), lr=1e-3))

    def step() -> None:
        criterion(both(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    sys.exit(main())
