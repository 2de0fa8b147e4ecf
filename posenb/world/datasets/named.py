"""Data files as commands name them, such as `coco:PATH`, and the poses or films in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from posenb.world.datasets import coco, human36m, mpi_inf_3dhp, mpii, threedpw
from posenb.world.datasets.sequences import Sequence3D
from posenb.world.poses import PoseSet, recrop
from posenb.world.skeletons import BODY17

__all__ = ["FILMS", "LOADERS", "films", "full_poses", "parse", "short_name"]

LOADERS: Mapping[str, Callable[..., PoseSet]] = {
    "coco": coco.load,
    "mpii": mpii.load,
    "human36m": partial(human36m.load, every=50),  # of films, about one frame a second:
    "mpi_inf_3dhp": partial(mpi_inf_3dhp.load, every=25),  # neighbours are the same pose
    "threedpw": partial(threedpw.load, every=30, detected=True),  # in 3D it has no full pose
}
FILMS: Mapping[str, Callable[..., Iterator[Sequence3D]]] = {
    "human36m": human36m.sequences,
    "mpi_inf_3dhp": mpi_inf_3dhp.sequences,
    "threedpw": threedpw.sequences,
}


def parse(name: str) -> tuple[str, str]:
    """Kind and path of a data file.

    Raises:
        ValueError: if the kind is unknown, or there is no path.
    """
    kind, _, path = name.partition(":")
    if kind not in LOADERS or not path:
        raise ValueError(f"expected {' or '.join(f'{k}:PATH' for k in LOADERS)}, found {name!r}")
    return kind, path


def full_poses(name: str, margin: float = 1.25) -> PoseSet:
    """The people of a data file who have all joints of BODY17, each in a square around them.

    Args:
        name: `coco:PATH` or `mpii:PATH`; or `human36m:PATH`, `mpi_inf_3dhp:PATH` or
            `threedpw:PATH`, of which about one frame a second is taken.
        margin: side of the square in larger extents of the joints; 1.25 is that of domain `wild`.

    Raises:
        ValueError: for another kind of file.
        DatasetError: if the file is missing or damaged, or nobody in it has all joints.
    """
    kind, path = parse(name)
    return recrop(LOADERS[kind](path, minimum_joints=len(BODY17), skeleton=BODY17), margin)


def films(name: str) -> Iterator[Sequence3D]:
    """The films of a data file that has 3D, one after the other.

    Args:
        name: `human36m:PATH`, `mpi_inf_3dhp:PATH` or `threedpw:PATH`.

    Raises:
        ValueError: for another kind of file.
        DatasetError: if the file is missing or damaged.
    """
    kind, path = parse(name)
    if kind not in FILMS:
        raise ValueError(f"{kind} has no films; {', '.join(FILMS)} have, found {name!r}")
    return FILMS[kind](path)


def short_name(name: str) -> str:
    """What a data file is called in names of files and cards, on any system; others as they are.

    `coco:data/person_keypoints_val2017.json` is coco_person_keypoints_val2017.

    Raises:
        ValueError: for another kind of file.
    """
    if ":" not in name:
        return name
    kind, path = parse(name)
    return f"{kind}_{re.sub('[^A-Za-z0-9]+', '_', Path(path).stem)[:100]}"
