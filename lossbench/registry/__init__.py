"""Find losses by name: built-in, registered in this process, or installed by other distributions."""

from .entries import LossEntry, Status, list_losses, loss_entries, plugin_errors
from .lookup import check_names, loss_info, loss_origin, register_loss, remedy
from .objects import allow_objects, object_names

__all__ = [
    "LossEntry",
    "Status",
    "allow_objects",
    "check_names",
    "list_losses",
    "loss_entries",
    "loss_info",
    "loss_origin",
    "object_names",
    "plugin_errors",
    "register_loss",
    "remedy",
]
