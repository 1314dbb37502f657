"""The tables of a report, as data: a `table.Table` each, in the order of `every.all_tables`.

May import verdict and below.
"""
