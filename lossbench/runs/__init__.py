"""Runs on disk: options, layout of directories, records, locks, cells of a grid.

options        the options of a run
options_file   the same as TOML
layout         names of files and directories
typed_json     dataclasses from JSON, read strictly
record         record.json
history        history.jsonl
predictions    predictions.npz
grid_file      compare.json of a comparison
finished_run   a record with its weights; the only module here that needs torch
place          the directory of a run in progress
cells          one run of a grid: where it lies and its state

May import models, data and below; nothing here trains or draws.
"""
