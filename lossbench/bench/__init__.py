"""What a loss costs: time, memory, operators and waits of a call, beside other implementations in one process."""

from .contenders import Contender, contender, peers_of
from .growth import Growth, measure_growth
from .measure import Row, measure
from .workload import Workload

__all__ = ["Contender", "Growth", "Row", "Workload", "contender", "measure", "measure_growth", "peers_of"]
