"""From what a user writes to what is judged: a name, a name with hyper-parameters, or `module:object`."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..adapters import MEAN_OF_ROWS, adapt, known_traits
from ..errors import UsageError, did_you_mean
from ..expression import Term, parse_call, parse_formula
from ..loss import Loss
from ..registry import loss_info, loss_origin, remedy
from ..spec import LossSpec
from ..traits import Need, Trait
from .cases import fixed_case
from .configuration import Configuration, configurations
from .trial import with_tensors

_HINT = "A loss takes (inputs, targets); if it reads the other of logits and embeddings, say so with --takes"


def resolve(target: str, *, takes: str | None = None, traits: Iterable[str] = ()) -> list[Configuration]:
    """The configurations of a loss that are judged.

    Args:
        target: a registry name, `module:object` or `file.py:object`, each with or without hyper-parameters in
            brackets; with them, that one configuration is judged.
        takes: "logits" or "embeddings", where a signature does not tell.
        traits: names of traits that hold beyond those declared.

    Raises:
        UsageError: there is no such loss, it can't be built, or it can't be called.

    Example:
        >>> [str(configuration) for configuration in resolve("weighted-softmax(power=0.5)")]
        ['weighted-softmax(power=0.5)']
    """
    declared = parse_traits(traits)
    name, opening, rest = target.partition("(")
    if ":" in name:
        arguments = parse_call(f"loss({rest}")[1] if opening else None
        spec, known = _spec_of_object(name.strip(), takes, defaults=not arguments)
        found = _configurations(spec, arguments, known | declared, spec.is_adapted)
        _must_work(found[0], _HINT)
    else:
        if takes is not None:
            raise UsageError(f"--takes is for losses without a spec; {target!r} says itself what it reads")
        (term,) = _one_term(target)
        spec = loss_info(term.name)
        origin = loss_origin(term.name)
        found = _configurations(spec, dict(term.arguments) or None, declared, spec.is_adapted, remedy(origin))
        _must_work(found[0], f"It is of {origin}, and called as forward(output, targets){remedy(origin)}")
    return found


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
        return configurations(spec, arguments, traits=traits, undeclared_is_unknown=unknown)
    except UsageError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UsageError(f"{spec.name} can't be built: {type(error).__name__}: {error}{hint}") from error


def _must_work(configuration: Configuration, hint: str) -> None:
    """One call on an ordinary batch, so that what is not a loss is not judged by every law.

    Args:
        configuration: a configuration.
        hint: what may help, on a line of its own.
    """
    case = fixed_case()
    output, targets = case.output(torch.float32), case.labels()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a loss's warnings are not the kit's
            value = configuration.build(case.context, torch.float32)(output, targets)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        first = (str(error).splitlines() or [""])[0]
        raise UsageError(
            f"{configuration} can't be called with {' and '.join(configuration.reads)} of 12 rows and their labels: "
            f"{type(error).__name__}: {first}\n{hint}"
        ) from error
    if not isinstance(value, torch.Tensor):
        raise UsageError(f"{configuration} returns {type(value).__name__}, expected a tensor. {hint}")


def _spec_of_object(path: str, takes: str | None, *, defaults: bool) -> tuple[LossSpec, frozenset[Trait]]:
    path, made = _load(path)
    if isinstance(made, LossSpec):
        return made, frozenset()
    beside = [each for each in vars(sys.modules[path.partition(":")[0]]).values() if isinstance(each, LossSpec)]
    for spec in beside:
        if spec.factory is made:
            return spec, frozenset()
    if isinstance(made, type) and issubclass(made, Loss):
        if inspect.isabstract(made):
            raise UsageError(f"{path} has no forward: a loss is a class with forward(self, output, targets)")
        spec = _spec_of_class(path, made)
        own = spec.factory(fixed_case().context).traits
        return spec, own if Trait.BATCH_COUPLED in own else own | MEAN_OF_ROWS
    spec, known = adapt(path, made, takes), known_traits(made, defaults=defaults and isinstance(made, type))
    return spec, known if Trait.BATCH_COUPLED in known else known | MEAN_OF_ROWS


def _load(path: str) -> tuple[str, Any]:
    module, _, name = path.partition(":")
    if module.endswith(".py"):
        file = Path(module).expanduser()
        if not file.is_file():
            raise UsageError(f"{path}: there is no file {module}")
        sys.path.insert(0, str(file.parent.resolve()))
        module = file.stem
    elif "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also one that calls sys.exit
        raise UsageError(f"{module} can't be imported: {type(error).__name__}: {error}") from error
    if not name:
        raise UsageError(f"{path!r} names no object; write module:object, such as torch.nn:CrossEntropyLoss")
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module} has no {name!r}. {did_you_mean(part, vars(found))}")
        found = getattr(found, part)
    return f"{module}:{name}", found


def _spec_of_class(path: str, made: type[Loss]) -> LossSpec:
    """A spec for a `Loss` without one: what it reads is what its value is connected to."""
    case = fixed_case()
    output, targets = case.output(torch.float32), case.labels()
    leaves = {name: getattr(output, name).requires_grad_() for name in ("logits", "embeddings")}
    try:
        value = made(case.context)(with_tensors(output, leaves), targets)  # type: ignore[call-arg]  # a subclass's
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(f"{path} can't be built and called: {type(error).__name__}: {error}") from error
    needs = {Need.LOGITS, Need.EMBEDDINGS}
    if isinstance(value, torch.Tensor) and value.requires_grad:
        found = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
        needs = {Need(name) for name, gradient in zip(leaves, found, strict=True) if gradient is not None}
    summary = (inspect.getdoc(made) or "").partition("\n")[0]
    return LossSpec(name=path, factory=made, summary=summary, reference="-", needs=frozenset(needs))
