"""Weights of any model: a file or repository whose tensors have the names of the model's backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ModelError, listed, some
from . import SENET_50, architecture, vggface2
from .build import backbone_forms
from .check_tensors import Form
from .hub import HubFiles, hub_files
from .image_values import BGR, RGB, Decided, ImageValues, decide, from_metadata, from_options, from_timm
from .key_plan import KeyPlan, most_common_prefix, plan_keys
from .own_images import own_values
from .weights import Weights
from .weights_file import MOST_BYTES, WeightsFile, read_weights_file

_SHOWN = 10  # differences in one message
_OF_A_RUN = "model."  # start of the names that a run writes: model.backbone., model.head., model.mean and model.std


@dataclass(frozen=True, kw_only=True)
class WeightsOptions:
    """How weights of any model are read, as options of a run state it.

    Attributes:
        prefix: start of the names of the backbone's tensors; None to find it.
        mean, std: of the images, as `image_values.read_channels` reads them; None for what the weights state.
        channels: "rgb" or "bgr"; None for what the weights state.
        allow_missing: accept weights that leave tensors of the backbone as they are initialized.
    """

    prefix: str | None = None
    mean: str | None = None
    std: str | None = None
    channels: str | None = None
    allow_missing: bool = False


@dataclass(frozen=True, kw_only=True)
class PlannedWeights:
    """A file beside the model that it is to initialize; nothing is refused yet.

    Attributes:
        file: the opened file.
        model: name of the model.
        forms: forms of the model's backbone.
        plan: which tensors the backbone receives.
        images: what the weights require of their images.
        repository: repository and commit on the hub; None for a file.
    """

    file: WeightsFile
    model: str
    forms: Mapping[str, Form]
    plan: KeyPlan
    images: Decided
    repository: str | None = None

    @property
    def spec(self) -> str:
        """The `--weights` value in messages."""
        return f"hf:{self.repository}" if self.repository else f"file:{self.file.path}"

    def problem(self, allow_missing: bool) -> str | None:
        """Return why the weights are refused, with the remedy; None if they are accepted."""
        plan, spec = self.plan, f"--weights {self.spec}"
        if not plan.taken and not plan.mismatched:
            names = some(sorted(self.file.tensors), 3)
            own = some(list(self.forms)[:3], 3)
            return f"{spec}: none of its tensors fits {self.model}; it contains {names}; expected {own}{self._hint()}"
        if invalid := plan.invalid(self.file.tensors):
            return f"{spec} has invalid values:\n{listed(invalid, _SHOWN)}\nDownload it again, or choose other weights"
        if plan.fills or (allow_missing and plan.taken):
            return None
        count = len(plan.differences)
        return (
            f"{spec} does not fill the backbone of {self.model}: {len(plan.taken):,} tensors fit, {count:,} do not:\n"
            f"{listed(plan.differences, _SHOWN)}\n"
            f"Choose the --model of these weights{self._hint()}."
            + (" To start these tensors from random values, pass --allow-missing-weights" if plan.taken else "")
        )

    def weights(self, allow_missing: bool) -> Weights:
        """Return the weights.

        Raises:
            ModelError: they leave tensors of the backbone without values, or have invalid values.
        """
        if problem := self.problem(allow_missing):
            raise ModelError(problem)
        state = self.plan.state(self.file.tensors, self.forms)
        if self.images.channels == BGR:
            state = _turned(state, self.spec)
        origin: dict[str, Any] = {"file": self.file.path.name, "sha256": self.file.sha256}
        origin |= {"repository": self.repository} if self.repository else {}
        origin |= self.plan.content()
        origin |= {"channels": self.images.channels, "images_from": self.images.sources}
        return Weights(
            kind="hub" if self.repository else "file",
            model=self.model,
            state=state,
            preprocessing=self.images.preprocessing,
            origin=origin,
            note=f"weights: {self.spec}: {self.plan.summary()}. Images: {self.images.summary()}",
        )

    def _hint(self) -> str:
        """Return what else the tensors may be, for messages."""
        names = self.file.tensors
        prefix, count = most_common_prefix(names, self.forms)
        if count > len(self.plan.taken) + len(self.plan.mismatched):
            return f"; {count:,} names follow {prefix!r}: pass --weights-prefix {prefix}"
        squeezes = tuple(layout.named("layer1.0.se_module.fc1.weight") for layout in vggface2.LAYOUTS)
        if any(name.endswith(squeezes) for name in names):
            return f"; for VGGFace2's SENet-50, pass --weights vggface2:FILE with --model {SENET_50}"
        return ""


def plan_weights(kind: str, place: str, model: str, image_size: int | None, options: WeightsOptions) -> PlannedWeights:
    """Open a file or repository and plan how it initializes a model.

    Args:
        kind: "file" or "hf".
        place: path of the file, or the repository with an optional revision.
        model: name of the model.
        image_size: side of the images in pixels; None for the size of the weights.
        options: see `WeightsOptions`.

    Raises:
        ModelError: the weights cannot be read, or are of another architecture.
        ConfigError: an option is invalid.
    """
    stated = from_options(options.mean, options.std, options.channels, image_size)
    hub = hub_files(place) if kind == "hf" else None
    named = hub.config.get("architecture") if hub else None
    if hub and isinstance(named, str) and architecture(named) != architecture(model):
        raise ModelError(f"--weights hf:{hub.repository} is of {named}, and --model is {model}: pass --model {named}")
    file = read_weights_file(hub.weights if hub else Path(place), MOST_BYTES)
    images = _images(file, hub, model, stated)
    forms = backbone_forms(model, image_size or images.preprocessing.image_size)
    try:
        plan = plan_keys(file.tensors, forms, groups=file.groups, prefix=options.prefix)
    except ModelError as error:
        raise ModelError(f"--weights-prefix {options.prefix}: in {file.path}, {error}") from error
    return PlannedWeights(
        file=file, model=model, forms=forms, plan=plan, images=images, repository=hub.repository if hub else None
    )


def _images(file: WeightsFile, hub: HubFiles | None, model: str, options: ImageValues) -> Decided:
    """Return what the weights require of their images: options, file, hub and timm decide, in this order."""
    sources = [options]
    try:
        if found := from_metadata(file.metadata) or _of_a_run(file):
            sources.append(found)
        if hub and isinstance(settings := hub.config.get("pretrained_cfg", hub.config), dict):
            sources.append(from_timm(settings, "the repository's config.json"))
    except ModelError as error:
        raise ModelError(f"{file.path}: {error}") from error
    return decide([*sources, *own_values(model)])


def _of_a_run(file: WeightsFile) -> ImageValues | None:
    """Return mean and std of the weights of a run that were copied out of its directory."""
    values = []
    for name in ("mean", "std"):
        value = file.tensors.get(f"{_OF_A_RUN}{name}")
        if value is None or value.numel() != 3:
            return None
        r, g, b = value.flatten().tolist()
        values.append((r, g, b))
    return ImageValues(source="the file", mean=values[0], std=values[1], channels=RGB)


def _turned(state: dict[str, Tensor], spec: str) -> dict[str, Tensor]:
    """Return the state for RGB of a network that takes BGR: the input channels of its first convolution are flipped.

    Raises:
        ModelError: there is no convolution of three channels.
    """
    first = [name for name, value in state.items() if value.ndim == 4 and value.shape[1] == 3]
    if not first:
        raise ModelError(f"--weights {spec}: no convolution takes three channels, so --weights-channels bgr has no use")
    return state | {name: state[name].flip(1) for name in first}
