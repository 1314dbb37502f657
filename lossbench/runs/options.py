"""What a run is asked to do: one value an option of `lossbench run`, checked as far as it can be without data."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..data.sampling import Sampler
from ..errors import ConfigError
from ..expression import Formula, parse_formula
from ..models import SENET_50, SENET_TINY, WEIGHTS_FORMS, architecture, split_weights

PRECISIONS = ("fp32", "bf16", "fp16", "fp64")
OPTIMIZERS = ("adamw", "sgd")
CHECKPOINT_INTERVAL = re.compile(r"([1-9]\d{0,8})(m?)")
# What may be changed when a run goes on: the weights do not depend on it.
ANY_TIME_OPTIONS = ("workers", "cache", "checkpoint_every")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The options of a run. None means: decided by the data or the model (see `resolved`).

    Raises:
        ConfigError: an option outside its range, naming option, value and rule.
    """

    loss: str
    data: str = "synthetic"
    val: str | None = None
    label: str = "label"
    classes: int | None = None
    min_images: int | None = None
    model: str = SENET_TINY
    weights: str = "none"
    epochs: int | None = None
    batch_size: int | None = None
    micro_batches: int = 1
    lr: float | None = None
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    image_size: int | None = None
    sampler: str = "natural"
    select: bool = False
    carve: bool = False
    seed: int = 0
    device: str = "auto"
    precision: str = "fp32"
    workers: int = 0
    cache: bool = False
    compile: bool = False
    sync_bn: bool = False
    skip_unreadable: bool = False
    max_unreadable: int = 100
    allow_missing_classes: bool = False
    checkpoint_every: str = "5m"
    on_nonfinite: str = "stop"

    def __post_init__(self) -> None:
        for name, minimum in (
            ("epochs", 1),
            ("batch_size", 1),
            ("image_size", 1),
            ("min_images", 2),
            ("micro_batches", 1),
            ("workers", 0),
            ("max_unreadable", 0),
            ("seed", 0),
        ):
            self._check(name, lambda v, m=minimum: v >= m, f"at least {minimum}")
        self._check("lr", lambda v: 0 < v < float("inf"), "a positive number")
        self._check("weight_decay", lambda v: 0 <= v < float("inf"), "0 or a positive number")
        self._check("warmup_epochs", lambda v: 0 <= v < float("inf"), "0 or a positive number")
        self._check_choice("precision", PRECISIONS)
        self._check_choice("optimizer", OPTIMIZERS)
        self._check_choice("sampler", tuple(Sampler))
        self._check_choice("on_nonfinite", ("stop", "skip"))
        if not CHECKPOINT_INTERVAL.fullmatch(self.checkpoint_every):
            raise ConfigError(
                f"--checkpoint-every must be a number of steps (200) or of minutes (5m), got {self.checkpoint_every!r}"
            )
        kind, _ = split_weights(self.weights) or ("", "")
        if not kind:
            raise ConfigError(f"--weights must be {WEIGHTS_FORMS}, got {self.weights!r}")
        if kind == "imagenet" and self.model == SENET_TINY:
            raise ConfigError(f"--weights imagenet: {SENET_TINY} has no ImageNet weights; choose a timm --model")
        if kind == "vggface2" and architecture(self.model) != SENET_50:
            raise ConfigError(
                f"--weights vggface2 are of {SENET_50}, and --model is {self.model}: add --model {SENET_50}"
            )

    def resolved(self, image_size: int) -> ResolvedConfig:
        """The same with every None replaced by what fits the data and the model.

        Args:
            image_size: the model's own, in pixels.
        """
        source = self.data.partition("(")[0].partition(":")[0]
        small = self.model == SENET_TINY
        defaults: dict[str, Any] = {
            "epochs": {"synthetic": 12, "digits": 40}.get(source, 15),
            "batch_size": 64 if source == "digits" else 128,
            "lr": (0.1 if self.optimizer == "sgd" else 3e-3) if small else (0.01 if self.optimizer == "sgd" else 3e-4),
            "image_size": image_size,
        }
        return ResolvedConfig(**{**defaults, **self.as_options()})

    @cached_property
    def formula(self) -> Formula:
        """The loss as written, parsed once.

        Raises:
            FormulaError: the text cannot be parsed.
        """
        return parse_formula(self.loss)

    def as_options(self) -> dict[str, Any]:
        """Option -> value without the Nones: what `config.toml` holds and `--config` reads back."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}

    def _check(self, name: str, holds: Any, rule: str) -> None:
        value = getattr(self, name)
        if value is not None and not holds(value):
            raise ConfigError(f"--{name.replace('_', '-')} must be {rule}, got {value}")

    def _check_choice(self, name: str, options: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in options:
            raise ConfigError(f"--{name.replace('_', '-')} must be one of {', '.join(options)}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class ResolvedConfig(RunConfig):
    """The options of a run with nothing left open."""

    epochs: int
    batch_size: int
    lr: float
    image_size: int
