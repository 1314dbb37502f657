"""The snippets of docs/own-loop.md, run against the real libraries and compared with a loop by hand.

Run as a program, it is one of two processes that train with the Trainer of Hugging Face and with skorch.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from warm import start_ranks

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


OF_SKORCH = {"lr": 0.05, "train_split": None, "max_epochs": 2, "verbose": 0, "batch_size": 16}
LEARNS = "softmax + 0.1*gaussian-affinity"  # a loss with parameters


def loader() -> DataLoader[Any]:
    return DataLoader(DATASET, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(2))


def by_hand(batches: list[Tensor], accumulate: int = 1, formula: str = FORMULA) -> tuple[dict[str, Tensor], Tensor]:
    net = Net()
    loss = create_loss(formula, LossContext(num_classes=3, embedding_dim=8, class_counts=COUNTS))
    optimizer, outputs = torch.optim.SGD([*net.parameters(), *loss.parameters()], lr=0.05), []
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
    return net.state_dict(), state_of(loss)


def state_of(loss: Any) -> Tensor:
    """Centers, or what the second term learns."""
    term = loss.terms()[1].loss
    return term.centers if hasattr(term, "centers") else next(term.parameters()).detach()


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


def test_accelerate_stores_the_state_of_a_prepared_criterion(tmp_path: Path) -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True)
    criterion = lossbench.attach(FORMULA, head=nn.Linear(8, 3), class_counts=COUNTS)
    assert accelerator.prepare(criterion) is criterion
    state_of(criterion.loss).fill_(3)
    accelerator.save_state(str(tmp_path))
    state_of(criterion.loss).fill_(4)
    accelerator.load_state(str(tmp_path))
    assert state_of(criterion.loss).eq(3).all()
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


def train_with_trainer(
    folder: Path, epochs: int, accumulate: int, *, resume: bool = False, formula: str = FORMULA
) -> Any:
    """Return the model that Hugging Face's Trainer trained, in as many processes as the environment says."""
    import transformers
    from transformers.modeling_outputs import SequenceClassifierOutput

    class Model(Net):
        def forward(self, x: Tensor, labels: Any = None) -> Any:
            return SequenceClassifierOutput(logits=super().forward(x))

    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=16, use_cpu=True, report_to=[],
        lr_scheduler_type="constant", gradient_accumulation_steps=accumulate, max_grad_norm=0,
        save_strategy="epoch", disable_tqdm=True, ddp_find_unused_parameters=False if formula == LEARNS else None,
    )  # fmt: skip
    dataset = [{"x": x, "labels": int(y)} for x, y in DATASET]
    here = names(transformers=transformers, model=Model(), arguments=arguments, dataset=dataset)
    exec(snippet("Hugging Face Trainer").replace(FORMULA, formula), here)
    here["trainer"].train(resume_from_checkpoint=resume)
    return here["model"]


@pytest.mark.clients
@pytest.mark.parametrize("accumulate", [1, 2])
def test_hugging_face_trainer(accumulate: int, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra [clients]")

    def train(epochs: int, folder: str, resume: bool = False) -> Any:
        return train_with_trainer(tmp_path / folder, epochs, accumulate, resume=resume)

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
    return here["net"].set_params(**OF_SKORCH)


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


def train_with_skorch(formula: str) -> tuple[Any, Any]:
    """Return module and criterion that skorch trained, in as many processes as the environment says."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from skorch.hf import AccelerateMixin

    import lossbench.skorch

    class Distributed(AccelerateMixin, lossbench.skorch.NeuralNetClassifier):  # type: ignore[misc]
        pass

    AcceleratorState._reset_state(reset_partial_state=True)
    options = {"criterion__expression": formula, "criterion__head": "fc", "accelerator": Accelerator(cpu=True)}
    net = Distributed(Net, **options, **OF_SKORCH)
    net.fit(IMAGES.numpy(), LABELS.numpy())
    assert net.predict_proba(IMAGES.numpy()).shape == (96, 3)
    return net.module_, net.criterion_


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw and learned, by library and formula."""
    for name in ("transformers", "skorch"):
        pytest.importorskip(name, reason="needs the extra [clients]")
    folder = tmp_path_factory.mktemp("ranks")
    ended = start_ranks(folder, __file__, folder)
    assert [done.code for done in ended] == [0, 0], [done.err[-3000:] for done in ended]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.clients
@pytest.mark.parametrize("formula", [FORMULA, LEARNS])
@pytest.mark.parametrize("library", ["trainer", "skorch"])
def test_two_processes_train_as_one_with_all_rows(library: str, formula: str, ranks: list[dict[str, Any]]) -> None:
    """Each step of the two processes is one step of the loop by hand on the rows of both."""
    first, second = (rank[f"{library} {formula}"] for rank in ranks)
    batches = [torch.cat(rows) for rows in zip(first["seen"], second["seen"], strict=True)]
    assert len(batches) == 6
    assert first["moves"] == (6 if formula == FORMULA else 0)  # the other one has no state
    net, state = by_hand(batches, formula=formula)
    for name, value in net.items():
        assert first["net"][name].equal(second["net"][name]), name
        torch.testing.assert_close(first["net"][name], value, rtol=0, atol=2e-6, msg=name)
    assert first["state"].equal(second["state"])
    torch.testing.assert_close(first["state"], state, rtol=0, atol=2e-6)


if __name__ == "__main__":
    import os

    here, trained = Path(sys.argv[1]), {}
    for formula in (FORMULA, LEARNS):
        model = train_with_trainer(here / "trainer", 2, 1, formula=formula)
        trained[f"trainer {formula}"] = model, model.criterion
        trained[f"skorch {formula}"] = train_with_skorch(formula)
    found = {
        name: {
            "seen": net.seen,
            "moves": criterion.moves,
            "net": {key: value for key, value in net.state_dict().items() if not key.startswith("criterion.")},
            "state": state_of(criterion.loss),
        }
        for name, (net, criterion) in trained.items()
    }
    torch.save(found, here / f"{os.environ['RANK']}.pt")
