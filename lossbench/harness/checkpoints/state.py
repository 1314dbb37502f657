"""Gather and restore the complete state on which the next step of a run depends.

Order and augmentation are functions of (seed, epoch, row), so a position is two numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CheckpointError
from ...types import ModelOutput
from ..training.recent import EpochSoFar
from ..training.trainer import Trainer

Tensors = dict[str, Tensor]


def gather_shared(trainer: Trainer) -> tuple[dict[str, Any], Tensors]:
    """Return the state that all processes share: model, loss, optimizer, schedule, scaler.

    Returns:
        JSON values, and tensors by name.
    """
    parts = trainer.parts().items()
    tensors = {f"{part}.{name}": tensor for part, module in parts for name, tensor in module_state(module).items()}
    optimizer = trainer.optimizer.state_dict()
    values: dict[str, dict[str, Any]] = {}
    for number, state in optimizer["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{name}"] = value
            else:
                values.setdefault(str(number), {})[name] = value
    scaler = trainer.accelerator.scaler
    content = {
        "optimizer": {"groups": optimizer["param_groups"], "values": values},
        "schedule": trainer.schedule.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "last_lr": trainer.last_lr,
        "warned": sorted(trainer.warned),
        "guard": trainer.guard.counts(),
    }
    return content, saved(tensors)


def restore_shared(trainer: Trainer, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Restore the result of `gather_shared`.

    Raises:
        CheckpointError: the tensors do not fit this model, loss and optimizer.
    """
    for part, module in trainer.parts().items():
        put_back(module, {n.removeprefix(f"{part}."): v for n, v in tensors.items() if n.startswith(f"{part}.")})
    optimizer = trainer.optimizer
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {int(n): dict(v) for n, v in content["optimizer"]["values"].items()}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, key = rest.partition(".")
            state.setdefault(int(number), {})[key] = _laid_out_as(value, parameters[int(number)])
    optimizer.load_state_dict({"state": state, "param_groups": content["optimizer"]["groups"]})
    trainer.schedule.load_state_dict(dict(content["schedule"]))
    if trainer.accelerator.scaler is not None and content["scaler"] is not None:
        trainer.accelerator.scaler.load_state_dict(content["scaler"])
    trainer.last_lr = content["last_lr"]
    trainer.warned = set(content["warned"])
    trainer.guard.put_back(content["guard"])


def gather_own(trainer: Trainer) -> tuple[dict[str, Any], Tensors]:
    """Return the state of one process: random states, the epoch so far, the last outputs, times."""
    so_far, clock = trainer.so_far, trainer.clock
    content, tensors = _random_states(trainer.accelerator.device)
    content |= {
        "step": so_far.step,
        "begun": so_far.begun,
        "rows_left_out": so_far.rows_left_out,
        "seconds": so_far.seconds,
        "seconds_before": trainer.seconds_before,
        "clock_steps": clock.steps,
        "data_wait_seconds": clock.data_wait_seconds,
    }
    tensors["total"] = trainer.total()
    clock.read_events()
    for part, seconds in clock.seconds.items():
        tensors[f"clock.{part}"] = torch.tensor(seconds, dtype=torch.float64)
    if trainer.last is not None:
        output, targets = trainer.last
        tensors |= {"last.embeddings": output.embeddings, "last.logits": output.logits, "last.targets": targets}
        tensors |= {f"last.extras.{name}": value for name, value in output.extras.items()}
    return content, saved(tensors)


def restore_own(trainer: Trainer, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Restore the result of `gather_own`."""
    device = trainer.accelerator.device
    trainer.so_far = EpochSoFar(
        step=content["step"],
        total=tensors["total"].to(device),
        rows_left_out=content["rows_left_out"],
        seconds=content["seconds"],
        begun=content["begun"],
    )
    trainer.seconds_before = content["seconds_before"]
    clock = trainer.clock
    clock.go_on(content["clock_steps"], content["data_wait_seconds"])
    for name, value in tensors.items():
        if name.startswith("clock."):
            clock.seconds[name.removeprefix("clock.")] = value.tolist()
    if "last.targets" in tensors:
        last = {
            name.removeprefix("last."): value.to(device) for name, value in tensors.items() if name.startswith("last.")
        }
        extras = {name.removeprefix("extras."): value for name, value in last.items() if name.startswith("extras.")}
        trainer.last = ModelOutput(last["embeddings"], last["logits"], extras), last["targets"]
    _restore_random_states(content, tensors, device)


def module_state(module: nn.Module) -> Tensors:
    """Return parameters and all buffers, including those that a `state_dict` excludes."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def put_back(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy into the existing parameters and buffers, which keeps their memory layout and sharing.

    Raises:
        CheckpointError: names are missing or unexpected, or a shape or dtype differs.
    """
    own = module_state(module)
    if odd := sorted(own.keys() ^ state.keys()):
        where = "the checkpoint does not have" if odd[0] in own else "the checkpoint has, unlike this model and loss,"
        raise CheckpointError(f"{where} {odd[0]!r}{f' and {len(odd) - 1} more' if odd[1:] else ''}")
    for name, tensor in own.items():
        new = state[name]
        if new.shape != tensor.shape or new.dtype is not tensor.dtype:
            raise CheckpointError(
                f"{name!r} is {tuple(new.shape)} {new.dtype} in the checkpoint and "
                f"{tuple(tensor.shape)} {tensor.dtype} here"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def saved(tensors: Mapping[str, Tensor]) -> Tensors:
    """Return contiguous copies on the CPU that do not share memory."""
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def _laid_out_as(value: Tensor, parameter: Tensor) -> Tensor:
    """Return an optimizer's moment in the memory layout of its parameter, which its kernels expect."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _random_states(device: torch.device) -> tuple[dict[str, Any], Tensors]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    content = {
        "python": [version, gauss],
        "numpy": [str(kind), int(position), int(has_gauss), float(cached)],
    }
    tensors = {
        "random.python": torch.tensor(words, dtype=torch.int64),
        "random.numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "random.torch": torch.get_rng_state(),
    }
    if generator := _device_generator(device):
        tensors["random.device"] = generator[0]()
    return {"random": content}, tensors


def _restore_random_states(content: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device) -> None:
    version, gauss = content["random"]["python"]
    random.setstate((version, tuple(tensors["random.python"].tolist()), gauss))
    kind, position, has_gauss, cached = content["random"]["numpy"]
    np.random.set_state((kind, tensors["random.numpy"].numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(tensors["random.torch"])
    if (generator := _device_generator(device)) and "random.device" in tensors:
        generator[1](tensors["random.device"])


def _device_generator(device: torch.device) -> tuple[Callable[[], Tensor], Callable[[Tensor], None]] | None:
    """Return functions that get and set the random state of an accelerator."""
    if device.type == "cuda":
        return lambda: torch.cuda.get_rng_state(device), lambda state: torch.cuda.set_rng_state(state, device)
    if device.type == "mps":
        return torch.mps.get_rng_state, torch.mps.set_rng_state
    return None
