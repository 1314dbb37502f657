"""Choose, check, time and compare training losses for imbalanced classification.

Names load on first use: `import lossbench` alone imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .attached import attach as attach
    from .errors import LossbenchError as LossbenchError
    from .harness.evaluation.trained_run import TrainedRun as TrainedRun
    from .harness.evaluation.trained_run import load_run as load_run
    from .harness.training.step import TrainStep as TrainStep
    from .loss import Loss as Loss
    from .losses.arguments import debug as debug
    from .losses.logit_loss import LogitLoss as LogitLoss
    from .losses.per_class import PerClass as PerClass
    from .losses.weighted_sum import WeightedSum as WeightedSum
    from .models.classifier import CosineHead as CosineHead
    from .objective import create_loss as create_loss
    from .registry import list_losses as list_losses
    from .registry import loss_info as loss_info
    from .registry import plugin_errors as plugin_errors
    from .registry import register_loss as register_loss
    from .spec import LossSpec as LossSpec
    from .traits import Homogeneity as Homogeneity
    from .traits import Need as Need
    from .traits import Trait as Trait
    from .types import Batch as Batch
    from .types import LoopBatch as LoopBatch
    from .types import LossContext as LossContext
    from .types import ModelOutput as ModelOutput

__version__ = "0.1.0"

_HOMES = {
    "LossbenchError": "errors",
    "attach": "attached",
    "debug": "losses.arguments",
    "Loss": "loss",
    "LogitLoss": "losses.logit_loss",
    "CosineHead": "models.classifier",
    "TrainStep": "harness.training.step",
    "PerClass": "losses.per_class",
    "WeightedSum": "losses.weighted_sum",
    "create_loss": "objective",
    "load_run": "harness.evaluation.trained_run",
    "TrainedRun": "harness.evaluation.trained_run",
    "list_losses": "registry",
    "loss_info": "registry",
    "plugin_errors": "registry",
    "register_loss": "registry",
    "Homogeneity": "traits",
    "LossSpec": "spec",
    "Need": "traits",
    "Trait": "traits",
    "Batch": "types",
    "LoopBatch": "types",
    "LossContext": "types",
    "ModelOutput": "types",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605  # one table of names, not two


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lossbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
