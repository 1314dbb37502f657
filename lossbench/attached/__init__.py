"""A loss in anybody's training loop: called as `nn.CrossEntropyLoss` is, it finds the embeddings and moves its state.

    criterion = lossbench.attach("weighted-cluster", head=model.fc, class_counts=labels)
    optimizer = criterion.follow(torch.optim.AdamW([*model.parameters(), *criterion.parameters()]))
    criterion(model(images), targets).backward()

A hook on the head captures its input, the embeddings. A hook of the optimizer moves the state once after each real
step, with the outputs of all micro-batches since the last one. Outputs of steps that a gradient scaler skips are
dropped: they are recognized by gradients that were cleared or changed while no step was taken.
"""

from .attach import attach
from .criterion import Attached
from .hooks import Capture

__all__ = ["Attached", "Capture", "attach"]
