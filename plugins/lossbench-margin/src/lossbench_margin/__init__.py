"""Losses on angles, one a file: margins on the cosines of a model with a cosine head, and supervised contrast."""
