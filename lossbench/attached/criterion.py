"""The criterion that `attach` returns."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ..distributed import is_distributed
from ..errors import UsageError
from ..loss import REMIND_AFTER, Loss
from ..losses.arguments import logits_of
from ..ops.gather import gather_batch
from ..traits import Need, Trait
from ..types import LossContext, ModelOutput
from .fingerprint import check_fingerprint, fingerprint
from .hooks import Capture, Cycle, no_rows, place
from .optimizer import Averaging, give_parameters, trained_parameters, unwrapped


class Attached(nn.Module):
    """A loss that is called with logits and targets after a forward pass of the model; see `attach`.

    Args:
        loss: the loss.
        head: the head of the model.
        formula: as text, for messages and the fingerprint.
        context: the task.
        gather: whether each process computes a loss on pairs or triplets on the rows of all processes.
        needs: what the loss reads.
    """

    _is_accelerate_prepared = True  # accelerate stores its state but does not wrap it: it synchronizes itself

    def __init__(
        self,
        loss: Loss,
        head: nn.Module,
        formula: str,
        context: LossContext,
        *,
        gather: bool = False,
        needs: Collection[Need] = (Need.EMBEDDINGS,),
    ) -> None:
        super().__init__()
        self.loss, self.formula, self.context = loss, formula, context
        self.gathers = gather and Trait.SHARDABLE not in loss.traits
        self.moves = 0
        self._capture = Capture()
        self._head = (head,)  # in a tuple, so that the head is not a submodule
        self._cycle = Cycle()
        self._optimizer: Optimizer | None = None
        self._handles: list[Any] = []
        self._epochs: tuple[int, int] | None = None
        self._has_state = any(type(term.loss).update_state is not Loss.update_state for term in loss.terms())
        self._reads_embeddings = Need.EMBEDDINGS in needs
        self._not_followed, self._placed = 0, False
        for module in loss.modules():
            if isinstance(module, Loss):
                module.reminded_of("update_state")  # by `_remind` below
        head.register_forward_hook(self._capture, with_kwargs=True)

    def forward(self, logits: Any, targets: Tensor) -> Tensor:
        """Return the loss, ().

        Args:
            logits: (B, C) output of the model, or an object with `logits`.
            targets: (B,) class numbers, or (B, C) probabilities if the loss takes them.

        Raises:
            UsageError: there was no forward pass of the head, or shapes do not match.
        """
        output, training = self._output(logits, targets)
        if not self._placed:
            self._placed = place(self, output.logits.device)
        gathered = self.gathers and self.training and training  # processes may evaluate different numbers of batches
        value: Tensor = self.loss(*(gather_batch(output, targets) if gathered else (output, targets)))
        if self._has_state and self.training and training:
            if self._optimizer is None:
                self._remind()
            else:
                self._cycle.add(output.embeddings.detach(), output.logits.detach(), targets.detach())
        return value

    def per_sample(self, logits: Any, targets: Tensor) -> Tensor:
        """Return the (B,) losses of the rows; see `Loss.per_sample`. It does not count as a training batch."""
        return self.loss.per_sample(self._output(logits, targets)[0], targets)

    def scores(self, logits: Any) -> Tensor:
        """Return the (B, C) scores of logits, such as scaled cosines; their softmax is the probabilities."""
        logits = logits_of(logits, self.formula)
        scores: Tensor = self.loss.scores(ModelOutput(logits, logits))
        return scores

    def hf(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        """Return the loss for `compute_loss_func` of Hugging Face's Trainer, which leaves accumulation to it.

        Args:
            outputs: of the model, with `logits`.
            labels: (B,).
            num_items_in_batch: labels of all micro-batches of the step.
        """
        value: Tensor = self(outputs, labels)
        return value if num_items_in_batch is None else value * (labels.shape[0] / num_items_in_batch)

    def begin_epoch(self, epoch: int, total: int) -> None:
        """Start epoch `epoch` of `total`, counted from 0, for losses with a schedule."""
        self.loss.begin_epoch(epoch, total)

    def follow(
        self, optimizer: Optimizer, *, epochs: int | None = None, steps_per_epoch: int | None = None
    ) -> Optimizer:
        """Move the state after each step of an optimizer, and give it the parameters that the loss learns.

        Parameters that the loss learns get the learning rate times the `lr_scale` of the loss, and its weight decay.

        Args:
            optimizer: of the model; call this before a learning-rate scheduler is made.
            epochs: with `steps_per_epoch`, the number of epochs, so that schedules follow the number of steps.
            steps_per_epoch: optimizer steps in each epoch.

        Returns:
            The same optimizer.

        Raises:
            UsageError: it is followed already, does not train the head, or has a learning-rate scheduler already.
        """
        optimizer = unwrapped(optimizer)
        if optimizer is self._optimizer:
            raise UsageError("this optimizer is followed already; call follow once")
        own = trained_parameters(optimizer, self._head[0])
        if (epochs is None) != (steps_per_epoch is None):
            raise UsageError("follow needs epochs and steps_per_epoch together")
        if epochs is not None and steps_per_epoch is not None and min(epochs, steps_per_epoch) < 1:
            raise UsageError(f"epochs and steps_per_epoch must be at least 1, got {epochs} and {steps_per_epoch}")
        give_parameters(optimizer, self.loss)
        for handle in self._handles:
            handle.remove()
        self._handles = [optimizer.register_step_post_hook(self._after_step)]
        if (averaging := Averaging(self.loss)).parameters:
            self._handles.append(optimizer.register_step_pre_hook(averaging))
        if self._has_state and own:
            self._handles.append(own[0].register_post_accumulate_grad_hook(self._cycle.after_backward))
        self._optimizer, self._cycle.steps = optimizer, 0
        if epochs is not None and steps_per_epoch is not None:
            self._epochs = (epochs, steps_per_epoch)
            self.begin_epoch(0, epochs)
        return optimizer

    def get_extra_state(self) -> Tensor:
        """Return the fingerprint of the loss, which a state is compared with when it is loaded."""
        return fingerprint(self.formula, self.context)

    def set_extra_state(self, state: Any) -> None:
        """Compare a fingerprint with this loss.

        Raises:
            UsageError: the state belongs to another loss, or to other class counts.
        """
        check_fingerprint(state, self.formula, self.context)

    def _output(self, logits: Any, targets: Tensor) -> tuple[ModelOutput, bool]:
        training = self._capture.training
        logits = logits_of(logits, self.formula)
        embeddings = self._capture.take(logits, self.context.embedding_dim, are_read=self._reads_embeddings)
        return ModelOutput(embeddings, logits), training

    def _remind(self) -> None:
        self._not_followed += 1
        if self._not_followed == REMIND_AFTER:
            warnings.warn(
                f"{self.formula} has seen {REMIND_AFTER} training batches and follows no optimizer, so its state does "
                "not move: call criterion.follow(optimizer)",
                stacklevel=3,
            )

    def _after_step(self, *_: Any) -> None:
        if self._has_state:
            output = self._cycle.take()
            if output is None and is_distributed():  # a process without rows still takes part in the sums
                device = next(self._head[0].parameters()).device
                output = no_rows(self.context, device)
            if output is not None:
                self.loss.update_state(*output)
                self.__dict__["moves"] += 1  # a module's own assignment takes longer than the rest of this function
        self._cycle.steps += 1
        if self._epochs is not None:
            epochs, steps = self._epochs
            epoch, rest = divmod(self._cycle.steps, steps)
            if rest == 0 and epoch < epochs:
                self.begin_epoch(epoch, epochs)

    def __getstate__(self) -> dict[str, Any]:
        # Handles belong to one optimizer; outputs to one step.
        return {**self.__dict__, "_handles": [], "_optimizer": None, "_cycle": Cycle()}
