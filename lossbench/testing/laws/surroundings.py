"""Life: what a loss reads beside its declared inputs, and what it changes outside itself."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from ...loss import Loss
from ...traits import Need
from .. import generators
from ..configuration import Configuration
from ..law import Group, law
from ..trial import Trial
from ..violation import Violation

GROUP: Group = "Life"


@contextmanager
def _watched() -> Iterator[Callable[[bool], list[str]]]:
    """Give a function that lists the global settings that differ from those at the beginning."""

    numpy = sys.modules.get("numpy")

    def settings() -> dict[str, Any]:
        return {
            "grad mode": torch.is_grad_enabled(),
            "inference mode": torch.is_inference_mode_enabled(),
            "the default dtype": torch.get_default_dtype(),
            "the default device": str(torch.get_default_device()),
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "anomaly detection": torch.is_anomaly_enabled(),
            "the number of threads": torch.get_num_threads(),
            "float32 matmul precision": torch.get_float32_matmul_precision(),
            "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
            "cuDNN's flags": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
            "the recursion limit": sys.getrecursionlimit(),
        }

    def drawn() -> dict[str, Any]:
        return {f"{name}'s random numbers": state for name, state in generators.states().items()}

    untouched = generators.states()
    # Away from the state that a seed gives: seeding again would not show there.
    torch.rand(1)
    random.random()
    if numpy is not None:
        numpy.random.random()
    before, before_drawn = settings(), drawn()

    def changed(random_too: bool) -> list[str]:
        after = settings() | (drawn() if random_too else {})
        known = before | before_drawn
        return [name for name, value in after.items() if name in known and value != known[name]]

    try:
        yield changed
    finally:
        generators.put_back(untouched)
        torch.set_grad_enabled(before["grad mode"])
        torch.set_default_dtype(before["the default dtype"])
        if torch.are_deterministic_algorithms_enabled() != before["deterministic algorithms"]:  # setting it is slow
            torch.use_deterministic_algorithms(before["deterministic algorithms"])
        torch.autograd.set_detect_anomaly(before["anomaly detection"])
        torch.set_num_threads(before["the number of threads"])
        torch.set_float32_matmul_precision(before["float32 matmul precision"])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before["cuDNN's flags"]
        sys.setrecursionlimit(before["the recursion limit"])


@law(GROUP, searched=False)
def global_state_is_left_alone(trial: Trial) -> None:
    """Building, calling and stepping a loss leaves global settings as they are: grad mode, default dtype and device,
    deterministic algorithms, threads, and the random number generators of torch, Python and NumPy.

    Remedy: `with torch.no_grad():` instead of `torch.set_grad_enabled`; draw from a generator of the loss's own.
    """
    output, targets = trial.output(torch.float32), trial.targets
    scored = trial.configuration.spec.auxiliary or "logits" not in trial.reads
    actions: dict[str, Callable[[Loss], object]] = {
        "forward": lambda loss: loss(output, targets),
        "begin_epoch": lambda loss: loss.begin_epoch(1, 3),
        "update_state": lambda loss: loss.update_state(output, targets),
        "param_groups": lambda loss: loss.param_groups(),
        "scores": lambda loss: None if scored else loss.scores(output),
    }
    for grad in (False, True):
        loss = trial.build(torch.float32)
        for what, action in actions.items():
            with torch.set_grad_enabled(grad), _watched() as changed:
                action(loss)
                if names := changed(not trial.configuration.is_random):
                    raise Violation(f"{what} changes {' and '.join(names)}")
        with _watched() as changed:
            trial.configuration.raw(trial.case.context)
            if names := changed(False):
                raise Violation(f"the constructor changes {' and '.join(names)}")


def _reads_only_declared(configuration: Configuration) -> str | None:
    both = {"logits", "embeddings"} <= set(configuration.reads)
    return "it declares that it reads both logits and embeddings" if both else None


@law(GROUP, searched=False, unless=_reads_only_declared)
def reads_what_it_declares(trial: Trial) -> None:
    """What a loss does not declare as a need has no influence: other numbers in logits or embeddings that it does not
    declare give the same value, in every configuration. Neither do other class counts, with the default
    hyper-parameters: counts that only a hyper-parameter such as `power=1` makes it read need no declaration.

    Remedy: add what is read to `needs`, so that it is provided, checked and judged.
    """
    output, targets = trial.output(), trial.targets
    expected = trial.build()(output, targets).detach()
    for name in {"logits", "embeddings"} - set(trial.reads):
        other = output._replace(**{name: 1 - 2 * getattr(output, name)})
        trial.same(f"with other {name}, which it does not declare", trial.build()(other, targets).detach(), expected)
    spec = trial.configuration.spec
    plain = trial.configuration if spec.required else replace(trial.configuration, hyperparameters={})
    if Need.CLASS_COUNTS not in spec.needs and plain.counts_matter:
        raise Violation(
            "it reads class_counts and gives other values for other counts, but does not declare class-counts"
        )
