"""The laws in a test suite: a decorator for a plugin's tests, and `pytest --lossbench NAME`.

@parametrize_with_checks([SPEC])
def test_laws(check):
    check()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, did_you_mean
from ..spec import LossSpec
from .applies import reason_to_skip
from .configuration import Configuration
from .effort import Effort
from .judge import fails_in, judge
from .law import LAWS, Law, find_laws
from .resolve import configurations_of, resolve
from .results import Result, expect
from .violation import Violation

if TYPE_CHECKING:
    import pytest


Judged = LossSpec | Configuration | str | Callable[..., Any]
"""What may be judged: a spec, a configuration, a name, a class or a function."""


@dataclass(frozen=True)
class Check:
    """One law on one configuration, ready to be called in a test.

    Attributes:
        configuration: the configuration.
        law: the law.
        effort: how hard to look.
        expected_failure: why the loss is known to break the law, if it is.
        others: the other configurations of the loss. An expected failure must happen in one of them at least.
    """

    configuration: Configuration
    law: Law
    effort: Effort
    expected_failure: str | None = None
    others: tuple[Configuration, ...] = ()

    def __str__(self) -> str:
        return f"{self.configuration}-{self.law.name}"

    def result(self) -> Result:
        """Return the result; an expected violation is `xfailed`, and `failed` if it does not happen."""
        found = judge(self.configuration, self.law, self.effort)
        return expect(found, self.expected_failure, lambda: fails_in(self.others, self.law, self.effort))

    def __call__(self) -> None:
        """Pass, skip, xfail or raise `Violation`, as pytest understands it.

        Raises:
            RuntimeError: the kit itself failed, so that the law was not judged.
        """
        import pytest

        found = self.result()
        if found.kit_failed:
            raise RuntimeError(f"{self}: {found.message}")
        if found.status == "skipped":
            pytest.skip(found.message)
        if found.status == "xfailed":
            pytest.xfail(found.message)
        if found.status == "failed":
            raise Violation(failure_text(self.law, found))


def failure_text(law: Law, result: Result) -> str:
    """Return what was broken, how, on which batch, and what to do."""
    lines = [f"{result.loss} breaks {law.name}: {result.message}", f"The law: {law.statement}"]
    if result.counterexample:
        lines.append(f"Smallest batch: {result.counterexample}")
    return "\n".join([*lines, f"Remedy: {law.remedy}"])


def checks(
    losses: Iterable[Judged],
    *,
    expected_failures: Mapping[str, str] | None = None,
    effort: Effort | None = None,
    takes: str | None = None,
    form: str | None = None,
    traits: Iterable[str] = (),
    laws: Iterable[str] = (),
) -> list[Check]:
    """Return one check for each configuration of some losses and each law that applies to it.

    Args:
        losses: specs, configurations, classes, functions, or names as `lossbench check` takes them.
        expected_failures: name of a law -> why the losses break it. Strict: if it holds, the check fails.
        effort: how hard to search.
        takes: "logits", "embeddings" or "cosine-logits", for losses without a spec whose signature does not tell.
        form: "labels", "one-hot", "triplets" or "views", for losses without a spec.
        traits: names of traits that hold beyond those declared.
        laws: names of laws or groups, such as "Calculus"; all if empty.

    Raises:
        UsageError: an unknown law or loss, or an empty reason.

    Example:
        >>> sorted({str(check.configuration) for check in checks(["center(alpha=0.1)"])})
        ['center(alpha=0.1)', 'center(alpha=0.1), started']
        >>> len(checks(["softmax"], laws=["not-negative", "one-number"]))
        2
    """
    reasons = dict(expected_failures or {})
    names = {law.name for law in LAWS}
    for name, reason in reasons.items():
        if name not in names:
            raise UsageError(f"expected_failures names no law: {name!r}. {did_you_mean(name, names)}")
        if not reason.strip():
            raise UsageError(f"expected_failures: {name} needs a reason that names the mathematics")
    chosen = [law for name in laws for law in find_laws(name)] or LAWS
    found, effort, declared = [], effort or Effort(), tuple(traits)
    for loss in losses:
        every = _configurations_of(loss, takes, form, declared)
        for configuration in every:
            expected = {**configuration.spec.expected_failures, **reasons}
            others = tuple(each for each in every if each is not configuration)
            applicable = (law for law in chosen if reason_to_skip(configuration, law, effort) is None)
            found += [Check(configuration, law, effort, expected.get(law.name), others) for law in applicable]
    return found


def _configurations_of(
    loss: Judged, takes: str | None, form: str | None, traits: tuple[str, ...]
) -> list[Configuration]:
    if isinstance(loss, Configuration):
        return [loss]
    if isinstance(loss, LossSpec):
        return configurations_of(loss)
    if isinstance(loss, str):
        return resolve(loss, takes=takes, form=form, traits=traits)
    module, name = getattr(loss, "__module__", None), getattr(loss, "__qualname__", None)
    if module is None or name is None or "<" in name:
        raise UsageError(f"{loss!r} has no name to find it by; define it at the top of a module, or pass its name")
    return resolve(f"{module}:{name}", takes=takes, form=form, traits=traits)


def parametrize_with_checks(
    losses: Iterable[Judged],
    *,
    expected_failures: Mapping[str, str] | None = None,
    effort: Effort | None = None,
    takes: str | None = None,
    form: str | None = None,
    traits: Iterable[str] = (),
    laws: Iterable[str] = (),
) -> pytest.MarkDecorator:
    """Return a decorator that runs a test once for each law and configuration, with the argument `check`.

    Args:
        losses: specs, configurations, classes, functions, or names as `lossbench check` takes them.
        expected_failures: name of a law -> why the losses break it. Strict: if it holds, the test fails.
        effort: how hard to search.
        takes, form, traits, laws: as of `checks`.
    """
    import pytest

    found = checks(
        losses, expected_failures=expected_failures, effort=effort, takes=takes, form=form, traits=traits, laws=laws
    )
    return pytest.mark.parametrize("check", found, ids=str)
