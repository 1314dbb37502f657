"""From what a user writes to what is judged: a name, a name with hyper-parameters, or `module:object`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from .. import time_limit as limits
from ..adapters import (
    MEAN_OF_ROWS,
    AdaptedFactory,
    known_traits,
    load_object,
    names_in_file,
    object_spec,
    where,
)
from ..adapters.adapt import wrapper
from ..errors import UsageError, brief, did_you_mean
from ..expression import Term, is_object_path, parse_call, parse_formula
from ..registry import loss_info, loss_origin, remedy
from ..spec import LossSpec
from ..traits import Trait
from .cases import Case, fixed_case
from .configuration import Configuration
from .variants import configurations

_HINT = "A loss takes (inputs, targets); if it reads the other of logits and embeddings, say so with --takes"
# What a declaration takes back of what is granted to a loss without a spec.
_WITHDRAWN = {Trait.BATCH_COUPLED: frozenset({Trait.SAMPLEWISE, Trait.SHARDABLE})}


def resolve(
    target: str, *, takes: str | None = None, traits: Iterable[str] = (), form: str | None = None
) -> list[Configuration]:
    """Return the configurations of a loss that are judged.

    Args:
        target: a registry name, `module:object` or `file.py:object`, each with or without hyper-parameters in
            parentheses; with them, only that configuration is judged.
        takes: "logits", "embeddings" or "cosine-logits", where a signature does not tell.
        traits: names of traits that hold beyond those declared. A trait withdraws what it contradicts.
        form: "labels", "one-hot", "triplets" or "views", where it is not found out.

    Raises:
        UsageError: there is no such loss, or it cannot be built or called.

    Example:
        >>> [str(configuration) for configuration in resolve("weighted-softmax(power=0.5)")]
        ['weighted-softmax(power=0.5)', 'weighted-softmax(power=0.5), last epoch']
    """
    declared = parse_traits(traits)
    name, opening, rest = target.partition("(")
    if is_object_path(name):
        return _of_object(name.strip(), parse_call(f"loss({rest}")[1] if opening else None, takes, form, declared)
    if name.strip().endswith(".py"):
        raise UsageError(_which_of_file(name.strip()))
    if takes is not None or form is not None:
        option = "--takes" if takes is not None else "--form"
        raise UsageError(f"{option} is for losses without a spec; {target!r} says itself what it reads")
    (term,) = _one_term(target)
    spec = loss_info(term.name)
    origin = loss_origin(term.name)
    found = _configurations(spec, dict(term.arguments) or None, declared, spec.is_adapted, remedy(origin))
    _must_work(found[0], f"It is of {origin}, and called as forward(output, targets){remedy(origin)}")
    return found


def _of_object(
    path: str, arguments: Mapping[str, Any] | None, takes: str | None, form: str | None, declared: frozenset[Trait]
) -> list[Configuration]:
    spec = object_spec(path, takes, form)
    hint = wrapper(path)
    known: frozenset[Trait] = frozenset()
    if isinstance(spec.factory, AdaptedFactory):
        made = load_object(path)
        known = known_traits(made, defaults=not arguments and isinstance(made, type))
        hint = f"{_HINT}. {wrapper(path)}"
        if spec.factory.form in ("views", "triplets"):
            known |= {Trait.BATCH_COUPLED}
    elif spec.name == path:
        known = spec.factory(fixed_case().context).traits
    if spec.is_adapted and Trait.BATCH_COUPLED not in known | declared:
        known |= MEAN_OF_ROWS
    found = _configurations(spec, arguments, known | declared, spec.is_adapted)
    _must_work(found[0], hint)
    return found


def _which_of_file(name: str) -> str:
    """Return the message for a file without an object."""
    file = Path(name).expanduser()
    if not file.is_file():
        return f"{name}: there is no file {name}"
    names = names_in_file(file)
    if not names:
        return f"{name} holds no losses: expected a LossSpec, a Loss, a torch.nn.Module or a function of two arguments"
    return f"{name} holds: {', '.join(names)}. Name one, as in: lossbench check {name}:{names[0]}"


def parse_traits(names: Iterable[str]) -> frozenset[Trait]:
    """Traits by name.

    Raises:
        UsageError: an unknown one.

    Example:
        >>> parse_traits(["convex"])
        frozenset({<Trait.CONVEX: 'convex'>})
    """
    known = {str(trait): trait for trait in Trait}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no trait {name!r}. {did_you_mean(name, known)}")
    return frozenset(known[name] for name in names)


def configurations_of(spec: LossSpec) -> list[Configuration]:
    """The configurations of a spec, checked to be buildable and callable.

    Raises:
        UsageError: one is not.
    """
    found = _configurations(spec, None, frozenset(), spec.is_adapted)
    _must_work(found[0], _HINT)
    return found


def _one_term(target: str) -> tuple[Term]:
    terms = parse_formula(target).terms
    if len(terms) > 1 or terms[0].coefficient is not None:
        raise UsageError(f"{target!r} is a formula; the laws judge one bare term at a time, such as {terms[-1].name}")
    return (terms[0],)


def _configurations(
    spec: LossSpec, arguments: Mapping[str, Any] | None, traits: frozenset[Trait], unknown: bool, hint: str = ""
) -> list[Configuration]:
    if arguments is not None or not spec.variants:
        spec.check_hyperparameters(arguments or {})
    try:
        withdrawn = frozenset[Trait]().union(*(_WITHDRAWN.get(trait, frozenset()) for trait in traits))
        return configurations(
            spec, arguments, traits=traits - withdrawn, without=withdrawn, undeclared_is_unknown=unknown
        )
    except UsageError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UsageError(
            f"{spec.name} cannot be built: {type(error).__name__}: {error}{where(error) or hint}"
        ) from error


def _must_work(configuration: Configuration, hint: str) -> None:
    """One call on an ordinary batch, so that what is not a loss is not judged by every law.

    Args:
        configuration: a configuration.
        hint: what may help, on a line of its own.
    """
    case = fixed_case()
    output, targets = case.output(torch.float32), case.labels()
    try:
        slow = UsageError(f"{configuration} did not return within {limits.TRIAL_SECONDS:g} s. {hint}")
        with warnings.catch_warnings(), limits.time_limit(limits.TRIAL_SECONDS, slow):
            warnings.simplefilter("ignore")  # a loss's warnings are not the kit's
            value = configuration.build(case.context, torch.float32)(output, targets)
    except (KeyboardInterrupt, UsageError):
        raise
    except BaseException as error:
        raise UsageError(
            f"{configuration} cannot be called with {' and '.join(configuration.reads)} of 12 rows and their labels: "
            f"{brief(error)}{where(error)}\n{hint}"
        ) from error
    if not isinstance(value, torch.Tensor):
        raise UsageError(f"{configuration} returns {type(value).__name__}, expected a tensor. {hint}")
    if value.numel() != 1:
        raise UsageError(f"{configuration} returns {_shape_told(value, case)}\n{hint}")


def _shape_told(value: torch.Tensor, case: Case) -> str:
    shape = tuple(value.shape)
    if shape == (len(case.targets), len(case.class_counts)):
        return f"a tensor of shape {shape}: it is a head that gives logits, not a loss. Wrap it with cross-entropy."
    if shape == (len(case.targets),):
        return f"a tensor of shape {shape}, one number for each row, expected one number. Take the mean."
    return f"a tensor of shape {shape}, expected one number."
