"""Reports: the verdict as text, Markdown, one HTML page, figures and JSON.

tables/     rows and columns; `every.all_tables` lists them
figures/    pictures
terminal/   what commands print
page, text, as_json, provenance

May import verdict, runs and below; nothing here computes a statistic.
"""
