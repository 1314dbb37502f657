"""Seeded bugs of the five losses, each one edit of one file: what `mutants.py` judges the laws by.

Each is a mistake that has been made, or is easily made, in a loss: it runs, trains, and is wrong. None is equivalent to
the original. Left out is what no law of a loss can know: another default, another message, another reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOFTMAX, WEIGHTED_SOFTMAX, CENTER, TRIPLET, CLUSTER = (
    "softmax",
    "weighted-softmax",
    "center",
    "triplet",
    "weighted-cluster",
)
LIKELIHOODS, CENTERS, WEIGHTED = (SOFTMAX, WEIGHTED_SOFTMAX), (CENTER, CLUSTER), (WEIGHTED_SOFTMAX, CLUSTER)
ALL = (SOFTMAX, WEIGHTED_SOFTMAX, CENTER, TRIPLET, CLUSTER)


@dataclass(frozen=True)
class Mutant:
    """One edit.

    Attributes:
        bug: what is wrong, in one phrase; no two mutants have the same.
        file: within the package.
        old: text that stands in it exactly once.
        new: instead.
        losses: which are judged.
    """

    bug: str
    file: str
    old: str
    new: str
    losses: tuple[str, ...]

    def apply(self, package: Path) -> None:
        """Edits a copy of the package.

        Raises:
            ValueError: the old text is not there exactly once, or the new text is no Python.
        """
        path = package / self.file
        source = path.read_text()
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.bug!r}: {self.old!r} stands {found} times in {self.file}, expected once")
        edited = source.replace(self.old, self.new)
        try:
            compile(edited, self.file, "exec")
        except SyntaxError as error:
            raise ValueError(f"{self.bug!r}: {self.file} can't be read after the edit: {error}") from error
        path.write_text(edited)


def _of(file: str, losses: tuple[str, ...] | str, *edits: tuple[str, str, str]) -> tuple[Mutant, ...]:
    judged = (losses,) if isinstance(losses, str) else losses
    return tuple(Mutant(bug, file, old, new, judged) for bug, old, new in edits)


_CROSS_ENTROPY = 'F.cross_entropy(logits, targets, reduction="none", ignore_index=NEVER_A_LABEL)'
_MEAN_SOFTMAX = "softmax(logits, targets.long()).sum() / max(len(targets), 1)"
_OF_LABEL = "gather(1, targets.unsqueeze(1)).squeeze(1)"

_SOFTMAX = _of(
    "losses/softmax.py",
    SOFTMAX,
    ("softmax: sum for mean", _MEAN_SOFTMAX, "softmax(logits, targets.long()).sum()"),
    ("softmax: mean of an empty batch", _MEAN_SOFTMAX, "softmax(logits, targets.long()).mean()"),
    ("softmax: divided by B - 1", _MEAN_SOFTMAX, "softmax(logits, targets.long()).sum() / max(len(targets) - 1, 1)"),
    ("softmax: inputs detached", _MEAN_SOFTMAX, _MEAN_SOFTMAX.replace("logits", "logits.detach()")),
    ("softmax: labels off by one", "targets.long())", "(targets.long() + 1) % self.num_classes)"),
    ("softmax: int32 labels not widened", "targets.long())", "targets)"),
    ("softmax: last row forgotten", _MEAN_SOFTMAX, _MEAN_SOFTMAX.replace(".sum()", "[:-1].sum()")),
    ("softmax: result with an axis", _MEAN_SOFTMAX, _MEAN_SOFTMAX.replace(".sum()", ".sum(dim=0, keepdim=True)")),
    ("softmax: view of strided logits", "softmax(logits, t", "softmax(logits.view(-1).view_as(logits), t"),
    ("softmax: label -100 ignored", "ignore_index=NEVER_A_LABEL", "ignore_index=-100"),
    ("softmax: labels smoothed", 'reduction="none"', 'reduction="none", label_smoothing=0.1'),
    ("softmax: temperature of 2", "cross_entropy(logits,", "cross_entropy(logits / 2,"),
    ("softmax: logits clamped", "cross_entropy(logits,", "cross_entropy(logits.clamp(-30, 30),"),
    ("softmax: saturated log", _CROSS_ENTROPY, f"-(logits.softmax(dim=1) + 1e-12).log().{_OF_LABEL}"),
    ("softmax: epsilon of float16 in the log", _CROSS_ENTROPY, f"-(logits.softmax(dim=1) + 6e-5).log().{_OF_LABEL}"),
    ("softmax: log of an underflowing softmax", _CROSS_ENTROPY, f"-logits.softmax(dim=1).log().{_OF_LABEL}"),
    ("softmax: exp without a maximum", _CROSS_ENTROPY, f"logits.exp().sum(dim=1).log() - logits.{_OF_LABEL}"),
    ("softmax: true logit detached", _CROSS_ENTROPY, f"logits.logsumexp(dim=1) - logits.detach().{_OF_LABEL}"),
    ("softmax: NaN taken for zero", _CROSS_ENTROPY, f"{_CROSS_ENTROPY}.nan_to_num()"),
    ("softmax: focal factor", _CROSS_ENTROPY, f"(1 - logits.softmax(dim=1).{_OF_LABEL}) * {_CROSS_ENTROPY}"),
    ("softmax: penalty on large logits", _CROSS_ENTROPY, f"{_CROSS_ENTROPY} + 1e-3 * logits.square().sum(dim=1)"),
    ("softmax: constant subtracted", _CROSS_ENTROPY, f"{_CROSS_ENTROPY} - 0.01"),
    ("softmax: noise on the logits", "cross_entropy(logits,", "cross_entropy(logits + 1e-3 * logits.new_empty(logits.shape).normal_(),"),
    ("softmax: memory of the last batch", "logits = matrix(", "logits = self.last = matrix("),
)

_WEIGHTED_SOFTMAX = _of(
    "losses/weighted_softmax.py",
    WEIGHTED_SOFTMAX,
    ("weighted-softmax: weight forgotten", "weight=weight, ", ""),
    ("weighted-softmax: weight twice", "weight=weight, ", "weight=weight.square(), "),
    ("weighted-softmax: weight of a neighbour class", "weight=weight, ", "weight=weight.roll(1), "),
    (
        "weighted-softmax: weight of the predicted class",
        "total = weighted_softmax(logits, targets, weight).sum()",
        "total = (F.cross_entropy(logits, targets, reduction='none') * weight[logits.argmax(dim=1)]).sum()",
    ),
    ("weighted-softmax: weight on the logits", "logits, targets, weight)", "logits * weight, targets, weight * 0 + 1)"),
    ("weighted-softmax: divided by the batch's weights", "max(len(targets), 1)", "max(float(weight[targets].sum()), 1e-6)"),
    ("weighted-softmax: divided by all weights", "weight.index_select(0, targets).sum()", "weight.sum()"),
    ("weighted-softmax: 0/0 for an empty batch", " or not len(targets)", ""),
    ("weighted-softmax: both averages taken for samplewise", 'if self.average == "dataset":\n            self', "if True:\n            self"),
    ("weighted-softmax: logits less their batch mean", "(logits, targets, weight)", "(logits - logits.mean(dim=0), targets, weight)"),
    ("weighted-softmax: int32 labels not widened", "targets = targets.long()", "targets = targets.clone()"),
    ("weighted-softmax: unknown average taken", 'choice("average", average, ("dataset", "batch"))', "average"),
)

_CLASS_WEIGHTS = _of(
    "losses/class_weights.py",
    WEIGHTED,
    ("class weights: frequent classes weigh more", "counts**-power", "counts**power"),
    ("class weights: power forgotten", "counts**-power", "counts**-1.0"),
    ("class weights: one class apart", "counts**-power", "counts**-power * torch.tensor([0.5] + [1.0] * (len(counts) - 1))"),
    ("class weights: not scaled", "return raw * (counts.sum() / (raw * counts).sum())", "return raw"),
    ("class weights: mean of 1 over classes", "(counts.sum() / (raw * counts).sum())", "(len(counts) / raw.sum())"),
    ("class weights: float64 cut to float32", "if dtype is torch.float64:", "if dtype is None:"),
    (
        "class weights: buffer not registered",
        'self.register_buffer("weight", class_weights(self.class_counts, self.power).float(), persistent=False)',
        "self.weight = class_weights(self.class_counts, self.power).float()",
    ),
    ("class weights: a class without images", "if count == 0]", "if count < 0]"),
    ("class weights: power not checked", 'number("power", power, minimum=0)', "power"),
)

_CENTER = _of(
    "losses/center.py",
    CENTER,
    ("center: half forgotten", "centers) / 2", "centers)"),
    ("center: sum for mean", ".sum() / max(len(targets), 1)", ".sum()"),
    ("center: mean of an empty batch", ".sum() / max(len(targets), 1)", ".mean()"),
    ("center: divided by the classes", "max(len(targets), 1)", "self.num_classes"),
    ("center: divided by the classes present", "max(len(targets), 1)", "max(len(targets.unique()), 1)"),
    ("center: embeddings less their batch mean", "return center(embeddings,", "return center(embeddings - embeddings.mean(dim=0),"),
    ("center: dropout while training", "return center(embeddings,", "return center(torch.dropout(embeddings, 0.1, self.training),"),
    ("center: arithmetic in float16", "return center(embeddings,", "return center(embeddings.half(),"),
    ("center: autocast leaks in", "return squared_distance_to_own_center(embeddings, targets, centers) / 2", "return (embeddings.unsqueeze(1) @ embeddings.unsqueeze(2)).flatten() / 2 - (embeddings.unsqueeze(1) @ centers.nan_to_num()[targets].unsqueeze(2)).flatten() + centers.nan_to_num()[targets].square().sum(dim=1) / 2"),
    ("center: state written in forward", "        try:", "        self.update_state(output, targets)\n        try:"),
    ("center: call counter scales the value", "return center(", "self.calls = getattr(self, 'calls', 0) + 1\n            return self.calls * center("),
    ("center: values kept", "return center(", "self.kept = [*getattr(self, 'kept', []), embeddings + 0]\n            return center("),
    ("center: random seed set", "return center(", "torch.manual_seed(0)\n            return center("),
    ("center: rule that can't be pickled", "self.alpha = number(", "self.rule = lambda x: x\n        self.alpha = number("),
    ("center: branch on values", "return center(", "if bool(embeddings.isinf().any()):\n                raise ValueError('infinite embeddings')\n            return center("),
    ("center: centers not saved", "torch.nan))", "torch.nan), persistent=False)"),
    ("center: centers not registered", 'self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan))', "self.centers = torch.full((context.num_classes, context.embedding_dim), torch.nan)"),
    ("center: centers learned by gradient too", 'self.register_buffer("centers", torch.full((context.num_classes, context.embedding_dim), torch.nan))', "self.centers = torch.nn.Parameter(torch.full((context.num_classes, context.embedding_dim), torch.nan))"),
    ("center: centers start at zero", "torch.nan))", "0.0))"),
    ("center: alpha forgotten", "self.alpha * statistics.counts", "statistics.counts"),
    ("center: count + 1 forgotten", "(1 + statistics.counts)", "statistics.counts.clamp(min=1)"),
    ("center: centers move away", "self.centers - share", "self.centers + share"),
    ("center: rows in half precision can't move centers", "output.embeddings.to(self.centers)", "output.embeddings"),
    ("center: alpha not checked", 'number("alpha", alpha, above=0, maximum=1)', "alpha"),
    ("center: wrong homogeneity", "Homogeneity(2)", "Homogeneity(1)"),
)

_CENTERS = _of(
    "ops/centers.py",
    CENTERS,
    ("centers: not summed over ranks", "    sum_over_ranks(counts, total, scatter)\n", ""),
    ("centers: scatter not summed over ranks", "sum_over_ranks(counts, total, scatter)", "sum_over_ranks(counts, total)"),
    ("centers: divided before the sum over ranks", "sum_over_ranks(counts, total, scatter)", "total, scatter = total / counts.clamp(min=1).unsqueeze(1), scatter / counts\n    sum_over_ranks(counts, total, scatter)\n    total, scatter = total * counts.unsqueeze(1), scatter * counts"),
    ("centers: sum for mean of a class", "total / counts.clamp(min=1).unsqueeze(1)", "total"),
    ("centers: rows written in place", "(embeddings - centers.index_select(0, targets)).square()", "embeddings.sub_(centers.index_select(0, targets)).square()"),
    ("centers: absent classes start too", "torch.where(present, torch.where(unstarted, statistics.mean, moved), centers)", "torch.where(unstarted, statistics.mean, moved)"),
    ("centers: start and move swapped", "unstarted, statistics.mean, moved)", "unstarted, moved, statistics.mean)"),
    ("centers: a started class starts again", "torch.where(unstarted, statistics.mean, moved)", "statistics.mean"),
    ("centers: NaN of a row without center hidden", "0 * embeddings)", "0.0)"),
    ("centers: state cut from the graph", "embeddings - centers.index_select(0, targets), 0", "embeddings - centers.detach().index_select(0, targets), 0"),
    ("centers: center of the next class", "embeddings - centers.index_select(0, targets), 0", "embeddings - centers.index_select(0, (targets + 1) % len(centers)), 0"),
    ("centers: distance for squared distance", "return difference.square().sum(dim=1)", "return difference.abs().sum(dim=1)"),
    ("centers: x² + c² - 2xc", "return difference.square().sum(dim=1)", "own = torch.where(has_center, centers.index_select(0, targets), embeddings)\n    return embeddings.square().sum(dim=1) + own.square().sum(dim=1) - 2 * (embeddings * own).sum(dim=1)"),
    ("centers: straight-through square", "return difference.square().sum(dim=1)", "fixed = difference.detach()\n    return (2 * fixed * difference - fixed.square()).sum(dim=1)"),
    ("centers: one coordinate forgotten", "return difference.square().sum(dim=1)", "return difference[:, : max(difference.shape[1] - 1, 1)].square().sum(dim=1)"),
)

_CLUSTER = _of(
    "losses/weighted_cluster.py",
    CLUSTER,
    ("weighted-cluster: weight forgotten", "(weight / denominator)", "(1 / denominator)"),
    ("weighted-cluster: product for quotient", "(weight / denominator)", "(weight * denominator)"),
    ("weighted-cluster: weights by position", ".index_select(0, targets)", ".index_select(0, targets.flip(0))"),
    ("weighted-cluster: delta forgotten", "self._scaled_separation() + self.delta", "self._scaled_separation()"),
    ("weighted-cluster: denominator detached", "self._scaled_separation() + self.delta", "self._scaled_separation().detach() + self.delta"),
    ("weighted-cluster: one center is enough", "started(self.centers).sum() > 1", "started(self.centers).sum() > 0"),
    ("weighted-cluster: sum for mean", "terms.sum() / max(len(targets), 1)", "terms.sum()"),
    ("weighted-cluster: divided by rows and classes", "max(len(targets), 1)", "max(len(targets), 1) / len(weight)"),
    ("weighted-cluster: centers attract", "step = pull - (", "step = pull + ("),
    ("weighted-cluster: centers move away", "pull = self.centers - mean", "pull = mean - self.centers"),
    ("weighted-cluster: push without a cap", "torch.minimum(scaled_scatter / (separation + self.delta), 0.9 / number_started)", "scaled_scatter / (separation + self.delta)"),
    ("weighted-cluster: push from the origin", "(self.centers - mean_of_centers)", "self.centers"),
    ("weighted-cluster: scatter not scaled", "scatter * self._separation_scale()", "scatter * 1"),
    ("weighted-cluster: C for C - 1", "[0] - 1).clamp", "[0]).clamp"),
    ("weighted-cluster: sum and mean swapped", 'self.separation == "sum"', 'self.separation == "mean"'),
    ("weighted-cluster: term_weight not read", 'power if self.term_weight == "class" else 0.0', "power"),
    ("weighted-cluster: a lone class moves", " * (number_started > 1)\n", "\n"),
    ("weighted-cluster: unknown separation taken", 'choice("separation", separation, ("sum", "mean"))', "separation"),
    ("weighted-cluster: weight frozen in float32", "weight = self.class_weights(embeddings.dtype) *", "weight = self.class_weights(torch.float32) *"),
)

_SEPARATION = _of(
    "ops/centers.py",
    CLUSTER,
    ("separation: sum over ranks of scatter only", "scatter / counts)", "scatter)"),
    ("separation: classes that have not started counted", "has_center.sum().to(centers.dtype)", "centers.new_tensor(float(len(centers)))"),
    ("separation: mean center NaN until all have started", "torch.where(has_center.unsqueeze(1), centers, 0.0).sum(dim=0)", "centers.sum(dim=0)"),
    ("separation: distance from the origin", "centers - mean, 0.0)", "centers, 0.0)"),
    ("separation: factor C forgotten", "number_started * squared_radius", "squared_radius"),
    ("separation: mean for sum of radii", "squared_radius.sum(), 0.0)", "squared_radius.mean(), 0.0)"),
)

_TRIPLET = _of(
    "losses/triplet.py",
    TRIPLET,
    ("triplet: active and kept swapped", "hinges.active if average", "hinges.kept if average"),
    ("triplet: 0/0 without a triplet", ".clamp(min=1)", ""),
    ("triplet: sum for mean", " / (hinges.active if average == \"active\" else hinges.kept).clamp(min=1)", ""),
    ("triplet: empty batch not connected", "return embeddings.sum()", "return embeddings.new_zeros(())"),
    ("triplet: normalize not read", "unit_vectors(embeddings) if normalize else embeddings", "unit_vectors(embeddings)"),
    ("triplet: epsilon of F.normalize", "unit_vectors(embeddings) if normalize", "embeddings / embeddings.norm(dim=1, keepdim=True).clamp(min=1e-12) if normalize"),
    ("triplet: rows of the unit sphere in bfloat16", "rows = unit_vectors(embeddings)", "rows = unit_vectors(embeddings.bfloat16()).to(embeddings.dtype)"),
    ("triplet: label out of range taken", "if values_are_readable(targets)", "if False"),
    ("triplet: wrong bound", "self.margin + diameter", "self.margin + diameter / 2"),
    ("triplet: margin may be text", 'number("margin", margin, minimum=0)', "margin"),
    ("triplet: flag may be text", 'flag("normalize", normalize)', "normalize"),
)

_TRIPLETS = _of(
    "ops/triplets.py",
    TRIPLET,
    ("triplets: anchor its own positive", "same & ~itself", "same"),
    ("triplets: neighbours in number are one class", "targets.unsqueeze(0) == targets.unsqueeze(1)", "(targets.unsqueeze(0) - targets.unsqueeze(1)).abs() <= 1"),
    ("triplets: only the next row a positive", "same & ~itself", "same & itself.roll(1, 0)"),
    ("triplets: positives are negatives too", "~itself, ~same", "~itself, ~itself"),
    ("triplets: small rows are zero", "nonzero = largest != 0", "nonzero = largest > 1e-6"),
    ("triplets: squares out of range", "rows = embeddings / torch.where(nonzero, largest, 1)", "rows = embeddings"),
    ("triplets: NaN at a zero row", "return torch.where(nonzero, rows / norm, 0 * embeddings)", "return rows / rows.norm(dim=1, keepdim=True)"),
    ("triplets: distances by matrix product", "donot_use_mm_for_euclid_dist", "use_mm_for_euclid_dist"),
    ("triplets: square forgotten", "euclidean.square() if squared else euclidean", "euclidean"),
    ("triplets: margin subtracted", "reach = distance + margin", "reach = distance - margin"),
    ("triplets: margin forgotten in the sum", " + margin * active.to(distance.dtype)", ""),
    ("triplets: sign of the negatives", "(of_positive - of_negative)", "(of_positive + of_negative)"),
    ("triplets: negatives detached", "((of_positive - of_negative) * distance)", "(of_positive * distance - of_negative * distance.detach())"),
    ("triplets: listed one by one", "((of_positive - of_negative) * distance).sum()", "((of_positive - of_negative) * distance).sum() + 0 * (distance.unsqueeze(2) - distance.unsqueeze(1)).relu().sum()"),
    ("triplets: closer negatives kept by semihard", "            of_positive -= torch.searchsorted(sorted_negatives, distance, right=True)\n", ""),
    ("triplets: all triplets counted as kept by semihard", "active if semihard else (", "("),
    ("triplets: nearest positive for farthest", "distance, -torch.inf).max(dim=1)", "distance, torch.inf).min(dim=1)"),
    ("triplets: farthest negative for nearest", "distance, torch.inf).min(dim=1)", "distance, -torch.inf).max(dim=1)"),
    ("triplets: hinge not cut", "distance.diagonal()).relu()", "distance.diagonal())"),
    ("triplets: softplus for hinge", "distance.diagonal()).relu()", "distance.diagonal()).exp().log1p()"),
    ("triplets: NaN of a row without triplet hidden", "0 * distance.diagonal()", "0.0"),
    ("triplets: NaN not selected", "HingeSum(hinge.sum(), (", "HingeSum(hinge[hinge > 0].sum(), ("),
    ("triplets: every anchor counted as active", "(hinge > 0).sum()", "anchor.sum()"),
    ("triplets: anchors without a positive count", "positive.any(dim=1) & negative.any(dim=1)", "negative.any(dim=1)"),
)

_ARGUMENTS = _of(
    "losses/arguments.py",
    ALL,
    ("arguments: half precision not widened", "value if value.dtype is torch.float64 else value.float()", "value"),
    ("arguments: float64 cut to float32", "value if value.dtype is torch.float64 else value.float()", "value.float()"),
    ("arguments: float32 rounded to bfloat16", "else value.float()", "else value.bfloat16().float()"),
    ("arguments: NaN taken for zero", "else value.float()", "else value.float().nan_to_num(nan=0.0)"),
    ("arguments: number of columns not checked", " or value.shape[1] != columns", ""),
    ("arguments: number of labels not checked", " or targets.shape[0] != value.shape[0]", ""),
    ("arguments: rank of labels not checked", "targets.ndim != 1 or ", ""),
    ("arguments: rank of inputs not checked", "value.ndim != 2 or value.shape[1] != columns", "value.shape[-1] != columns"),
    ("arguments: float labels truncated", "targets.is_floating_point() or ", ""),
    ("arguments: negative labels taken", "(targets < 0) | ", ""),
    ("arguments: label C taken", "targets >= num_classes", "targets > num_classes"),
    ("arguments: unknown words taken", " or value not in options", ""),
    ("arguments: text taken for a number", " or not isinstance(value, int | float)", ""),
    ("arguments: message without the name", 'f"{name} must be a finite number', 'f"must be a finite number'),
)

MUTANTS = (
    *_SOFTMAX,
    *_WEIGHTED_SOFTMAX,
    *_CLASS_WEIGHTS,
    *_CENTER,
    *_CENTERS,
    *_CLUSTER,
    *_SEPARATION,
    *_TRIPLET,
    *_TRIPLETS,
    *_ARGUMENTS,
)
