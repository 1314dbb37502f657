"""`record.json`: what a finished run holds about itself, as typed fields, with one reader and one writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from .. import files
from ..data.crop_recipe import CropRecipe
from ..data.reading import Reading
from ..errors import RecordError
from ..models.preprocessing import Preprocessing
from ..strict_files import read_bytes
from .json_text import FieldError, parse
from .layout import RECORD, SCHEMA_VERSION, other_version
from .typed_json import Bounds, Count, Positive, Scalar, Seconds, Share, plain, read_as

_LIMIT = 64 * 2**20  # bytes
_Side = Annotated[int, Bounds(1, 2**12)]  # pixels
_Rate = Annotated[float, Bounds(-1, 1)]


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term of the objective.

    Attributes:
        name: name of the loss.
        coefficient: multiplier of the term.
        hyperparameters: those that the formula sets.
        source: path and SHA-256 of the file of a loss that is named by its file; None for a registered loss.
    """

    name: str
    coefficient: float
    hyperparameters: dict[str, Scalar | tuple[Scalar, ...]]
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The model of a run.

    Attributes:
        name: as `--model` names it.
        weights: the `--weights` that the backbone started from.
        parameters: number of parameters, head included.
        embedding_dim: D, width of the embeddings.
        image_size: side of the square images in pixels.
        preprocessing: how images were normalized.
        reading: how images were decoded and reduced, and what resized them.
    """

    name: str
    weights: str
    parameters: Count
    embedding_dim: Annotated[int, Bounds(1, 2**20)]
    image_size: _Side
    preprocessing: Preprocessing
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True, kw_only=True)
class WeightsFacts:
    """Where the weights came from that the backbone started from.

    Attributes:
        spec: `--weights` as written.
        kind: "imagenet", "vggface2-pickle", "vggface2-dag", "file", "hub" or "run".
        file: name of the file or run.
        sha256: of the file; None if it is not known.
        source_file, source_sha256, known_as, identities: of a converted VGGFace2 file.
        tag: timm's name of the weights.
        formula, seed, data, train_digest, test_digest: of the run that trained them.
        repository: repository and commit on the hub.
        prefix: start of the names in the file that the names of the backbone's tensors follow.
        taken: tensors that the backbone received.
        left_out, missing, mismatched: tensors of the file and of the backbone that were not used, by name.
        channels: order of the channels that the file requires; the backbone takes RGB.
        images_from: value of the preprocessing -> where it was stated.
    """

    spec: str
    kind: str
    file: str | None = None
    sha256: str | None = None
    source_file: str | None = None
    source_sha256: str | None = None
    known_as: str | None = None
    identities: Count | None = None
    tag: str | None = None
    formula: str | None = None
    seed: int | None = None
    data: str | None = None
    train_digest: str | None = None
    test_digest: str | None = None
    repository: str | None = None
    prefix: str | None = None
    taken: Count | None = None
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    channels: str | None = None
    images_from: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what is known as JSON-ready."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: plain(value) for name, value in known.items() if value not in (None, (), {})}


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data of a run.

    Attributes:
        spec: `--data` as written.
        class_names: C names.
        training_counts: class name -> images in the training table.
        drawn_counts: class name -> expected images per epoch, as the sampler draws them: what the network saw.
        test_counts: class name -> test images.
        selection_images: images carved from training as the selection split.
        split_origin: where the test split came from, in words.
        train_digest, selection_digest, test_digest: SHA-256 of the splits' labels and names.
        subject: what the images show, in words.
        release, box_margin: release and crop margin of AffectNet; None for other data.
        crop: how `lossbench data crop` cut faces out of photographs; None for other data.
        dropped: split -> reason -> rows that were left out.
        skipped_unreadable: unreadable files that were skipped.
        notes: what the user was told about the data.
    """

    spec: str
    class_names: tuple[str, ...]
    training_counts: dict[str, Positive]
    drawn_counts: dict[str, Positive]
    test_counts: dict[str, Count]
    selection_images: Count
    split_origin: str
    train_digest: str
    test_digest: str
    subject: str = "images"
    release: str | None = None
    dropped: dict[str, dict[str, Count]] = field(default_factory=dict)
    box_margin: float | None = None
    crop: CropRecipe | None = None
    skipped_unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"class_names must be at least 2 different names, got {len(self.class_names)}")
        for name in ("training_counts", "drawn_counts", "test_counts"):
            if tuple(getattr(self, name)) != self.class_names:
                raise ValueError(f"{name} must have one count for each of class_names, in their order")

    def in_order(self, counts: Mapping[str, int]) -> list[int]:
        """Return counts by class name as a list in the order of the classes."""
        return [counts[name] for name in self.class_names]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics on the test split; None if one is undefined."""

    balanced_accuracy: Share
    accuracy: Share | None = None
    macro_f1: Share | None = None
    cohen_kappa: _Rate | None = None
    krippendorff_alpha: float | None = None
    auroc: Share | None = None
    average_precision: Share | None = None
    per_class_recall: dict[str, Share | None] = field(default_factory=dict)
    per_class_recall_interval_95: dict[str, tuple[Share, Share] | None] = field(default_factory=dict)
    absent_classes: tuple[str, ...] = ()
    mean_average_precision_at_r: Share | None = None
    retrieval_images: Count | None = None


@dataclass(frozen=True, kw_only=True)
class RefitFacts:
    """The balanced linear classifier fitted on frozen embeddings.

    Attributes:
        images: training images that it was fitted on.
        converged: whether the fit converged within its iterations.
        seconds: duration of the fit.
    """

    images: Count
    converged: bool
    seconds: Seconds | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingFit:
    """How well the trained model fits images of its training set, as evaluation sees them.

    Attributes:
        images: training images that were evaluated.
        balanced_accuracy: mean recall over classes.
        cross_entropy: mean over classes of their mean cross-entropy in nats.
    """

    images: Count
    balanced_accuracy: Share
    cross_entropy: Annotated[float, Bounds(0)]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Where the time of a run went, in seconds; medians per step."""

    seconds_per_step: Annotated[float, Bounds(1e-12)]
    loss_seconds_per_step: Seconds
    train_seconds: Seconds
    total_seconds: Seconds
    images_per_second: Seconds
    steps: Count
    loss_share: Seconds | None = None
    loss_share_estimated: bool = False
    data_seconds_per_step: Seconds | None = None
    forward_seconds_per_step: Seconds | None = None
    loss_forward_seconds_per_step: Seconds | None = None
    backward_seconds_per_step: Seconds | None = None
    step_seconds_per_step: Seconds | None = None
    data_wait_seconds: Seconds | None = None
    data_wait_share: Seconds | None = None
    sampled_steps: Count | None = None
    steps_skipped: Count = 0
    evaluation_seconds: Seconds | None = None
    checkpoints: Count = 0
    checkpoint_seconds: Seconds = 0.0
    resumed: Count = 0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peak memory of a run in bytes: allocated on a GPU, else resident."""

    peak_bytes: Count


@dataclass(frozen=True, kw_only=True)
class Git:
    """State of the repository that a run was started in."""

    commit: str
    dirty: bool | None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions and machine of a run."""

    lossbench: str
    python: str
    platform: str
    device: str
    packages: dict[str, str | None] = field(default_factory=dict)
    device_name: str | None = None
    cuda: str | None = None
    cudnn: Count | None = None
    tf32: bool | None = None
    deterministic_algorithms: bool = False
    cpu_threads: Count | None = None
    cpu_cores: Count | None = None
    processes: Positive = 1
    command: tuple[str, ...] = ()
    git: Git | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that `record.json` holds.

    Attributes:
        schema_version: of this form.
        formula: the objective, expanded.
        loss: `--loss` as written.
        terms: of the objective.
        model: the model.
        weights: what the backbone started from; None for new weights.
        data: the data.
        seed: `--seed`.
        config: the options, defaults filled in.
        selected_epoch: epoch whose weights were kept, from 0; None for the last.
        metrics: on the test split.
        confusion_matrix: (C, C) rows true, columns predicted; None with more than 1,000 classes.
        refit: of the linear classifier; None if it was not fitted.
        training: fit of the training images; None if it was not measured.
        timing: seconds.
        memory: bytes.
        weights_sha256: of the file of weights.
        environment: versions and machine.
    """

    schema_version: int
    formula: str
    loss: str
    terms: tuple[Term, ...] = ()
    model: ModelFacts
    weights: WeightsFacts | None
    data: DataFacts
    seed: Count
    config: dict[str, Scalar]
    selected_epoch: Count | None
    metrics: Metrics
    confusion_matrix: tuple[tuple[Count, ...], ...] | None
    refit: RefitFacts | None
    training: TrainingFit | None = None
    timing: Timing
    memory: Memory
    weights_sha256: str | None = None
    environment: Environment

    def __post_init__(self) -> None:
        classes, matrix = len(self.data.class_names), self.confusion_matrix
        if matrix is not None and (len(matrix) != classes or any(len(row) != classes for row in matrix)):
            raise ValueError(f"confusion_matrix must be {classes} x {classes}, one row and column per class")

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready dictionaries and lists."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    @property
    def trial_score(self) -> float:
        """Balanced accuracy of a tuning trial, whose test split is the selection split."""
        return self.metrics.balanced_accuracy


def write_record(directory: Path, record: Record) -> None:
    """Write `record.json`; a directory that holds one is a finished run."""
    files.write_json(directory / RECORD, record.to_json(), make_directory=False)


def read_record(directory: Path) -> Record:
    """Read the record of a finished run.

    Raises:
        RecordError: it is missing, damaged, lacks a field, or was written in another schema version.
    """
    file = directory / RECORD
    return record_of(read_bytes(file, _LIMIT), file)


def record_of(text: bytes, file: Path) -> Record:
    """Return the record that a JSON text holds.

    Args:
        text: content of the file.
        file: its path, for messages.

    Raises:
        RecordError: as `read_record`.
    """
    try:
        content = parse(text)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if type(version) is int and version != SCHEMA_VERSION:
            raise RecordError(other_version(file, version))
        return read_as(Record, content)
    except FieldError as error:
        raise RecordError(f"{file} is not a record of a run: {error}") from error
