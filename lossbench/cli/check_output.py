"""How the results of `lossbench check` are printed: a line for each law, what is broken by weight, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from rich.padding import Padding
from rich.text import Text

from ..testing import find_law
from ..testing.results import CAN_BE_JUDGED
from ..testing.variants import bare_name
from ..testing.violation import Kind

if TYPE_CHECKING:
    from ..testing import Law, Result
    from .terminal import Console

_STYLES = {"passed": "green", "failed": "red", "skipped": "dim", "xfailed": "yellow"}
_PLURALS = {"wrong result": "wrong results", "precision": "precision", "unclear refusal": "unclear refusals"}
_REASONS_SHOWN = 4


def print_results(console: Console, results: Iterable[Result]) -> None:
    """Print the results of some losses."""
    by_loss: dict[str, list[Result]] = {}
    for result in results:
        by_loss.setdefault(bare_name(result.loss), []).append(result)
    for name, found in by_loss.items():
        if found[0].law == CAN_BE_JUDGED:
            console.print(Text(f"{name} cannot be judged: {found[0].message}\n", style="bold red"))
            continue
        laws = {result.law: find_law(result.law) for result in found}
        _print_laws(console, name, found, laws)
        for law, broken in _by_weight(found, laws):
            console.print(_explained(law, broken))
        if kit := next((result for result in found if result.kit_failed), None):
            console.print(Padding(Text(f"{kit.law}: {kit.message}", style="bold red"), (1, 0, 0, 0)))
        console.print(summary(name, found))


def _print_laws(console: Console, name: str, results: Sequence[Result], laws: dict[str, Law]) -> None:
    """Print a line for each law, with its whole name, since that is what `--law` takes."""
    console.print(Text(name, style="bold", overflow="fold"))
    widest = max(map(len, laws), default=0)
    for law in laws.values():
        found = [result for result in results if result.law == law.name]
        counts = Counter(result.status for result in found)
        line = Text(f"{law.number:>3} {law.name:<{widest}}  ")
        for place, (status, count) in enumerate(sorted(counts.items())):
            line.append(", " if place else "")
            line.append(f"{count} {status}" if len(found) > 1 else status, style=_STYLES[status])
        reasons = [result.message for result in found if result.status in ("skipped", "xfailed")]
        if reasons and len(counts) == 1:
            line.append(f", {reasons[0]}", style="dim")
        fits = console.width > len(f"{law.number:>3} ") + widest + len("  xfailed")  # only reasons are cut
        console.print(line, no_wrap=fits, overflow="ellipsis" if fits else "fold")


def _by_weight(results: Sequence[Result], laws: dict[str, Law]) -> list[tuple[Law, list[Result]]]:
    """Return the broken laws with their failures, wrong results first."""
    broken = []
    for law in laws.values():
        if failed := [result for result in results if result.law == law.name and result.status == "failed"]:
            broken.append((law, failed))
    kinds = list(get_args(Kind))
    return sorted(broken, key=lambda each: min(kinds.index(result.kind or kinds[0]) for result in each[1]))


def _explained(law: Law, broken: Sequence[Result]) -> Padding:
    """Return one broken law: the finding, the statement, the smallest batch, and what to do."""
    first = min(broken, key=lambda result: len(result.counterexample or ""))
    where = f"{first.loss}" + (f" and {len(broken) - 1} more configurations" if len(broken) > 1 else "")
    text = Text.assemble(
        (f"{law.number} {law.name}", "bold red"),
        f" ({first.kind or 'wrong result'}): {where}\n",
        ("found   ", "bold"), f"{first.message}\n",
        ("law     ", "bold"), f"{law.statement}\n",
    )  # fmt: skip
    if first.counterexample:
        text.append("batch   ", style="bold").append(f"{first.counterexample}\n")
    text.append("remedy  ", style="bold").append(law.remedy)
    return Padding(text, (1, 0, 0, 0))


def summary(name: str, results: Sequence[Result]) -> Text:
    """Return the last lines: what is broken by weight, what was judged, and what was skipped for which reasons."""
    failed = {result.law: result for result in reversed(results) if result.status == "failed"}
    held = {result.law for result in results if result.status == "passed"} - failed.keys()
    expected = {result.law for result in results if result.status == "xfailed"} - failed.keys()
    configurations = len({result.loss for result in results})
    seconds, batches = sum(result.seconds for result in results), sum(result.examples for result in results)
    kinds = Counter(result.kind or "wrong result" for result in failed.values())
    told = ", ".join(
        f"{kinds[kind]} {kind if kinds[kind] == 1 else _PLURALS[kind]}" for kind in get_args(Kind) if kinds[kind]
    )
    verdict = f"breaks {len(failed)} laws and obeys {len(held)}" if failed else f"obeys all {len(held)} laws that apply"
    lines = [f"\n{name} {verdict}" + (f": {told}" if failed else "")]
    if expected:
        lines.append(f"{len(expected)} violated as expected: {', '.join(sorted(expected))}")
    plural = "s" if configurations > 1 else ""
    lines.append(f"judged in {configurations} configuration{plural}, {batches:,} batches, {seconds:.0f} s")
    judged = failed.keys() | held | expected
    skipped = {
        result.law: result.message for result in results if result.status == "skipped" and result.law not in judged
    }
    if skipped:
        reasons = Counter(skipped.values()).most_common()
        shown = [f"{count} {reason}" for reason, count in reasons[:_REASONS_SHOWN]]
        rest = sum(count for _, count in reasons[_REASONS_SHOWN:])
        shown += [f"{rest} for other reasons"] if rest else []
        lines.append(f"{len(skipped)} laws skipped: {'; '.join(shown)}")
    behaves = sorted({_held_trait(result) for result in results} - {""})
    if behaves:
        lines.append(f"behaves as {', '.join(behaves)}: --traits {','.join(behaves)} has it judged")
    return Text("\n".join(lines) + "\n", style="bold red" if failed else "bold green")


def _held_trait(result: Result) -> str:
    """Return the trait that a third-party loss does not declare, but whose law holds."""
    words = "not declared "
    held = result.status == "skipped" and result.message.startswith(words) and ", but holds in " in result.message
    return result.message.removeprefix(words).partition(",")[0] if held else ""
