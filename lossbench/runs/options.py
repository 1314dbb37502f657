"""The options of a run, each written once: its default, help text, range, and what else depends on it.

Command lines, options files, resume, digests of cells, comparability and tuning are derived from these fields, so a new
option is added here and used where a run needs it.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from ..data import Augment, CacheOn, ClassBatches, Decoding, Sampler, parse_sampler
from ..data.reading import Reading
from ..errors import ConfigError
from ..expression import Formula, parse_formula
from ..models import ANY_MODEL, OWN_MODELS, SENET_50, SENET_TINY, WEIGHTS_FORMS, architecture, split_weights
from ..models.image_values import BGR, RGB, from_options
from .option import NOT_NEGATIVE, POSITIVE, Role, Rule, about, at_least, check, flag, matching, option

REDUCE_OVERHEAD = "reduce-overhead"  # a mode of torch.compile
CHECKPOINT_INTERVAL = re.compile(r"([1-9]\d{0,8})(m?)")
_OPENS = (Role.OPENS_DATA, Role.READS_DATA)
_ANY_TIME = (Role.ANY_TIME, Role.NO_EFFECT)
_data, _model = partial(option, panel="Data"), partial(option, panel="Model")
_training, _machine = partial(option, panel="Training"), partial(option, panel="Machine")
_SAMPLER = Rule(lambda value: value in tuple(Sampler) or value.startswith("classes:"), f"one of {', '.join(Sampler)}")
_OF_ANY_MODEL = ("weights_prefix", "weights_mean", "weights_std", "weights_channels", "allow_missing_weights")
_SOURCES = "synthetic, digits, csv:FILE, folder:DIR, affectnet:DIR, ferplus:DIR or rafdb:DIR"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The options of a run. None means: decided by the data or by the model (see `resolved`).

    Raises:
        ConfigError: a value outside the option's range, or options that contradict each other.
    """

    loss: str = option(
        help='Loss or formula, such as weighted-cluster or "softmax + 0.1*center(alpha=0.5)".',
        metavar="FORMULA",
        roles=[Role.COMPARED],
    )
    data: str = _data(
        "synthetic", help=f"Data: {_SOURCES}.", metavar="SPEC", roles=[Role.READS_DATA, Role.LOCATES_DATA]
    )
    val: str | None = _data(
        None,
        help="Test split: csv:FILE, folder:DIR, another source or a path (default: decided by the data).",
        metavar="SPEC",
        roles=[*_OPENS, Role.LOCATES_DATA],
    )
    root: str | None = _data(
        None,
        help="Folder that the paths in a manifest start from (default: that of the manifest).",
        metavar="DIR",
        roles=[*_OPENS, Role.LOCATES_DATA],
    )
    path_column: str = _data("path", help="Path column of a manifest.", metavar="COLUMN", roles=_OPENS)
    label: str = _data(
        "label",
        help="Label column of a manifest; person makes each person a class.",
        metavar="COLUMN",
        roles=_OPENS,
    )
    fold_labels: bool = _data(
        False, help="Read labels that differ only in case, spaces, quotes or Unicode form as one.", roles=_OPENS
    )
    classes: int | None = _data(
        None,
        help="Number of expressions of AffectNet or FER+: 8, or 7 without contempt (default: all in the data).",
        roles=_OPENS,
    )
    min_images: int | None = _data(
        None,
        help="Minimum images per person with --label person (default: 4).",
        rule=at_least(2),
        roles=[*_OPENS, Role.DIVIDES_DATA],
    )
    folds: int | None = _data(
        None,
        help="Number of folds, for data too small for one test split: stratified, by person where persons are known, "
        "divided differently by every seed (default: one test split).",
        rule=at_least(2, 1000),
        roles=[*_OPENS, Role.DIVIDES_DATA],
    )
    fold: int | None = _data(
        None,
        help="Fold that is the test split of a run, from 1 (default: the first; compare runs all of them).",
        rule=at_least(1, 1000),
        roles=[*_OPENS, Role.DIVIDES_DATA, Role.COMPARED],
    )
    sampler: str = _data(
        "natural",
        help="How images are drawn: natural, balanced, sqrt, or classes:MxN (batches of N images of M classes).",
        metavar="SAMPLER",
        rule=_SAMPLER,
        roles=[Role.COMPARED],
    )
    augment: str | None = _data(
        None,
        help="Augmentation of training images (default: decided by the data)",
        metavar="NAME",
        choices=tuple(Augment),
        roles=[Role.REPORTED],
    )
    source_size: int | None = _data(
        None,
        help="Shorter side in pixels to which larger images are reduced before they are cropped and resized; 0 for no "
        "reduction (default: 0, or that of the cache with --cache-on disk).",
        rule=at_least(0, 2**14),
        roles=[Role.READS_DATA],
    )
    decoding: str = _data(
        "exact",
        help="How images are decoded and resized, whole and by Pillow, or faster with slightly different pixels",
        metavar="HOW",
        choices=tuple(Decoding),
        roles=[Role.READS_DATA],
    )
    cache: bool = _data(
        False, help="Keep decoded images in memory, as --cache-on memory.", roles=[*_ANY_TIME, Role.READS_DATA]
    )
    cache_on: str | None = _data(
        None,
        help="Where decoded images are kept for later epochs; those on disk are shared by runs and made by the first "
        "one or by `data cache` (default: nowhere)",
        metavar="WHERE",
        choices=tuple(CacheOn),
        roles=[*_ANY_TIME, Role.READS_DATA],
    )
    cache_dir: str | None = _data(
        None,
        help="Folder of caches on disk (default: the user's cache folder).",
        metavar="DIR",
        roles=[*_ANY_TIME, Role.READS_DATA],
    )
    skip_unreadable: bool = _data(False, help="Skip unreadable images and list them.", roles=[Role.READS_DATA])
    max_unreadable: int = _data(
        100,
        help="Maximum number of images that --skip-unreadable may skip.",
        rule=at_least(0),
        roles=[Role.READS_DATA],
    )
    drop_duplicates: bool = _data(
        False,
        help="Drop training images that have the same pixels and the same class as another training image.",
        roles=[Role.READS_DATA],
    )
    recognize_files: str = _data(
        "path",
        help="How image files that an earlier run has decoded are recognized, so that they are not decoded again",
        metavar="HOW",
        choices=("path", "content"),
        roles=_ANY_TIME,
    )
    allow_missing_classes: bool = _data(
        False, help="Allow a test split that lacks some of the classes.", roles=[*_OPENS, Role.DIVIDES_DATA]
    )
    model: str = _model(SENET_TINY, metavar="NAME", help="Backbone: senet-tiny, ir50 or the name of any timm model.")
    weights: str = _model("none", help=f"Initial weights: {WEIGHTS_FORMS}.", metavar="SPEC")
    weights_prefix: str | None = _model(
        None,
        help="Start of the names of the backbone's tensors in a file or repository (default: found automatically).",
        metavar="PREFIX",
    )
    weights_mean: str | None = _model(
        None,
        help="Mean that weights of a file or repository require: one number or R,G,B from 0 to 1, or R,G,B/255 "
        "(default: stated by the weights or by timm).",
        metavar="R,G,B",
    )
    weights_std: str | None = _model(
        None,
        help="Standard deviation that weights of a file or repository require, in the form of --weights-mean "
        "(default: stated by the weights or by timm).",
        metavar="R,G,B",
    )
    weights_channels: str | None = _model(
        None,
        help="Order of the channels that weights of a file or repository require, also for --weights-mean and "
        "--weights-std (default: rgb)",
        metavar="ORDER",
        choices=(RGB, BGR),
    )
    allow_missing_weights: bool = _model(
        False, help="Allow weights of a file or repository that leave tensors of the backbone at random values."
    )
    epochs: int | None = _training(
        None,
        help="Passes over the training images (default: decided by the data).",
        rule=at_least(1, 10**6),
        roles=[Role.REPORTED],
    )
    batch_size: int | None = _training(
        None,
        help="Images per training step, over all processes (default: decided by the data).",
        rule=at_least(1, 2**24),
        roles=[Role.REPORTED],
    )
    micro_batches: int = _training(
        1,
        help="Micro-batches per step (gradient accumulation), to save memory.",
        rule=at_least(1, 2**16),
    )
    gather: bool = _training(
        False,
        help="With several processes, compute losses on pairs and triplets on the rows of all processes.",
    )
    optimizer: str = _training(
        "adamw",
        help="Optimizer",
        metavar="NAME",
        choices=("adamw", "sgd"),
        roles=[Role.REPORTED],
    )
    lr: float | None = _training(
        None,
        help="Peak learning rate (default: decided by the model and the optimizer).",
        rule=POSITIVE,
        roles=[Role.REPORTED, Role.TUNABLE],
    )
    weight_decay: float = _training(
        0.05,
        help="Weight decay for the model's parameters.",
        rule=NOT_NEGATIVE,
        roles=[Role.REPORTED, Role.TUNABLE],
    )
    warmup_epochs: float = _training(
        1.0,
        help="Epochs over which the learning rate rises linearly to its peak.",
        rule=NOT_NEGATIVE,
        roles=[Role.REPORTED, Role.TUNABLE],
    )
    freeze_epochs: int = _training(
        0,
        help="Epochs at the start in which the backbone keeps its weights, and only the head and the loss learn.",
        rule=at_least(0),
        roles=[Role.REPORTED],
    )
    layer_decay: float = _training(
        1.0,
        help="Learning rate of each layer of the backbone as a share of the next layer's; 1 for one rate.",
        rule=Rule(lambda value: 0 < value <= 1, "above 0 and at most 1"),
        roles=[Role.REPORTED, Role.TUNABLE],
    )
    ema: float = _training(
        0.0,
        help="Decay per step of an average of the weights, such as 0.999, that is evaluated in place of the last "
        "weights; 0 for none.",
        rule=Rule(lambda value: 0 <= value < 1, "at least 0 and below 1"),
        roles=[Role.REPORTED],
    )
    image_size: int | None = _model(
        None,
        help="Side of the square input images in pixels (default: decided by the model).",
        rule=at_least(1, 2**12),
        roles=[Role.REPORTED],
    )
    mixup: float = _training(
        0.0,
        help="Mixup: alpha of the Beta distribution that two images are averaged by; 0 for none.",
        metavar="ALPHA",
        rule=NOT_NEGATIVE,
        roles=[Role.REPORTED],
    )
    cutmix: float = _training(
        0.0,
        help="CutMix: alpha of the Beta distribution of the area that is replaced by another image; 0 for none.",
        metavar="ALPHA",
        rule=NOT_NEGATIVE,
        roles=[Role.REPORTED],
    )
    select: bool = _training(
        False,
        help="Keep the epoch with the best balanced accuracy on a held-out tenth of the training set.",
    )
    carve: bool = _training(
        False,
        help="Hold out a tenth of the training set, but keep the last epoch.",
        roles=[Role.SET_BY_COMPARE],
    )
    seed: int = _training(
        0,
        help="Random seed for data order, augmentation, model and loss.",
        rule=at_least(0, 2**53),
        roles=[Role.COMPARED, Role.OPENS_DATA],
    )
    on_nonfinite: str = _training(
        "stop",
        help="What to do at a step with non-finite values",
        metavar="ACTION",
        choices=("stop", "skip"),
    )
    device: str = _machine(
        "auto",
        help="Device: auto, cpu, cuda, cuda:N or mps.",
        metavar="DEVICE",
        roles=[Role.NO_EFFECT],
    )
    precision: str = _machine(
        "fp32",
        help="Floating-point precision of the training step",
        metavar="PRECISION",
        choices=("fp32", "bf16", "fp16", "fp64"),
        roles=[Role.REPORTED],
    )
    workers: int = _machine(
        0,
        help="Processes that decode images; with 0, the training process decodes them.",
        rule=at_least(0, 1024),
        roles=_ANY_TIME,
    )
    compile: bool = _machine(False, help="Compile the training step with torch.compile.")
    compile_mode: str = _machine(
        "default",
        help="How --compile compiles; reduce-overhead replays the step as a CUDA graph, for small models and batches",
        metavar="MODE",
        choices=("default", REDUCE_OVERHEAD),
    )
    sync_bn: bool = _machine(False, help="Compute batch-normalization statistics over all processes (CUDA only).")
    track: str | None = _machine(
        None,
        help="Tracker that receives the epochs and metrics (default: none)",
        metavar="NAME",
        choices=("tensorboard", "wandb", "mlflow", "trackio"),
        roles=_ANY_TIME,
    )
    checkpoint_every: str = _machine(
        "5m",
        help="Interval between checkpoints: a number of steps (200) or minutes (5m).",
        metavar="INTERVAL",
        rule=matching(CHECKPOINT_INTERVAL, "a number of steps (200) or of minutes (5m)"),
        roles=_ANY_TIME,
    )

    def __post_init__(self) -> None:
        for name in option_names():
            check(flag(name), getattr(self, name), about(RunConfig, name).rule)
        if self.fold is not None and self.folds is None:
            raise ConfigError(f"--fold {self.fold} applies with --folds only: pass the number of folds, too")
        if self.fold is not None and self.folds is not None and self.fold > self.folds:
            raise ConfigError(f"--fold must be at most --folds {self.folds}, got {self.fold}")
        if self.cache_dir is not None and self.cache_on != CacheOn.DISK:
            raise ConfigError(f"--cache-dir {self.cache_dir} applies with --cache-on disk only: pass that, too")
        if self.compile_mode != "default" and not self.compile:
            raise ConfigError(f"--compile-mode {self.compile_mode} applies with --compile only: pass --compile, too")
        sampler = parse_sampler(self.sampler)
        if isinstance(sampler, ClassBatches) and self.batch_size not in (None, sampler.batch_size):
            raise ConfigError(
                f"--sampler {sampler} makes batches of {sampler.batch_size} images, and --batch-size is "
                f"{self.batch_size}; leave --batch-size out"
            )
        if self.gather and self.micro_batches > 1:
            raise ConfigError(
                f"--gather joins the rows of a step and --micro-batches {self.micro_batches} splits them, so pairs "
                "across micro-batches would be missing; use one of the two options"
            )
        if self.epochs is not None and self.freeze_epochs >= self.epochs:
            raise ConfigError(
                f"--freeze-epochs {self.freeze_epochs} leaves no epoch for the backbone: --epochs is {self.epochs}"
            )
        kind, _ = split_weights(self.weights) or ("", "")
        if not kind:
            raise ConfigError(f"--weights must be {WEIGHTS_FORMS}, got {self.weights!r}")
        given = [name for name in _OF_ANY_MODEL if getattr(self, name)]
        if given and kind not in ANY_MODEL:
            raise ConfigError(
                f"{' and '.join(map(flag, given))} applies to --weights file:PATH and hf:REPO, not to {self.weights!r}"
            )
        from_options(self.weights_mean, self.weights_std, self.weights_channels)
        if kind == "imagenet" and self.model in OWN_MODELS:
            raise ConfigError(f"--weights imagenet: {self.model} has no ImageNet weights; choose a timm --model")
        if kind == "vggface2" and architecture(self.model) != SENET_50:
            raise ConfigError(
                f"--weights vggface2 are of {SENET_50}, and --model is {self.model}: add --model {SENET_50}"
            )

    def resolved(self, image_size: int) -> ResolvedConfig:
        """Return the same options with every None replaced by what fits the data and the model.

        Args:
            image_size: the model's own, in pixels.
        """
        from ..data.sources import source_of

        source, small, sgd = source_of(self.data), self.model == SENET_TINY, self.optimizer == "sgd"
        sampler = parse_sampler(self.sampler)
        defaults: dict[str, Any] = {
            "augment": source.augment,
            "epochs": source.epochs,
            "batch_size": sampler.batch_size if isinstance(sampler, ClassBatches) else source.batch_size,
            "lr": (0.1 if sgd else 3e-3) if small else (0.01 if sgd else 3e-4),
            "image_size": image_size,
            "source_size": 0,
        }
        return ResolvedConfig(**{**defaults, **self.as_options()})

    def of_comparison(self) -> RunConfig:
        """Return the options with the epochs of a comparison where they are open: a verdict needs trained losses."""
        from ..data.sources import source_of

        return self if self.epochs else dataclasses.replace(self, epochs=source_of(self.data).epochs_to_fit)

    @cached_property
    def formula(self) -> Formula:
        """The loss as written, parsed once.

        Raises:
            FormulaError: the text cannot be parsed.
        """
        return parse_formula(self.loss)

    @property
    def reading(self) -> Reading:
        """How images are read."""
        return Reading(source_size=self.source_size or 0, decoding=self.decoding)

    @property
    def caches_in_memory(self) -> bool:
        """Whether decoded images are kept in memory."""
        return self.cache_on == CacheOn.MEMORY or (self.cache and self.cache_on is None)

    def as_options(self) -> dict[str, Any]:
        """Return option -> value without the Nones: what `config.toml` holds and `--config` reads back."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}

    def opening(self) -> dict[str, Any]:
        """Return the options that `open_unchecked` takes."""
        return {name: value for name, value in self.values(Role.OPENS_DATA).items() if name != "allow_missing_classes"}

    def values(self, role: Role) -> dict[str, Any]:
        """Return option -> value for the options of one role."""
        return {name: getattr(self, name) for name in option_names(role)}


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(RunConfig):
    """The options of a run with nothing left open."""

    augment: str
    epochs: int
    batch_size: int
    lr: float
    image_size: int
    source_size: int


def option_names(*roles: Role) -> tuple[str, ...]:
    """Return the options that have any of these roles, in the order of their definition; without roles, all options.

    Example:
        >>> option_names(Role.ANY_TIME)
        ('cache', 'cache_on', 'cache_dir', 'recognize_files', 'workers', 'track', 'checkpoint_every')
    """
    names = [field.name for field in dataclasses.fields(RunConfig)]
    return tuple(name for name in names if not roles or about(RunConfig, name).roles & set(roles))
