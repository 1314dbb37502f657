"""Evaluate a trained model: predictions, metrics, and a balanced linear refit.

`evaluate.predict` runs a model over a table, `metrics` scores the result, `predict` serves `lossbench predict`.

May import harness.training.step, runs, models, data and below.
"""
