"""Losses of other libraries, and classes without a spec, behind lossbench's interface.

What a loss takes is inferred from its call signature, or stated. An adapted loss is judged as samplewise, a mean over
rows and without state that moves, unless `known_traits` lists its class.

- `loss`: calls the loss; `factory`: builds it from "module:object"; `adapt`: makes its `LossSpec`.
- `objects`: loads "module:object" and "file.py:object"; `specs`: the spec of what is there.
- `signatures`: reads what a constructor or call takes; `known_traits`: traits of losses of torch.nn, timm and
  pytorch-metric-learning.

Imports: everything up to `lossbench.losses`, and no registry.
"""

from __future__ import annotations

from ..traits import MEAN_OF_ROWS as MEAN_OF_ROWS
from .adapt import adapt as adapt
from .factory import AdaptedFactory as AdaptedFactory
from .known_traits import known_traits as known_traits
from .loss import AdaptedLoss as AdaptedLoss
from .loss import Form as Form
from .loss import Takes as Takes
from .objects import file_digest as file_digest
from .objects import file_of as file_of
from .objects import load_object as load_object
from .objects import names_in_file as names_in_file
from .objects import where as where
from .signatures import constructor_parameters as constructor_parameters
from .specs import object_spec as object_spec
