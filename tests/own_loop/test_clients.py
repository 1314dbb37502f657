"""The snippets of docs/own-loop.md, run against the real libraries and compared with a loop by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lossbench
from lossbench import LossContext, ModelOutput, create_loss
from lossbench.errors import UsageError

pytestmark = [pytest.mark.filterwarnings("ignore")]  # the libraries' own

PAGE = (Path(__file__).parents[2] / "docs/own-loop.md").read_text()
COUNTS = (60, 24, 12)
FORMULA = "weighted-cluster"


def snippet(heading: str) -> str:
    section = PAGE.partition(f"# {heading}\n")[2].partition("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found, heading
    return found[1]


class Net(nn.Module):
    """Records the batches that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc = nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 3)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.seen.append(x.detach().clone())
        logits: Tensor = self.fc(self.body(x))
        return logits


LABELS = torch.cat([torch.full((count,), c) for c, count in enumerate(COUNTS)])
IMAGES = torch.randn(96, 6, generator=torch.Generator().manual_seed(1)) + torch.eye(3, 6)[LABELS] * 2
DATASET = TensorDataset(IMAGES, LABELS)


def loader() -> DataLoader[Any]:
    return DataLoader(DATASET, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(2))


def by_hand(batches: list[Tensor], accumulate: int = 1) -> tuple[dict[str, Tensor], Tensor]:
    net = Net()
    loss = create_loss(FORMULA, LossContext(num_classes=3, embedding_dim=8, class_counts=COUNTS))
    optimizer, outputs = torch.optim.SGD(net.parameters(), lr=0.05), []
    for number, x in enumerate(batches):
        y = LABELS[[int((row == IMAGES).all(dim=1).nonzero()[0]) for row in x]]
        embeddings = net.body(x)
        output = ModelOutput(embeddings, net.fc(embeddings))
        (loss(output, y) / accumulate).backward()
        outputs.append((embeddings.detach(), output.logits.detach(), y))
        if (number + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            e, z, t = (torch.cat(parts) for parts in zip(*outputs, strict=True))
            loss.update_state(ModelOutput(e, z), t)
            outputs = []
    centers = loss.terms()[1].loss.centers
    assert isinstance(centers, Tensor)
    return net.state_dict(), centers


def same(net: Any, criterion: Any, accumulate: int = 1) -> None:
    state, centers = by_hand(net.seen, accumulate)
    assert criterion.moves == len(net.seen) // accumulate > 0
    for name, value in state.items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=0, atol=2e-6)
    torch.testing.assert_close(criterion.loss.terms()[1].loss.centers, centers, rtol=0, atol=2e-6)


def names(**more: Any) -> dict[str, Any]:
    return {"torch": torch, "lossbench": lossbench, "labels": LABELS, "Net": Net, **more}


@pytest.mark.parametrize(
    ("heading", "most"),
    [
        ("A loss in your own training loop", 3),
        ("PyTorch Lightning", 3),
        ("Hugging Face Trainer", 4),
        ("Accelerate", 3),
        ("timm's loop, with accumulation and a moving average", 3),
        ("skorch, with a grid over formulas", 4),
        ("DistributedDataParallel and FSDP2", 3),
    ],
)
def test_a_snippet_adds_few_lines(heading: str, most: int) -> None:
    added = [line for line in snippet(heading).splitlines() if re.search("lossbench|criterion|optimizer, None", line)]
    assert 2 <= len(added) <= most


def test_the_plain_loop() -> None:
    here = names(model=Net(), loader=loader())
    exec(snippet("A loss in your own training loop"), here)
    same(here["model"], here["criterion"])


def test_the_module_for_several_processes() -> None:
    here = names()
    exec(snippet("DistributedDataParallel and FSDP2"), here)
    for x, y in loader():
        here["training"](x, y).backward()
        here["optimizer"].step()
        here["optimizer"].zero_grad()
    same(here["training"].net, here["training"].criterion)


@pytest.mark.parametrize("steps", [1, 2])
def test_accelerate(steps: int) -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    here = names(model=Net(), loader=loader(), accelerator=Accelerator(cpu=True, gradient_accumulation_steps=steps))
    exec(snippet("Accelerate"), here)
    same(here["model"], here["criterion"], steps)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_timm() -> None:
    import timm.utils

    here = names(model=Net(), loader=loader(), timm=timm)
    exec(snippet("timm's loop, with accumulation and a moving average"), here)
    same(here["model"], here["criterion"], 2)


@pytest.mark.clients
@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning(accumulate: int, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="needs the extra [clients]")
    here = names(lightning=lightning)
    exec(snippet("PyTorch Lightning"), here)

    def fit(module: Any, epochs: int, checkpoint: Any = None) -> Any:
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, accumulate_grad_batches=accumulate, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(module, DataLoader(DATASET, batch_size=16), ckpt_path=checkpoint)
        return trainer

    whole = here["Classifier"]()
    fit(whole, 2)
    same(whole.net, whole.criterion, accumulate)
    first, resumed = here["Classifier"](), here["Classifier"]()
    fit(first, 1).save_checkpoint(tmp_path / "half.ckpt", weights_only=False)
    fit(resumed, 2, tmp_path / "half.ckpt")
    for (name, value), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-6, msg=name)


@pytest.mark.clients
@pytest.mark.parametrize("accumulate", [1, 2])
def test_hugging_face_trainer(accumulate: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra [clients]")
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Model(Net):
        def forward(self, x: Tensor, labels: Any = None) -> Any:
            return SequenceClassifierOutput(logits=super().forward(x))

    def train(epochs: int, folder: str, resume: bool = False) -> Any:
        arguments = transformers.TrainingArguments(
            str(tmp_path / folder), num_train_epochs=epochs, per_device_train_batch_size=16, use_cpu=True, report_to=[],
            lr_scheduler_type="constant", gradient_accumulation_steps=accumulate, max_grad_norm=0,
            save_strategy="epoch", disable_tqdm=True,
        )  # fmt: skip
        dataset = [{"x": x, "labels": int(y)} for x, y in DATASET]
        here = names(transformers=transformers, model=Model(), arguments=arguments, dataset=dataset)
        exec(snippet("Hugging Face Trainer"), here)
        here["trainer"].train(resume_from_checkpoint=resume)
        return here["model"]

    whole = train(2, "whole")
    state, centers = by_hand(whole.seen, accumulate)
    torch.testing.assert_close(whole.fc.weight, state["fc.weight"], rtol=0, atol=2e-6)
    torch.testing.assert_close(whole.criterion.loss.terms()[1].loss.centers, centers, rtol=0, atol=2e-6)
    train(1, "halves")
    resumed = train(2, "halves", resume=True)
    for (name, value), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-6, msg=name)


@pytest.fixture
def skorch_net() -> Any:
    pytest.importorskip("skorch", reason="needs the extra [clients]")
    here = names()
    exec(snippet("skorch, with a grid over formulas"), here)
    return here["net"].set_params(lr=0.05, train_split=None, max_epochs=2, verbose=0, batch_size=16)


@pytest.mark.clients
def test_skorch(skorch_net: Any, tmp_path: Path) -> None:
    from sklearn.model_selection import GridSearchCV

    net = skorch_net.fit(IMAGES.numpy(), LABELS.numpy())
    same(net.module_, net.criterion_)
    torch.testing.assert_close(torch.from_numpy(net.predict_proba(IMAGES.numpy()).sum(axis=1)), torch.ones(96))
    net.save_params(tmp_path / "module.pt", f_criterion=tmp_path / "criterion.pt")
    other = net.__class__(Net, **{name: net.get_params()[name] for name in net.get_params() if "criterion__" in name})
    other.set_params(criterion__class_counts=LABELS).initialize()
    other.load_params(tmp_path / "module.pt", f_criterion=tmp_path / "criterion.pt")
    same_state = zip(other.criterion_.state_dict().values(), net.criterion_.state_dict().values(), strict=True)
    assert all(one.equal(two) for one, two in same_state)
    grid = GridSearchCV(net, {"criterion__expression": ["softmax", "weighted-softmax"]}, cv=2, refit=False)
    grid.fit(IMAGES.numpy(), LABELS.numpy())
    assert len(grid.cv_results_["mean_test_score"]) == 2


@pytest.mark.clients
def test_a_head_that_skorch_s_module_lacks_is_named(skorch_net: Any) -> None:
    with pytest.raises(UsageError, match=r"criterion__head must be the name of the head in Net, got 'fcc'.*fc"):
        skorch_net.set_params(criterion__head="fcc").fit(IMAGES.numpy(), LABELS.numpy())
