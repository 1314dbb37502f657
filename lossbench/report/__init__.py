"""Reports: the verdict on a terminal, as Markdown, as one HTML page, as figures and JSON.

sections    the list of a report's sections, which every form follows
tables/     rows and columns
figures/    pictures
terminal/   what commands print
page, markdown, as_json

May import verdict, runs and below; nothing here computes a statistic.
"""
