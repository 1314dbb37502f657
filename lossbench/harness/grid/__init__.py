"""A grid of runs: every loss under every sampler with every seed.

plan        cells, checked before anything is written
tuning      the same number of trials for every loss
pool        worker processes that share cells, also with other machines on one directory
executors   the seam to engines: `slurm` and `ray_tasks` start what `job` does on each machine, and `follow` its files
ranks       several processes that train one cell together; `rank` is what each of them does
worker      the process that runs cells one after another, each from its newest checkpoint; `worker_process` starts it,
            `kept_data` keeps data between cells

May import the rest of harness and below.
"""
