"""Read four releases of AffectNet into one kind of table."""

from .source import open_affectnet

__all__ = ["open_affectnet"]
