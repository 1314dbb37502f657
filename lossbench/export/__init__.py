"""Export a trained run as one file that other programs load, with a model card: `lossbench export`.

export_run   the entrance: build, check against the run, write
formats      the file formats and their names
build        the bytes of each format
check        the differences between an export and its run
card         the model card

May import report, harness and everything below.
"""
