"""Fixtures of the tests on real engines."""

from __future__ import annotations

from cli.conftest import elsewhere, lossbench

__all__ = ["elsewhere", "lossbench"]
