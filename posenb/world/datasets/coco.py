"""COCO keypoints: `person_keypoints_{train,val}2017.json` (Lin et al., 2014, Microsoft COCO)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from posenb.world.datasets.records import DatasetError, Person, field, gather, numbers, read_json
from posenb.world.poses import PoseSet
from posenb.world.skeletons import COCO17, Skeleton

__all__ = ["load"]

ORIGIN = (
    "person_keypoints_train2017.json and _val2017.json are in annotations_trainval2017.zip from "
    "cocodataset.org (annotations: COCO Consortium, CC BY 4.0)"
)

log = logging.getLogger(__name__)


def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = COCO17,
    margin: float = 1.25,
) -> PoseSet:
    """People of a COCO keypoint file, each in a square crop.

    Crowds and people without a labelled joint are passed over (their number is logged). Labelled
    means v = 1 (hidden) or v = 2 (seen); unlabelled joints are `visible=False` with keypoint 0.
    COCO's keypoints are 0-indexed pixels, so half a pixel is added to be at their centres; its
    boxes are measured from the corner of the image already. The crop is `margin` times the larger
    side of the person's box, widened to hold all labelled joints, so those lie in [0, 1] (an
    extrapolated one, such as BODY17's head_top, may end a little outside).

    Args:
        path: the JSON file.
        minimum_joints: keep people with at least so many visible joints of `skeleton`; with COCO17,
            17 keeps full poses only (what FlexPose trains on).
        skeleton: joints to return; others than COCO17 go through `skeletons.convert`, and an
            interpolated joint is visible if all that it is made of is labelled.
        margin: side of the crop in larger sides of the box.

    Returns:
        PoseSet without 3D and cameras; action is "unknown", subject "image 397133 / person 200887"
        with the ids of the file.

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range.
        DatasetError: if the file is missing, no JSON, lacks keys, has a damaged record, or has
            nobody to keep.
    """
    path = Path(path)
    content = read_json(path, ORIGIN)
    order = _joint_order(path, content)
    people, passed = [], 0
    for position, annotation in enumerate(field(path, "file", content, "annotations", list)):
        person = _person(path, position, annotation, order)
        if person is None:
            passed += 1
        else:
            people.append(person)
    log.info("%s: passed over %d crowds and people without a labelled joint", path, passed)
    return gather(path, people, COCO17, skeleton, minimum_joints, margin)


def _joint_order(path: Path, content: Any) -> dict[int, list[int]]:
    """For each category with COCO's joints, where in a record each joint of COCO17 stands."""
    orders = {}
    for category in field(path, "file", content, "categories", list):
        number = field(path, "categories", category, "id", int)
        joints = category.get("keypoints")
        if not isinstance(joints, list):
            continue
        if sorted(map(str, joints)) != sorted(COCO17.joints):
            reason = f"expected the joints {', '.join(COCO17.joints)}; found {joints}"
            raise DatasetError(path, f"category {number}", reason)
        orders[number] = [joints.index(joint) for joint in COCO17.joints]
    if not orders:
        reason = f"no category has keypoints; instances_*.json will not do: {ORIGIN}"
        raise DatasetError(path, "categories", reason)
    return orders


def _person(
    path: Path, position: int, annotation: Any, orders: dict[int, list[int]]
) -> Person | None:
    """One annotation, or None for a crowd, a thing, or a person without a labelled joint."""
    number = field(path, f"annotation at position {position}", annotation, "id", int)
    record = f"annotation {number}"
    image = field(path, record, annotation, "image_id", int)
    order = orders.get(field(path, record, annotation, "category_id", int))
    if order is None or annotation.get("iscrowd"):
        return None
    flat = numbers(
        path, record, "keypoints", field(path, record, annotation, "keypoints", list), 3 * 17
    )
    flags = [flat[3 * i + 2] for i in order]
    if not set(flags) <= {0.0, 1.0, 2.0}:
        raise DatasetError(
            path, record, f"visibility must be 0, 1 or 2, found {sorted(set(flags))}"
        )
    if not any(flags):
        return None
    left, top, width, height = numbers(
        path, record, "bbox", field(path, record, annotation, "bbox", list), 4
    )
    if width <= 0 or height <= 0:
        reason = f"bbox must have positive width and height, found {width:g} x {height:g}"
        raise DatasetError(path, record, reason)
    return Person(
        [[flat[3 * i] + 0.5, flat[3 * i + 1] + 0.5] for i in order],
        [flag > 0 for flag in flags],
        (left, top, left + width, top + height),
        "unknown",
        f"image {image} / person {number}",
    )
