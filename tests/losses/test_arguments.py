"""What the built-in losses say to arguments and hyper-parameters that make no sense, word for word.

That they refuse them at all is a law (53 to 60), and judged in `test_laws.py`.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

import lossbench
from lossbench import LossContext, ModelOutput, loss_info
from lossbench.errors import HyperparameterError, UsageError
from lossbench.losses import BUILT_INS
from lossbench.losses.arguments import matrix
from lossbench.testing import Configuration, configurations

C, D, B = 4, 6, 12
CONTEXT = LossContext(num_classes=C, embedding_dim=D, class_counts=(50, 20, 8, 3))
TARGETS = torch.tensor([0, 1, 2, 3, 0, 0, 1, 2, 0, 3, 1, 0])
ALL = [configuration for b in BUILT_INS for configuration in configurations(loss_info(b.name))]
every = pytest.mark.parametrize("configuration", ALL, ids=str)


def random_output(dtype: torch.dtype = torch.float64) -> ModelOutput:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, D, generator=generator, dtype=torch.float64)
    z = 2 * torch.randn(B, C, generator=generator, dtype=torch.float64)
    return ModelOutput(x.to(dtype), z.to(dtype))


@every
@pytest.mark.parametrize(
    ("label", "message"),
    [(C, r"targets must lie in \[0, 4\), got 4 in row 2"), (-1, "got -1 in row 2"), (-100, "got -100 in row 2.*drop")],
)
def test_a_label_out_of_range_is_refused(configuration: Configuration, label: int, message: str) -> None:
    targets = TARGETS.clone()
    targets[2] = label
    with pytest.raises(UsageError, match=message):
        configuration.build(CONTEXT)(random_output(), targets)


@every
def test_arguments_of_the_wrong_kind_are_named(configuration: Configuration) -> None:
    loss, output, (what,) = configuration.build(CONTEXT), random_output(), configuration.reads
    width = C if what == "logits" else D

    def refused(output: ModelOutput, targets: Tensor, message: str) -> None:
        state = copy.deepcopy(loss.state_dict())
        with pytest.raises(UsageError, match=message):
            loss(output, targets)
        for name, tensor in loss.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=0, equal_nan=True)

    refused(output, TARGETS.double(), "targets must be class numbers of type int64, got torch.float64")
    refused(output, TARGETS.bool(), "targets must be .* got torch.bool")
    refused(output, TARGETS[:-1], rf"targets must have shape \(12,\) like {what}, got \(11,\)")
    refused(output, TARGETS.unsqueeze(1), rf"targets must have shape \(12,\) like {what}, got \(12, 1\)")
    refused(
        output._replace(**{what: getattr(output, what)[:, 1:]}),
        TARGETS,
        rf"{what} must have shape \(B, {width}\), got \(12, {width - 1}\)",
    )
    refused(
        output._replace(**{what: getattr(output, what)[0]}),
        TARGETS,
        rf"{what} must have shape \(B, {width}\), got \({width},\)",
    )
    refused(
        output._replace(**{what: getattr(output, what).long()}),
        TARGETS,
        f"{what} must be floating point, got torch.int64",
    )


@every
def test_what_a_loss_does_not_read_is_not_checked(configuration: Configuration) -> None:
    other = "embeddings" if configuration.reads == ("logits",) else "logits"
    loss, output = configuration.build(CONTEXT), random_output()
    assert loss(output._replace(**{other: torch.empty(0)}), TARGETS).equal(loss(output, TARGETS))


@every
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8], ids=str)
def test_labels_of_any_integer_type_are_accepted(configuration: Configuration, dtype: torch.dtype) -> None:
    loss, output = configuration.build(CONTEXT), random_output()
    assert loss(output, TARGETS.to(dtype)).equal(loss(output, TARGETS))


def test_debug_reads_labels_where_they_are_not_read_otherwise() -> None:
    """`matrix` sees what a loss gets on every device; only an operator's own error or `debug` reads the values."""
    targets = TARGETS.clone()
    targets[5] = C
    z = random_output().logits
    assert matrix("logits", z, targets, C, C) is z
    lossbench.debug(True)
    try:
        with pytest.raises(UsageError, match=r"targets must lie in \[0, 4\), got 4 in row 5"):
            matrix("logits", z, targets, C, C)
        assert matrix("logits", z, TARGETS, C, C) is z
    finally:
        lossbench.debug(False)
    assert matrix("logits", z, targets, C, C) is z


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("weighted-softmax", {"power": -0.5}, "power must be at least 0, got -0.5"),
        ("weighted-softmax", {"power": "balanced"}, "power must be a finite number, got 'balanced'"),
        ("weighted-softmax", {"power": float("inf")}, "power must be a finite number, got inf"),
        ("weighted-softmax", {"average": "mean"}, "average must be one of dataset, batch, got 'mean'"),
        ("weighted-softmax", {"average": None}, "average must be one of dataset, batch, got None"),
        ("center", {"alpha": 0}, "alpha must be above 0 and at most 1, got 0"),
        ("center", {"alpha": 1.5}, "alpha must be above 0 and at most 1, got 1.5"),
        ("center", {"alpha": True}, "alpha must be a finite number, got True"),
        ("center", {"alpha": 10**400}, "alpha must be a finite number, got 1000"),
        ("triplet", {"margin": -1}, "margin must be at least 0, got -1"),
        ("triplet", {"margin": "wide"}, "margin must be a finite number, got 'wide'"),
        ("triplet", {"margin": float("nan")}, "margin must be a finite number, got nan"),
        ("triplet", {"mining": "easy"}, "mining must be one of all, semihard, hard, got 'easy'"),
        ("triplet", {"mining": 3}, "mining must be one of all, semihard, hard, got 3"),
        ("triplet", {"distance": "cosine"}, "distance must be one of squared, euclidean, got 'cosine'"),
        ("triplet", {"normalize": "yes"}, "normalize must be true or false, got 'yes'"),
        ("triplet", {"normalize": 1}, "normalize must be true or false, got 1"),
        ("triplet", {"average": "batch"}, "average must be one of active, all, got 'batch'"),
        ("weighted-cluster", {"delta": 0}, "delta must be above 0, got 0"),
        ("weighted-cluster", {"delta": "small"}, "delta must be a finite number, got 'small'"),
        ("weighted-cluster", {"alpha": 2}, "alpha must be above 0 and at most 1, got 2"),
        ("weighted-cluster", {"power": -1}, "power must be at least 0, got -1"),
        ("weighted-cluster", {"separation": "max"}, "separation must be one of sum, mean, got 'max'"),
        ("weighted-cluster", {"term_weight": "batch"}, "term_weight must be one of class, none, got 'batch'"),
    ],
)
def test_a_bad_hyperparameter_is_refused(name: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        loss_info(name).factory(CONTEXT, **given)
    with pytest.raises(HyperparameterError, match=rf"^{name}: {message}"):
        lossbench.create_loss(name, CONTEXT, **given)
