"""A comparison for a paper: booktabs tables, PDF figures, a paragraph on methods and its references.

escape      text that LaTeX prints as it is
table       a table with booktabs rules
methods     what was done, in a paragraph, with BibTeX of what it cites
directory   all of it, and a document that includes it

May import report.tables, report.figures, verdict and below.
"""
