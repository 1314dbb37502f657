"""The kit's own machinery: what it imports, how it searches, what it counts, how it appears in a test suite."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import Tensor
from warm import Done, start

from lossbench import Loss, LossContext, LossSpec, ModelOutput, Need, Trait, loss_info
from lossbench.errors import UsageError
from lossbench.testing import (
    LAWS,
    Case,
    Configuration,
    Effort,
    cases,
    checks,
    configurations,
    find_law,
    fixed_case,
    judge,
)
from lossbench.testing.excuses import lies_on_kink
from lossbench.testing.law import GROUPS, law
from lossbench.testing.memory import PeakMemory
from lossbench.testing.page import laws_page
from lossbench.testing.trial import Trial

ROOT = Path(__file__).parents[2]


class Negative(Loss):
    """Below zero where a row has at least two twos in it, to see how far a batch shrinks."""

    def __init__(self, context: LossContext) -> None:
        super().__init__()

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        twos = (output.logits >= 1.5).sum(dim=1) >= 2
        return F.cross_entropy(output.logits, targets) - 100 * twos.any()


NEGATIVE = LossSpec(name="negative", factory=Negative, summary="-", reference="-", needs=frozenset({Need.LOGITS}))


def test_the_smallest_failing_batch_is_found() -> None:
    result = judge(Configuration(spec=NEGATIVE), find_law("not-negative"), Effort(examples=300))
    assert result.status == "failed"
    assert result.counterexample == "targets=[0], class_counts=(1, 1), logits=[[1.5, 1.5]]"


@pytest.mark.long
def test_a_search_is_the_same_for_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossbench.testing.search._SHRINKING_SECONDS", 600)  # a loaded machine must not end it earlier
    found = [
        judge(Configuration(spec=NEGATIVE), find_law("not-negative"), Effort(examples=100, seed=s)) for s in (3, 3)
    ]
    assert found[0].counterexample == found[1].counterexample
    assert found[0].examples == found[1].examples


@given(cases())
def test_batches_are_what_they_say(case: Case) -> None:
    output, targets = case.output(), case.labels()
    assert output.logits.shape == (len(targets), len(case.class_counts))
    assert output.embeddings.shape == (len(targets), case.embedding_dim)
    assert 0 <= int(targets.min()) <= int(targets.max()) < len(case.class_counts)
    assert (1024 * output.embeddings).equal((1024 * output.embeddings).round())
    assert output.embeddings.float().double().equal(output.embeddings)


def test_every_law_has_a_name_of_its_own_a_statement_and_a_remedy() -> None:
    assert len({law.name for law in LAWS}) == len(LAWS)
    assert all(law.statement and law.remedy for law in LAWS)


def test_the_number_of_a_law_is_its_position() -> None:
    assert [law.number for law in LAWS] == list(range(1, len(LAWS) + 1))
    assert all(find_law(str(law.number)) is find_law(law.name) is law for law in LAWS)


def test_the_page_has_one_heading_for_each_group() -> None:
    headings = [line.removeprefix("## ") for line in laws_page().splitlines() if line.startswith("## ")]
    assert headings == list(GROUPS)
    assert [law.group for law in LAWS] == sorted((law.group for law in LAWS), key=GROUPS.index)


def test_a_law_added_late_stands_at_the_end_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(LAWS)
    monkeypatch.setattr("lossbench.testing.law.LAWS", added := list(LAWS))

    @law("Finiteness")
    def never_seven(trial: Trial) -> None:
        """A made-up law."""

    assert [each.name for each in added if each not in before] == ["never-seven"]
    assert added[added.index(find_law("nan-surfaces")) + 1].name == "never-seven"


def test_the_page_of_laws_is_up_to_date() -> None:
    told = "python -m lossbench.testing.page > docs/laws.md"
    assert (ROOT / "docs" / "laws.md").read_text() == laws_page(), f"run: {told}"


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Blocker())
from lossbench.testing import Effort, find_law, judge, resolve
print(judge(resolve("softmax")[0], find_law("gradient-of-inputs"), Effort(examples=5)).status)
"""


@pytest.mark.long
def test_torch_and_hypothesis_are_enough() -> None:
    blocked = ["timm", "torchvision", "accelerate", "sklearn", "scipy", "pytorch_metric_learning", "PIL", "typer"]
    blocked += ["rich", "safetensors", "krippendorff", "psutil", "tomli_w", "pytest", "packaging"]
    command = [sys.executable, "-c", BLOCKER.replace("{blocked!r}", repr(set(blocked)))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("passed\n", "")


def test_a_suite_that_does_not_ask_for_laws_pays_nothing_for_them() -> None:
    program = "import sys, lossbench.pytest_plugin; print(sorted({'torch', 'hypothesis'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_expected_failures_are_strict() -> None:
    wrong = {"not-negative": "the penalty has the other sign on purpose", "one-number": "never"}
    by_law = {c.law.name: c for c in checks([NEGATIVE], expected_failures=wrong, effort=Effort(examples=200))}
    assert by_law["not-negative"].result().status == "xfailed"
    strict = by_law["one-number"].result()
    assert strict.status == "failed"
    assert strict.message == "expected to fail (never), but holds: remove it from expected_failures"
    with pytest.raises(AssertionError, match="breaks one-number: expected to fail"):
        by_law["one-number"]()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"not-negativ": "why"}, "expected_failures names no law: 'not-negativ'. Did you mean 'not-negative'?"),
        ({"not-negative": " "}, "not-negative needs a reason"),
    ],
)
def test_an_expected_failure_names_a_law_and_a_reason(expected: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        checks([NEGATIVE], expected_failures=expected)


SUITE = """
import sys
sys.path.insert(0, {folder!r})
from my_loss import SPEC
from lossbench.testing import Effort, parametrize_with_checks

REASON = "a constant is subtracted"

@parametrize_with_checks([SPEC], expected_failures={{"not-negative": REASON}}, effort=Effort(examples=3))
def test_laws(check):
    check()
"""
MY_LOSS = """
from lossbench.losses.softmax import SoftmaxLoss
from lossbench import LossSpec, Need
class MyLoss(SoftmaxLoss):
    def forward(self, output, targets):
        return super().forward(output, targets) - {minus}
SPEC = LossSpec(name="my-loss", factory=MyLoss, summary="-", reference="-", needs=frozenset({{Need.LOGITS}}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("minus", "code", "summary"), [(1, 1, "xfailed"), (0, 1, "1 failed")])
def test_three_lines_in_a_plugins_suite(tmp_path: Path, minus: int, code: int, summary: str) -> None:
    (tmp_path / "my_loss.py").write_text(MY_LOSS.format(minus=minus))
    (tmp_path / "test_my_loss.py").write_text(SUITE.format(folder=str(tmp_path)))
    done = pytest_in(tmp_path, "-k", "laws and (negative or one-number or half)")
    assert summary in done.out
    assert done.code == (0 if minus else code), done.out


@pytest.mark.slow
def test_pytest_judges_a_loss_without_a_test_file(tmp_path: Path) -> None:
    (tmp_path / "my_loss.py").write_text(MY_LOSS.format(minus=1))
    done = pytest_in(tmp_path, "--lossbench", "my_loss:SPEC", "-k", "negative or one-number")
    assert "1 failed, 1 passed" in done.out
    assert "my-loss breaks not-negative: the value is -" in done.out
    assert "Smallest batch: targets=[0]" in done.out
    for jobs in ("0", "1"):
        unknown = pytest_in(tmp_path, "--lossbench", "no-such-loss", "-n", jobs)
        assert unknown.code == 4
        assert "unknown loss 'no-such-loss'" in unknown.err


def pytest_in(folder: Path, *arguments: str) -> Done:
    (folder / "pytest.ini").touch()  # so that no settings of folders above apply
    return start(folder, "pytest", "-q", "-p", "no:cacheprovider", *arguments).wait()


def triplet(**settings: object) -> Configuration:
    return Configuration(spec=loss_info("triplet"), hyperparameters=settings)


def line(*points: float) -> Case:
    return Case((1, 1), (0, 0, 1), ((0.0, 0.0),) * 3, tuple((p,) for p in points), 1)


def test_a_kink_is_seen_on_it_and_not_beside_it() -> None:
    plain = triplet(normalize=False, distance="euclidean", margin=0.25)
    assert lies_on_kink(Trial(plain, line(0.0, 1.0, 1.25)), 1e-6)  # a hinge of exactly 0
    assert lies_on_kink(Trial(plain, line(0.0, 0.0, 0.125)), 1e-6)  # coincident rows
    assert not lies_on_kink(Trial(plain, line(0.0, 1.0, 1.125)), 1e-6)
    assert not lies_on_kink(Trial(plain, line(0.0, 1.0, 1.2501)), 1e-6)
    assert not lies_on_kink(Trial(Configuration(spec=loss_info("softmax")), line(0.0, 0.0, 1.0)), 1e-6)


def test_memory_is_counted_exactly_and_freed() -> None:
    given_before = torch.zeros(1000)
    with PeakMemory() as memory:
        for _ in range(5):
            temporary = given_before + 1
            del temporary
        kept = given_before * 2
        view = kept.view(10, 100)
    assert memory.peak_bytes == 4000
    assert memory.live_bytes == 4000
    assert view.shape == (10, 100)


def test_a_stateful_loss_is_judged_fresh_and_started() -> None:
    found = configurations(loss_info("center"), {"alpha": 0.25})
    assert [str(configuration) for configuration in found] == ["center(alpha=0.25)", "center(alpha=0.25), started"]
    context = fixed_case().context
    assert found[0].build(context).centers.isnan().all()
    assert found[1].build(context).centers.isfinite().all()


def test_a_stale_declaration_is_a_failure_of_the_deep_check() -> None:
    modest = LossSpec(name="modest", factory=Modest, summary="-", reference="-", needs=frozenset({Need.LOGITS}))
    law = find_law("convex-in-logits")
    assert judge(Configuration(spec=modest), law).status == "skipped"
    deep = judge(Configuration(spec=modest), law, Effort(examples=50, deep=True))
    assert deep.status == "failed"
    assert deep.message.startswith("stale: no counterexample in 50 batches; declare the trait convex")


@pytest.mark.parametrize("late", [False, True])
def test_a_trait_that_holds_in_one_epoch_only_need_not_be_declared(late: bool) -> None:
    cooling = LossSpec(name="cooling", factory=Cooling, summary="-", reference="-", needs=frozenset({Need.LOGITS}))
    deep = Effort(examples=20, deep=True)
    found = judge(Configuration(spec=cooling, late=late), find_law("bounded-pull"), deep)
    assert found.status == "skipped"
    assert ("cooling breaks" in found.message) == late
    assert judge(Configuration(spec=cooling, late=late), find_law("convex-in-logits"), deep).status == "failed"


class Modest(Loss):
    """Softmax that declares nothing."""

    traits = frozenset({Trait.SAMPLEWISE})

    def __init__(self, context: LossContext) -> None:
        super().__init__()

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return F.cross_entropy(output.logits, targets)


class Cooling(Modest):
    """Softmax of four times the logits, and of the logits from the second epoch on."""

    factor = 4.0

    def forward(self, output: ModelOutput, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.factor * output.logits, targets)

    def begin_epoch(self, epoch: int, total: int) -> None:
        self.factor = 1.0 if epoch else 4.0


def test_a_failure_of_the_kit_is_no_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "same", None)
    (check,) = checks(["softmax"], laws=["naive-loop"])
    result = check.result()
    assert (result.status, result.kit_failed) == ("skipped", True)
    with pytest.raises(RuntimeError, match=r"^softmax-naive-loop: the kit failed in .*\.py:\d+ with TypeError"):
        check()


def test_state_that_only_some_hyperparameters_have_is_renumbered_where_it_is() -> None:
    (without, *_), (weighted, *_) = (
        configurations(loss_info("softmax-focal")),
        configurations(loss_info("softmax-focal"), {"beta": 0.9, "defer": 0.5}),
    )
    assert (dict(without.state_axes), dict(weighted.state_axes)) == ({}, {"class_weights.weighs": ()})
    for configuration in (without, weighted):
        assert judge(configuration, find_law("renamed-classes")).status == "passed"
    never = replace(loss_info("softmax-focal"), state_axes={"centers": ("class",)})
    result = judge(replace(without, spec=never), find_law("renamed-classes"))
    assert (result.status, result.message) == ("failed", "state_axes names centers, which the loss does not have")
