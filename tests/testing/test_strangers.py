"""Losses of other repositories, as their signatures are, are judged at once, or the message shows what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lossbench.adapters import AdaptedFactory
from lossbench.errors import UsageError
from lossbench.testing import Configuration, checks, fixed_case
from lossbench.testing.resolve import resolve
from lossbench.traits import Need, Trait

FILE = Path(__file__).parent / "strangers.py"

# Name -> what it takes, in which form, and whether labels come first.
JUDGED = {
    "LDAMLoss": ("logits", "labels", False),
    "VSLoss": ("logits", "labels", False),
    "LogitAdjust": ("logits", "labels", False),
    "BalancedSoftmax": ("logits", "labels", False),
    "balanced_softmax_loss": ("logits", "labels", True),
    "CB_loss": ("logits", "labels", True),
    "FocalAlpha": ("logits", "labels", False),
    "AsymmetricLoss": ("logits", "one-hot", False),
    "SupConLoss": ("embeddings", "views", False),
    "DiceLike": ("logits", "labels", False),
    "ClsScore": ("logits", "labels", False),
    "InpTarget": ("logits", "labels", False),
    "CosFaceLoss": ("cosine-logits", "labels", False),
    "CenterLoss": ("embeddings", "labels", False),
    "focal_loss": ("logits", "labels", True),
    "GCE": ("logits", "labels", False),
    "Seesaw": ("logits", "labels", False),
    "ProxyAnchor": ("embeddings", "labels", False),
    "PairLoss": ("embeddings", "labels", False),
    "SoftTarget": ("logits", "one-hot", False),
    "BCE1": ("logits", "labels", False),
    "sigmoid_focal_loss": ("logits", "one-hot", False),
}
SHOWN = {
    "ArcHead": "returns a tensor of shape (12, 4): it is a head that gives logits, not a loss",
    "IBLoss": "missing 1 required positional argument: 'features'",
    "BalSCL": "BalSCL(centers1, …) takes logits or embeddings",
}


def configuration(name: str, **options: object) -> Configuration:
    (found,) = resolve(f"{FILE}:{name}", **options)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", JUDGED)
def test_a_strangers_loss_is_called_as_its_signature_says(name: str) -> None:
    found = configuration(name)
    factory = found.spec.factory
    assert isinstance(factory, AdaptedFactory)
    assert (factory.takes, factory.form, factory.labels_first) == JUDGED[name]
    case = fixed_case()
    value = found.build(case.context, torch.float32)(found.output(case, torch.float32), case.labels())
    assert value.numel() == 1
    assert bool(value.isfinite())


def test_class_counts_are_those_of_the_task() -> None:
    for name in ("LDAMLoss", "balanced_softmax_loss", "BCE1", "BalancedSoftmax"):
        found = configuration(name)
        assert Need.CLASS_COUNTS in found.spec.needs
        assert found.counts_matter


def test_the_page_counts_the_signatures_that_are_judged_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
    said = f"{len(JUDGED)} of {len(JUDGED) + len(SHOWN)} signatures"
    assert said in " ".join(page.split())


@pytest.mark.parametrize("name", SHOWN)
def test_what_cannot_be_called_is_shown_how_to_wrap(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        configuration(name)
    assert SHOWN[name] in str(refused.value)
    assert "def loss(logits, targets): return " in str(refused.value)


def test_a_list_and_the_word_counts_are_values() -> None:
    assert str(configuration("FocalAlpha(alpha=[0.1, 0.2, 0.3, 0.4])")).endswith(
        "FocalAlpha(alpha=[0.1, 0.2, 0.3, 0.4])"
    )
    assert configuration("FocalAlpha(alpha=counts)").counts_matter


def test_a_declared_coupling_withdraws_the_mean_of_rows() -> None:
    assert configuration("PairLoss").declares(Trait.SAMPLEWISE)
    coupled = configuration("PairLoss", traits=["batch-coupled"])
    assert not coupled.declares(Trait.SAMPLEWISE)
    assert not coupled.declares(Trait.SHARDABLE)


def test_files_of_one_name_are_two_files(tmp_path: Path) -> None:
    for folder, sign in (("a", ""), ("b", "-")):
        (tmp_path / folder).mkdir()
        call = f"def focal(logits, targets): return {sign}F.cross_entropy(logits, targets)"
        (tmp_path / folder / "random.py").write_text(f"import torch.nn.functional as F\n{call}\n")
    values = []
    for folder in ("a", "b"):
        (found,) = resolve(f"{tmp_path / folder / 'random.py'}:focal")
        case = fixed_case()
        values.append(float(found.build(case.context)(case.output(), case.labels())))
    assert values[0] == -values[1] > 0


def test_a_file_without_an_object_lists_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def my_loss(logits, targets): return logits.sum()\nclass Helper: ...\n")
    with pytest.raises(UsageError, match=r"mine.py holds: my_loss. Name one, as in: lossbench check .*mine.py:my_loss"):
        resolve(str(file))


def test_an_error_in_an_authors_file_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import torch\n\ndef loss(logits, targets):\n    return logits.no_such_method()\n")
    with pytest.raises(UsageError, match=r"AttributeError: .* \(mine.py, line 4\)"):
        resolve(f"{file}:loss")


def test_checks_take_classes_functions_and_groups() -> None:
    for loss in (torch.nn.CrossEntropyLoss, torch.nn.functional.multi_margin_loss):
        found = checks([loss], laws=["Calculus", "one-number"])
        assert {check.law.group for check in found} == {"Calculus", "Systems"}
    (found_one,) = checks(
        [torch.nn.CrossEntropyLoss], laws=["one-number"], takes="embeddings", traits=["batch-coupled"]
    )
    assert found_one.configuration.reads == ("embeddings",)
    with pytest.raises(UsageError, match="has no name to find it by"):
        checks([lambda logits, targets: logits.sum()])
