"""Names and formulas to losses: built-in, registered in this process, or installed by other distributions."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from .discovery import LOSSES, ORIGINS, Learned, Plugin, learned, plugins, remember
from .errors import FormulaError, HyperparameterError, PluginError, UnknownLossError, UsageError, did_you_mean
from .expression import Formula, Term, Value, parse_formula
from .losses import BUILT_INS
from .spec import LossSpec, Need
from .types import LossContext

if TYPE_CHECKING:
    from .losses.base import Loss

Status = Literal["built-in", "installed", "ambiguous", "usable", "broken"]
BUILT_IN_ORIGIN = "lossbench"

_registered: dict[str, LossSpec] = {}


@dataclass(frozen=True)
class LossEntry:
    """One row of `lossbench list`. `summary` is None until the plugin was loaded once; `reason` says what is wrong."""

    name: str
    summary: str | None
    origin: str
    version: str
    status: Status
    reason: str | None = None


def list_losses() -> list[str]:
    """The names that can be asked for, sorted; imports no plugin.

    Example:
        >>> list_losses()[:2]
        ['center', 'softmax']
    """
    return sorted({entry.name for entry in loss_entries() if entry.status != "ambiguous" and "*" not in entry.name})


def loss_info(name: str) -> LossSpec:
    """The spec of a loss; a plugin is imported here.

    Args:
        name: a registry name, or "origin/name" for one of several distributions or an adapted library.

    Raises:
        UnknownLossError: no such loss, or several.
        PluginError: the distribution's loss can't be used.

    Example:
        >>> loss_info("center").joint
        'softmax + 0.003*center'
    """
    if name in _built_ins():
        return _built_in_spec(name)
    if name in _registered:
        return _registered[name]
    origin, slash, bare = name.rpartition("/")
    if slash and origin == BUILT_IN_ORIGIN and bare in _built_ins():
        return _built_in_spec(bare)
    adapters = [p for p in plugins(ORIGINS) if slash and p.name == origin]
    found = [p for p in plugins(LOSSES) if p.name == bare and origin in ("", p.distribution)]
    if len(found) + len(adapters) > 1:
        ways = [f"{p.distribution}/{bare}" for p in found] or [p.where for p in adapters]
        raise UnknownLossError(f"{name!r} is offered by {len(ways)} distributions; name one: {', '.join(ways)}")
    if adapters:
        return _adapted_spec(adapters[0], bare)
    if found:
        return _plugin_spec(found[0])
    known = list_losses() + [f"{p.distribution}/{p.name}" for p in plugins(LOSSES)]
    raise UnknownLossError(f"there is no loss {name!r}. {did_you_mean(name, known)} See: lossbench list")


def register_loss(spec: LossSpec) -> LossSpec:
    """Makes a loss known in this process, under its own name.

    Raises:
        UsageError: the name is taken.
    """
    taken = [e.origin for e in loss_entries() if e.name == spec.name]
    if taken:
        raise UsageError(f"the name {spec.name!r} is taken by {taken[0]}; choose another")
    _registered[spec.name] = spec
    return spec


def loss_entries(*, load: bool = False) -> list[LossEntry]:
    """All losses as rows, sorted by name; with `load`, plugins are imported and judged.

    Without `load`, an adapted library is one row, `origin/*`; with it, one row a loss.
    """
    here = version("lossbench")
    rows = [LossEntry(b.name, b.summary, BUILT_IN_ORIGIN, here, "built-in") for b in BUILT_INS]
    rows += [LossEntry(s.name, s.summary, "this process", "", "usable") for s in _registered.values()]
    taken = {row.name for row in rows}
    installed = plugins(LOSSES)
    names = [p.name for p in installed]
    for plugin in installed:
        if load:
            try_load(plugin)
        rows.append(_plugin_row(plugin, names.count(plugin.name) > 1 or plugin.name in taken, load))
    for adapter in plugins(ORIGINS):
        rows += _origin_rows(adapter, load)
    return sorted(rows, key=lambda row: (row.status != "built-in", row.name, row.origin))


def plugin_errors() -> dict[str, str]:
    """Distribution and name -> what is wrong, for every plugin that can't be used; imports them all."""
    return {f"{e.origin}/{e.name}": e.reason or "" for e in loss_entries(load=True) if e.status == "broken"}


def expand_formula(expression: str, **hyperparameters: Value) -> Formula:
    """The objective that is trained: the joint objective of a single auxiliary loss, else the formula as written.

    Args:
        expression: a formula.
        hyperparameters: of the one loss that the formula names.

    Raises:
        FormulaError: it can't be read, or no term reads the classifier's logits.
        UnknownLossError, PluginError, HyperparameterError: of its terms.

    Example:
        >>> str(expand_formula("center(alpha=0.1)"))
        'softmax + 0.003*center(alpha=0.1)'
    """
    terms = parse_formula(expression).terms
    if hyperparameters:
        if len(terms) > 1:
            raise HyperparameterError(
                f"hyper-parameters beside a formula belong to one named loss; write them into {expression!r} itself"
            )
        terms = (replace(terms[0], arguments={**terms[0].arguments, **hyperparameters}),)
    formula = Formula(_joint(terms[0])) if len(terms) == 1 and terms[0].coefficient is None else Formula(terms)
    specs = [loss_info(term.name) for term in formula.terms]
    for spec, term in zip(specs, formula.terms, strict=True):
        spec.check_hyperparameters(term.arguments)
    if all(spec.auxiliary for spec in specs):
        raise FormulaError(
            f"no term of {expression!r} reads the classifier's logits, which would stay untrained. "
            f"Add one that does, as the joint objective of {specs[0].name} does: {specs[0].joint}"
        )
    formula_needs(formula)
    return formula


def formula_needs(formula: Formula) -> frozenset[Need]:
    """What the terms of a formula need together.

    Raises:
        FormulaError: one term needs cosine logits and another plain ones.
    """
    needs = frozenset[Need]().union(*(loss_info(term.name).needs for term in formula.terms))
    if {Need.LOGITS, Need.COSINE_LOGITS} <= needs:
        by = {need: [t.name for t in formula.terms if need in loss_info(t.name).needs] for need in needs}
        raise FormulaError(
            f"{', '.join(by[Need.COSINE_LOGITS])} needs cosine logits and {', '.join(by[Need.LOGITS])} plain ones: "
            "a model has one head, so they can't be terms of one formula"
        )
    return needs


def create_loss(expression: str, context: LossContext, **hyperparameters: Value) -> Loss:
    """The loss of a formula, ready for an ordinary training loop.

    Args:
        expression: a formula; a single auxiliary loss means its published joint objective.
        context: what the loss may know of the task.
        hyperparameters: of the one loss that the formula names.

    Returns:
        A `Loss`: call it with a `ModelOutput` and targets.

    Raises:
        UsageError: its subclasses say what is wrong with the formula, a name, a value, or a plugin.

    Example:
        >>> context = LossContext(num_classes=2, embedding_dim=4, class_counts=(90, 10))
        >>> create_loss("weighted-softmax", context, power=0.5)
        WeightedSoftmaxLoss(
          (class_weights): ClassWeights()
        )
    """
    from .losses.weighted_sum import WeightedSum

    formula = expand_formula(expression, **hyperparameters)
    losses = [_create_term(term, context) for term in formula.terms]
    if len(losses) == 1 and formula.terms[0].coefficient in (None, 1.0):
        return losses[0]
    primary = [loss_info(term.name).auxiliary for term in formula.terms].index(False)
    coefficients = [1.0 if term.coefficient is None else term.coefficient for term in formula.terms]
    return WeightedSum(losses, coefficients, [term.name for term in formula.terms], primary)


def _create_term(term: Term, context: LossContext) -> Loss:
    from .losses.base import Loss

    spec = loss_info(term.name)
    try:
        loss = spec.factory(context, **term.arguments)
    except HyperparameterError as error:
        raise HyperparameterError(f"{term.name}: {error}") from error
    except UsageError:
        raise
    except Exception as error:  # a plugin's own complaint, of whatever type
        raise HyperparameterError(f"{term} can't be built: {type(error).__name__}: {error}") from error
    if not isinstance(loss, Loss):
        raise PluginError(f"{term.name} must build a lossbench.Loss, got {type(loss).__name__}")
    return loss


def _joint(term: Term) -> tuple[Term, ...]:
    """A lone term, or its joint objective with the arguments written into it."""
    spec = loss_info(term.name)
    if spec.joint is None:
        return (term,)
    arguments = dict(term.arguments)
    coefficient = arguments.pop("coefficient", None)
    if coefficient is not None and (isinstance(coefficient, bool | str) or not 0 < coefficient < math.inf):
        raise HyperparameterError(f"{term.name}: coefficient must be a positive number, got {coefficient!r}")
    return tuple(
        replace(
            part,
            name=term.name,
            arguments={**part.arguments, **arguments},
            coefficient=part.coefficient if coefficient is None else float(coefficient),
        )
        if part.name == spec.name
        else part
        for part in parse_formula(spec.joint).terms
    )


@cache
def _built_ins() -> Mapping[str, str]:
    return {b.name: b.module for b in BUILT_INS}


def _built_in_spec(name: str) -> LossSpec:
    spec: LossSpec = importlib.import_module(_built_ins()[name]).SPEC
    return spec


@cache
def _plugin_spec(plugin: Plugin) -> LossSpec:
    try:
        spec = plugin.load_spec()
    except PluginError as error:
        remember(plugin, Learned(False, reason=str(error)))
        raise
    remember(plugin, Learned(True, summary=spec.summary))
    return spec


def try_load(plugin: Plugin) -> PluginError | None:
    """Loads a plugin and gives its error instead of raising it."""
    try:
        _plugin_spec(plugin)
    except PluginError as error:
        return error
    return None


def _plugin_row(plugin: Plugin, ambiguous: bool, loaded: bool) -> LossEntry:
    known = learned(plugin)
    summary, reason = (known.summary, known.reason) if known else (None, None)
    if ambiguous:
        reason = f"the name is taken more than once; ask for {plugin.distribution}/{plugin.name}"
    status: Status = "ambiguous" if ambiguous else "installed"
    if loaded:
        error = try_load(plugin)
        reason, broken = (str(error), True) if error else (reason, False)
        status = "broken" if broken else "ambiguous" if ambiguous else "usable"
        summary = None if broken else _plugin_spec(plugin).summary
    return LossEntry(plugin.name, summary, plugin.distribution, plugin.version, status, reason)


def _origin_rows(adapter: Plugin, load: bool) -> list[LossEntry]:
    row = LossEntry(f"{adapter.name}/*", None, adapter.distribution, adapter.version, "installed")
    if not load:
        return [row]
    try:
        names = _adapted_names(adapter)
    except PluginError as error:
        return [replace(row, status="broken", reason=str(error))]
    rows = []
    for name in names:
        full = f"{adapter.name}/{name}"
        try:
            rows.append(replace(row, name=full, summary=_adapted_spec(adapter, name).summary, status="usable"))
        except UsageError as error:
            rows.append(replace(row, name=full, status="broken", reason=str(error)))
    return rows


def _adapted_names(adapter: Plugin) -> list[str]:
    origin = adapter.load_origin()
    try:
        return list(origin.names())
    except Exception as error:  # an adapter's own failure, of whatever type
        raise PluginError(f"{adapter.where} can't name its losses: {type(error).__name__}: {error}") from error


def _adapted_spec(adapter: Plugin, name: str) -> LossSpec:
    if name not in (names := _adapted_names(adapter)):
        raise UnknownLossError(f"{adapter.where} has no loss {name!r}. {did_you_mean(name, names)}")
    full = f"{adapter.name}/{name} of {adapter.where}"
    try:
        spec = adapter.load_origin().spec(name)
    except UsageError:
        raise
    except Exception as error:  # as above
        raise PluginError(f"{full} can't be adapted: {type(error).__name__}: {error}") from error
    if not isinstance(spec, LossSpec):
        raise PluginError(f"{full} must be a LossSpec, got {type(spec).__name__}")
    return spec
