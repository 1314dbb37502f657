"""The epochs of a run: trainer, step, optimizer, clock, guard and diagnostics.

`build.build_trainer` makes a `trainer.Trainer` from a prepared task. A step is `step.TrainStep`: model, loss, backward.

May import harness.task, harness.reporter, runs, models, data and below; not checkpoints, evaluation or grid.
"""
