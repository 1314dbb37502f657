"""A grid of runs: every loss under every sampler with every seed.

plan        cells, checked before anything is written
tuning      the same number of trials for every loss
pool        worker processes that share cells, also with other machines on one directory
worker      the process that runs cells one after another, each from its newest checkpoint; `worker_process` starts it,
            `kept_data` keeps data between cells

May import the rest of harness and below.
"""
