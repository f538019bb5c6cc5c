"""Reading micrographs: files, stacks and folders of many makers, with their pixel size."""

from emscout.io.families import READERS
from emscout.io.find import SUFFIXES, find_images
from emscout.io.reading import inspect, read, read_series

__all__ = ["READERS", "SUFFIXES", "find_images", "inspect", "read", "read_series"]
