"""Predictions that lossbench did not make: tables of runs as CSV, NPZ or Parquet.

columns   files as chunks of columns
table     chunks as data sets of runs, checked
counts    training images per class

May import errors and numpy; never torch.
"""
