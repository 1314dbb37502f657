"""Run the reference experiment: five losses on AffectNet from VGGFace2's SENet-50, several seeds each.

    python benchmarks/affectnet_losses.py OUT RESULT.md --data affectnet:DIR --weights vggface2:FILE [--seeds 3]
    python benchmarks/affectnet_losses.py OUT RESULT.md --made [--seeds 2] [-- --image-size 64 --epochs 1]
    python benchmarks/affectnet_losses.py OUT RESULT.md --made --made-images 20000 --made-size 224 -- --precision bf16

Runs `lossbench run --config benchmarks/affectnet.toml`; options after `--` are passed to each run and override the
file. `--made` generates data and weights below OUT, which verify that everything runs but show nothing about AffectNet.
Prints balanced accuracy and where the time went, and writes them to RESULT.md. Finished runs in OUT are kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from figures import spread
from grid import Cell, run_cells
from made_affectnet import make_affectnet
from made_weights import write_made_weights

LOSSES = ("softmax", "weighted-softmax", "center", "triplet", "weighted-cluster")
CONFIG = Path(__file__).with_name("affectnet.toml")
MADE_VALIDATION = 10  # images per class
MADE = """**Generated data and weights**: {images} rendered faces in AffectNet's proportions, {validation} test images
per class in the layout of the full release (`benchmarks/made_affectnet.py`), and a file of random numbers with the
names and shapes of `senet50_ft_weight.pkl` (`benchmarks/made_weights.py`). The table shows that everything runs and
what it costs. Its accuracies show nothing about the losses: chance is 12.5.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--made", action="store_true", help="generate data and weights that are not given")
    parser.add_argument("--made-images", type=int, default=640)
    parser.add_argument("--made-size", type=int, default=128, help="side of the generated faces in pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = parser.parse_args(sys.argv[1:end])
    arguments.options = sys.argv[end + 1 :]
    data, weights = arguments.data, arguments.weights
    if not arguments.made and not (data and weights):
        parser.error("pass --data affectnet:DIR and --weights vggface2:FILE, or --made")
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = data or f"affectnet:{made_data(arguments.out, arguments.made_images, arguments.made_size)}"
    weights = weights or f"vggface2:{made_weights(arguments.out)}"
    common = ("--config", str(CONFIG), "--data", data, "--weights", weights, *arguments.options)
    cells = {
        (loss, seed): Cell(f"{loss}-s{seed}", (*common, "--loss", loss, "--seed", str(seed)))
        for seed in range(arguments.seeds)
        for loss in LOSSES
    }
    records = run_cells(list(cells.values()), arguments.out, arguments.jobs)
    rows = {loss: [records[cells[loss, s].name] for s in range(arguments.seeds)] for loss in LOSSES}
    made = MADE.format(images=f"{arguments.made_images:,}", validation=MADE_VALIDATION) if arguments.made else ""
    command = f"    python benchmarks/affectnet_losses.py OUT {arguments.result} {asked(arguments)}\n\n"
    text = f"# Five losses on AffectNet\n\n{command}{made}{described(rows['softmax'][0])}\n\n{table(rows)}\n"
    arguments.result.write_text(text)
    print(text)


def made_data(out: Path, images: int, size: int) -> Path:
    return make_affectnet(out / f"affectnet-{images}-{size}", images=images, validation=MADE_VALIDATION, size=size)


def made_weights(out: Path) -> Path:
    path = out / "senet50_made_weight.pkl"
    return path if path.exists() else write_made_weights(path)


def asked(arguments: argparse.Namespace) -> str:
    """Return the options without paths of this machine."""
    parts = [f"--made --made-images {arguments.made_images} --made-size {arguments.made_size}"] * arguments.made
    parts += ["--data affectnet:DIR"] if arguments.data else []
    parts += ["--weights vggface2:FILE"] if arguments.weights else []
    parts += [f"--seeds {arguments.seeds}", f"--jobs {arguments.jobs}"]
    return " ".join([*parts, *(["--", *arguments.options] if arguments.options else [])])


def described(record: dict[str, Any]) -> str:
    data, environment, config, weights = (record[name] for name in ("data", "environment", "config", "weights"))
    counts = data["training_counts"].values()
    known = f"known as {weights['known_as']}" if weights.get("known_as") else "a digest not known to lossbench"
    return (
        f"Release {data['release']}: {sum(counts):,} training images in {len(counts)} classes ({max(counts):,} to "
        f"{min(counts):,}), {sum(data['test_counts'].values()):,} test images. {record['model']['name']}, "
        f"{record['model']['parameters']:,} parameters, weights {weights['kind']} ({known}), "
        f"{config['image_size']} px, {config['epochs']} epoch(s), batch {config['batch_size']}, "
        f"{config['optimizer']} at {config['lr']:g}, {config['precision']}, {config['workers']} worker(s); "
        f"torch {environment['packages']['torch']} on "
        f"{environment['device_name']} ({environment['device']}, {environment['cpu_threads']} thread(s))."
    )


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Return one row per loss: balanced accuracy in per cent, mean ± standard deviation over seeds, and mean times."""
    lines = [
        "| loss | objective | balanced accuracy | macro F1 | images/s | seconds per step | share of the loss in a step "
        "| waiting for data | peak memory |",
        "|-|-|-|-|-|-|-|-|-|",
    ]
    for loss, records in rows.items():
        metrics, timing = [r["metrics"] for r in records], [r["timing"] for r in records]

        def mean(name: str, of: list[dict[str, Any]] = timing) -> float:
            return float(statistics.mean(part[name] for part in of))

        lines.append(
            f"| {loss} | `{records[0]['formula']}` | {spread([m['balanced_accuracy'] for m in metrics])} "
            f"| {spread([m['macro_f1'] for m in metrics])} | {mean('images_per_second'):.1f} "
            f"| {mean('seconds_per_step'):.3f} | {mean('loss_share'):.3%} | {mean('data_wait_share'):.1%} "
            f"| {mean('peak_bytes', [r['memory'] for r in records]) / 2**30:.2f} GiB |"
        )
    seeds = ", ".join(str(record["seed"]) for record in next(iter(rows.values())))
    return "\n".join(
        [
            *lines,
            "",
            f"Seeds {seeds}. Medians over steps within a run, means over runs. Times are by the clock, and other "
            "work on the machine counts.",
        ]
    )


if __name__ == "__main__":
    main()
