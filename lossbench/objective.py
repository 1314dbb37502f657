"""From a formula to the objective that is trained."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import FormulaError, HyperparameterError, PluginError, UsageError
from .expression import Formula, Term, Value, filled, parse_formula
from .registry import allow_objects, loss_info, loss_origin, remedy
from .traits import Need
from .types import LossContext, plain

if TYPE_CHECKING:
    from .loss import Loss


def expand_formula(expression: str | Formula, **hyperparameters: Value) -> Formula:
    """Return the objective that is trained: the joint objective of a single auxiliary loss, or the formula as written.

    Args:
        expression: a formula, as text or parsed.
        hyperparameters: arguments of the only loss in the formula.

    Raises:
        FormulaError: the text cannot be parsed, or no term reads the classifier's logits.
        UnknownLossError, PluginError, HyperparameterError: a term does not exist, or does not take its arguments.

    Example:
        >>> str(expand_formula("center(alpha=0.1)"))
        'softmax + 0.001*center(alpha=0.1)'
    """
    terms = _formula(expression).terms
    if hyperparameters:
        hyperparameters = {name: plain(value) for name, value in hyperparameters.items()}
        if len(terms) > 1:
            raise HyperparameterError(
                f"hyper-parameters cannot be assigned to one of several losses; write them into {str(expression)!r}"
            )
        terms = (replace(terms[0], arguments={**terms[0].arguments, **hyperparameters}),)
    formula = Formula(_joint(terms[0])) if len(terms) == 1 and terms[0].coefficient is None else Formula(terms)
    specs = [loss_info(term.name) for term in formula.terms]
    for spec, term in zip(specs, formula.terms, strict=True):
        spec.check_hyperparameters(term.arguments)
    if all(spec.auxiliary for spec in specs):
        raise FormulaError(
            f"no term of {str(expression)!r} reads the classifier's logits, so the classifier would stay untrained. "
            f"Add one that does, as the joint objective of {specs[0].name} does: {specs[0].joint}"
        )
    formula_needs(formula)
    return formula


def formula_needs(formula: Formula) -> frozenset[Need]:
    """Return what the terms of a formula read together.

    Raises:
        FormulaError: one term needs cosine logits and another plain ones.
    """
    needs = frozenset[Need]().union(*(loss_info(term.name).needs for term in formula.terms))
    if {Need.LOGITS, Need.COSINE_LOGITS} <= needs:
        by = {need: [t.name for t in formula.terms if need in loss_info(t.name).needs] for need in needs}
        raise FormulaError(
            f"{', '.join(by[Need.COSINE_LOGITS])} needs cosine logits and {', '.join(by[Need.LOGITS])} plain ones: "
            "a model has one head, so they cannot be terms of one formula"
        )
    return needs


def create_loss(expression: str | Formula, context: LossContext, **hyperparameters: Value) -> Loss:
    """Build the loss of a formula, ready for an ordinary training loop.

    Args:
        expression: a formula, as text or parsed; a single auxiliary loss means its published joint objective.
        context: number of classes, embedding size and class counts of the task.
        hyperparameters: arguments of the only loss in the formula.

    Returns:
        A `Loss`: call it with a `ModelOutput` and targets.

    Raises:
        UsageError: its subclasses name the formula, loss, value or plugin that is wrong.

    Example:
        >>> context = LossContext(num_classes=2, embedding_dim=4, class_counts=(90, 10))
        >>> create_loss("weighted-softmax", context, power=0.5)
        WeightedSoftmaxLoss(
          (class_weights): ClassWeights()
        )
    """
    allow_objects(str(expression))
    return build_loss(expand_formula(expression, **hyperparameters), context)


def build_loss(formula: Formula, context: LossContext) -> Loss:
    """Build the loss of an expanded formula.

    Args:
        formula: what `expand_formula` returns; each term is built as it is.
        context: number of classes, embedding size and class counts of the task.

    Raises:
        UsageError: a term cannot be built; the message names it and its distribution.

    Example:
        >>> context = LossContext(num_classes=2, embedding_dim=4, class_counts=(90, 10))
        >>> [term.name for term in build_loss(expand_formula("center"), context).terms()]
        ['softmax', 'center']
    """
    from .losses.weighted_sum import WeightedSum

    losses = [_create_term(term, context) for term in formula.terms]
    if len(losses) == 1 and formula.terms[0].coefficient in (None, 1.0):
        return losses[0]
    primary = [loss_info(term.name).auxiliary for term in formula.terms].index(False)
    coefficients = [1.0 if term.coefficient is None else term.coefficient for term in formula.terms]
    return WeightedSum(losses, coefficients, [term.name for term in formula.terms], primary)


def _formula(expression: str | Formula) -> Formula:
    return expression if isinstance(expression, Formula) else parse_formula(expression)


def _create_term(term: Term, context: LossContext) -> Loss:
    from .loss import Loss

    spec, origin = loss_info(term.name), loss_origin(term.name)
    label = f"{term.name} of {origin}"
    try:
        loss = spec.factory(context, **filled(term.arguments, context.class_counts))
    except HyperparameterError as error:
        raise HyperparameterError(f"{term.name}: {error}") from error
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # errors of plugins can have any type
        raise HyperparameterError(
            f"{term} of {origin} cannot be built: {type(error).__name__}: {error}\n"
            f"lossbench calls factory(context, **hyperparameters){'' if term.arguments else remedy(origin)}"
        ) from error
    if not isinstance(loss, Loss):
        raise PluginError(f"{label} must return a lossbench.Loss, got {type(loss).__name__}{remedy(origin)}")
    loss.label = label
    return loss


def _joint(term: Term) -> tuple[Term, ...]:
    """Return a single term, or the terms of its joint objective with its arguments filled in."""
    spec = loss_info(term.name)
    if spec.joint is None:
        return (term,)
    arguments = dict(term.arguments)
    coefficient = arguments.pop("coefficient", None)
    if coefficient is not None and (isinstance(coefficient, bool | str | tuple) or not 0 < coefficient < math.inf):
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
