"""Judges 22 losses of torch.nn, timm, pytorch-metric-learning and one repository by the laws.

    python benchmarks/conformance_peers.py [--markdown docs/conformance-peers.md] [--only NAME] [--seed 0]

Prints the table of laws and losses; whether each of the 77 silent violations that an earlier measurement found is
seen; and every further one with the smallest input that shows it and a check by hand, without lossbench, in float64.
Exits with 1 if one was missed or a check by hand does not confirm the kit.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytorch_metric_learning
import timm
import torch
from peers import KNOWN, PEERS, Known, Peer
from peers_by_hand import OF_PEERS, Unconfirmed, confirm, rounds

from lossbench.testing import LAWS, Configuration, Effort, Result, find_law, judge
from lossbench.testing.resolve import resolve

MARK = "<!-- What follows is written by benchmarks/conformance_peers.py. -->\n"
Judged = Mapping[str, list[Result]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="replace what stands in this file after its mark")
    parser.add_argument("--only", default="", help="losses whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--examples", type=int, default=100, help="batches a law")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peers = [peer for peer in PEERS if arguments.only in peer.name]
    if not peers:
        parser.error(f"no loss is called {arguments.only!r}: {', '.join(peer.name for peer in PEERS)}")
    effort = Effort(seed=arguments.seed, examples=arguments.examples, compile=False)
    judged = {}
    for peer in peers:
        judged[peer.name] = [judge(configuration(peer), law, effort) for law in LAWS]
        print(f"{peer.name}: {counts(peer.name, judged[peer.name])}", file=sys.stderr)
    lines, missed = zip(*known(peers, judged, effort), strict=True)
    rows, unconfirmed = evidence(judged)
    more = sum(len(names) for by_row in rows.values() for names in by_row.values())
    text = "\n".join(
        [
            f"torch {torch.__version__}, timm {timm.__version__}, pytorch-metric-learning "
            f"{pytorch_metric_learning.__version__}; {effort.examples} batches a law, seed {effort.seed}, "
            f"{time.process_time():.0f} s of processor time.\n",
            f"## Laws and losses\n\n{LEGEND}\n",
            *table(judged),
            "\n## What was known\n\n| check | by law | found |\n|-|-|-|",
            *lines,
            f"\n## What is new: {more} more\n",
            *grouped(rows),
        ]
    )
    print(text)
    if arguments.markdown:
        head, mark, _ = arguments.markdown.read_text().partition(MARK)
        if not mark:
            raise SystemExit(f"{arguments.markdown} has no line {MARK.strip()!r} to write after")
        arguments.markdown.write_text(f"{head}{MARK}\n{text}\n")
    if any(missed) or unconfirmed:
        raise SystemExit(
            "\n".join([f"missed: {line}" for line, names in zip(lines, missed, strict=True) if names] + unconfirmed)
        )


LEGEND = (
    "`.` passed, `F` violated silently, `f` only because the loss computes in float32 what it is given in float64, "
    "`U` refused in unclear words or unsupported, `-` the law does not apply, or the loss refuses its input and need "
    "not take it. Laws that apply to none of them are left out."
)


def configuration(peer: Peer) -> Configuration:
    """What is judged: its one configuration."""
    (found,) = resolve(peer.target, traits=("scale-safe", *peer.traits))
    return found


def code(name: str, result: Result) -> str:
    """One cell of the table."""
    if result.status != "failed":
        return "." if result.status == "passed" else "-"
    if not result.silent:
        return "U"
    return "f" if OF_PEERS.get((name, result.law)) is rounds else "F"


def counts(name: str, results: list[Result]) -> str:
    codes = [code(name, result) for result in results]
    return ", ".join(f"{codes.count(each)} {each}" for each in ".FfU-")


def table(judged: Judged) -> list[str]:
    """Laws down, losses across."""
    lines = [f"| law | {' | '.join(judged)} |", "|-|" + "-|" * len(judged)]
    for place, law in enumerate(LAWS):
        codes = [code(name, results[place]) for name, results in judged.items()]
        if set(codes) != {"-"}:
            lines.append(f"| {law.name} | {' | '.join(codes)} |")
    for each in "FU":
        totals = [sum(code(name, r) == each for r in results) for name, results in judged.items()]
        lines.append(f"| **{each}** | {' | '.join(map(str, totals))} |")
    return lines


def known(peers: list[Peer], judged: Judged, effort: Effort) -> Iterator[tuple[str, list[str]]]:
    """For each check of the earlier measurement a line, and the losses in which no law sees what it found."""
    for check, entry in KNOWN.items():
        laws = " or ".join(entry.laws)
        concerned = [peer for peer in peers if peer.name in entry.peers]
        missed = [peer.name for peer in concerned if not seen(peer, entry, judged[peer.name], effort)]
        if concerned:
            said = f"; MISSED in {', '.join(missed)}" if missed else ""
            yield f"| {check} | {laws} | {len(concerned) - len(missed)} of {len(concerned)}{said} |", missed


def seen(peer: Peer, entry: Known, results: list[Result], effort: Effort) -> bool:
    """Whether the search, or else one ordinary batch, shows the violation: shrinking may end at another of a law."""
    laws = [find_law(name) for name in entry.laws]
    shown = [result for result in results if result.law in entry.laws]
    ordinary = (judge(configuration(peer), replace(law, searched=False), effort) for law in laws)
    return any(r.status == "failed" and r.silent and entry.says in r.message for r in itertools.chain(shown, ordinary))


def evidence(judged: Judged) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """law -> table row -> losses, of the violations that were not known; and what is not confirmed by hand."""
    rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    unconfirmed = []
    listed = {(name, law) for entry in KNOWN.values() for name in entry.peers for law in entry.laws}
    for peer in PEERS:
        for result in judged.get(peer.name, []):
            if result.status != "failed" or not result.silent:
                continue
            try:
                sentence = confirm(peer, result.law)
            except Unconfirmed as reason:
                unconfirmed.append(f"{peer.name}, {result.law}: not confirmed by hand: {reason}; {result.message}")
                sentence = f"NOT CONFIRMED: {reason}"
            if (peer.name, result.law) not in listed:
                smallest = f"`{result.counterexample}`" if result.counterexample else "one ordinary batch"
                rows[result.law][f"{smallest} | {sentence}"].append(peer.name)
    return rows, unconfirmed


def grouped(rows: Mapping[str, Mapping[str, list[str]]]) -> Iterator[str]:
    """A table for each law."""
    for law in sorted(map(find_law, rows), key=lambda each: each.number):
        yield f"**{law.name}.** {law.statement}\n"
        yield "| loss | smallest input | by hand, in float64 |\n|-|-|-|"
        for row, names in rows[law.name].items():
            yield f"| {', '.join(names)} | {row} |"
        yield ""


if __name__ == "__main__":
    main()
