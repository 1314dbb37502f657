"""Losses for imbalanced or noisy labels, one a file. Import them by name: `lossbench.create_loss("ldam", context)`."""
