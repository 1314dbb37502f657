"""Read the parameters of constructors of other libraries' losses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

NUMBER_OF_CLASSES = {"num_classes", "n_classes", "num_class", "nb_classes", "out_features"}
EMBEDDING_SIZE = {"embedding_size", "embedding_dim", "feat_dim", "feature_dim", "in_features"}
SIZES = NUMBER_OF_CLASSES | EMBEDDING_SIZE


def constructor_parameters(made: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a constructor by name; one that passes `**kwargs` on also takes its parent's.

    A parameter without a default that a parent requires, unless it is a size, is supplied by the child class.
    """
    found: dict[str, inspect.Parameter] = {}
    for kind in made.__mro__:
        if "__init__" not in vars(kind) or kind in (nn.Module, object):
            continue
        parameters = list(parameters_of(vars(kind)["__init__"]).values())[1:]  # the first is self
        for p in parameters:
            given_by_child = kind is not made and p.default is p.empty and p.name not in SIZES
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and not given_by_child:
                found.setdefault(p.name, p)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def sizes_taken(made: type) -> set[str]:
    """Return the names under which a constructor takes C and D; one that defaults to None is an option instead."""
    return {name for name, p in constructor_parameters(made).items() if name in SIZES and p.default is not None}


def parameters_of(call: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a callable by name; none if it has no readable signature."""
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}
