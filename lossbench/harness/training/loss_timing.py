"""Time the loss alone, for the record."""

from __future__ import annotations

import statistics
import time

import torch

from .trainer import Trainer

_REPLAYS = 20


def loss_seconds(trainer: Trainer) -> float:
    """Return median seconds of the loss alone, forward and backward, on the outputs of the last step."""
    assert trainer.last is not None
    output, targets = trainer.last
    loss, on_gpu = trainer.step.loss, trainer.accelerator.device.type == "cuda"
    seconds = []
    for _ in range(_REPLAYS):
        fresh = output._replace(
            embeddings=output.embeddings.detach().requires_grad_(), logits=output.logits.detach().requires_grad_()
        )
        if on_gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        loss(fresh, targets).backward()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    for parameter in loss.parameters():
        parameter.grad = None
    return statistics.median(seconds)
