"""Loaders of real datasets: official files in, the same `PoseSet` out; nothing is downloaded.

A data set's module has one `load(path, ...)`; `full_poses` takes a name such as `coco:PATH`. A file
that is missing, damaged or not what it should be raises `DatasetError`, which names the file, the
record in it and the reason.
"""

from posenb.world.datasets import coco, mpii
from posenb.world.datasets.named import full_poses, parse, short_name
from posenb.world.datasets.records import DatasetError

__all__ = ["DatasetError", "coco", "full_poses", "mpii", "parse", "short_name"]
