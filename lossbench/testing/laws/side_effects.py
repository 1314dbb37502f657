"""Systems: a call changes neither the loss nor its inputs."""

from __future__ import annotations

import torch

from ..law import Group, law
from ..trial import HALF_PRECISIONS, Trial, dtype_name, same_bits
from ..violation import Violation

GROUP: Group = "Systems"


@law(GROUP, share=0.4)
def forward_changes_no_state(trial: Trial) -> None:
    """forward leaves dtype, bits and version of every parameter and buffer as they were, for inputs of every
    floating-point type and under autocast.

    Remedy: move state in `update_state`; cast a copy, never `self.weight.data = self.weight.data.to(x.dtype)`.
    """
    loss = trial.build(torch.float32)
    tensors = trial.states(loss)
    before = {name: (t.dtype, t._version, t.detach().clone()) for name, t in tensors.items()}
    for dtype in (torch.float32, torch.float64, *HALF_PRECISIONS):
        for autocast in (False, True):
            try:
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    loss(trial.output(dtype), trial.targets)
            except Exception:
                if dtype is torch.float32 and not autocast:
                    raise  # other types may be refused, but not after a change
            for name, tensor in trial.states(loss).items():
                kind, version, values = before[name]
                what = f"{name}, by a call with {dtype_name(dtype)}{' under autocast' if autocast else ''}"
                if tensor.dtype is not kind:
                    raise Violation(f"forward changed the dtype of {what}, from {kind} to {tensor.dtype}")
                if tensor is not tensors[name] or tensor._version != version or not same_bits(tensor, values):
                    raise Violation(f"forward wrote to {what}")


@law(GROUP)
def inputs_are_left_alone(trial: Trial) -> None:
    """forward and update_state write to none of their inputs.

    Remedy: avoid in-place operators on inputs and on views of them; `F.normalize` has no `out=`.
    """
    output, targets = trial.output(torch.float32), trial.targets
    kept = [tensor.clone() for tensor in (output.embeddings, output.logits, targets)]
    versions = [tensor._version for tensor in (output.embeddings, output.logits, targets)]
    loss = trial.build(torch.float32)
    with torch.no_grad():
        loss(output, targets)
    loss.update_state(output, targets)
    for name, tensor, version, values in zip(
        ("embeddings", "logits", "targets"), (output.embeddings, output.logits, targets), versions, kept, strict=True
    ):
        if tensor._version != version or not tensor.equal(values):
            raise Violation(f"a call wrote to {name}")
