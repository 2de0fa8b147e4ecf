"""MPII Human Pose (Andriluka et al., 2014): the official Matlab release, or JSON made of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posenb.world.datasets.matlab import read_mat
from posenb.world.datasets.records import (
    DatasetError,
    Person,
    field,
    gather,
    numbers,
    read_json,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import MPII16, Skeleton

__all__ = ["load"]

ORIGIN = (
    "mpii_human_pose_v1_u12_1.mat is in mpii_human_pose_v1_u12_2.zip from "
    "human-pose.mpi-inf.mpg.de (simplified BSD licence)"
)
SCALE_PIXELS = 200  # MPII's `scale` is the person's height in units of 200 pixels

log = logging.getLogger(__name__)


def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = MPII16,
    margin: float = 1.25,
) -> PoseSet:
    """People of an MPII annotation file, each in a square crop.

    Two formats, told apart by the file's ending:

    - `.mat`, the official release `mpii_human_pose_v1_u12_1.mat`. Its training people have joints
      and an activity; test images and people without joints, scale or position are passed over
      (their number is logged). A joint counts as labelled if it has coordinates, hidden or not.
    - `.json`, the `train.json`, `valid.json` and `trainval.json` that pose-estimation code bases
      made of it (a list of objects with joints, joints_vis, center, scale, image). A joint counts
      as labelled if its joints_vis is not 0. There are no activities.

    Both count pixels from 1, as Matlab does: half a pixel is taken off to be at their centres.
    MPII has no boxes; the usual one is a square of 200 scale about a point 15 scale below
    `objpos` (`center`). The crop is `margin` times that, widened to hold all labelled joints, so
    those lie in [0, 1].

    Args:
        path: the .mat or .json file.
        minimum_joints: keep people with at least so many labelled joints; 16 keeps full poses.
        skeleton: joints to return; others than MPII16 go through `skeletons.convert`, and an
            interpolated joint is visible if all that it is made of is labelled.
        margin: side of the crop in sides of the box.

    Returns:
        PoseSet without 3D and cameras; subject is "image 015601864.jpg / person 1" (.mat, counted
        in the image) or "image 015601864.jpg / record 0" (.json, counted in the file).

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range, or for another file ending.
        DatasetError: if the file is missing, damaged, lacks fields, or has nobody to keep.
    """
    path = Path(path)
    if path.suffix not in (".mat", ".json"):
        raise ValueError(f"MPII files end in .mat or .json, found {path.name!r}")
    people = list(_release(path) if path.suffix == ".mat" else _derived(path))
    labelled = [person for person in people if person is not None]
    passed = len(people) - len(labelled)
    log.info("%s: passed over %d people without a labelled joint, or of the test set", path, passed)
    return gather(path, labelled, MPII16, skeleton, minimum_joints, margin)


def _derived(path: Path) -> Iterator[Person | None]:
    """People of the JSON format; None for each without a labelled joint."""
    content = read_json(path, ORIGIN)
    if not isinstance(content, list):
        reason = f"expected a list of people, found {type(content).__name__}"
        raise DatasetError(path, "file", reason)
    for position, entry in enumerate(content):
        record = f"record {position}"
        image = field(path, record, entry, "image", str)
        flags = numbers(
            path, record, "joints_vis", field(path, record, entry, "joints_vis", list), 16
        )
        joints = field(path, record, entry, "joints", list)
        if len(joints) != 16:
            raise DatasetError(path, record, f"joints must be 16 points, found {len(joints)}")
        points = [numbers(path, record, "a joint", joint, 2) for joint in joints]
        center = numbers(path, record, "center", field(path, record, entry, "center", list), 2)
        (scale,) = numbers(path, record, "scale", [entry.get("scale")], 1)
        labelled = [flag != 0 for flag in flags]
        subject = f"image {image} / record {position}"
        if any(labelled):
            yield _person(path, record, points, labelled, center, scale, "unknown", subject)
        else:
            yield None


def _release(path: Path) -> Iterator[Person | None]:
    """People of the official .mat file, a Matlab struct RELEASE of structs of structs.

    None for each that has no labelled joint or no place, or belongs to the test set.
    """
    release = field(path, "file", read_mat(path, ORIGIN), "RELEASE", dict)
    images, activities, training = (
        _several(field(path, "RELEASE", release, key, object))
        for key in ("annolist", "act", "img_train")
    )
    if not len(images) == len(activities) == len(training):
        reason = f"{len(images)} images, {len(activities)} activities, {len(training)} flags"
        raise DatasetError(path, "RELEASE", f"lists differ in length: {reason}")
    for number, (image, activity) in enumerate(zip(images, activities, strict=True)):
        name = _part(_part(image, "image"), "name")
        if not isinstance(name, str):
            raise DatasetError(path, f"annolist {number + 1}", "has no image.name")
        action = _part(activity, "act_name")
        for count, rect in enumerate(_several(_part(image, "annorect")), 1):
            place, scale = _part(rect, "objpos"), _part(rect, "scale")
            points = _several(_part(_part(rect, "annopoints"), "point"))
            if training[number] != 1 or place is None or scale is None or not len(points):
                yield None
                continue
            record = f"image {name}, person {count}"
            joints, labelled = [[0.0, 0.0] for _ in range(16)], [False] * 16
            for point in points:
                *xy, joint = _scalars(path, record, "point", point, ("x", "y", "id"))
                if joint not in range(16):
                    raise DatasetError(path, record, f"joint id must be 0 to 15, found {joint:g}")
                joints[int(joint)], labelled[int(joint)] = xy, True
            center = _scalars(path, record, "objpos", place, ("x", "y"))
            (height,) = _scalars(path, record, "person", rect, ("scale",))
            label = action if isinstance(action, str) else "unknown"
            subject = f"image {name} / person {count}"
            yield _person(path, record, joints, labelled, center, height, label, subject)


def _part(struct: Any, name: str) -> Any:
    """A field of a Matlab struct; None if it is absent or an empty matrix."""
    value = struct.get(name) if isinstance(struct, dict) else None
    return None if isinstance(value, np.ndarray) and value.size == 0 else value


def _several(value: Any) -> list[Any]:
    """What Matlab holds as an array, of which one element looks like no array, and none is None."""
    if isinstance(value, np.ndarray):
        return list(value.ravel("F"))
    return value if isinstance(value, list) else [] if value is None else [value]


def _scalars(
    path: Path, record: str, what: str, struct: Any, names: tuple[str, ...]
) -> list[float]:
    """Fields of a Matlab struct as numbers."""
    values = [_part(struct, name) for name in names]
    return numbers(path, record, f"{what} ({', '.join(names)})", values, len(names))


def _person(
    path: Path,
    record: str,
    points: list[list[float]],
    labelled: list[bool],
    center: list[float],
    scale: float,
    action: str,
    subject: str,
) -> Person:
    """Pixels counted from 1 become positions from the corner; scale and center become a box."""
    if scale <= 0:
        raise DatasetError(path, record, f"scale must be positive, found {scale:g}")
    x, y = center[0] - 0.5, center[1] - 0.5 + 15 * scale
    half = scale * SCALE_PIXELS / 2
    return Person(
        [[px - 0.5, py - 0.5] for px, py in points],
        labelled,
        (x - half, y - half, x + half, y + half),
        action,
        subject,
    )
