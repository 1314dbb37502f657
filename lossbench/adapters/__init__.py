"""Losses of other libraries, and classes without a spec, behind lossbench's interface.

What a loss takes is inferred from its call signature, or stated. An adapted loss is judged as samplewise, a mean over
rows and without state that moves, unless `known_traits` lists its class.

- `loss`: calls the loss; `factory`: builds it from "module:object"; `adapt`: makes its `LossSpec`.
- `signatures`: reads what a constructor takes; `known_traits`: traits of losses of torch.nn, timm and
  pytorch-metric-learning.

Imports: everything up to `lossbench.losses`, and no registry.
"""

from __future__ import annotations

from ..traits import MEAN_OF_ROWS as MEAN_OF_ROWS
from .adapt import adapt as adapt
from .factory import AdaptedFactory as AdaptedFactory
from .factory import load_object as load_object
from .known_traits import known_traits as known_traits
from .loss import AdaptedLoss as AdaptedLoss
from .loss import Form as Form
from .loss import Takes as Takes
from .signatures import constructor_parameters as constructor_parameters
