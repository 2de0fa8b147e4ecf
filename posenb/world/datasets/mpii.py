"""MPII Human Pose (Andriluka et al., 2014): the official Matlab release, or JSON made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posenb.world.datasets.matlab import read_mat
from posenb.world.datasets.recognise import only
from posenb.world.datasets.records import (
    FARTHEST,
    DatasetError,
    Person,
    field,
    gather,
    number,
    read_json,
    say_passed,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import MPII16, Skeleton

__all__ = ["load"]

ORIGIN = (
    "mpii_human_pose_v1_u12_1.mat is in mpii_human_pose_v1_u12_2.zip from "
    "human-pose.mpi-inf.mpg.de (simplified BSD licence)"
)
SCALE_PIXELS = 200  # MPII's `scale` is the person's height in units of 200 pixels
NOBODY = "without a labelled joint"


@only("mpii")
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
      (a warning counts them). A joint counts as labelled if it has coordinates, hidden or not.
    - `.json`, the `train.json`, `valid.json` and `trainval.json` that pose-estimation code bases
      made of it (a list of objects with joints, joints_vis, center, scale, image). A joint counts
      as labelled if its joints_vis is above 0, or there is none. There are no activities.

    Both count pixels from 1, as Matlab does: half a pixel is taken off to be at their centres.
    MPII has no boxes; the usual one is a square of 200 scale about a point 15 scale below
    `objpos` (`center`). The crop is `margin` times that, widened to hold all labelled joints, so
    those lie in [0, 1]; without a usable scale or center it is drawn about the joints.
    `records.located` masks joints that nobody placed.

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
    path = Path(path).expanduser()
    if path.suffix not in (".mat", ".json"):
        raise ValueError(f"MPII files end in .mat or .json, found {path.name!r}")
    entries = list(_release(path) if path.suffix == ".mat" else _derived(path))
    people = [entry for entry in entries if isinstance(entry, Person)]
    say_passed(path, Counter(entry for entry in entries if isinstance(entry, str)), len(people))
    return gather(path, people, MPII16, skeleton, minimum_joints, margin, shift=-0.5)


def _derived(path: Path) -> Iterator[Person | str]:
    """People of the JSON format, or why there is none."""
    content = read_json(path, ORIGIN)
    if not isinstance(content, list):
        reason = f"expected a list of people, found {type(content).__name__}"
        raise DatasetError(path, "file", reason)
    for position, entry in enumerate(content):
        record = f"record {position}"
        if not isinstance(entry, dict):
            reason = f"expected an object, found {type(entry).__name__}"
            raise DatasetError(path, record, reason)
        if not entry.get("joints"):  # test.json
            yield "without joints"
            continue
        points = _sixteen(path, record, entry, "joints")
        flags = _sixteen(path, record, entry, "joints_vis") if "joints_vis" in entry else [1] * 16
        labelled = [number(flag) > 0 for flag in flags]
        joints = [
            _point(path, record, point) if known else [0.0, 0.0]
            for point, known in zip(points, labelled, strict=True)
        ]
        if not any(labelled):
            yield NOBODY
            continue
        image = entry.get("image")
        picture = str(image)[:80] if isinstance(image, (str, int)) else ""
        center = entry.get("center")
        place = [number(value) for value in center] if isinstance(center, list) else []
        box = _box(place, number(entry.get("scale")))
        who = f"image {picture or 'unknown'} / record {position}"
        yield Person(joints, labelled, box, "unknown", who, picture)


def _sixteen(path: Path, record: str, entry: Mapping[str, Any], key: str) -> list[Any]:
    """A list of one value a joint."""
    values: list[Any] = field(path, record, entry, key, list)
    if len(values) != 16:
        raise DatasetError(path, record, f"{key} must be 16, found {len(values)}")
    return values


def _point(path: Path, record: str, point: Any) -> list[float]:
    """Where a labelled joint is; NaN for null, which `located` masks.

    Raises:
        DatasetError: if it is no point.
    """
    pair = point[:2] if isinstance(point, list) else []
    fine = all(isinstance(v, (int, float, type(None))) and not isinstance(v, bool) for v in pair)
    if len(pair) != 2 or not fine:
        raise DatasetError(path, record, f"a joint must be [x, y], found {str(point)[:40]}")
    return [number(value) for value in pair]


def _release(path: Path) -> Iterator[Person | str]:
    """People of the official .mat file, a Matlab struct RELEASE of structs of structs.

    Or why there is none: no joints or no place, as many have, or it belongs to the test set.
    """
    release = field(path, "file", read_mat(path, ORIGIN), "RELEASE", dict)
    images, activities, training = (
        _several(field(path, "RELEASE", release, key, object))
        for key in ("annolist", "act", "img_train")
    )
    if not len(images) == len(activities) == len(training):
        reason = f"{len(images)} images, {len(activities)} activities, {len(training)} flags"
        raise DatasetError(path, "RELEASE", f"lists differ in length: {reason}")
    for position, (image, activity) in enumerate(zip(images, activities, strict=True)):
        name = _part(_part(image, "image"), "name")
        if not isinstance(name, str):
            raise DatasetError(path, f"annolist {position + 1}", "has no image.name")
        action = _part(activity, "act_name")
        for count, rect in enumerate(_several(_part(image, "annorect")), 1):
            place, scale = _part(rect, "objpos"), _part(rect, "scale")
            points = _several(_part(_part(rect, "annopoints"), "point"))
            if training[position] != 1:
                yield "of the test set"
                continue
            if place is None or scale is None or not len(points):
                yield "without joints, scale or position"
                continue
            record = f"image {name}, person {count}"
            joints, labelled = [[0.0, 0.0] for _ in range(16)], [False] * 16
            for point in points:
                *xy, joint = (number(_part(point, axis)) for axis in ("x", "y", "id"))
                if joint not in range(16):  # NaN is not
                    raise DatasetError(path, record, f"joint id must be 0 to 15, found {joint:g}")
                joints[int(joint)], labelled[int(joint)] = xy, True
            box = _box([number(_part(place, axis)) for axis in "xy"], number(scale))
            label = action if isinstance(action, str) else "unknown"
            yield Person(joints, labelled, box, label, f"image {name} / person {count}", name)


def _part(struct: Any, name: str) -> Any:
    """A field of a Matlab struct; None if it is absent or an empty matrix."""
    value = struct.get(name) if isinstance(struct, dict) else None
    return None if isinstance(value, np.ndarray) and value.size == 0 else value


def _several(value: Any) -> list[Any]:
    """What Matlab holds as an array, of which one element looks like no array, and none is None."""
    if isinstance(value, np.ndarray):
        return list(value.ravel("F"))
    return value if isinstance(value, list) else [] if value is None else [value]


def _box(center: Sequence[float], scale: float) -> tuple[float, float, float, float] | None:
    """The usual square of a person, from the corner of the top-left pixel; None if it is none."""
    if len(center) != 2 or not all(abs(value) <= FARTHEST for value in (*center, scale)):
        return None  # NaN fails any comparison
    x, y, half = center[0] - 0.5, center[1] - 0.5 + 15 * scale, scale * SCALE_PIXELS / 2
    return (x - half, y - half, x + half, y + half) if scale > 0 else None
