"""Reading micrographs: files, stacks and folders of many makers, with their pixel size."""

from emscout.io.families import READERS, Reader
from emscout.io.find import find_images
from emscout.io.frames import Frames
from emscout.io.reading import inspect, read, read_series

__all__ = ["READERS", "Frames", "Reader", "find_images", "inspect", "read", "read_series"]
