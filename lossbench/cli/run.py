"""`lossbench run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from ..errors import ConfigError

_DATA, _MODEL, _TRAINING, _MACHINE = "Data", "Model", "Training", "Machine"


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the values of a TOML file the defaults of the options, so that a flag overrides them."""
    if path is None:
        return None
    from ..runs.options_file import read_options

    options = read_options(path, f"--config {path}")
    # The parameter below is not to hide the builtin.
    context.default_map = {"compile_" if name == "compile" else name: value for name, value in options.items()}
    return path


def run(
    context: typer.Context,
    loss: Annotated[
        str | None, Option(help='A loss or formula: weighted-cluster, "softmax + 0.1*center(alpha=0.5)".')
    ] = None,
    data: Annotated[
        str, Option(help="synthetic, digits, csv:PATH, folder:PATH or affectnet:PATH.", rich_help_panel=_DATA)
    ] = "synthetic",
    val: Annotated[str | None, Option(help="Evaluation manifest or folder.", rich_help_panel=_DATA)] = None,
    label: Annotated[
        str, Option(help="Label column of a manifest; person: each is a class.", rich_help_panel=_DATA)
    ] = "label",
    classes: Annotated[int | None, Option(help="AffectNet's: 8, or 7 without contempt.", rich_help_panel=_DATA)] = None,
    min_images: Annotated[
        int | None, Option(help="Of a person, with --label person; default 4.", rich_help_panel=_DATA)
    ] = None,
    sampler: Annotated[str, Option(help="natural, balanced or sqrt.", rich_help_panel=_DATA)] = "natural",
    image_size: Annotated[int | None, Option(help="Side of the images in pixels.", rich_help_panel=_DATA)] = None,
    cache: Annotated[bool, Option("--cache", help="Keep decoded images in memory.", rich_help_panel=_DATA)] = False,
    skip_unreadable: Annotated[
        bool, Option("--skip-unreadable", help="Leave out unreadable images and list them.", rich_help_panel=_DATA)
    ] = False,
    max_unreadable: Annotated[
        int, Option(help="How many --skip-unreadable may leave out.", rich_help_panel=_DATA)
    ] = 100,
    allow_missing_classes: Annotated[
        bool,
        Option("--allow-missing-classes", help="Evaluate without some of the classes.", rich_help_panel=_DATA),
    ] = False,
    model: Annotated[str, Option(help="senet-tiny or any timm name.", rich_help_panel=_MODEL)] = "senet-tiny",
    weights: Annotated[str, Option(help="none, imagenet, vggface2:FILE or run:DIR.", rich_help_panel=_MODEL)] = "none",
    epochs: Annotated[int | None, Option(help="Passes over the training images.", rich_help_panel=_TRAINING)] = None,
    batch_size: Annotated[
        int | None, Option(help="Images a step, over all processes.", rich_help_panel=_TRAINING)
    ] = None,
    micro_batches: Annotated[
        int, Option(help="Parts a process cuts its share of a step into, to save memory.", rich_help_panel=_TRAINING)
    ] = 1,
    lr: Annotated[float | None, Option(help="Peak learning rate.", rich_help_panel=_TRAINING)] = None,
    optimizer: Annotated[str, Option(help="adamw or sgd.", rich_help_panel=_TRAINING)] = "adamw",
    weight_decay: Annotated[float, Option(help="Of the model's weights.", rich_help_panel=_TRAINING)] = 0.05,
    warmup_epochs: Annotated[float, Option(help="Linear warm-up.", rich_help_panel=_TRAINING)] = 1.0,
    select: Annotated[
        bool,
        Option("--select", help="Keep the epoch that a tenth of training likes best.", rich_help_panel=_TRAINING),
    ] = False,
    carve: Annotated[
        bool, Option("--carve", help="Hold that tenth back, and keep the last epoch.", rich_help_panel=_TRAINING)
    ] = False,
    seed: Annotated[int, Option(help="Of order, augmentation, model and loss.", rich_help_panel=_TRAINING)] = 0,
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_MACHINE)] = "auto",
    precision: Annotated[str, Option(help="fp32, bf16, fp16 or fp64.", rich_help_panel=_MACHINE)] = "fp32",
    workers: Annotated[int, Option(help="Processes that decode images.", rich_help_panel=_MACHINE)] = 0,
    compile_: Annotated[bool, Option("--compile", help="Compile the training step.", rich_help_panel=_MACHINE)] = False,
    sync_bn: Annotated[
        bool, Option("--sync-bn", help="Batch statistics over all processes (CUDA).", rich_help_panel=_MACHINE)
    ] = False,
    checkpoint_every: Annotated[
        str, Option(help="Steps (200) or minutes (5m) between checkpoints.", rich_help_panel=_MACHINE)
    ] = "5m",
    on_nonfinite: Annotated[
        str, Option(help="stop or skip: a step that is not finite; skips are bounded.", rich_help_panel=_TRAINING)
    ] = "stop",
    resume: Annotated[Path | None, Option(metavar="DIR", help="Go on with an interrupted run.")] = None,
    config: Annotated[
        Path | None, Option(help="TOML file with options; flags override it.", is_eager=True, callback=read_config)
    ] = None,
    out: Annotated[Path | None, Option(help="Directory of the record; default: a fresh one under runs/.")] = None,
    json_: Annotated[bool, Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Train a model under a loss, evaluate it once, and write the record.

    lossbench run --loss weighted-cluster

    lossbench run --loss "softmax + 0.1*center" --data csv:faces/train.csv --val faces/val.csv

    lossbench run --resume runs/NAME
    """
    from .watch_run import RichReporter

    with RichReporter() as reporter:
        if resume is not None:
            changed = _given_with_resume(context)
            from ..harness.resume import resume as resume_run

            _show(resume_run(resume, reporter, **changed), json_)
            return
        if loss is None:
            raise ConfigError("--loss is missing: a loss or formula, such as --loss weighted-cluster")
        options: dict[str, Any] = {
            "loss": loss, "data": data, "val": val, "label": label, "classes": classes,
            "min_images": min_images, "sampler": sampler, "image_size": image_size,
            "cache": cache, "skip_unreadable": skip_unreadable,
            "max_unreadable": max_unreadable, "allow_missing_classes": allow_missing_classes,
            "model": model, "weights": weights, "epochs": epochs, "batch_size": batch_size,
            "micro_batches": micro_batches, "lr": lr, "optimizer": optimizer, "weight_decay": weight_decay,
            "warmup_epochs": warmup_epochs, "select": select, "carve": carve, "seed": seed, "device": device,
            "precision": precision, "workers": workers, "compile": compile_, "sync_bn": sync_bn,
            "checkpoint_every": checkpoint_every, "on_nonfinite": on_nonfinite,
        }  # fmt: skip
        from ..runs.options import RunConfig

        checked = RunConfig(**options)
        from ..harness.run import run as run_task

        content = run_task(checked, out, reporter)
    _show(content, json_)


def _given_with_resume(context: typer.Context) -> dict[str, Any]:
    """The options beside `--resume`: those that change no result."""
    from ..runs.options import ANY_TIME_OPTIONS

    given = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    allowed = {name: value for name, value in given.items() if name in ANY_TIME_OPTIONS}
    if odd := sorted(given.keys() - allowed.keys() - {"resume", "json_"}):
        names = ", ".join(f"--{name.strip('_').replace('_', '-')}" for name in odd)
        raise ConfigError(
            f"--resume goes on with a run's own options, and {names} beside it would be another run. "
            f"What may be changed: {', '.join('--' + name.replace('_', '-') for name in ANY_TIME_OPTIONS)}"
        )
    return allowed


def _show(content: dict[str, Any], json_: bool) -> None:
    if not content.get("metrics"):
        return  # one of several processes: the first one speaks
    if json_:
        typer.echo(json.dumps(content))
        return
    from rich.console import Console

    from ..report.terminal.run import run_summary

    Console().print(run_summary(content))
