"""The built-in losses, one a file. This table is read without importing torch; a test compares it with the specs."""

from __future__ import annotations

from typing import NamedTuple


class BuiltIn(NamedTuple):
    """A built-in loss before it is imported: `module` holds its `SPEC`."""

    name: str
    module: str
    summary: str


BUILT_INS = (
    BuiltIn("softmax", "lossbench.losses.softmax", "Softmax cross-entropy."),
    BuiltIn(
        "weighted-softmax",
        "lossbench.losses.weighted_softmax",
        "Softmax cross-entropy with inverse-frequency class weights.",
    ),
    BuiltIn("center", "lossbench.losses.center", "Squared distance of an embedding to the moving center of its class."),
    BuiltIn("triplet", "lossbench.losses.triplet", "Hinge on the distances of same-class and other-class pairs."),
    BuiltIn(
        "weighted-cluster",
        "lossbench.losses.weighted_cluster",
        "Class-weighted distance to the own center over the distances between centers.",
    ),
)
