"""AffectNet as it lies on disk: four releases, one table."""

from .source import open_affectnet

__all__ = ["open_affectnet"]
