"""Faces: the .pts files of 300-W (Sagonas et al., 2013) and the lists of WFLW (Wu et al., 2018)."""

from __future__ import annotations

import re
from pathlib import Path

from posenb.world.datasets import joints
from posenb.world.datasets.records import DatasetError, Person, gather, parse_number, read_file
from posenb.world.poses import PoseSet
from posenb.world.skeletons import FACE68, Skeleton

__all__ = ["load"]

ORIGIN = (
    "300-W's .pts files are on ibug.doc.ic.ac.uk/resources/300-W (research use), WFLW's lists in "
    "WFLW_annotations.tar.gz on wywu.github.io/projects/LAB/WFLW.html"
)
PTS = re.compile(r"version:\s*\d+\s*n_points:\s*(\d+)\s*\{(.*?)\}", re.DOTALL)
ROW = 2 * 98 + 4 + 6 + 1  # WFLW: landmarks, box, attributes, picture
POINTS = {68: FACE68, 98: joints.layout("WFLW98")}


def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton = FACE68,
    margin: float = 1.25,
) -> PoseSet:
    """Faces with 68 landmarks, or with WFLW's 98, of which 68 are taken.

    300-W counts pixels from 1, so half a pixel is taken off; WFLW from 0, so half a pixel is added.

    Args:
        path: a .pts file, a folder that holds such at any depth, or a list of WFLW
            (`list_98pt_rect_attr_train.txt`).
        minimum_joints: keep faces with at least so many placed landmarks.
        skeleton: joints to return, through `skeletons.convert`.
        margin: side of the crop in larger extents of the landmarks (and of WFLW's box).

    Returns:
        PoseSet without 3D; subject and picture are the image's (of 300-W the file's own name).

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range.
        DatasetError: if a file is missing, damaged or of another format.
    """
    path = Path(path).expanduser()
    if path.is_dir() or b"n_points" in read_file(path, ORIGIN)[:200]:
        files = sorted(path.rglob("*.pts")) if path.is_dir() else [path]
        if not files:
            raise DatasetError(path, "folder", f"holds no .pts file. {ORIGIN}")
        people = [_face(file) for file in files]
        source, shift = POINTS[len(people[0].keypoints)], -0.5
        strange = [f for f, p in zip(files, people, strict=True) if len(p.keypoints) != len(source)]
        if strange:
            reason = f"does not have {len(source)} landmarks as {files[0].name} does"
            raise DatasetError(strange[0], "n_points", reason)
    else:
        people, source, shift = _wflw(path), POINTS[98], 0.5
    return gather(path, people, source, skeleton, minimum_joints, margin, shift)


def _face(path: Path) -> Person:
    match = PTS.search(read_file(path, ORIGIN).decode("utf-8", errors="replace"))
    if match is None:
        reason = f"is no .pts file, or is cut off: version, n_points and {{...}}. {ORIGIN}"
        raise DatasetError(path, "file", reason)
    numbers = [parse_number(path, "landmarks", word) for word in match[2].split()]
    if len(numbers) % 2 or len(numbers) // 2 not in POINTS:
        reason = f"expected 68 or 98 landmarks of two numbers, found {len(numbers)} numbers"
        raise DatasetError(path, "landmarks", reason)
    points = [numbers[i : i + 2] for i in range(0, len(numbers), 2)]
    return Person(points, [True] * len(points), None, "unknown", path.stem, path.stem)


def _wflw(path: Path) -> list[Person]:
    people = []
    text = read_file(path, ORIGIN).decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        record = f"line {number}"
        if len(words) != ROW:
            reason = f"expected {ROW} words (98 landmarks, box, 6 marks, picture), found"
            raise DatasetError(path, record, f"{reason} {len(words)}. {ORIGIN}")
        values = [parse_number(path, record, word) for word in words[:200]]
        points = [values[i : i + 2] for i in range(0, 196, 2)]
        left, top, right, bottom = values[196:]
        box = (left, top, right, bottom) if right > left and bottom > top else None
        people.append(
            Person(points, [True] * 98, box, "unknown", f"{words[-1]} / line {number}", words[-1])
        )
    return people
