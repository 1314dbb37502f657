"""Use every loss of lossbench and of plugins/ as an ordinary module, and print a table of what passes.

    python benchmarks/any_module.py > benchmarks/results/any-module.md

Each check compares value and gradient with those of the plain loss: in bfloat16 and float16, from the meta device,
after pickle and deepcopy, compiled in one graph, and in a checkpointed forward pass. `export` and `onnx` export a model
that the loss is attached to and compare its logits; onnx needs `pip install onnx onnxscript onnxruntime`.
Exits with 1 if a check fails.
"""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import lossbench
from lossbench import CosineHead, LossContext, ModelOutput, Need, create_loss, loss_info
from lossbench.registry import loss_entries

CLASSES, DIM = 4, 6
CONTEXT = LossContext(num_classes=CLASSES, embedding_dim=DIM, class_counts=(40, 20, 8, 3))
TARGETS = torch.arange(12) % CLASSES
Check = Callable[[str], str]


def main() -> int:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    names = sorted(
        row.name
        for row in loss_entries(load=True)
        if row.status in ("built-in", "usable") and "/" not in row.name and row.origin.startswith("lossbench")
    )
    print(f"# Losses as ordinary modules\n\n    python benchmarks/any_module.py\n\ntorch {torch.__version__}.\n")
    print(f"| loss | {' | '.join(CHECKS)} |\n|-|{'-|' * len(CHECKS)}")
    failures = []
    for name in names:
        cells = []
        for title, check in CHECKS.items():
            try:
                cells.append(check(name) or "pass")
            except Exception as error:  # of any type: this is what the table is for
                cells.append("**fails**")
                failures.append(f"- {name}, {title}: {type(error).__name__}: {str(error).splitlines()[0]}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("\n".join(["", *failures]))
    return int(bool(failures))


def output(name: str, dtype: torch.dtype = torch.float32) -> ModelOutput:
    """Return a batch as the loss reads it, with leaves that require gradients."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, CLASSES, generator=generator)
    logits = (logits / 5).clamp(-1, 1) if Need.COSINE_LOGITS in loss_info(name).needs else logits
    embeddings = torch.randn(12, DIM, generator=generator)
    return ModelOutput(embeddings.to(dtype).requires_grad_(), logits.to(dtype).requires_grad_())


def started(name: str) -> Any:
    """Return a loss in its first epoch whose state has moved once."""
    loss = create_loss(name, CONTEXT)
    loss.begin_epoch(0, 2)
    given = output(name)
    loss.update_state(ModelOutput(given.embeddings.detach(), given.logits.detach()), TARGETS)
    return loss


def results(loss: Callable[..., Tensor], given: ModelOutput) -> list[Tensor]:
    """Return value and gradients."""
    value = loss(given, TARGETS)
    gradients = torch.autograd.grad(value, [given.embeddings, given.logits], allow_unused=True)
    return [value.detach(), *(torch.zeros(()) if gradient is None else gradient for gradient in gradients)]


def compare(name: str, loss: Callable[..., Tensor], dtype: torch.dtype = torch.float32, tolerance: float = 0) -> str:
    """Require the value and gradients of the plain loss."""
    for found, expected in zip(results(loss, output(name, dtype)), results(started(name), output(name)), strict=True):
        torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
    return ""


def half(dtype: torch.dtype) -> Check:
    def check(name: str) -> str:
        loss = started(name).to(dtype)
        compare(name, loss, dtype, 0.05)
        given = output(name, dtype)
        loss.update_state(ModelOutput(given.embeddings.detach(), given.logits.detach()), TARGETS)
        assert results(loss, given)[0].isfinite()
        return ""

    return check


def meta(name: str) -> str:
    with torch.device("meta"):
        loss = create_loss(name, CONTEXT)
    loss.to_empty(device="cpu")
    loss.load_state_dict(started(name).state_dict())
    return compare(name, loss)


def compiled(name: str) -> str:
    torch.compiler.reset()
    return compare(name, torch.compile(started(name), fullgraph=True, backend="aot_eager"), tolerance=1e-5)


def checkpointed(name: str) -> str:
    loss = started(name)

    def call(given: ModelOutput, targets: Tensor) -> Tensor:
        value: Tensor = checkpoint(lambda e, z: loss(ModelOutput(e, z), targets), *given[:2], use_reentrant=False)
        return value

    return compare(name, call)


def attached_model(name: str) -> nn.Module:
    """Return a model that has been trained for a step with the loss attached to its head."""
    torch.manual_seed(0)
    cosine = Need.COSINE_LOGITS in loss_info(name).needs
    model = nn.Sequential(nn.Linear(5, DIM), nn.ReLU(), CosineHead(DIM, CLASSES) if cosine else nn.Linear(DIM, CLASSES))
    criterion = lossbench.attach(name, head=model[2], class_counts=CONTEXT.class_counts)
    optimizer = criterion.follow(torch.optim.SGD(model.parameters(), lr=0.1))
    criterion(model(torch.randn(12, 5)), TARGETS).backward()
    optimizer.step()
    return model.eval()


def exported(name: str) -> str:
    model, images = attached_model(name), torch.randn(3, 5)
    rows = torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(model, (images,), dynamic_shapes=({0: rows},)).module()
    torch.testing.assert_close(program(images[:2]), model(images[:2]))
    return ""


def onnx(name: str) -> str:
    if any(importlib.util.find_spec(each) is None for each in ("onnx", "onnxscript", "onnxruntime")):
        return "not installed"
    import onnxruntime

    model, images = attached_model(name), torch.randn(3, 5)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        torch.onnx.export(model, (images,), file, input_names=["images"], dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(file)
        found = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])
    torch.testing.assert_close(found, model(images).detach())
    return ""


CHECKS: dict[str, Check] = {
    "bf16": half(torch.bfloat16),
    "fp16": half(torch.float16),
    "meta": meta,
    "pickle": lambda name: compare(name, pickle.loads(pickle.dumps(started(name)))),
    "deepcopy": lambda name: compare(name, copy.deepcopy(started(name))),
    "compile": compiled,
    "checkpointing": checkpointed,
    "export": exported,
    "onnx": onnx,
}

if __name__ == "__main__":
    sys.exit(main())
