"""Loaders of real datasets: official files in, the same `PoseSet` out; nothing is downloaded.

A data set's module has one `load(path, ...)`; `full_poses` takes a name such as `coco:PATH`. Those
of films have `sequences(path, ...)` too (`films` by name), because a lifter wants whole films. A
file that is missing, damaged or not what it should be raises `DatasetError`, which names the file,
the record in it and the reason.
"""

from posenb.world.datasets import coco, human36m, mpi_inf_3dhp, mpii, threedpw
from posenb.world.datasets.named import films, full_poses, parse, short_name
from posenb.world.datasets.records import DatasetError
from posenb.world.datasets.sequences import Sequence3D

__all__ = [
    "DatasetError",
    "Sequence3D",
    "coco",
    "films",
    "full_poses",
    "human36m",
    "mpi_inf_3dhp",
    "mpii",
    "parse",
    "short_name",
    "threedpw",
]
