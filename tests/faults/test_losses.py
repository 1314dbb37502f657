"""A loss that does not keep to its part is refused by name before a run exists."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from faults.runs import tiny
from torch import Tensor

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, registry
from lossbench.errors import PluginError
from lossbench.harness.run import run


class Bad(Loss):
    """Base of the bad ones."""

    def __init__(self, context: LossContext) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))


class NoScalar(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.sum(dim=1)


class Detached(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.detach().sum()


class NoTensor(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return 1.0  # type: ignore[return-value]


class WritesInput(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return output.logits.mul_(2).sum()


class WritesState(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        self.count += 1
        return output.logits.sum()


class NotFinite(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return (output.logits - output.logits).sum().log()


class Raises(Bad):
    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        raise SystemExit("bye")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (NoScalar, r"its forward returned a tensor of shape \(6,\), expected one number"),
        (Detached, "its forward returned a number that does not depend on the model's output"),
        (NoTensor, "its forward returned float, expected a tensor with one number"),
        (WritesInput, "its forward changed its input, logits"),
        (WritesState, "its forward changed its state, count"),
        (NotFinite, "its value is -inf on finite embeddings and logits"),
        (Raises, "its forward raised SystemExit: bye"),
    ],
)
def test_a_loss_that_breaks_the_contract_is_named(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: type[Loss], message: str
) -> None:
    monkeypatch.setattr("lossbench.registry.specs._registered", {})
    spec = LossSpec(name="own", factory=factory, summary="-", reference="-", needs=frozenset({Need.LOGITS}))
    registry.register_loss(spec)
    with pytest.raises(PluginError, match=rf"^own.* cannot be trained: {message}"):
        run(tiny(pictures, "own"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
