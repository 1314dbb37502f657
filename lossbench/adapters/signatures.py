"""Read the parameters of constructors and calls of other libraries' losses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

NUMBER_OF_CLASSES = {
    "num_classes", "n_classes", "num_class", "nb_classes", "out_features", "no_of_classes", "classes", "class_num",
    "num_cls", "cls_num", "nclass", "n_class",
}  # fmt: skip
EMBEDDING_SIZE = {
    "embedding_size",
    "embedding_dim",
    "feat_dim",
    "feature_dim",
    "in_features",
    "emb_dim",
    "embed_dim",
    "sz_embed",
}
CLASS_COUNTS = {
    "cls_num_list", "samples_per_cls", "sample_per_class", "samples_per_class", "sample_per_cls", "num_class_list",
    "class_freq", "img_num_per_cls", "img_num_list", "img_num_per_class", "class_counts", "cls_counts", "cls_count",
    "class_count", "num_per_class", "num_per_cls", "num_samples_per_class", "n_per_class", "class_sizes", "cls_sizes",
    "class_frequency", "class_frequencies", "cls_freq", "freq", "sample_num_per_cls", "class_num_list", "label_counts",
    "num_samples", "num_sample_list", "per_cls_num", "class_sample_counts",
}  # fmt: skip
COUNTS_FILE = {"freq_path", "freq_file"}
SIZES = NUMBER_OF_CLASSES | EMBEDDING_SIZE
OF_THE_TASK = SIZES | CLASS_COUNTS | COUNTS_FILE
"""Names of parameters that are filled from the task."""

NAMES_OF_LOGITS = {
    "input", "inputs", "logit", "logits", "pred", "preds", "prediction", "predictions", "output", "outputs", "scores",
    "score", "y_pred", "y_hat", "yhat", "x", "inp", "cls_score", "z", "predict", "model_output", "out",
}  # fmt: skip
NAMES_OF_COSINES = {"cosine", "cosines", "cos_theta", "cosine_logits", "cos"}
NAMES_OF_EMBEDDINGS = {
    "anchor", "embedding", "embeddings", "feat", "feats", "feature", "features", "emb", "embs", "embed", "embeds",
    "representation", "representations", "projection", "projections",
}  # fmt: skip
NAMES_OF_TARGETS = {
    "target", "targets", "label", "labels", "y", "y_true", "ytrue", "gt", "gts", "ground_truth", "gt_label",
    "gt_labels", "true", "truth", "t", "lab", "labs", "onehot", "one_hot", "cls_label",
}  # fmt: skip


def constructor_parameters(made: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a constructor by name; one that passes `**kwargs` on also takes its parent's.

    A parameter without a default that a parent requires, unless it is a size, is supplied by the child class.
    """
    found: dict[str, inspect.Parameter] = {}
    for kind in made.__mro__:
        if "__init__" not in vars(kind) or kind in (nn.Module, object):
            continue
        parameters = list(parameters_of(vars(kind)["__init__"]).values())[1:]  # the first is self
        for p in parameters:
            given_by_child = kind is not made and p.default is p.empty and p.name not in SIZES
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and not given_by_child:
                found.setdefault(p.name, p)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def sizes_taken(made: type) -> set[str]:
    """Return the names under which a constructor takes C and D; one that defaults to None is an option instead."""
    return {name for name, p in constructor_parameters(made).items() if name in SIZES and p.default is not None}


def taken_of_the_task(parameters: Mapping[str, inspect.Parameter]) -> set[str]:
    """Return the names of parameters that are filled from the task: sizes that have no default of None, and counts."""
    return {
        name
        for name, p in parameters.items()
        if (name in SIZES and p.default is not None) or name in CLASS_COUNTS | COUNTS_FILE
    }


def call_parameters(call: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments of a call other than self, by name."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: p for name, p in parameters_of(call).items() if name != "self" and p.kind not in kinds}


def parameters_of(call: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a callable by name; none if it has no readable signature."""
    try:
        return inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}
