"""Hostile and damaged model files, made by code: kind -> maker and the exception it must meet.

A maker writes its file below the folder it is given and returns the path. A file that could run
code would create ``MARKER`` in the working folder.
"""

from tests.frontend.corpus import archives, external, files, graphs, pickles, safetensors, zips
from tests.frontend.corpus._table import KINDS, MARKER

__all__ = ["KINDS", "MARKER", "archives", "external", "files", "graphs", "pickles", "safetensors", "zips"]
