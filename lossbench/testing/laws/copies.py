"""Systems: a loss that is saved, copied or moved to another device is the same loss."""

from __future__ import annotations

import copy
import pickle

import torch

from ...errors import brief
from ...loss import Loss
from ..configuration import LAST_EPOCH, is_scheduled, is_stateful
from ..devices import MixedDevices, tensors_elsewhere
from ..law import Group, law
from ..trial import Trial, same_bits
from ..violation import Violation

GROUP: Group = "Systems"


@law(GROUP, searched=False)
def saved_state(trial: Trial) -> None:
    """A state_dict loads strictly into a new instance, bit for bit, and gives the same value; one with other keys or
    shapes is refused.

    Remedy: register everything that training changes as a parameter or buffer.
    """
    loss, output = trial.build(torch.float32), trial.output(torch.float32)
    expected = loss(output, trial.targets).detach()
    loss.update_state(output, trial.targets)
    after = loss(output, trial.targets).detach()
    state = copy.deepcopy(loss.state_dict())
    fresh = trial.configuration.raw(trial.case.context)
    if trial.configuration.late:
        fresh.begin_epoch(*LAST_EPOCH)
    fresh.load_state_dict(state, strict=True)
    for name, tensor in fresh.state_dict().items():
        if not same_bits(tensor, state[name]):
            raise Violation(f"{name} changes by saving and loading")
    if not same_bits(fresh(output, trial.targets), after):
        raise Violation(
            f"a loaded state gives {float(fresh(output, trial.targets)):.8g}, the saved loss gave {float(after):.8g} "
            f"(before its last step {float(expected):.8g})"
        )
    _go_on_alike(trial, loss, fresh)
    wrong = [{**state, "not_a_state": torch.zeros(1)}]
    wrong += [{k: v for k, v in state.items() if k != name} for name in state]
    wrong += [{**state, name: torch.zeros((*tensor.shape, 2))} for name, tensor in state.items()]
    for each in wrong:
        try:
            fresh.load_state_dict(each, strict=True)
        except RuntimeError:
            continue
        raise Violation(f"a state with keys {sorted(each)} and its shapes was accepted, the loss has {sorted(state)}")


def _go_on_alike(trial: Trial, loss: Loss, restored: Loss) -> None:
    """Require that a saved loss and the restored one move alike in further steps."""
    output = trial.changed(trial.output(torch.float32), lambda t: 1 - 0.5 * t, "logits", "embeddings")
    for step in range(2):
        values = []
        for each in (loss, restored):
            each.update_state(output, trial.targets)
            values.append(each(output, trial.targets).detach())
        if not same_bits(*values):
            raise Violation(
                f"{step + 1} steps after it was restored, a loss gives {float(values[1]):.8g}, the saved one "
                f"{float(values[0]):.8g}"
            )


@law(GROUP, searched=False)
def copies(trial: Trial) -> None:
    """pickle and deepcopy, also after backward, give a loss of the same value and traits.

    Remedy: keep no tensors of a graph, lambdas or open files on the instance.
    """
    loss, output = trial.build(torch.float32), trial.output(torch.float32)
    expected = loss(output, trial.targets).detach()
    in_training = trial.changed(output, lambda t: 1 * t.requires_grad_())  # results of a model, not leaves
    loss(in_training, trial.targets).backward()
    try:
        made_by = (("deepcopy", copy.deepcopy(loss)), ("pickle", pickle.loads(pickle.dumps(loss))))
    except Exception as error:  # of pickle in C, whose innermost frame is this one
        raise Violation(f"it cannot be copied: {brief(error)}", silent=False) from error
    for how, made in made_by:
        if not same_bits(made(output, trial.targets), expected):
            raise Violation(f"the copy by {how} gives {float(made(output, trial.targets)):.8g}, not {expected:.8g}")
        if isinstance(made, Loss) and made.traits != loss.traits:
            raise Violation(f"the copy by {how} has other traits")


@law(GROUP, searched=False, compares=True)
def moves(trial: Trial) -> None:
    """A loss moves between dtypes, to every accelerator that is there and to the meta device, with all of its
    tensors, and gives the same value. There it begins an epoch, and takes a step of its state if that reads no values.

    Remedy: register tensors as buffers; make new ones with `new_zeros` or on the inputs' device. In `begin_epoch`,
    write into a buffer with `copy_` instead of replacing it.
    """
    output, targets = trial.output(), trial.targets
    expected = trial.loss(output, targets).detach()
    there = trial.build().float().to(trial.dtype)
    trial.same("to float32 and back", there(output, targets), expected, tolerance=1e-5)
    devices = ["cuda"] if torch.cuda.is_available() else []
    for device in devices:
        loss = trial.build(torch.float32).to(device)
        moved = trial.changed(trial.output(torch.float32), lambda t, d=device: t.to(d), "logits", "embeddings")  # type: ignore[misc]
        found = loss(moved, targets.to(device))
        trial.same(f"on {device} against the CPU", found.cpu(), expected, tolerance=1e-4)
    for act in ("forward", "update_state") if is_stateful(trial.loss) else ("forward",):
        _on_meta(trial, act)


def _on_meta(trial: Trial, act: str) -> None:
    """Require that a call of a loss on the meta device, after `begin_epoch` there, mixes no devices."""
    loss, mixed, value = trial.build().to("meta"), MixedDevices(), None
    there = trial.changed(trial.output(), lambda t: t.to("meta"), "logits", "embeddings")
    try:
        if is_scheduled(loss):
            loss.begin_epoch(*LAST_EPOCH)
        with mixed:
            value = (loss if act == "forward" else loss.update_state)(there, trial.targets.to("meta"))
    except Exception as error:
        left, elsewhere = tensors_elsewhere(loss, "meta"), "device" in str(error).lower()
        reads_values = any(words in str(error).lower() for words in _READS_VALUES)
        if act == "forward" and reads_values:
            trial.excuse(f"it reads values, which the meta device does not have: {brief(error)}")
            return
        if act != "forward" and (reads_values or not elsewhere or isinstance(error, NotImplementedError)):
            return  # a step may read values
        if elsewhere and not left:
            raise Violation(
                f"{act} makes a tensor on another device than that of the inputs: {brief(error)}", silent=False
            ) from error
        if left:
            raise Violation(
                f"{', '.join(left)} stays behind when the loss moves to another device, and {act} fails: "
                f"{brief(error)}",
                silent=False,
            ) from error
        raise
    if mixed.operator:
        which = ", ".join(tensors_elsewhere(loss, "meta")) or f"a tensor that {act} makes"
        raise Violation(f"{mixed.operator} gets a tensor on the CPU beside the inputs on another device: {which}")
    if value is not None and (value.device.type != "meta" or value.ndim):
        raise Violation(f"on the meta device it gives {tuple(value.shape)} on {value.device}")


# What torch says when a number is read of a tensor that has none.
_READS_VALUES = ("item()", "no data", "_local_scalar_dense", "meta tensors", "dynamic output shape", "data-dependent")
