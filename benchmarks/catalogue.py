"""Writes docs/catalogue.md: every built-in loss, and those of the four distributions under plugins/.

    lossbench check --all --installed --json > rows.json          (about ten minutes)
    python benchmarks/catalogue.py --rows rows.json               (keeps what the laws found, and writes the page;
                                                                   rows of some losses replace theirs alone)
    python benchmarks/catalogue.py                                (counts memory, and writes the page from what is kept)

The page is made from the losses' specs and docstrings, and from what benchmarks/results/laws.json keeps: what `check`
found, and how the memory of a call grows with the batch, which is counted each time.
"""

from __future__ import annotations

import argparse
import inspect
import json
import textwrap
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_metric_learning
import timm
import torch

import lossbench
from lossbench import LossSpec, loss_info
from lossbench.registry import loss_entries
from lossbench.testing import LAWS, configurations, fixed_case
from lossbench.testing.laws.systems import growth_of_memory
from lossbench.testing.trial import Trial

ROOT = Path(__file__).parents[1]
PAGE, FOUND = ROOT / "docs/catalogue.md", ROOT / "benchmarks/results/laws.json"
ADAPTED = "lossbench-metric-learning"
DISTRIBUTIONS = ("lossbench", "lossbench-imbalance", "lossbench-cluster", "lossbench-margin", ADAPTED)
COMMAND = "lossbench check --all --installed --json"

HEAD = f"""# The losses

Every built-in loss, and those of the distributions under [plugins/](../plugins/README.md). This page is written by
`python benchmarks/catalogue.py`, from the losses' own docstrings and declarations. What the laws found is from
`{COMMAND}`, kept in [laws.json](../benchmarks/results/laws.json): {{versions}}.

B batch size, C classes, D embedding size; z logits, x embeddings, y targets, n_c training images of class c. `lossbench
info NAME` says more of each symbol. *Cost* is the power of B with which the peak memory of forward and backward grows,
counted from 32 to 128 rows and rounded. *Laws* counts those that were judged and apply; [laws.md](laws.md) has them by
number. What the traits mean and how they are judged: [conformance.md](conformance.md).
"""
TEXT = {
    "lossbench": "Built in.",
    ADAPTED: "Losses of other libraries, called as they are. What is wrong inside them is shown here and not mended; "
    "which of it an adapter keeps from a run, and what it refuses, stands in\n"
    "[its README](../plugins/lossbench-metric-learning/README.md). Their formulas stand in their own documentation, to "
    "which\nthe names lead. Traits are those that are known; of the rest it is not known whether they hold.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help=f"the output of `{COMMAND}`")
    rows = parser.parse_args().rows
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {"losses": {}}
    if rows is not None:
        fresh = kept(json.loads(rows.read_text()))
        found = {**fresh, "losses": found["losses"] | fresh["losses"]}
    present = [name for losses in names().values() for name in losses if name in found["losses"]]
    found["losses"] = {name: {**found["losses"][name], "cost": cost(loss_info(name))} for name in present}
    FOUND.write_text(one_line_a_loss(found))
    PAGE.write_text(page(found))


def kept(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page needs of the results: by loss its configurations, and the worst status of each law, by name."""
    rank, wanted = ("skipped", "passed", "failed"), {name for losses in names().values() for name in losses}
    losses: dict[str, dict[str, Any]] = {}
    for row in rows:
        configuration = row["loss"].removesuffix(", started")
        name = configuration.partition("(")[0]
        if name not in wanted:
            continue
        loss = losses.setdefault(name, {"cost": "", "configurations": [], "laws": {}})
        if row["loss"] not in loss["configurations"]:
            loss["configurations"].append(row["loss"])
        loss["laws"][row["law"]] = max(loss["laws"].get(row["law"], "skipped"), row["status"], key=rank.index)
    versions = {
        "lossbench": lossbench.__version__, "torch": torch.__version__.partition("+")[0], "timm": timm.__version__,
        "pytorch-metric-learning": pytorch_metric_learning.__version__,
    }  # fmt: skip
    return {"command": COMMAND, "versions": versions, "losses": losses}


def one_line_a_loss(found: Mapping[str, Any]) -> str:
    """JSON in which a change of one loss is a change of one line."""
    head = {key: value for key, value in found.items() if key != "losses"}
    lines = ",\n".join(f'  "{name}": {json.dumps(loss)}' for name, loss in sorted(found["losses"].items()))
    return f'{json.dumps(head, indent=1)[:-2]},\n "losses": {{\n{lines}\n }}\n}}\n'


def names() -> dict[str, list[str]]:
    """Distribution -> its losses."""
    rows = [row for row in loss_entries(load=True) if row.status in ("built-in", "usable")]
    return {each: sorted(row.name for row in rows if row.origin == each) for each in DISTRIBUTIONS}


def page(found: Mapping[str, Any]) -> str:
    """The page as text."""
    versions = ", ".join(f"{library} {version}" for library, version in found["versions"].items())
    parts = [HEAD.format(versions=versions)]
    for distribution, losses in names().items():
        parts.append(f"\n## {distribution}\n\n{TEXT.get(distribution, f'`pip install {distribution}`')}\n")
        if distribution == ADAPTED:
            parts += adapted(losses, found["losses"])
        else:
            parts += [section(loss_info(name), found["losses"][name]) for name in losses]
    return "".join(parts)


def section(spec: LossSpec, found: Mapping[str, Any]) -> str:
    """One loss of ours."""
    said = inspect.cleandoc(inspect.getmodule(spec.factory).__doc__ or "")
    defaults = ", ".join(f"{name}={value!r}" for name, value in spec.hyperparameters.items())
    rows = {
        "needs": ", ".join(sorted(spec.needs)),
        "hyper-parameters": f"`{defaults}`" if defaults else "none",
        "trained as": f"`{spec.joint or spec.name}`",
        "traits": ", ".join(sorted(spec.traits)),
        "cost": found["cost"],
        "laws": verdict(found),
        "use when": spec.use_when,
        "avoid when": spec.avoid_when,
        "reference": spec.reference.replace("-", "none", 1) if spec.reference == "-" else spec.reference,
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"\n### {spec.name}\n\n{spec.summary}\n\n{formula(said)}\n\n| | |\n|-|-|\n{table}\n"


def formula(said: str) -> str:
    """The indented lines of a docstring: its formulas."""
    blocks: list[list[str]] = [[]]
    for line in said.splitlines():
        if line.startswith("    "):
            blocks[-1].append(line)
        elif line.strip() and blocks[-1]:
            blocks.append([])
    lines = [line for block in blocks for line in (*block, "") if block]
    return textwrap.indent(textwrap.dedent("\n".join(lines).rstrip()), "    ", lambda line: bool(line.strip()))


def verdict(found: Mapping[str, Any]) -> str:
    """How many laws it obeys, and which it breaks."""
    laws = found["laws"]
    obeys = sum(status == "passed" for status in laws.values())
    broken = [str(law.number) for law in LAWS if laws[law.name] == "failed"]
    several = len(found["configurations"])
    where = f" in {several} configurations" if several > 1 else ""
    return f"breaks {', '.join(broken)}; obeys {obeys}{where}" if broken else f"obeys all {obeys} that apply{where}"


def cost(spec: LossSpec) -> str:
    """The growth of memory, of the first configuration that the laws judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exponent, _ = growth_of_memory(Trial(configurations(spec)[0], fixed_case()))
    power = max(round(exponent), 1)
    return "B" if power == 1 else f"B^{power}"


def adapted(losses: Iterable[str], found: Mapping[str, Any]) -> list[str]:
    """A table for each origin."""
    by_origin: dict[str, list[LossSpec]] = {}
    for name in losses:
        by_origin.setdefault(name.partition("/")[0], []).append(loss_info(name))
    parts = []
    for origin, specs in by_origin.items():
        rows = []
        for spec in specs:
            kept_of, page_of = found[spec.name], spec.reference.partition(" ")[0]
            cells = (
                f"[{spec.name}]({page_of})", ", ".join(sorted(spec.needs)), kept_of["cost"], verdict(kept_of),
                ", ".join(sorted(spec.traits)) or "none known",
            )  # fmt: skip
            rows.append(f"| {' | '.join(cells)} |")
        parts.append(
            f"\n### {origin}/\n\nUse {specs[0].use_when}.\n"
            f"Avoid when {specs[0].avoid_when}.\n\n"
            "| loss | needs | cost | laws | traits |\n|-|-|-|-|-|\n" + "\n".join(rows) + "\n"
        )
    return parts


def stale(found: Mapping[str, Any]) -> list[str]:
    """Losses, configurations and laws that were not judged, or are no more."""
    present = {name for losses in names().values() for name in losses}
    wrong = sorted(present ^ found["losses"].keys())
    for name in sorted(present & found["losses"].keys()):
        kept_of = found["losses"][name]
        if {str(configuration) for configuration in configurations(loss_info(name))} != set(kept_of["configurations"]):
            wrong.append(f"{name}: configurations")
        if set(kept_of["laws"]) != {law.name for law in LAWS}:
            wrong.append(f"{name}: laws")
    return wrong


if __name__ == "__main__":
    main()
