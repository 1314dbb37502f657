"""The figures of a report, as SVG drawn by matplotlib: `every.all_pictures` lists them.

May import verdict and below.
"""
