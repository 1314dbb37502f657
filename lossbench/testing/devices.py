"""Which tensors of a loss are on another device than its inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_MOVES = (torch.ops.aten._to_copy, torch.ops.aten.copy_)


class MixedDevices(TorchDispatchMode):
    """Notes the first operator that gets tensors on several devices, which the meta device lets pass.

    Numbers without axes may be on the CPU. Nothing is noted of operators that move a tensor.

    Attributes:
        operator: name of the operator, or "".
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operator = ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor) and t.ndim]
        if len({t.device.type for t in tensors}) > 1 and func.overloadpacket not in _MOVES:
            self.operator = self.operator or str(func)
        return func(*args, **(kwargs or {}))


def tensors_elsewhere(loss: nn.Module, device: str) -> list[str]:
    """Return names of tensors of a loss, registered or not, that are not on a device."""
    found = []
    for path, module in loss.named_modules():
        for name, held in {**vars(module), **module._parameters, **module._buffers}.items():
            if isinstance(held, Tensor) and held.device.type != device:
                found.append(f"{path}.{name}".lstrip("."))
    return found
