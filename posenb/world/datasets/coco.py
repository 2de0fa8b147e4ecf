"""COCO keypoints (Lin et al., 2014, Microsoft COCO), and the many files that others write like it.

The format is that of `person_keypoints_{train,val}2017.json`. CrowdPose, PoseTrack18, Human-Art,
AIC, JHMDB, Halpe, COCO-WholeBody and the exports of annotation tools use it with joints of their
own; hands and faces come in it as well.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from posenb.world.datasets import joints, records
from posenb.world.datasets.recognise import only
from posenb.world.datasets.records import (
    FARTHEST,
    WIDTHS,
    DatasetError,
    Person,
    gather,
    listed,
    number,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import COCO17, FACE68, Skeleton, convert

__all__ = ["load"]

ORIGIN = (
    "person_keypoints_train2017.json and _val2017.json are in annotations_trainval2017.zip from "
    "cocodataset.org (annotations: COCO Consortium, CC BY 4.0)"
)
FEWEST = 3  # joints asked for that a category must have for its records to be people
SHARE = 0.75  # of the joints that the best category has: less is another kind of thing
BODY = "left_shoulder"  # whoever has one is no mere hand or face
FIELDS = {  # COCO-WholeBody keeps these beside "keypoints"
    "foot_kpts": joints.FEET,
    "face_kpts": FACE68.joints,
    "lefthand_kpts": joints.HANDS[:21],
    "righthand_kpts": joints.HANDS[21:],
}
UNKNOWN = (math.nan, math.nan, 0.0)  # a joint that a record does not have

log = logging.getLogger(__name__)


class Category(NamedTuple):
    """What is annotated under one category id."""

    label: str
    source: Skeleton  # its joints in the order of its records
    fields: tuple[str, ...]  # further ones that follow them; see `FIELDS`
    parts: tuple[joints.Part, ...]
    boxed: bool  # the box is about what is taken, not about a whole body with hands and a face


@dataclass
class Reading:
    """What has been seen so far."""

    path: Path
    passed: Counter[str] = field(default_factory=Counter)  # reason -> people
    flags: set[float] = field(default_factory=set)  # visibilities that are not 0, 1 or 2
    people: list[Person] = field(default_factory=list)
    read: int = 0  # records that gave people


@only("coco")
def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = COCO17,
    margin: float = 1.25,
    mapping: Mapping[str, str] | None = None,
) -> PoseSet:
    """People of a COCO keypoint file, each in a square crop.

    Which joints a file has stands in its categories, in any order and spelling; all categories
    that have the joints asked for are people. Joints without names are known by their number (17
    of COCO, 21 of a hand, 26 and 136 of Halpe, 68 of a face, 98 of WFLW, 133 of COCO-WholeBody).
    Crowds, people with a box only and those without a labelled joint are passed over: a warning
    says how many, and why.

    Labelled means v = 1 (hidden) or v = 2 (seen), or any other number above 0, such as a score; a
    file of x and y alone labels all. `records.located` masks joints that nobody placed. COCO's
    keypoints are 0-indexed pixels, so half a pixel is added to be at their centres; its boxes are
    measured from the corner of the image already. The crop is `margin` times the larger side of
    the person's box, widened to hold all labelled joints that the skeleton is made of, so those lie
    in [0, 1] (an extrapolated one, such as BODY17's head_top, may end a little outside). Without a
    box it is drawn about the joints, as it is for hands and faces of whole bodies.

    Args:
        path: the JSON file.
        minimum_joints: keep people with at least so many visible joints of `skeleton`; with COCO17,
            17 keeps full poses only (what FlexPose trains on).
        skeleton: joints to return, through `skeletons.convert` from those of the file; an
            interpolated joint is visible if all that it is made of is labelled. HAND21 gives each
            hand of a whole body as a pose of its own.
        margin: side of the crop in larger sides of the box.
        mapping: joint names of the file -> ours, for names that are not known or taken wrongly;
            joints without names are called "0", "1", ...

    Returns:
        PoseSet with pictures and crops, without 3D and cameras; action is "unknown", subject
        "image 397133 / person 200887" with the ids of the file.

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range, or `mapping` names a joint that
            the file has not.
        DatasetError: if the file is missing, no JSON, has no keypoints or not these joints, has a
            damaged record, or has nobody to keep.
    """
    path = Path(path).expanduser()
    content = records.read_json(path, ORIGIN)
    annotations = _annotations(path, content)
    groups = _groups(path, content, annotations)
    pictures = _pictures(content)
    reading = Reading(path)
    categories = _categories(reading, content, groups, skeleton, mapping)
    names = tuple(
        dict.fromkeys(j for c in categories.values() for p in c.parts for j in p.skeleton.joints)
    )
    for key, category in categories.items():
        for position, annotation in groups[key]:
            _read(reading, position, annotation, category, names, pictures)
    records.say_passed(path, reading.passed, reading.read)
    _say_flags(reading)
    union = joints.bare("the file's joints", names)
    return gather(path, reading.people, union, skeleton, minimum_joints, margin, shift=0.5)


def _annotations(path: Path, content: Any) -> list[Any]:
    """The list of annotations, or an error that says what the file is instead."""
    if isinstance(content, list):
        reason = (
            "expected an object with annotations and categories, found a list, such as results of "
            "a detector: datasets.load reads those"
        )
        raise DatasetError(path, "file", reason)
    if isinstance(content, dict) and "images" in content and "annotations" not in content:
        reason = (
            f"'annotations' is missing; found {listed(content)}: image_info_*.json names pictures "
            f"without people. {ORIGIN}"
        )
        raise DatasetError(path, "file", reason)
    annotations: list[Any] = records.field(path, "file", content, "annotations", list)
    for position, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            reason = f"expected an object, found {type(annotation).__name__}"
            raise DatasetError(path, f"annotation at position {position}", reason)
    if annotations and not any(_holds(annotation) for annotation in annotations):
        reason = (
            f"none of {len(annotations)} has keypoints: a file of boxes and masks, such as "
            f"instances_*.json, will not do. {ORIGIN}"
        )
        raise DatasetError(path, "annotations", reason)
    return annotations


def _holds(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("keypoints")) or any(annotation.get(name) for name in FIELDS)


def _key(value: Any) -> str | None:
    """An id as text, so that 1, 1.0, "1" and "0001.0" are one; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = str(value)[:80].strip()
    whole = re.fullmatch(r"0*(\d+)(\.0+)?", text)
    return (whole[1] if whole else text) or None


def _listing(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list that a file may lack."""
    entries = content.get(name)
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def _groups(
    path: Path, content: Mapping[str, Any], annotations: Sequence[dict[str, Any]]
) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Annotations, with their positions, by category id; those of unknown ids under "".

    Without an id they are of the only category that has keypoints, if there is but one.
    """
    categories = _listing(content, "categories")
    known = {_key(category.get("id")) for category in categories} - {None}
    able = [_key(category.get("id")) for category in categories if category.get("keypoints")]
    groups: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for position, annotation in enumerate(annotations):
        key = _key(annotation.get("category_id"))
        if annotation.get("category_id") is None and len(able) == 1:
            key = able[0]
        named = not known or key in known
        groups.setdefault((key or "none") if named else "", []).append((position, annotation))
    strangers = groups.get("", [])
    if strangers and len(strangers) == len(annotations):
        reason = (
            f"all {len(annotations)} annotations have a category id ({_ids(strangers)}) that no "
            f"category has; categories are {listed(sorted(k for k in known if k))}: "
            "give both the same ids"
        )
        raise DatasetError(path, "categories", reason)
    return groups


def _ids(group: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    return listed(
        sorted({_key(annotation.get("category_id")) or "none" for _, annotation in group})
    )


def _pictures(content: Mapping[str, Any]) -> dict[str, tuple[str, tuple[float, float] | None]]:
    """File name, and size where it is known, of each image id."""
    found = {}
    for image in _listing(content, "images"):
        key = _key(image.get("id"))
        if key is not None:
            size = (number(image.get("width")), number(image.get("height")))
            usable = all(0 < side <= FARTHEST for side in size)  # NaN fails any comparison
            name = image.get("file_name")
            found[key] = (name if isinstance(name, str) else key, size if usable else None)
    return found


def _categories(
    reading: Reading,
    content: Mapping[str, Any],
    groups: Mapping[str, Sequence[tuple[int, Mapping[str, Any]]]],
    skeleton: Skeleton,
    mapping: Mapping[str, str] | None,
) -> dict[str, Category]:
    """The categories, by id, whose records are what is asked for; the rest is counted as passed.

    Raises:
        DatasetError: if there is none.
    """
    listing = {_key(c.get("id")): c for c in _listing(content, "categories")}
    mapping = mapping or {}
    named = {key: _names(listing.get(key, {}), group) for key, group in groups.items() if key}
    everywhere = {name for names in named.values() for name in names}
    if strangers := sorted(set(mapping) - everywhere):
        raise ValueError(
            f"mapping names {listed(strangers)}, but the joints of {reading.path.name} are "
            f"{listed(sorted(everywhere), 12)}"
        )
    found: dict[str, Category] = {}
    made: dict[str, int] = {}
    for key, names in named.items():
        ours = {name: joint for name, joint in mapping.items() if name in names}
        numbered = not ours and _numbered(names)
        source = (joints.unnamed(len(names)) if numbered else None) or joints.read(names, ours)
        further = tuple(
            name
            for name, extra in FIELDS.items()
            if joints.parts(joints.bare(name, extra), skeleton)
            and extra[0] not in source.joints
            and any(annotation.get(name) for _, annotation in groups[key])
        )
        whole = (*source.joints, *(joint for name in further for joint in FIELDS[name]))
        parts = joints.parts(joints.bare(source.name, whole), skeleton)
        label = str(listing.get(key, {}).get("name", key))[:40]
        body = BODY in whole and not any(BODY in part.skeleton.joints for part in parts)
        found[key] = Category(label, source, further, parts, not body)
        made[key] = max((_made(part.skeleton, skeleton) for part in parts), default=0)
        if numbered and made[key]:
            what = "%s: %d joints without names are taken as %s in its usual order"
            log.warning(what, reading.path, len(names), source.name)
    best = max(made.values(), default=0)
    least = max(SHARE * best, 1 if mapping else min(FEWEST, len(skeleton)))
    kept = {key: found[key] for key in found if made[key] >= least}
    if not kept and any(named.values()):
        raise DatasetError(reading.path, "categories", _refusal(found, named, skeleton))
    for key in groups:
        if not key:
            reason = f"with a category id that no category has ({_ids(groups[key])})"
            reading.passed[reason] += len(groups[key])
        elif key not in kept and named[key]:
            other = f"of category {found[key].label!r} (joints {listed(named[key], 3)})"
            reading.passed[other] += len(groups[key])
        elif key not in kept:
            log.info("%s: %d of %r are no people", reading.path, len(groups[key]), found[key].label)
    for category in {category.source.joints: category for category in kept.values()}.values():
        _say_joints(reading.path, category, skeleton)
    return kept


def _names(
    category: Mapping[str, Any], group: Sequence[tuple[int, Mapping[str, Any]]]
) -> list[str]:
    """Joint names of a category; numbers where it has none but its records have joints."""
    names = category.get("keypoints")
    if isinstance(names, list) and names:
        return [str(name)[:80] for name in names]
    for _, annotation in group:
        values = annotation.get("keypoints")
        if isinstance(values, list) and values:
            count = len(values) if isinstance(values[0], list) else len(values) // 3
            return [str(place) for place in range(count)]
    if any(_holds(annotation) for _, annotation in group):
        return list(COCO17.joints)  # a whole body's hands or face, without its body
    return []


def _numbered(names: Sequence[str]) -> bool:
    """Whether names are but numbers, such as kpt-0, kpt-1: then their count says what they are."""
    tails = ["".join(filter(str.isdigit, name)) for name in names]
    counts = {int(tail) - place if tail else None for place, tail in enumerate(tails)}
    return counts <= {0, 1} and len(counts) == 1 and not any(map(joints.canonical, names))


def _made(source: Skeleton, skeleton: Skeleton) -> int:
    """How many joints of a skeleton can be made."""
    status = convert(torch.zeros(len(source), 2), source, skeleton).status
    return len(status) - status.count("missing")


def _refusal(
    found: Mapping[str, Category], named: Mapping[str, Sequence[str]], skeleton: Skeleton
) -> str:
    """Why none of the categories will do."""
    key = max(named, key=lambda key: len(named[key]))
    what = f"category {found[key].label!r} has the {len(named[key])} joints {listed(named[key])}"
    if _numbered(named[key]):
        what = f"category {found[key].label!r} has {len(named[key])} joints without names"
    for other in ("HAND21", "FACE68"):
        if skeleton.name != other and joints.layout(other).joints[5] in found[key].source.joints:
            return f"{what}: ask for skeleton={other}, not {skeleton.name}"
    return (
        f"{what}; expected those of {skeleton.name} ({listed(skeleton.joints)}). Say which is "
        "which with mapping={name of the file: ours}"
    )


def _say_joints(path: Path, category: Category, skeleton: Skeleton) -> None:
    """Which joints the file lacks, with a warning if names that are not known may be these."""
    part = category.parts[0].skeleton
    status = convert(torch.zeros(len(part), 2), part, skeleton).status
    lacks = [j for j, how in zip(skeleton.joints, status, strict=True) if how == "missing"]
    strangers = [joint[1:-1] for joint in category.source.joints if joint.startswith("(")]
    if lacks and strangers:
        log.warning(
            "%s: joints %s are not known and left out; %s of %s are missing. If some are the same, "
            "say so with mapping={name of the file: ours}",
            *(path, listed(strangers), listed(lacks), skeleton.name),
        )
    elif lacks:
        log.info("%s: it has no %s of %s", path, listed(lacks), skeleton.name)


def _read(
    reading: Reading,
    position: int,
    annotation: Mapping[str, Any],
    category: Category,
    names: Sequence[str],
    pictures: Mapping[str, tuple[str, tuple[float, float] | None]],
) -> None:
    """One annotation: a person, or two hands, or a reason why it is none."""
    name = _key(annotation.get("id"))
    record = f"annotation {name}" if name else f"annotation at position {position}"
    if annotation.get("iscrowd") not in (None, 0, False, "", "0"):
        reading.passed["marked as crowds (iscrowd = 1)"] += 1
        return
    values = _triples(reading.path, record, annotation.get("keypoints"), len(category.source))
    if values is None and not _holds(annotation):
        reading.passed["without keypoints (a box only)"] += 1
        return
    values = values or []
    if len(values) < len(category.source):
        usual = joints.unnamed(len(values))
        prefix = category.source.joints[: len(values)]
        if values and (usual is None or usual.joints != prefix):
            reason = f"with other than the {len(category.source)} keypoints that its category names"
            reading.passed[reason] += 1
            return
        values = [*values, *[UNKNOWN] * (len(category.source) - len(values))]
    for extra in category.fields:
        size = len(FIELDS[extra])
        values += _triples(reading.path, record, annotation.get(extra), size) or [UNKNOWN] * size
    image = _key(annotation.get("image_id")) or "unknown"
    picture, extent = pictures.get(image, (image if image != "unknown" else "", None))
    subject = f"image {image} / person {name or f'at position {position}'}"
    box = _box(annotation.get("bbox"), extent) if category.boxed else None
    seen = 0
    for part in category.parts:
        places = {j: values[i] for j, i in zip(part.skeleton.joints, part.columns, strict=True)}
        row = [places.get(joint, UNKNOWN) for joint in names]
        labelled = [v > 0 for _, _, v in row]  # NaN fails any comparison
        if any(labelled):
            seen += 1
            who = f"{subject} / {part.name}" if part.name else subject
            points = [[x, y] for x, y, _ in row]
            reading.people.append(Person(points, labelled, box, "unknown", who, picture, extent))
    reading.flags.update(v for _, _, v in values if v not in (0.0, 1.0, 2.0) and v == v)
    reading.read += bool(seen)
    if not seen:
        reading.passed["without a labelled joint"] += 1


def _triples(
    path: Path, record: str, values: Any, count: int
) -> list[tuple[float, float, float]] | None:
    """x, y and visibility of each joint; None if there are no values.

    Flat or nested; pairs of x and y alone are all labelled. What an unlabelled joint holds does
    not matter.

    Raises:
        DatasetError: if it is no list of numbers.
    """
    if values is None or values == []:
        return None
    if isinstance(values, list) and {*map(type, values)} in ({list}, {list, type(None)}):
        size = max((len(point) for point in values if point), default=3)
        points = [point or [None, None, 0][:size] for point in values]
        if size not in (2, 3) or any(len(point) != size for point in points):
            raise DatasetError(path, record, "points of keypoints must be [x, y, v] or [x, y]")
        values = [value for point in points for value in point]
    elif isinstance(values, list):
        size = 2 if len(values) == 2 * count else 3
    if not isinstance(values, list) or len(values) % size:
        found = len(values) if isinstance(values, list) else type(values).__name__
        raise DatasetError(path, record, f"keypoints must be {3 * count} numbers, found {found}")
    rows = []
    for start in range(0, len(values), size):
        x, y, *flag = values[start : start + size]
        v = number(flag[0]) if flag else float(x is not None)
        for value in (x, y, *flag) if v > 0 else flag:
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                reason = f"keypoints holds {str(value)[:40]!r}, expected a number"
                raise DatasetError(path, record, reason)
        rows.append((number(x), number(y), v) if v > 0 else (math.nan, math.nan, v))
    return rows


def _box(values: Any, size: tuple[float, float] | None) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom; None for what is no box about a part of the picture."""
    if not isinstance(values, list) or len(values) != 4:
        return None
    left, top, width, height = map(number, values)
    if not (width > 0 and height > 0):
        return None
    wide, high = size or (FARTHEST / (1 + WIDTHS),) * 2
    inside = all(
        -WIDTHS * side <= low and high <= (1 + WIDTHS) * side  # NaN fails any comparison
        for low, high, side in ((left, left + width, wide), (top, top + height, high))
    )
    return (left, top, left + width, top + height) if inside else None


def _say_flags(reading: Reading) -> None:
    """Name visibilities that are not COCO's."""
    odd = sorted(v for v in reading.flags if not 0 < v < 1)
    if odd:
        log.warning(
            "%s: visibility holds %s, expected 0, 1 or 2; what is above 0 is taken as labelled",
            *(reading.path, listed(f"{v:g}" for v in odd)),
        )
    elif reading.flags:
        log.info("%s: visibility holds scores; above 0 is taken as labelled", reading.path)
