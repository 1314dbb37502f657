"""Measure a call as a CUDA graph: the time on the device without the host.

Written from torch's documentation; it has not been run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

_WARMUP, _REPLAYS, _IN_A_ROW = 3, 20, 50


def replay_seconds(call: Callable[[], None]) -> float:
    """Return the median seconds of stream time of a captured call.

    Args:
        call: forward and backward on tensors with fixed addresses.

    Raises:
        RuntimeError: the call cannot be captured, because it synchronizes with the host.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARMUP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    times: list[float] = []
    for _ in range(_REPLAYS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(_IN_A_ROW):
            graph.replay()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1000 / _IN_A_ROW)
    return sorted(times)[len(times) // 2]
