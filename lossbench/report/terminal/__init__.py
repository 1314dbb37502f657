"""The output of commands on a terminal.

table         the only place that draws tables, for any width
comparison, run, data, self_test
shorten       long lists and numbers

May import report.tables, verdict and below.
"""
