"""Measure the cost of losses: time, memory, operators and host synchronizations, interleaved in one process."""

from .contenders import Contender, contender, peers_of
from .growth import Growth, measure_growth
from .measure import measure
from .row import Row
from .workload import Workload

__all__ = ["Contender", "Growth", "Row", "Workload", "contender", "measure", "measure_growth", "peers_of"]
