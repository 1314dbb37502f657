"""Gather the rows of all processes, so that a loss on pairs or triplets sees the whole batch of a step."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ..distributed import is_distributed
from ..types import ModelOutput


def gather_batch(output: ModelOutput, targets: Tensor) -> tuple[ModelOutput, Tensor]:
    """Return the outputs and targets of all processes, in the order of the processes.

    The gradient of a row is the sum of the gradients that all processes compute for it. Where gradients are averaged
    over the processes afterwards, as by DistributedDataParallel, parameters of the model and of the loss therefore
    receive the gradient that one process would compute from all rows. Tensors in half precision become float32, so that
    this sum is not rounded to half precision.

    Every process must call it equally often, with the same optional tensors; a process may have fewer rows, or none.
    With a single process the arguments are returned as they are.

    Args:
        output: rows of this process.
        targets: (B,) class numbers or (B, C) probabilities.
    """
    if not is_distributed():
        return output, targets
    sizes = _sizes(targets)
    extras = {name: _rows_of_all(tensor, sizes) for name, tensor in output.extras.items()}
    embeddings, logits = _rows_of_all(output.embeddings, sizes), _rows_of_all(output.logits, sizes)
    return ModelOutput(embeddings, logits, extras), _rows_of_all(targets, sizes)


def _sizes(targets: Tensor) -> list[int]:
    """Return the number of rows of each process."""
    own = torch.tensor([targets.shape[0]], device=targets.device)
    sizes = own.new_empty(dist.get_world_size())
    dist.all_gather_into_tensor(sizes, own)
    found: list[int] = sizes.tolist()
    return found


def _rows_of_all(tensor: Tensor, sizes: list[int]) -> Tensor:
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    rows: Tensor = _Gather.apply(tensor, sizes) if tensor.requires_grad else _gathered(tensor, sizes)
    return rows


def _gathered(tensor: Tensor, sizes: list[int]) -> Tensor:
    """Return the rows of all processes; collectives need equal shapes, so shorter shares are padded."""
    longest = max(sizes)
    padded = tensor.new_zeros((longest, *tensor.shape[1:]))
    padded[: tensor.shape[0]] = tensor
    together = tensor.new_empty((len(sizes) * longest, *tensor.shape[1:]))
    dist.all_gather_into_tensor(together, padded)
    return torch.cat([part[:size] for part, size in zip(together.split(max(longest, 1)), sizes, strict=False)])


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward returns the sum of all processes' gradients of the own rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        return _gathered(tensor, sizes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.split(ctx.sizes)[dist.get_rank()], None
