"""A grid of runs: every loss under every sampler with every seed.

plan        cells, checked before anything is written
tuning      the same number of trials for every loss
pool        worker processes that share cells, also with other machines on one directory
worker      the process that runs cells one after another; `kept_data` keeps data between them

May import the rest of harness and below.
"""
