"""What commands print on a terminal: a run, an inspected data set, a self-test.

May import report.tables, verdict and below.
"""
