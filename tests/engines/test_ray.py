"""`compare --executor ray` on a real Ray cluster of two nodes on this machine, one of which is killed."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is missing: pip install 'lossbench[ray]'"),
    pytest.mark.filterwarnings("ignore"),  # of Ray and of what it imports
]

LOSS = f"{Path(__file__).with_name('slow_loss.py')}:Slow"
EPOCHS, STEPS = 16, 3
ASKED = (
    "compare", "--losses", LOSS, "--seeds", 1, "--data", "synthetic(images=96,test_images_per_class=4)", "--model",
    "test_resnet", "--image-size", 32, "--epochs", EPOCHS, "--batch-size", 32, "--device", "cpu",
    "--checkpoint-every", 4, "--json", "--out",
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    """A head without cores, to which nodes can be added."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("STEP_FILE", str(tmp_path / "steps"))
        patch.setenv("STEP_SECONDS", "0.5")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 * 2**20})
        try:
            yield made
        finally:
            made.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)


def weights(grid: Path) -> list[str]:
    records = sorted(grid.glob("cells/*/record.json"))
    return [json.loads(record.read_text())["weights_sha256"] for record in records]


def test_cells_of_a_node_that_is_killed_continue_on_another(
    cluster: Any, lossbench: Any, tmp_path: Path, record_property: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEP_SECONDS", "0")
        whole = lossbench(*ASKED, tmp_path / "whole")
    steps, grid, nodes = tmp_path / "steps", tmp_path / "grid", [add_node(cluster), add_node(cluster)]
    before = len(steps.read_text().splitlines())
    killed: list[str] = []

    def kill() -> None:
        """Kill the node whose process trains, when it has a checkpoint."""
        while not (found := list(grid.glob("cells/*Slow*/checkpoint/step-*"))):
            time.sleep(0.2)
        holder = (found[0].parents[1] / ".lock").read_text()
        import psutil

        process = psutil.Process(int(holder.split()[1]))
        session = {parent.pid for parent in process.parents()}
        for node in nodes:
            if node.all_processes["raylet"][0].process.pid in session:
                killed.append(holder)
                cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    ended = lossbench(*ASKED, grid, "--executor", "ray", "--ray", f"address={cluster.address}")
    thread.join()
    assert len(killed) == 1
    assert ended.code == whole.code, ended.err
    assert weights(grid) == weights(tmp_path / "whole")
    (slow,) = [json.loads(r.read_text()) for r in grid.glob("cells/*/record.json") if "Slow" in r.parent.name]
    lines = steps.read_text().splitlines()[before:]
    lost = len(lines) - len(set(lines)) - EPOCHS * STEPS  # each process, that of the plan too, tries one batch first
    record_property("lost", f"{slow['timing']['resumed']} continuations, {lost} steps trained again")
    assert slow["timing"]["resumed"] == 1
    assert 0 <= lost <= 4 + 1  # one interval, and the step in which the process was killed


def test_a_cluster_that_is_not_there_is_one_error(lossbench: Any, tmp_path: Path) -> None:
    ended = lossbench(*ASKED, tmp_path / "grid", "--executor", "ray", "--ray", "address=127.0.0.1:1")
    assert ended.code == 2
    assert "--ray address=127.0.0.1:1: no Ray cluster can be reached" in ended.err


def test_a_resource_that_the_cluster_lacks_is_one_error(cluster: Any, lossbench: Any, tmp_path: Path) -> None:
    add_node(cluster)
    options = f"address={cluster.address} gpus=0.5"
    ended = lossbench(*ASKED, tmp_path / "grid", "--executor", "ray", "--ray", options)
    assert ended.code == 2
    assert "--ray gpus=0.5: the cluster has 0 GPUs, so no cell would start" in ended.err
