"""Loaders of real datasets: official files in, the same `PoseSet` out; nothing is downloaded.

A data set's module has one `load(path, ...)`; `load` here takes any file and `recognise` tells
what it is; `full_poses` takes the path or a name such as `coco:PATH`. Those
of films have `sequences(path, ...)` too (`films` by name), because a lifter wants whole films. A
file that is missing, damaged or not what it should be raises `DatasetError`, which names the file,
the record in it and the reason.
"""

from posenb.world.datasets import (
    coco,
    detections,
    human36m,
    landmarks,
    lsp,
    mocap,
    mpi_inf_3dhp,
    mpii,
    threedpw,
)
from posenb.world.datasets.named import films, full_poses, is_file, load, parse, short_name
from posenb.world.datasets.recognise import recognise
from posenb.world.datasets.records import DatasetError
from posenb.world.datasets.sequences import Sequence3D

__all__ = [
    "DatasetError",
    "Sequence3D",
    "coco",
    "detections",
    "films",
    "full_poses",
    "human36m",
    "is_file",
    "landmarks",
    "load",
    "lsp",
    "mocap",
    "mpi_inf_3dhp",
    "mpii",
    "parse",
    "recognise",
    "short_name",
    "threedpw",
]
