"""Data files as commands name them, `coco:PATH` or the path alone, and what is in them."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from posenb import assets
from posenb.world.datasets import (
    coco,
    detections,
    human36m,
    landmarks,
    lsp,
    mpi_inf_3dhp,
    mpii,
    threedpw,
)
from posenb.world.datasets.recognise import recognise
from posenb.world.datasets.records import DatasetError
from posenb.world.datasets.sequences import Sequence3D
from posenb.world.poses import PoseSet, recrop
from posenb.world.skeletons import BODY17, Skeleton

__all__ = ["FILMS", "LOADERS", "films", "full_poses", "is_file", "load", "parse", "short_name"]

LOADERS: Mapping[str, Callable[..., PoseSet]] = {
    "coco": coco.load,
    "mpii": mpii.load,
    "lsp": lsp.load,
    "faces": landmarks.load,
    "detections": detections.load,
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


def is_file(name: str) -> bool:
    """Whether a name is that of a data file: `kind:PATH`, or a path with a folder or an ending.

    (Names of domains have neither, so a folder that is called `wild` does not hide the domain;
    write it as `./wild`.)
    """
    return any(mark in name for mark in (":", "/", "\\", ".", "~"))


def parse(name: str) -> tuple[str, str]:
    """Kind and path of a data file: of `kind:PATH`, or of a path whose content tells the kind.

    `~` is the user's home.

    Raises:
        ValueError: if the kind is unknown, or there is no path.
        DatasetError: if a path without a kind is nothing that is known.
    """
    kind, mark, path = name.partition(":")
    if path and kind in LOADERS:
        return kind, str(Path(path).expanduser())
    place = Path(name).expanduser()
    if not name or kind in LOADERS or not (place.exists() or (is_file(name) and not mark)):
        known = " or ".join(f"{kind}:PATH" for kind in LOADERS)
        raise ValueError(f"expected {known}, or the path of a file, found {name!r}")
    kind = recognise(place)
    if kind not in LOADERS:
        reason = "holds motion without a camera: mocap.load gives its joints in metres"
        raise DatasetError(place, "file", reason)
    return kind, str(place)


def load(
    name: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton | None = None,
    margin: float = 1.25,
    **options: Any,
) -> PoseSet:
    """People of any file or folder that the loaders read, each in a square crop.

    Args:
        name: a path, of which `recognise` tells the kind; or `kind:PATH`. Of films about one frame
            a second is taken: neighbours are the same pose.
        minimum_joints: keep people with at least so many visible joints.
        skeleton: joints to return; None: those of the data set (of a detector's result COCO17, or
            HAND21 or FACE68).
        margin: side of the crop in larger extents of the person.
        **options: further arguments of that loader, such as `size` of detections.

    Raises:
        ValueError: if an argument is out of range, or the kind does not have such an option.
        DatasetError: if the file is missing, damaged, nothing that is known, or has nobody to keep.
    """
    kind, path = parse(str(name))
    wanted = {} if skeleton is None else {"skeleton": skeleton}
    loader = LOADERS[kind]
    if unknown := sorted(set(options) - set(inspect.signature(loader).parameters)):
        raise ValueError(f"{path} was taken for {kind}, which has no option {', '.join(unknown)}")
    return loader(path, minimum_joints=minimum_joints, margin=margin, **wanted, **options)


def full_poses(name: str, margin: float = 1.25) -> PoseSet:
    """The people of a data file who have all joints of BODY17, each in a square around them.

    Args:
        name: a path, or `coco:PATH`, `mpii:PATH` and so on; of films (`human36m:PATH`,
            `mpi_inf_3dhp:PATH`, `threedpw:PATH`) about one frame a second is taken.
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
        name: a path, or `human36m:PATH`, `mpi_inf_3dhp:PATH` or `threedpw:PATH`.

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
    if not is_file(name):
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
