"""Measure the overhead of adapters: forward and backward of a peer with and without its adapter at B = 256.

    pip install ./plugins/lossbench-metric-learning
    python benchmarks/adapter_overhead.py [--rounds N] > benchmarks/results/adapter-overhead.md

The limit is 5 % of the peer's time or 20 µs, whichever is more. Calls alternate between the two, in random order, and
each figure is the median over all rounds; the overhead is the median of the differences of neighboring calls. Times are
CPU times of the calling thread, so that other work on the machine does not count. A peer that takes one-hot rows
receives prepared ones; preparing them counts as overhead of the adapter.
Exits with 1 if a loss exceeds the limit.
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable

import pytorch_metric_learning
import timm
import torch
from torch import Tensor

from lossbench import LossContext, ModelOutput, loss_info
from lossbench.adapters import AdaptedLoss

LOSSES = (
    "torch/CrossEntropyLoss", "torch/MSELoss", "timm/LabelSmoothingCrossEntropy", "timm/AsymmetricLossSingleLabel",
    "pml/ArcFaceLoss", "pml/ProxyAnchorLoss", "pml/CircleLoss", "pml/SupConLoss", "pml/ContrastiveLoss",
)  # fmt: skip
BATCH, CLASSES, DIM = 256, 8, 128
SHARE, MICROSECONDS = 0.05, 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    output = ModelOutput(torch.randn(BATCH, DIM, generator=generator), torch.randn(BATCH, CLASSES, generator=generator))
    targets = torch.randint(CLASSES, (BATCH,), generator=generator)
    context = LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=(100,) * CLASSES)
    print("# Overhead of the adapters\n\n    python benchmarks/adapter_overhead.py --rounds", rounds)
    print(
        f"\nForward and backward, float32, B = {BATCH}, C = {CLASSES}, D = {DIM}, one thread of {platform.machine()};"
    )
    libraries = f"timm {timm.__version__}, pytorch-metric-learning {pytorch_metric_learning.__version__}"
    print(f"torch {torch.__version__}, {libraries}.")
    print("Median microseconds of CPU time of the calling thread; the limit is 5 % or 20 µs, whichever is more.\n")
    print("| loss | peer, µs | adapted, µs | overhead, µs | limit, µs |\n|-|-|-|-|-|")
    exceeded = False
    for name in LOSSES:
        adapted = loss_info(name).factory(context)
        assert isinstance(adapted, AdaptedLoss)
        peer, with_adapter, added = compare(adapted, output, targets, rounds)
        allowed = max(SHARE * peer, MICROSECONDS)
        exceeded |= added > allowed
        print(f"| {name} | {peer:.0f} | {with_adapter:.0f} | {added:.1f} | {allowed:.0f} |", flush=True)
    return int(exceeded)


def compare(adapted: AdaptedLoss, output: ModelOutput, targets: Tensor, rounds: int) -> tuple[float, float, float]:
    """Return microseconds of the peer, of the adapted loss, and the median difference."""
    name = adapted.takes
    leaf = getattr(output, name).clone().requires_grad_()
    given = output._replace(**{name: leaf})
    labels = torch.nn.functional.one_hot(targets, CLASSES).float() if adapted.form == "one-hot" else targets

    def timed(call: Callable[[], Tensor]) -> float:
        leaf.grad = None
        began = time.thread_time()
        call().backward()
        return (time.thread_time() - began) * 1e6

    calls: tuple[Callable[[], Tensor], ...] = (
        lambda: adapted.inner(leaf, labels),
        lambda: adapted(given, targets),
    )
    order = random.Random(0)
    seconds: list[list[float]] = [[], []]
    for number in range(rounds + 10):
        for which in order.sample((0, 1), 2):
            taken = timed(calls[which])
            if number >= 10:  # the first warm caches
                seconds[which].append(taken)
    added = statistics.median(b - a for a, b in zip(*seconds, strict=True))
    return statistics.median(seconds[0]), statistics.median(seconds[1]), added


if __name__ == "__main__":
    sys.exit(main())
