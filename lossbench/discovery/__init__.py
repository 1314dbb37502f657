"""Find losses and detectors of other distributions by their entry points, and import them only when they are used.

[project.entry-points."lossbench.losses"]
my-loss = "my_package.my_loss:SPEC"          # a LossSpec

[project.entry-points."lossbench.origins"]
pml = "my_package.adapter:ORIGIN"            # names() -> list[str], spec(name) -> LossSpec

[project.entry-points."lossbench.detectors"]
my-detector = "my_package.detector:build"     # build(argument) -> lossbench.detectors.Detector

[project.entry-points."lossbench.executors"]
dask = "my_package.dask_executor:run"        # runs the cells of a comparison, see `lossbench.harness.grid.executors`
"""

from .memory import Learned, learned, remember
from .plugins import DETECTORS, EXECUTORS, LOSSES, ORIGINS, Origin, Plugin, mend, plugins

__all__ = [
    "DETECTORS",
    "EXECUTORS",
    "LOSSES",
    "ORIGINS",
    "Learned",
    "Origin",
    "Plugin",
    "learned",
    "mend",
    "plugins",
    "remember",
]
