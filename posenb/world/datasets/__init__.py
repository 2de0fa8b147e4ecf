"""Loaders of real datasets: official files in, the same `PoseSet` out; nothing is downloaded.

Each module has one `load(path, ...)`. A file that is missing, damaged or not what it should be
raises `DatasetError`, which names the file, the record in it and the reason.
"""

from posenb.world.datasets import coco, mpii
from posenb.world.datasets.records import DatasetError

__all__ = ["DatasetError", "coco", "mpii"]
