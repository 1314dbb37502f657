"""Runs on disk: options, layout of directories, records, locks, cells of a grid.

options        the options of a run
options_file   the same as TOML
layout         names of files and directories
finished_run   a record with its weights
cells          one run of a grid: where it lies and its state

May import models, data and below; nothing here trains or draws.
"""
