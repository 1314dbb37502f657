"""The figures of a report, as SVG drawn by matplotlib.

drawing       shared style; `to_svg`
stand_alone   a figure as a file of its own
picture       a figure with its title and note
accuracy, classes, maps

May import verdict and below.
"""
