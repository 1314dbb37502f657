"""Systems: a loss is a well-behaved part of a training program."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from functools import partial

import torch
from torch import Tensor

from ...adapters import AdaptedLoss
from ...loss import Loss
from ...traits import Need, Trait
from ..cases import fixed_case
from ..configuration import LAST_EPOCH, Configuration, is_stateful
from ..law import Group, judge_parts, law
from ..memory import PeakMemory
from ..probe import first_line, generators
from ..processes import on_two_ranks
from ..trial import HALF_PRECISIONS, Trial, with_tensors
from ..violation import Violation

GROUP: Group = "Systems"
_TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 4e-3}


@law(GROUP, compares=True, kind="precision")
def half_precision(trial: Trial) -> None:
    """For bfloat16 and float16 inputs, with and without a zero row and under autocast, the value is in float32 and
    agrees with that of the rounded inputs within 2e-2 and 4e-3; also for logits that are confident and right, whose
    value is small. So does a state that moves by a rule.

    Remedy: compute in float32 what is given in half precision: 1e-12 is 0 in float16, and a log saturates. Leave
    float64 as it is, or the laws that compare in float64 see rounding.
    """
    settings = [(zeroed, autocast, False) for zeroed in (False, True) for autocast in (True, False)]
    if Need.LOGITS in trial.configuration.spec.needs:
        settings.append((False, False, True))
    parts = [partial(_halved, trial, dtype, *setting) for dtype in _TOLERANCES for setting in settings]
    if is_stateful(trial.loss):
        parts += [partial(_near_state, trial, dtype, tolerance) for dtype, tolerance in _TOLERANCES.items()]
    judge_parts(parts)


def _halved(trial: Trial, dtype: torch.dtype, zeroed: bool, autocast: bool, right: bool) -> None:
    def zero_first(tensor: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(tensor[:1]), tensor[1:]])

    half, targets = trial.output(dtype), trial.targets
    if right:
        half, targets = half._replace(logits=4 * half.logits), half.logits.argmax(dim=1)
    if not zeroed and any(bool((getattr(half, name) == 0).all(dim=1).any()) for name in trial.reads):
        return  # a zero row is the matter of the other half of the parts
    half = trial.changed(half, zero_first) if zeroed else half
    expected = trial.build(torch.float32)(trial.changed(half, Tensor.float), targets).detach()
    what = f"{_short(dtype)}{' with a zero row' if zeroed else ''}{', under autocast' if autocast else ''}"
    what += ", right" if right else ""
    with torch.autocast("cpu", dtype, enabled=autocast):
        value = trial.build(torch.float32)(half, targets)
    _near(what, value, expected, _TOLERANCES[dtype])
    if value.dtype is not torch.float32:
        raise Violation(
            f"the value for {what} is in {value.dtype}, expected torch.float32", silent=False, kind="precision"
        )


def _near_state(trial: Trial, dtype: torch.dtype, tolerance: float) -> None:
    half = trial.output(dtype)
    trial.build(torch.float32)(half, trial.targets)  # a loss that refuses these inputs need not step on them
    loss, expected = trial.build(torch.float32), trial.build(torch.float32)
    expected.update_state(trial.changed(half, Tensor.float), trial.targets)
    try:
        loss.update_state(half, trial.targets)
    except Exception as error:
        raise Violation(
            f"forward takes {_short(dtype)}, but update_state refuses it with {type(error).__name__}: "
            f"{(str(error).splitlines() or [''])[0][:160]}",
            silent=False,
        ) from error
    held = trial.states(expected)
    for name, tensor in trial.states(loss).items():
        if tensor.dtype is not held[name].dtype:
            raise Violation(
                f"a step with {_short(dtype)} turns {name} into {tensor.dtype}, expected {held[name].dtype}"
            )
        if tensor.is_floating_point():
            trial.same_state(f"{name} after a step with {_short(dtype)}", tensor, held[name], tolerance)


def _near(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    if not bool(expected.isfinite().all()):
        return  # that float32 is not finite is the matter of the laws of finiteness
    if not abs(float(found) - float(expected)) <= tolerance * max(abs(float(expected)), 1e-2):
        raise Violation(f"{what}: {float(found):.6g} against {float(expected):.6g} in float32")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


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
                what = f"{name}, by a call with {_short(dtype)}{' under autocast' if autocast else ''}"
                if tensor.dtype is not kind:
                    raise Violation(f"forward changed the dtype of {what}, from {kind} to {tensor.dtype}")
                if tensor is not tensors[name] or tensor._version != version or not _equal(tensor, values):
                    raise Violation(f"forward wrote to {what}")


def _equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same numbers, whatever their types."""
    one, other = one.detach(), other.detach()
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=0, atol=0, equal_nan=True)


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


@law(GROUP, trait=Trait.FULLGRAPH, searched=False, compiles=True)
def compiled_in_one_graph(trial: Trial) -> None:
    """`torch.compile(fullgraph=True)` gives the values and gradients of eager mode, for several batch sizes (trait
    fullgraph). Graphs are captured and differentiated, and run eagerly; a deep check also generates code.

    Remedy: no `.item()`, no branch on a value, no Python state in forward; or do not declare the trait.
    """
    _compiled(trial, "aot_eager")
    if trial.deep:
        _compiled(trial, "inductor")


def _compiled(trial: Trial, backend: str) -> None:
    torch._dynamo.reset()
    try:
        loss = trial.build(torch.float32)
        compiled = torch.compile(loss, backend=backend, fullgraph=True)
        for size in (12, 5, 8):
            case = fixed_case(size=size)
            output, targets = case.output(torch.float32), case.labels()
            expected, gradients = trial.gradients(loss, output, targets)
            leaves = {name: getattr(output, name).clone().requires_grad_() for name in trial.reads}
            value = compiled(with_tensors(output, leaves), targets)
            trial.same(f"compiled at B = {size}", value.detach(), expected, tolerance=1e-5)
            found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
            zeros = [torch.zeros_like(leaf) for leaf in leaves.values()]
            filled = [zero if g is None else g for g, zero in zip(found, zeros, strict=True)]
            trial.same_gradients(
                f"compiled at B = {size}", dict(zip(trial.reads, filled, strict=True)), gradients, tolerance=1e-4
            )
    finally:
        torch._dynamo.reset()


def _not_shardable(configuration: Configuration) -> str | None:
    shardable = configuration.declares(Trait.SHARDABLE) or is_stateful(configuration.specimen)
    return None if shardable else "it is not declared shardable"


@law(GROUP, searched=False, off_kinks=1e-6, needs_processes=True, unless=_not_shardable)
def equal_shards(trial: Trial) -> None:
    """In two real processes, the mean over equal shards is the value and gradient of the whole batch (trait
    shardable), and a state that moves by a rule is the same on both and as in one process, also for unequal shards.

    Remedy: divide by the number of rows; reduce sums and counts with `lossbench.distributed.sum_over_ranks` in
    `update_state`, before dividing.
    """
    shardable = trial.configuration.declares(Trait.SHARDABLE)
    loss, output, targets = trial.build(), trial.output(), trial.targets
    state = copy.deepcopy(loss.state_dict())
    half = len(targets) // 2
    shards = on_two_ranks(trial.configuration, trial.case, half, state)
    value, gradients = trial.gradients(loss, output, targets)
    if shardable:
        trial.same("mean over two processes", (shards[0]["value"] + shards[1]["value"]) / 2, value)
        found = {name: torch.cat([shard[f"gradient:{name}"] for shard in shards]) / len(shards) for name in trial.reads}
        trial.same_gradients("two processes", found, gradients)
    if is_stateful(loss):
        loss.update_state(output, targets)
        uneven = on_two_ranks(trial.configuration, trial.case, 3, state)
        for name, expected in loss.state_dict().items():
            for shard in (*shards, *uneven):
                what = f"{name} after a step in two processes against one"
                trial.same_state(what, shard[f"state:{name}"], expected, tolerance=1e-8)


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
        if not _equal(tensor, state[name]):
            raise Violation(f"{name} changes by saving and loading")
    if not _equal(fresh(output, trial.targets), after):
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
        if not _equal(*values):
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
        raise Violation(f"it cannot be copied: {first_line(error)}", silent=False) from error
    for how, made in made_by:
        if not _equal(made(output, trial.targets), expected):
            raise Violation(f"the copy by {how} gives {float(made(output, trial.targets)):.8g}, not {expected:.8g}")
        if isinstance(made, Loss) and made.traits != loss.traits:
            raise Violation(f"the copy by {how} has other traits")


@law(GROUP, searched=False, compares=True)
def moves(trial: Trial) -> None:
    """A loss moves between dtypes, to every accelerator that is there and to the meta device, with all of its
    tensors, and gives the same value.

    Remedy: register tensors as buffers; make new ones with `new_zeros` or on the inputs' device.
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
    loss = trial.build().to("meta")
    try:
        value = loss(trial.changed(output, lambda t: t.to("meta"), "logits", "embeddings"), targets.to("meta"))
    except Exception as error:
        if any(words in str(error) for words in _READS_VALUES):
            trial.excuse(f"it reads values, which the meta device does not have: {first_line(error)}")
            return
        if "device" in str(error).lower() and not _tensors_elsewhere(loss, "meta"):
            raise Violation(
                f"a tensor is made on another device than that of the inputs: {first_line(error)}", silent=False
            ) from error
        if left := _tensors_elsewhere(loss, "meta"):
            raise Violation(
                f"{', '.join(left)} stays behind when the loss moves to another device, and forward fails: "
                f"{(str(error).splitlines() or [''])[0][:160]}",
                silent=False,
            ) from error
        raise
    if value.device.type != "meta" or value.ndim:
        raise Violation(f"on the meta device it gives {tuple(value.shape)} on {value.device}")


# What torch says when a number is read of a tensor that has none.
_READS_VALUES = ("item()", "no data", "_local_scalar_dense", "meta tensors", "dynamic output shape", "data-dependent")


def _tensors_elsewhere(loss: torch.nn.Module, device: str) -> list[str]:
    """Names of tensors of a loss, registered or not, that are not on a device."""
    found = []
    for path, module in loss.named_modules():
        for name, held in {**vars(module), **module._parameters, **module._buffers}.items():
            if isinstance(held, Tensor) and held.device.type != device:
                found.append(f"{path}.{name}".lstrip("."))
    return found


@law(GROUP, searched=True, share=0.4)
def deterministic(trial: Trial) -> None:
    """Two calls give the same bits, whatever was called between, and no random number is drawn.

    Remedy: draw from a generator of the loss's own in `__init__`; keep nothing between calls of forward.
    """
    loss = trial.configuration.plain_build(trial.case.context, torch.float32)
    output, targets = trial.output(torch.float32), trial.targets
    states = generators()
    first = loss(output, targets).detach().clone()
    loss(trial.changed(output, lambda t: 1 - 2 * t), targets.flip(0))
    second = loss(output, targets).detach()
    if not _equal(first, second):
        drawn = ", and draws random numbers" if states != generators() else ""
        raise Violation(f"the same batch gives {float(first):.8g}, and later {float(second):.8g}{drawn}")
    if states != generators():
        raise Violation("forward draws random numbers")


@law(GROUP, searched=False)
def nothing_gathers(trial: Trial) -> None:
    """Over 30 steps no live tensors gather.

    Remedy: detach what is kept, and keep a fixed number of it.
    """
    loss, output, targets = trial.build(torch.float32), trial.output(torch.float32), trial.targets

    def steps(number: int) -> list[weakref.ref[Tensor]]:
        kept = []
        for _ in range(number):
            fresh = trial.changed(output, lambda t: t.clone().requires_grad_())
            value = loss(fresh, targets)
            if value.requires_grad:
                value.backward()
            loss.update_state(trial.changed(fresh, Tensor.detach), targets)
            kept.append(weakref.ref(value))
        return kept

    def live() -> int:
        gc.collect()
        return sum(issubclass(type(each), Tensor) for each in gc.get_objects())

    gc.freeze()  # what is there already need not be walked
    try:
        steps(3)
        before = live()
        values = steps(30)
        grown = live() - before
    finally:
        gc.unfreeze()
    alive = sum(ref() is not None for ref in values)
    if grown > 5 or alive > 1:
        raise Violation(f"after 30 steps {grown} more tensors live, {alive} of them values of earlier steps")


def _lists_triplets(configuration: Configuration) -> str | None:
    if isinstance(configuration.specimen, AdaptedLoss) and configuration.specimen.form == "triplets":
        return "it is given every triplet of the batch, a list that grows as B^3"
    return None


@law(GROUP, searched=False, unless=_lists_triplets)
def memory_growth(trial: Trial) -> None:
    """Peak memory of forward and backward grows in the batch no faster than linearly, or quadratically for losses
    declared batch-coupled.

    Remedy: do not list pairs or triplets; sort and count, or work in chunks.
    """
    declared = 2 if trial.configuration.declares(Trait.BATCH_COUPLED) else 1
    exponent, (sizes, peaks) = growth_of_memory(trial)
    if exponent > declared + 0.3:
        raise Violation(
            f"peak memory grows as B^{exponent:.2f} ({peaks[0]:,} bytes at B = {sizes[0]}, {peaks[1]:,} at "
            f"{sizes[1]}), expected at most B^{declared}"
        )


def growth_of_memory(trial: Trial) -> tuple[float, tuple[tuple[int, ...], list[int]]]:
    """The power of B with which the peak memory of forward and backward grows, and the sizes and bytes it is from."""
    sizes, peaks = (32, 128), []
    for size in sizes:
        case = fixed_case(size=size, dim=8)
        loss, output = trial.build(torch.float32, case), case.output(torch.float32)
        with PeakMemory() as memory:
            trial.gradients(loss, output, case.labels())
        peaks.append(memory.peak_bytes)
    return math.log(peaks[1] / max(peaks[0], 1)) / math.log(sizes[1] / sizes[0]), (sizes, peaks)


@law(GROUP, compares=True)
def strided_inputs_without_gradients(trial: Trial) -> None:
    """Inputs that are not contiguous, and `inference_mode`, give the same value.

    Remedy: `reshape` instead of `view`; no custom write that needs a version counter.
    """
    output, targets = trial.output(), trial.targets
    expected = trial.loss(output, targets)
    # By columns, and as a part of wider rows: what `view` cannot flatten.
    for strided in (lambda t: t.T.contiguous().T, lambda t: torch.cat([t, t], dim=1)[:, : t.shape[1]]):
        trial.same("strided inputs", trial.loss(trial.changed(output, strided), targets), expected)
    for labels in (torch.stack([targets, targets], dim=1)[:, 0], targets.repeat_interleave(2)[::2]):
        trial.same("strided labels", trial.loss(output, labels), expected)
    with torch.inference_mode():
        inside = trial.loss(trial.changed(output, lambda t: t.clone()), targets.clone())
        trial.same("in inference_mode", inside, expected)


@law(GROUP)
def one_number(trial: Trial) -> None:
    """forward returns one number, a tensor without axes.

    Remedy: `.mean()` over the rows.
    """
    value = trial.loss(trial.output(), trial.targets)
    if not isinstance(value, Tensor) or value.ndim:
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise Violation(f"forward returned {got}, expected one number")
