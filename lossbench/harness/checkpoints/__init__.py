"""Checkpoints: a run that is interrupted resumes to the same bits.

folder    checkpoint directories: complete or absent, with digests
state     what a trainer, its loader and its random generators must remember
saver     when a checkpoint is written
restore   reading one back; `belonging` refuses one of a different run, `resumptions` counts
replay    the batch that stopped a run, again

May import harness.training and below; not evaluation or grid.
"""
