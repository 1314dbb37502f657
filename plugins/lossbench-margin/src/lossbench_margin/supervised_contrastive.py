"""Supervised contrast: in a softmax of cosines over the batch, samples of the own class should be more probable.

For embeddings x_i in R^D, u_i = x_i / |x_i|, targets y_i, positives P(i) the other samples of class y_i in the batch,
and A those i that have one,

    L = 1/|A| sum_{i in A} 1/|P(i)| sum_{p in P(i)} -log [ exp(u_i.u_p / t) / sum_{a != i} exp(u_i.u_a / t) ]    [nats]

with the temperature t. The batch is one view of each image: positives are other images of the class, never an augmented
copy, so that a class with one sample in the batch is only a negative of the others. A batch without positives gives a
zero connected to the graph. A zero row has no direction; its cosines are 0.

This is the paper's form with the sum outside the logarithm, on a single view. The authors' code
(HobbitLong/SupContrast) adds the temperature over 0.07 as a factor and divides by all samples; a sample without a
positive counts as 0 there, and is left out of the mean here. With base_temperature = temperature and a positive in
every row, the two are equal. A row's value depends on the other rows: each of several processes sees only the pairs
within its own rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench import Homogeneity, LossContext, LossSpec, Need, Trait
from lossbench.authoring import EmbeddingLoss, distances, number, pair_masks, refuse_out_of_range, unit_vectors

from .loops import supervised_contrastive as loop


def supervised_contrastive(embeddings: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the mean, over the samples that have a positive, of the mean surprise at their positives.

    Args:
        embeddings: (B, D).
        targets: (B,) class numbers.
        temperature: divisor of the cosines, positive.

    Returns:
        () loss in nats.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> supervised_contrastive(x, torch.tensor([0, 0, 1]), temperature=1.0)
        tensor(0.3133)
    """
    if len(targets) < 2:
        return 0 * embeddings.sum()
    units = unit_vectors(embeddings)
    length = units.detach().square().sum(dim=1).round()  # 1, or 0 for a zero row
    # From distances, which no autocast computes in half precision.
    cosines = (length.unsqueeze(0) + length.unsqueeze(1) - distances(units, squared=True)) / 2
    positive, negative = pair_masks(targets)
    exponents = torch.where(positive | negative, cosines / temperature, -torch.inf)
    surprise = exponents.logsumexp(dim=1, keepdim=True) - cosines / temperature
    number_of_positives = positive.sum(dim=1)
    of_anchor = (surprise * positive).sum(dim=1) / number_of_positives.clamp(min=1)
    return of_anchor.sum() / (number_of_positives > 0).sum().clamp(min=1)


class SupervisedContrastiveLoss(EmbeddingLoss):
    """`supervised_contrastive` on the embeddings.

    Args:
        context: supplies the number of classes and the embedding size.
        temperature: divisor of the cosines, above 0.
    """

    traits = frozenset(
        {
            Trait.BATCH_COUPLED,
            Trait.TWICE_DIFFERENTIABLE,
            Trait.ROTATION_INVARIANT,
            Trait.SCALE_INVARIANT,
            Trait.LABEL_EQUALITY,
            Trait.SCALE_SAFE,
            Trait.FULLGRAPH,
        }
    )
    homogeneity = Homogeneity(0)

    def __init__(self, context: LossContext, *, temperature: float = 0.1) -> None:
        super().__init__(context)
        self.temperature = number("temperature", temperature, above=0)

    def value(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        refuse_out_of_range(targets, self.num_classes)  # nothing below would fail on a wrong label
        return supervised_contrastive(embeddings, targets, self.temperature)


SPEC = LossSpec(
    name="supervised-contrastive",
    factory=SupervisedContrastiveLoss,
    summary="Softmax of cosines between the samples of a batch, with same-class pairs as the right answers.",
    reference="Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362, the form with the sum "
    "outside the logarithm",
    needs=frozenset({Need.EMBEDDINGS}),
    auxiliary=True,
    joint="softmax + 0.1*supervised-contrastive",
    variants=({"temperature": 0.5},),
    loop=loop,
    use_when="batches are large and hold several images of each class",
    avoid_when="classes are so rare that a batch seldom holds two images of one: those are only negatives",
)
