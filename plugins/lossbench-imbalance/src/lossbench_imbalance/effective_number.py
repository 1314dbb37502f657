"""Class weights from the effective number of samples, which lossbench defines for all its losses."""

from __future__ import annotations

from lossbench.authoring import effective_number_weights

__all__ = ["effective_number_weights"]
