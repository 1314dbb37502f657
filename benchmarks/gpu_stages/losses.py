"""Stage `losses`: each loss equals itself on the CPU, never waits for the host, and is captured in a CUDA graph."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpu_stages.results import Task
from lossbench import ModelOutput, Need, list_losses, loss_info
from lossbench.bench.call import Bench, batch_of
from lossbench.bench.contenders import Contender
from lossbench.bench.cuda_graph import replay_seconds
from lossbench.bench.workload import Workload

# Of the largest entry of a value, gradient or state in float64.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def run(task: Task) -> None:
    """Check values and waits of all losses first; a failed capture can leave the device unusable."""
    workload = Workload(16, 8, 32, task.device) if task.smoke else Workload(128, 8, 512, task.device)
    limits = ", ".join(f"{NAMES[dtype]} {limit:g}" for dtype, limit in TOLERANCES.items())
    task.note(
        f"Batch {workload}. fp32, bf16: largest error of value, gradients and state against float64 on the CPU, with "
        f"the same inputs, as a share of the largest entry; limits: {limits}. Waits: host synchronizations of "
        "forward, backward and update_state; none is allowed. Operators: dispatched, without views."
    )
    contenders = all_contenders()
    rows: list[dict[str, Any]] = []
    for contender in contenders:
        rows.append(checked(task, contender, workload))
        task.table(rows)
    if task.device == "cpu":
        task.note("CUDA graphs need a CUDA device. Checks of arguments that wait are made on the CPU alone.")
        return
    for contender, row in zip(contenders, rows, strict=True):
        try:
            row["graph, µs"] = 1e6 * replay_seconds(Bench(contender, workload).call)
        except Exception as error:
            row["graph, µs"] = "failed"
            task.problem(f"{contender.name}: cannot be captured in a CUDA graph: {first_line(error)}")
        task.table(rows)


def all_contenders() -> list[Contender]:
    """Return every registered loss with its defaults and with each of its variants."""
    found = []
    for name in list_losses():
        spec = loss_info(name)
        for variant in ({}, *spec.variants):
            given = ", ".join(f"{key}={value}" for key, value in variant.items())
            label, cosine = f"{name}({given})" if given else name, Need.COSINE_LOGITS in spec.needs
            found.append(Contender(label, partial(spec.factory, **variant), cosine=cosine))
    return found


def checked(task: Task, contender: Contender, workload: Workload) -> dict[str, Any]:
    """Return the row of a loss; what is wrong becomes a problem of the stage."""
    row: dict[str, Any] = {"loss": contender.name}
    for dtype, limit in TOLERANCES.items():
        try:
            error = error_of(contender, workload, dtype)
        except Exception as reason:
            row[NAMES[dtype]] = "failed"
            task.problem(f"{contender.name}, {NAMES[dtype]}: {first_line(reason)}")
            continue
        row[NAMES[dtype]] = error
        if not error <= limit:
            task.problem(f"{contender.name}, {NAMES[dtype]}: error {error:.2g}, limit {limit:g}")
    try:
        _, census = Bench(contender, workload).peak_bytes_and_census()
    except Exception as reason:
        task.problem(f"{contender.name}: a step failed: {first_line(reason)}")
        return row | {"waits": "failed"}
    if census.host_syncs and task.device != "cpu":
        task.problem(f"{contender.name}: a step waits for the device {census.host_syncs} times")
    return row | {"waits": census.host_syncs, "operators": census.operations}


def error_of(contender: Contender, workload: Workload, dtype: torch.dtype) -> float:
    """Return the largest error on the device, as a share of the largest entry of each tensor."""
    expected = outcome(contender, workload, "cpu", dtype, torch.float64)
    found = outcome(contender, workload, workload.device, dtype, dtype)
    return max(_error(a, b) for a, b in zip(found, expected, strict=True))


def outcome(
    contender: Contender, workload: Workload, device: str, rounded_to: torch.dtype, dtype: torch.dtype
) -> list[Tensor]:
    """Return value, gradients and state in float64 on the CPU, after one update of the state.

    Args:
        contender: the loss.
        workload: the batch.
        device: where it is computed.
        rounded_to: precision that the inputs are rounded to first.
        dtype: precision of the inputs; the loss is in float64 or, otherwise, in float32, as under autocast.
    """
    torch.manual_seed(0)
    loss = contender.build(workload.context).to(device, torch.float64 if dtype is torch.float64 else torch.float32)
    given, targets = batch_of(contender, workload)
    embeddings, logits = (
        tensor.cpu().to(rounded_to).to(device, dtype).requires_grad_() for tensor in (given.embeddings, given.logits)
    )
    output, targets = ModelOutput(embeddings, logits), targets.to(device)
    loss.update_state(ModelOutput(embeddings.detach(), logits.detach()), targets)
    value = loss(output, targets)
    gradients = torch.autograd.grad(value, (embeddings, logits), allow_unused=True)
    tensors = [value, *(g for g in gradients if g is not None), *loss.state_dict().values()]
    return [tensor.detach().cpu().double() for tensor in tensors]


def _error(found: Tensor, expected: Tensor) -> float:
    if not expected.numel():
        return 0.0
    scale = float(expected.nan_to_num().abs().amax()) or 1.0
    both_nan = found.isnan() & expected.isnan()  # centers of classes that have not been seen
    return float(torch.where(both_nan, 0.0, (found - expected).abs() / scale).amax())


def first_line(error: BaseException) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
