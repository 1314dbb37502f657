"""Print the largest difference between exports and the runs that they were made from.

    python benchmarks/export_difference.py [RUN ...] [--formats torch,onnx,safetensors] [--models senet-tiny,resnet18]

Each RUN, a directory of a finished run, is exported in each format and compared on its own test images. Without RUN,
one short run per model is trained on digits first. ONNX needs the extra `export`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from lossbench.errors import LossbenchError
from lossbench.export.export_run import export_run
from lossbench.export.formats import format_named
from lossbench.harness.run import run
from lossbench.runs.options import RunConfig
from lossbench.runs.record import read_record

MODELS = "senet-tiny,test_resnet,test_efficientnet,test_vit"


def main() -> None:
    """Export each run and print one line per format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--formats", default="torch,onnx,safetensors")
    parser.add_argument("--models", default=MODELS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':<20} {'format':<12} {'images':>6} {'difference':>10} {'from stored':>11} {'bytes':>11} {'s':>6}")
    with tempfile.TemporaryDirectory() as scratch:
        for place in options.runs or map(Path, options.models.split(",")):
            directory = place if options.runs else trained(str(place), Path(scratch) / place)
            for name in options.formats.split(","):
                print_export(directory, name, Path(scratch) / "out")


def trained(model: str, out: Path) -> Path:
    """Return the directory of a short run of a model on digits."""
    config = RunConfig(
        loss="weighted-softmax", data="digits", model=model, image_size=32, epochs=1, device="cpu", augment="none"
    )
    return run(config, out).directory


def print_export(directory: Path, name: str, out: Path) -> None:
    """Export a run in one format and print the differences."""
    model, began = read_record(directory).model.name, time.perf_counter()
    try:
        done = export_run(directory, format_named(name), out / name)
    except LossbenchError as error:
        print(f"{model:<20} {name:<12} {str(error).splitlines()[0]}")
        return
    found, seconds = done.agreement, time.perf_counter() - began
    print(
        f"{model:<20} {name:<12} {found.images:>6} {found.largest_difference:>10.1e} {found.from_stored:>11.1e} "
        f"{done.size:>11,} {seconds:>6.1f}"
    )


if __name__ == "__main__":
    main()
