"""The configurations of a loss that the laws judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..spec import LossSpec
from ..traits import Trait
from .configuration import Configuration, is_scheduled, is_stateful


def configurations(
    spec: LossSpec,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    traits: frozenset[Trait] = frozenset(),
    without: frozenset[Trait] = frozenset(),
    undeclared_is_unknown: bool = False,
) -> list[Configuration]:
    """Return the configurations of a loss that the laws judge.

    These are the defaults and each variant: fresh, started if the loss has a state that moves, and in its last epoch if
    it has a schedule. A loss with a hyper-parameter that must be given has no defaults; only its variants are judged.

    Args:
        spec: the loss.
        hyperparameters: judge only these, instead of the defaults and variants.
        traits: traits that hold beyond those that instances declare.
        without: traits that do not hold although instances declare them.
        undeclared_is_unknown: see `Configuration`.

    Example:
        >>> from lossbench import loss_info
        >>> [str(configuration) for configuration in configurations(loss_info("center"))]
        ['center', 'center, started', 'center(alpha=0.1)', 'center(alpha=0.1), started']
    """
    if hyperparameters is not None:
        chosen: tuple[Mapping[str, Any], ...] = (hyperparameters,)
    elif spec.variants and spec.required:
        chosen = spec.variants
    else:
        chosen = ({}, *spec.variants)
    every = []
    for values in chosen:
        fresh = Configuration(
            spec=spec, hyperparameters=values, traits=traits, without=without,
            undeclared_is_unknown=undeclared_is_unknown,
        )  # fmt: skip
        stateful, scheduled = is_stateful(fresh.specimen), is_scheduled(fresh.specimen)
        every.append(fresh)
        every += [replace(fresh, started=True)] if stateful else []
        every += [replace(fresh, started=stateful, late=True)] if scheduled else []
    return every


def bare_name(configuration: str) -> str:
    """Return the name of the loss of a configuration, from its text.

    Example:
        >>> bare_name("center(alpha=0.1), started")
        'center'
    """
    return configuration.removesuffix(", last epoch").removesuffix(", started").partition("(")[0]
