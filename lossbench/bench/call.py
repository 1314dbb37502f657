"""One call of a contender: forward and backward with new gradients, timed, or counted in memory and operators."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..testing.memory import PeakMemory
from ..types import ModelOutput
from .census import Census, take_census
from .contenders import Contender
from .workload import Workload

LEAST_CALLS, MOST_CALLS = 5, 300
_UPDATE_SECONDS = 0.1  # for `update_state`


class Bench:
    """A contender that is ready to be called."""

    def __init__(self, contender: Contender, workload: Workload) -> None:
        self.contender, self.workload = contender, workload
        self.output, self.targets = batch_of(contender, workload)
        self.loss = contender.build(workload.context).to(workload.device)
        self.update()  # a loss with state warns if it is called again and again without an update
        for name, state in self.loss.named_buffers():
            if name.rpartition(".")[2] == "centers" and state.shape == (workload.classes, workload.dim):
                state.copy_(workload.centers())
                state.requires_grad_(workload.state_learns)
        self.learned = [t for t in (*self.loss.parameters(), *self.loss.buffers()) if t.requires_grad]
        self.samples: list[float] = []

    def call(self) -> None:
        """Run one forward and backward pass on its own leaf tensors."""
        fresh = {
            name: getattr(self.output, name).detach().requires_grad_(name in self.contender.reads)
            for name in ("embeddings", "logits")
        }
        for tensor in self.learned:  # listed before, because walking through modules takes longer than a small loss
            tensor.grad = None
        value = self.loss(ModelOutput(**fresh), self.targets)
        value.backward()

    def time(self, call: Callable[[], None] | None = None) -> float:
        """Return the seconds of one call; None for `self.call`."""
        call = call or self.call
        if self.on_gpu:
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            call()
            stop.record()
            stop.synchronize()
            return float(start.elapsed_time(stop)) / 1000
        clock: Callable[[], float] = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        began = clock()
        call()
        return clock() - began

    def update_seconds(self) -> float | None:
        """Return the shortest time of `update_state`, or None for a loss without state."""
        if not list(self.loss.buffers()):
            return None
        samples: list[float] = []
        while len(samples) < LEAST_CALLS or (sum(samples) < _UPDATE_SECONDS and len(samples) < MOST_CALLS):
            samples.append(self.time(self.update))
        return min(samples)

    def update(self) -> None:
        detached = ModelOutput(self.output.embeddings, self.output.logits)
        with torch.no_grad():
            self.loss.update_state(detached, self.targets)

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.workload.device).type == "cuda"

    def peak_bytes_and_census(self) -> tuple[int, Census]:
        """Return peak bytes and counts of one more call and one `update_state`."""
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            census = take_census(self.call, self.update, on_gpu=True)
            return int(torch.cuda.max_memory_allocated()) - before, census
        memory = PeakMemory()

        def call() -> None:
            with memory:
                self.call()

        census = take_census(call, self.update, on_gpu=False)
        return int(memory.peak_bytes), census


def batch_of(contender: Contender, workload: Workload) -> tuple[ModelOutput, torch.Tensor]:
    """Return the batch as a contender reads it; cosines lie between -1 and 1."""
    output, targets = workload.batch_of_model()
    if contender.cosine:
        output = output._replace(logits=0.99 * output.logits / output.logits.abs().amax())
    return output, targets
