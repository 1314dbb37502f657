"""Operators of a training step beyond those of model, loss and optimizer: each is a kernel launch on a GPU.

    python benchmarks/step_operators.py [MODEL [IMAGE_SIZE]]

Counts what reaches torch's dispatcher, without views, in a step of the trainer with the finite guard as on CUDA, and in
a minimal step (forward, backward, fused AdamW, `update_state`). Runs on the CPU and needs no GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any
from unittest import mock

import step_throughput
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lossbench.harness.training import guard as guard_module
from lossbench.harness.training.guard import FiniteGuard
from lossbench.harness.training.optimizer import mask_steps
from lossbench.types import ModelOutput

VIEWS = {"split", "slice", "select", "detach", "view", "unbind", "expand", "t", "transpose", "alias", "unsqueeze"}


class Operators(TorchDispatchMode):
    """Counts dispatched operators by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted[operator._schema.name.removeprefix("aten::")] += 1
        return operator(*args, **(kwargs or {}))


def extra_operators(loss: str, model: str, image_size: int) -> Counter[str]:
    """Return the operators of one step beyond those of a minimal one."""
    given = argparse.Namespace(model=model, batch_size=4, image_size=image_size, device="cpu", precision="fp32")
    trainer = step_throughput.make_trainer(loss, given)
    optimizer = trainer.optimizer.optimizer  # type: ignore[attr-defined]  # accelerate wraps it
    trainer.guard = FiniteGuard(trainer.step, torch.device("cpu"), read_every=10)
    mask_steps(optimizer, trainer.guard.found)
    batch = next(iter(trainer.images))
    images = batch.images.to(memory_format=torch.channels_last)
    step = step_throughput.our_step(trainer)

    def minimal() -> None:
        value, output = trainer.step(images, batch.targets)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        trainer.step.loss.update_state(ModelOutput(output.embeddings.detach(), output.logits.detach()), batch.targets)

    with mock.patch.object(guard_module, "largest", _largest_on_a_gpu):
        for _ in range(2):  # the first ones make the optimizer's state and start centers
            step(batch)
            minimal()
        with Operators() as whole:
            step(batch)
        with Operators() as least:
            minimal()
    extra = whole.counted - least.counted
    return Counter({name: number for name, number in extra.items() if name not in VIEWS})


def _largest_on_a_gpu(tensors: Any) -> torch.Tensor:
    return torch.stack([peak.float() for peak in torch._foreach_norm(list(tensors), float("inf"))]).amax()


def main() -> None:
    model, size = (*sys.argv[1:], *("legacy_seresnet50", "64")[len(sys.argv) - 1 :])
    torch.set_num_threads(1)
    print("| loss | operators beyond model, loss and optimizer | which |\n|-|-|-|")
    for loss in step_throughput.LOSSES:
        extra = extra_operators(loss, model, int(size))
        print(f"| {loss} | {extra.total()} | {', '.join(f'{n} {name}' for name, n in sorted(extra.items()))} |")


if __name__ == "__main__":
    main()
