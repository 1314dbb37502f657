"""Logit-adjusted softmax: cross-entropy of the logits plus tau times the log-priors.

For logits z_i in R^C, targets y_i and pi_c = n_c / N the share of class c among the training images,

    L = 1/B sum_i (log sum_c exp(z_{i, c} + tau log pi_c) - tau log pi_{y_i} - z_{i, y_i})          [nats]

tau = 1 trains the classifier that is optimal if all classes are equally frequent, and is `balanced-softmax`; tau = 0 is
plain softmax; above 1, rare classes are favoured. The model is tested on its own logits, without the adjustment.

The same paper's post-hoc form trains plain softmax and subtracts tau log pi_c in testing; it is not a loss.
"""

from __future__ import annotations

from torch import Tensor

from lossbench import LogitLoss, LossContext, LossSpec, Need, PerClass, Trait
from lossbench.authoring import CROSS_ENTROPY, drawn_counts, number, softmax

from .loops import logit_adjusted as loop


def logit_adjusted(logits: Tensor, targets: Tensor, log_prior: Tensor, tau: float) -> Tensor:
    """Return the logit-adjusted cross-entropy of each sample.

    Args:
        logits: (B, C).
        targets: (B,) class numbers in [0, C).
        log_prior: (C,) log of the share of each class.
        tau: at least 0.

    Returns:
        (B,) losses in nats.

    Example:
        >>> import torch
        >>> log_prior = torch.tensor([0.75, 0.25]).log()
        >>> logit_adjusted(torch.zeros(1, 2), torch.tensor([1]), log_prior, tau=2.0)
        tensor([2.3026])
    """
    return softmax(logits + tau * log_prior, targets)


class LogitAdjustedLoss(LogitLoss):
    """Mean of `logit_adjusted` over the batch.

    Args:
        context: supplies the class counts.
        tau: strength of the adjustment, at least 0.
    """

    traits = CROSS_ENTROPY

    def __init__(self, context: LossContext, *, tau: float = 1.0) -> None:
        super().__init__(context)
        self.tau = number("tau", tau, minimum=0)
        counts = drawn_counts(context, "log-priors")
        self.log_prior = PerClass((counts / counts.sum()).log())
        if self.tau == 0:
            self.traits = LogitAdjustedLoss.traits | {Trait.WEIGHTED_LIKELIHOOD}

    def per_sample(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logit_adjusted(logits, targets, self.log_prior(logits.dtype), self.tau)

    def per_class(self, logits: Tensor) -> Tensor:
        costs: Tensor = -(logits + self.tau * self.log_prior(logits.dtype)).log_softmax(dim=1)
        return costs


SPEC = LossSpec(
    name="logit-adjusted",
    factory=LogitAdjustedLoss,
    summary="Softmax cross-entropy of the logits plus tau times the log-priors.",
    reference="Menon et al., Long-tail learning via logit adjustment, ICLR 2021, arXiv 2007.07314",
    needs=frozenset({Need.LOGITS, Need.CLASS_COUNTS}),
    variants=({"tau": 0.5}, {"tau": 2.0}),
    limits=(({"tau": 1.0}, "balanced-softmax"), ({"tau": 0.0}, "softmax")),
    loop=loop,
    use_when="classes differ in size but count equally in testing; tau sets the strength of the correction",
    avoid_when="the test set has the class frequencies of the training set, or the sampler is already balanced",
)
