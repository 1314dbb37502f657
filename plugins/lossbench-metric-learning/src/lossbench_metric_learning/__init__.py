"""Losses of pytorch-metric-learning (`pml/`), torch (`torch/`) and timm (`timm/`) behind lossbench's interface."""
