"""The tables of a report, as data: functions from a comparison to a `table.Table`.

May import verdict and below.
"""
