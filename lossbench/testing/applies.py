"""Which laws apply to a configuration."""

from __future__ import annotations

from .configuration import Configuration, is_stateful
from .effort import Effort
from .law import Law


def reason_to_skip(configuration: Configuration, law: Law, effort: Effort) -> str | None:
    """Return why a law does not apply to a configuration, or None if it does; no law is judged.

    Example:
        >>> from lossbench import loss_info
        >>> from lossbench.testing import find_law
        >>> reason_to_skip(Configuration(spec=loss_info("softmax")), find_law("rotation"), Effort())
        'it reads no embeddings'
    """
    if law.reads is not None and law.reads not in configuration.reads:
        return f"it reads no {law.reads}"
    if law.compiles and not effort.compile:
        return "compiling was left out"
    if law.fresh_only and (configuration.started or configuration.late):
        return "judged on the fresh loss"
    if reason := _excluded_by_trait(configuration, law, effort):
        return reason
    if law.compares and configuration.is_random:
        return "it draws random numbers, so the values of two batches cannot be compared"
    return law.unless(configuration) if law.unless is not None else None


def _excluded_by_trait(configuration: Configuration, law: Law, effort: Effort) -> str | None:
    trait = law.trait
    if trait is None or configuration.declares(trait):
        excused = law.excused is not None and configuration.declares(law.excused) and not effort.deep
        return f"declared {law.excused}" if excused else None
    if configuration.undeclared_is_unknown:
        hard = law.compiles or law.needs_processes
        return f"not known to be {trait}: declare it to have it judged" if hard else None
    if not effort.deep or (is_stateful(configuration.specimen) and not configuration.started):
        return f"not declared {trait}"
    return None
