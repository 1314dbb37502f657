"""Training: from options to a finished run, and from options to a grid of runs.

`run.run` is the entrance: `prepare` checks all input before anything is written, `epochs` trains, `finish` evaluates
and writes the record. `resume` continues an interrupted run.

training/      the trainer, one step, optimizer, guard against non-finite numbers
checkpoints/   saving and restoring a run to the same bits
evaluation/    predictions, metrics, the balanced linear refit
weights/       what a backbone starts from
grid/          cells of `lossbench compare`: planning, tuning, worker processes

May import runs, contract, models, data and everything below; nothing here imports report or cli.
"""
