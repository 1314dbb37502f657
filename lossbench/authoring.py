"""What authors of losses build on, beside the names of `lossbench` itself.

Plugins and scaffolded losses import from `lossbench`, `lossbench.authoring`, `lossbench.distributed`,
`lossbench.errors` and, in tests, `lossbench.testing`; every other module may change without notice.

- Arguments: `number`, `choice`, `flag` for hyper-parameters; `matrix`, `check_target_range`, `refuse_out_of_range`,
  `values_are_readable`, `logits_of`, `embeddings_of` for tensors.
- Base classes: `WeightedLogitLoss`, `EmbeddingLoss`, `MovingCenters` and `CosineLoss`, beside `LogitLoss` and `Loss`
  of `lossbench`.
- Sets of traits: `MEAN_OF_ROWS`, `SMOOTH`, `OF_LOG_SOFTMAX`, `CROSS_ENTROPY`, `LIKELIHOOD`, `RIGID_MOTIONS`.
- Numbers per class: `drawn_counts`, `class_weights`, `effective_number_weights`, `ClassWeights`, beside `PerClass`
  of `lossbench`.
- Softmax: `softmax`, `weighted_softmax`, and `NEVER_A_LABEL` for `ignore_index` of torch's functions.
- Centers: `center`, `class_statistics`, `start_or_move`, `started`, `mean_center`, `center_separation`,
  `squared_distance_to_own_center`, `own_distance_and_separation`, `class_sums`.
- Pairs and triplets: `unit_vectors`, `distances`, `squared_distances`, `pair_masks`, `mean_hinge` with its `Mining`.
- Losses of other libraries: `AdaptedLoss`, `AdaptedFactory`, `known_traits`, `load_object`, `constructor_parameters`,
  `parse_call` for arguments written as in a formula, and the literal types `Takes` and `Form`.
- Several processes: `sum_over_ranks`.

Example:
    >>> number("margin", 0.5, minimum=0)
    0.5
"""

from __future__ import annotations

from .adapters import AdaptedFactory, AdaptedLoss, Form, Takes, constructor_parameters, known_traits, load_object
from .distributed import sum_over_ranks
from .expression import parse_call
from .losses.arguments import (
    check_target_range,
    embeddings_of,
    logits_of,
    matrix,
    refuse_out_of_range,
    values_are_readable,
)
from .losses.center import center
from .losses.class_weights import ClassWeights, class_weights, effective_number_weights
from .losses.cosine_loss import CosineLoss
from .losses.embedding_loss import EmbeddingLoss, MovingCenters
from .losses.hyperparameters import choice, flag, number
from .losses.per_class import drawn_counts
from .losses.softmax import NEVER_A_LABEL, softmax
from .losses.weighted_logit_loss import WeightedLogitLoss
from .losses.weighted_softmax import weighted_softmax
from .ops.centers import (
    ClassStatistics,
    center_separation,
    class_statistics,
    mean_center,
    own_distance_and_separation,
    squared_distance_to_own_center,
    start_or_move,
    started,
)
from .ops.class_sums import class_sums
from .ops.distances import squared_distances
from .ops.triplets import Mining, distances, mean_hinge, pair_masks, unit_vectors
from .traits import CROSS_ENTROPY, LIKELIHOOD, MEAN_OF_ROWS, OF_LOG_SOFTMAX, RIGID_MOTIONS, SMOOTH

__all__ = [
    "CROSS_ENTROPY",
    "LIKELIHOOD",
    "MEAN_OF_ROWS",
    "NEVER_A_LABEL",
    "OF_LOG_SOFTMAX",
    "RIGID_MOTIONS",
    "SMOOTH",
    "AdaptedFactory",
    "AdaptedLoss",
    "ClassStatistics",
    "ClassWeights",
    "CosineLoss",
    "EmbeddingLoss",
    "Form",
    "Mining",
    "MovingCenters",
    "Takes",
    "WeightedLogitLoss",
    "center",
    "center_separation",
    "check_target_range",
    "choice",
    "class_statistics",
    "class_sums",
    "class_weights",
    "constructor_parameters",
    "distances",
    "drawn_counts",
    "effective_number_weights",
    "embeddings_of",
    "flag",
    "known_traits",
    "load_object",
    "logits_of",
    "matrix",
    "mean_center",
    "mean_hinge",
    "number",
    "own_distance_and_separation",
    "pair_masks",
    "parse_call",
    "refuse_out_of_range",
    "softmax",
    "squared_distance_to_own_center",
    "squared_distances",
    "start_or_move",
    "started",
    "sum_over_ranks",
    "unit_vectors",
    "values_are_readable",
    "weighted_softmax",
]
