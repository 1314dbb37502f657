"""Backbones and heads. Names are kept here, where no torch is imported."""

SENET_TINY = "senet-tiny"
SENET_TINY_IMAGE_SIZE = 48
