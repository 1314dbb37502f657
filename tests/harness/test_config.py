"""Options: their ranges, and what takes the place of those not given."""

from __future__ import annotations

from typing import Any

import pytest

from lossbench.errors import ConfigError
from lossbench.harness.checks import check_device
from lossbench.harness.task import derived_seed
from lossbench.runs.options import RunConfig


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("epochs", 0, "--epochs must be at least 1, got 0"),
        ("epochs", -3, "--epochs must be at least 1, got -3"),
        ("batch_size", 0, "--batch-size must be at least 1, got 0"),
        ("image_size", -1, "--image-size must be at least 1, got -1"),
        ("micro_batches", 0, "--micro-batches must be at least 1, got 0"),
        ("workers", -1, "--workers must be at least 0, got -1"),
        ("seed", -1, "--seed must be at least 0, got -1"),
        ("lr", 0.0, "--lr must be a positive number, got 0.0"),
        ("lr", float("nan"), "--lr must be a positive number, got nan"),
        ("lr", float("inf"), "--lr must be a positive number, got inf"),
        ("weight_decay", -0.1, "--weight-decay must be 0 or a positive number, got -0.1"),
        ("warmup_epochs", float("nan"), "--warmup-epochs must be 0 or a positive number, got nan"),
        ("precision", "fp8", "--precision must be one of fp32, bf16, fp16, fp64, got 'fp8'"),
        ("optimizer", "adam", "--optimizer must be one of adamw, sgd, got 'adam'"),
        ("sampler", "random", "--sampler must be one of natural, balanced, sqrt, got 'random'"),
        ("weights", "vgg", "--weights must be none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR, got 'vgg'"),
        (
            "weights",
            "run:",
            "--weights must be none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR, got 'run:'",
        ),
        (
            "weights",
            "imagenet:x",
            "--weights must be none, imagenet, vggface2:FILE, file:PATH, hf:REPO or run:DIR, got 'imagenet:x'",
        ),
        (
            "weights",
            "vggface2:a.pkl",
            "--weights vggface2 are of legacy_seresnet50, and --model is senet-tiny: add --model legacy_seresnet50",
        ),
        ("weights", "imagenet", "--weights imagenet: senet-tiny has no ImageNet weights; choose a timm --model"),
    ],
)
def test_an_option_outside_its_range_is_refused(option: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        RunConfig(loss="softmax", **{option: value})
    assert str(refusal.value) == message


def test_gathering_and_splitting_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--gather joins the rows of a step and --micro-batches 2 splits them"):
        RunConfig(loss="triplet", gather=True, micro_batches=2)


def test_what_is_open_is_filled_by_data_and_model() -> None:
    config = RunConfig(loss="softmax", data="digits(imbalance=10)").resolved(image_size=48)
    assert (config.epochs, config.batch_size, config.lr, config.image_size) == (40, 64, 3e-3, 48)
    config = RunConfig(loss="softmax", data="csv:a.csv", model="resnet18", optimizer="sgd").resolved(image_size=224)
    assert (config.epochs, config.batch_size, config.lr, config.image_size) == (15, 128, 0.01, 224)


def test_what_is_given_stays() -> None:
    given = RunConfig(loss="softmax", epochs=3, lr=0.5, batch_size=7, image_size=64, val="v.csv")
    resolved = given.resolved(image_size=48)
    assert given.as_options().items() <= resolved.as_options().items()
    assert RunConfig(**resolved.as_options()).resolved(48) == resolved


def test_options_hold_no_none() -> None:
    options = RunConfig(loss="softmax").as_options()
    assert "val" not in options
    assert None not in options.values()


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cpu:", "cuda:", "cuda:x", "cuda:-1", "mps:0", ""])
def test_a_device_is_written_in_one_of_few_ways(device: str) -> None:
    with pytest.raises(ConfigError, match=r"^--device must be auto, cpu, cuda, cuda:N or mps, got "):
        check_device(RunConfig(loss="softmax", device=device))


def test_every_purpose_of_every_seed_has_its_own_seed() -> None:
    seeds = {
        derived_seed(seed, purpose) for seed in range(50) for purpose in ("order", "augmentation", "model", "loss")
    }
    assert len(seeds) == 200


def test_a_sampler_by_classes_decides_the_batch_size() -> None:
    assert RunConfig(loss="triplet", sampler="classes:8x4").resolved(32).batch_size == 32
    for given, message in (
        ({"sampler": "classes:8"}, "--sampler 'classes:8': expected classes:MxN, such as classes:8x4"),
        ({"sampler": "classes:8x4", "batch_size": 64}, "--sampler classes:8x4 makes batches of 32 images, .* is 64"),
    ):
        with pytest.raises(ConfigError, match=message):
            RunConfig(loss="triplet", **given)
