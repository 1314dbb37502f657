"""Systems: a loss compiled into one graph, or run on shards in two processes, is the same loss."""

from __future__ import annotations

import copy

import torch

from ...traits import Trait
from ..cases import fixed_case
from ..configuration import Configuration, is_stateful
from ..law import Group, law
from ..processes import on_two_ranks
from ..trial import Trial, with_tensors

GROUP: Group = "Systems"


def _is_started(configuration: Configuration) -> str | None:
    started = configuration.started and not configuration.late
    return "compiled before and after a step of the fresh loss" if started else None


@law(GROUP, trait=Trait.FULLGRAPH, searched=False, compiles=True, unless=_is_started)
def compiled_in_one_graph(trial: Trial) -> None:
    """`torch.compile(fullgraph=True)` gives the values and gradients of eager mode, for several batch sizes and after a
    step of the state (trait fullgraph). Graphs are captured and differentiated, and run eagerly; a deep check also
    generates code.

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
        for size in (12, 5, 8, 8) if is_stateful(loss) else (12, 5, 8):
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
            if size == 8:
                loss.update_state(case.output(torch.float32), targets)
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
