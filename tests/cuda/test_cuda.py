"""On a CUDA device: the losses equal themselves on the CPU, and runs work in each precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from made_affectnet import make_affectnet
from made_weights import write_made_weights

from lossbench import LossContext, ModelOutput, Need, list_losses, loss_info
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig
from lossbench.testing import configurations, find_law, judge

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CONTEXT = LossContext(num_classes=5, embedding_dim=16, class_counts=(50, 20, 10, 5, 2))
CASES = [
    pytest.param(name, dict(variant), id=f"{name}-{variant}")
    for name in list_losses()
    for variant in ({}, *loss_info(name).variants)
]


def made_batch(name: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return embeddings and logits, which are cosines where the loss reads cosines."""
    embeddings, logits = torch.randn(64, 16, dtype=dtype), torch.randn(64, 5, dtype=dtype)
    return embeddings, logits.tanh() if Need.COSINE_LOGITS in loss_info(name).needs else logits


@pytest.mark.parametrize(("name", "hyperparameters"), CASES)
def test_a_loss_equals_itself_on_the_cpu(name: str, hyperparameters: dict[str, Any]) -> None:
    torch.manual_seed(0)
    embeddings, logits = made_batch(name, torch.float64)
    targets = torch.arange(64) % 5
    results = []
    for device in ("cpu", "cuda"):
        loss = loss_info(name).factory(CONTEXT, **hyperparameters).to(device, torch.float64)
        output = ModelOutput(embeddings.to(device).requires_grad_(), logits.to(device).requires_grad_())
        for _ in range(2):  # fresh, and with centers that have started and moved
            value = loss(output, targets.to(device))
            loss.update_state(ModelOutput(output.embeddings.detach(), output.logits.detach()), targets.to(device))
        gradients = torch.autograd.grad(value, output[:2], allow_unused=True)
        found = [value, *(g for g in gradients if g is not None), *loss.state_dict().values()]
        results.append([tensor.detach().cpu() for tensor in found])
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "hyperparameters"), CASES)
def test_a_step_never_waits_for_the_device(name: str, hyperparameters: dict[str, Any]) -> None:
    loss = loss_info(name).factory(CONTEXT, **hyperparameters).to("cuda")
    embeddings, logits = (tensor.cuda() for tensor in made_batch(name, torch.float32))
    targets = torch.arange(64, device="cuda") % 5

    def step() -> None:
        output = ModelOutput(embeddings.detach().requires_grad_(), logits.detach().requires_grad_())
        loss(output, targets).backward()
        loss.update_state(ModelOutput(embeddings, logits), targets)

    step()  # the first may load kernels and reserve memory
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", list_losses())
def test_a_loss_moves_to_the_device_as_the_law_says(name: str) -> None:
    for configuration in configurations(loss_info(name)):
        result = judge(configuration, find_law("moves"))
        assert (result.status, result.message) == ("passed", "")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", list_losses())
def test_a_run_works_in_each_precision(name: str, precision: str, tmp_path: Path) -> None:
    config = RunConfig(
        loss=name, data="synthetic(images=400, test_images_per_class=10)", epochs=3, device="cuda", precision=precision
    )
    record = run(config, tmp_path / "run").to_json()
    assert record["environment"]["device_name"] == torch.cuda.get_device_name()
    assert record["memory"]["peak_bytes"] > 0
    assert record["timing"]["sampled_steps"] > 0
    assert 0 < record["metrics"]["balanced_accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_the_reference_recipe_runs_at_its_own_size(workers: int, tmp_path: Path) -> None:
    """Pinned memory, channels last, bf16, weights with the published names; images come from files."""
    data = make_affectnet(tmp_path / "affectnet", images=64, validation=1, size=160)
    weights = write_made_weights(tmp_path / "w.pkl", identities=3)
    config = RunConfig(
        loss="weighted-cluster",
        data=f"affectnet:{data}",
        model="legacy_seresnet50",
        weights=f"vggface2:{weights}",
        epochs=3,
        batch_size=16,
        device="cuda",
        precision="bf16",
        workers=workers,
    )
    record = run(config, tmp_path / "run").to_json()
    weights.unlink()
    assert record["model"]["image_size"] == 224
    assert 0 < record["timing"]["data_wait_share"] < 1
    assert 0 < record["timing"]["loss_share"] < 1
