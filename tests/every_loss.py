"""The names of the losses that lossbench and its distributions under plugins/ define themselves."""

from __future__ import annotations

from lossbench.registry import loss_entries

NAMES = sorted(
    row.name
    for row in loss_entries(load=True)
    if row.status in ("built-in", "usable") and "/" not in row.name and row.origin.startswith("lossbench")
)
