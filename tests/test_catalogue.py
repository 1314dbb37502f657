"""docs/catalogue.md says what the losses declare now, and what the laws found of all of them."""

from __future__ import annotations

import json
from importlib.metadata import version

import catalogue
import pytest

from lossbench import loss_info
from lossbench.registry import loss_entries
from lossbench.testing import find_law

REMEDY = f"run: {catalogue.COMMAND} > rows.json; python benchmarks/catalogue.py --rows rows.json"
FOUND = json.loads(catalogue.FOUND.read_text())
NAMES = catalogue.names()
OURS = [name for distribution, names in NAMES.items() if distribution != catalogue.ADAPTED for name in names]


WRITTEN_WITH = {library: FOUND["versions"][library] for library in ("timm", "pytorch-metric-learning")}
INSTALLED = {library: version(library) for library in WRITTEN_WITH}
with_same_libraries = pytest.mark.skipif(
    WRITTEN_WITH != INSTALLED, reason=f"the page tells of {WRITTEN_WITH}, installed are {INSTALLED}"
)


@with_same_libraries
def test_the_page_is_as_its_command_writes_it() -> None:
    assert catalogue.page(FOUND) == catalogue.PAGE.read_text(), "run: python benchmarks/catalogue.py"


@with_same_libraries
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # the libraries' own
def test_every_law_was_judged_on_every_configuration_of_every_loss() -> None:
    assert catalogue.stale(FOUND) == [], REMEDY
    assert len(OURS) == 21
    listed = {row.name for row in loss_entries(load=True) if row.origin in catalogue.DISTRIBUTIONS}
    assert listed == FOUND["losses"].keys()


@pytest.mark.parametrize("name", OURS)
def test_ours_obey_every_law_and_say_when_to_use_them(name: str) -> None:
    spec, found = loss_info(name), FOUND["losses"][name]
    assert "failed" not in found["laws"].values(), REMEDY
    assert found["cost"] == catalogue.cost(spec), REMEDY
    assert spec.use_when
    assert spec.avoid_when
    assert "    L " in catalogue.section(spec, found) or name == "triplet"


def test_true_failures_of_peers_are_on_the_page() -> None:
    page = catalogue.PAGE.read_text()
    for name, law in (
        ("pml/TripletMarginLoss", "nan-surfaces"),
        ("torch/CrossEntropyLoss", "empty-batch"),
        ("pml/NTXentLoss", "memory-growth"),
    ):
        assert FOUND["losses"][name]["laws"][law] == "failed"
        (row,) = (line for line in page.splitlines() if line.startswith(f"| [{name}]"))
        assert str(find_law(law).number) in row.partition("breaks ")[2].partition(";")[0].split(", ")
