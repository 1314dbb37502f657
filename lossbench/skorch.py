"""skorch's classifier with a loss of lossbench: `from lossbench.skorch import NeuralNetClassifier`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .attached import Attached, attach
from .errors import UsageError, did_you_mean, missing_package

try:
    import skorch
except ImportError as error:
    raise missing_package("Classifiers of skorch", "clients", error) from error


class NeuralNetClassifier(skorch.NeuralNetClassifier):  # type: ignore[misc]  # published without types
    """skorch's `NeuralNetClassifier`, whose criterion is a formula that is attached to the head of the module.

    Its module returns logits. `predict_proba` returns the softmax of the scores of the loss.

    Args:
        module: as in skorch.
        arguments: as in skorch.
        options: as in skorch. `criterion__expression` is the formula, `criterion__head` the name of the head in the
            module, such as "fc", and `criterion__class_counts` labels or counts (default: the labels passed to `fit`).
    """

    _labels: Any = None

    def __init__(self, module: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(module, *arguments, **{"criterion": attach, **options})

    def fit(self, X: Any, y: Any = None, **options: Any) -> NeuralNetClassifier:  # noqa: N803  # skorch's name
        """Initialize and train as skorch does; class counts are those of `y`, or of the data set `X`."""
        self._labels = X if y is None else y
        try:
            super().fit(X, y, **options)
        finally:
            self._labels = None
        return self

    def initialize_criterion(self) -> NeuralNetClassifier:
        """Attach the loss to the head of the module."""
        options = {"head": None, "class_counts": self._labels, **self.get_params_for("criterion")}
        module: Any = getattr(self.module_, "_orig_mod", self.module_)  # without torch.compile's wrapper
        modules = dict(module.named_modules())
        head = options.pop("head")
        if head not in modules:
            raise UsageError(
                f"criterion__head must be the name of the head in {type(module).__name__}, got {head!r}. "
                f"{did_you_mean(str(head), [name for name in modules if name])}"
            )
        self.criterion_: Attached = attach(head=modules[head], **options)
        return self

    def initialize_optimizer(self, *arguments: Any, **options: Any) -> NeuralNetClassifier:
        """Build skorch's optimizer, whose steps move the state of the loss."""
        super().initialize_optimizer(*arguments, **options)
        self.criterion_.follow(self.optimizer_)
        return self

    def on_epoch_begin(self, net: Any, *arguments: Any, **options: Any) -> None:
        """Start the epoch in skorch's history and in the schedule of the loss."""
        super().on_epoch_begin(net, *arguments, **options)
        epoch = len(self.history) - 1
        self.criterion_.begin_epoch(epoch, max(self.max_epochs, epoch + 1))

    def _get_predict_nonlinearity(self) -> Any:
        return self._probabilities if self.predict_nonlinearity == "auto" else super()._get_predict_nonlinearity()

    def _probabilities(self, logits: Tensor) -> Tensor:
        return self.criterion_.scores(logits).softmax(dim=1)
