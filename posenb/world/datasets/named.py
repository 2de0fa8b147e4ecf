"""Data files as commands name them, such as `coco:PATH`, and the poses or films in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from posenb import assets
from posenb.world.datasets import coco, human36m, mpi_inf_3dhp, mpii, threedpw
from posenb.world.datasets.records import DatasetError
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
FILMED = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".avi", ".mp4", ".mov", ".mkv"}
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

    Tools give all their files one name, so it takes the last folder, the file and the beginning of
    the SHA-256 of what it holds: `coco:train/_annotations.coco.json` is
    coco_train_annotations_coco_1f3a9c02. Other files never share a name, and a file keeps its own
    wherever that folder is moved to. Of a folder all files count but pictures and videos.

    Raises:
        ValueError: for another kind of file.
        DatasetError: if there is no such file.
    """
    if ":" not in name:
        return name
    kind, place = parse(name)
    path = Path(place).expanduser().resolve()
    words = [
        re.sub("[^A-Za-z0-9]+", "_", word).strip("_") for word in (path.parent.name, path.stem)
    ]
    limited = [word[:length] for word, length in zip(words, (20, 40), strict=True)]
    return "_".join([kind, *filter(None, limited), _content(path)])


def _content(path: Path) -> str:
    """Beginning of the SHA-256 of a file, or of the names and bytes of all files in a folder."""
    try:
        if not path.is_dir():
            return assets.digest(path)[:8]
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() not in FILMED)
        parts = [f"{file.relative_to(path).as_posix()} {assets.digest(file)}" for file in files]
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): check the path"
        raise DatasetError(path, "file", reason) from error
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
