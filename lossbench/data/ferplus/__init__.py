"""Read FER+ (FER2013's images with the votes of ten annotators) from image folders or from a CSV file of pixels."""

from .place import of_ferplus as of_ferplus
from .source import open_ferplus as open_ferplus
