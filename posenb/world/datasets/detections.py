"""What pose detectors write: OpenPose, AlphaPose, COCO results, mmpose, ViTPose, MediaPipe, YOLO.

All of these are one tree: a film of frames, frames of people, people of points with scores. They
differ in the names of the branches and in how a row of numbers is to be read, so one walk reads
them all; which joint a point is follows from the file's own names, else from how many there are.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from posenb.world.datasets import joints
from posenb.world.datasets.detected import ORIGIN, Found
from posenb.world.datasets.detected_tables import (
    read_arrays,
    read_custom,
    read_labels,
    read_table,
)
from posenb.world.datasets.detected_trees import read_tree
from posenb.world.datasets.records import (
    DatasetError,
    Person,
    gather,
    listed,
    located,
    read_file,
    say_masked,
)
from posenb.world.datasets.tracks import chosen_of, filled, people_of
from posenb.world.poses import PoseSet
from posenb.world.skeletons import COCO17, FACE68, HAND21, Skeleton

__all__ = ["MINIMUM_SCORE", "Track", "load", "track"]

# On the shipped real clip (OpenPose, four cameras, 6,700 joints) four of five joints below .3
# lie more than 20 pixels from where the other cameras see them, every second from .3 to .4, and 3 %
# above .4. It is also the threshold at which mmpose draws a joint.
MINIMUM_SCORE = 0.3


OFF_MIDDLE = 0.08  # of a body's extent, farther from the middle a point is no neck and no pelvis
log = logging.getLogger(__name__)


class Result(NamedTuple):
    """A whole file."""

    frames: tuple[str, ...]  # those without people too, in their order
    people: tuple[Found, ...]
    skeleton: Skeleton  # the names of the joints
    share: bool  # points are shares of the picture, not pixels
    shift: float  # what to add to pixels to count from the corner of the top-left pixel


@dataclass(frozen=True, eq=False)
class Track:
    """One person through a film of F frames.

    Attributes:
        keypoints: pixels from the corner of the top-left pixel, (F, J, 2), 0 where not `visible`.
        visible: (F, J) bool; all False in a frame in which the person was not found.
        score: (F, J), the detector's; 1 where it gives none, 0 where not `visible`.
        skeleton: the names of the J joints (it has no bones: convert it with `skeletons.convert`).
        size: (width, height) of the picture in pixels, or None where unknown.
        source: the file, and what it was taken for.
        frames: name or number of each frame in the file, F of them.
        others: how many other people the file holds.
    """

    keypoints: Tensor
    visible: Tensor
    score: Tensor
    skeleton: Skeleton
    size: tuple[float, float] | None
    source: str
    frames: tuple[str, ...] = ()
    others: int = 0

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.keypoints)


def load(
    path: str | Path,
    minimum_joints: int = 1,
    skeleton: Skeleton | None = None,
    margin: float = 1.25,
    minimum_score: float = MINIMUM_SCORE,
    size: tuple[float, float] | None = None,
) -> PoseSet:
    """Everybody whom a detector found, each in a square crop.

    Read are JSON files of OpenPose (18, 25, 25B joints; a file or a folder with one file a frame),
    AlphaPose (its list, and its `cmu` and `open` forms; 17, 26, 136 joints), mmpose, ViTPose and
    easy_ViTPose, ultralytics, MediaPipe (33 landmarks), and COCO result lists; YOLO label files;
    VideoPose3D's npz of one film;
    CSV with a column a coordinate (`nose_x,nose_y,nose_score`, `x1,y1,...`, DeepLabCut's three
    header rows, or four of several) or a row a joint; npz and npy of (N, J, 2 or 3).

    Pixels of JSON results are 0-indexed, as COCO's are, so half a pixel is added; shares of the
    picture and plain arrays are taken as they are. Hands and faces of whole-body results come with
    `skeleton=HAND21` or `FACE68`.

    Args:
        path: the file, or the folder of one file a frame.
        minimum_joints: keep people with at least so many visible joints of `skeleton`.
        skeleton: joints to return; None: COCO17, or HAND21 or FACE68 if the file has only those.
        margin: side of the crop in larger sides of the person's extent.
        minimum_score: a joint with a lower score is not visible; see `MINIMUM_SCORE`.
        size: width and height of the picture in pixels; only shares of the picture (MediaPipe,
            YOLO labels) need it: without it their pictures are taken as square, with a warning.

    Returns:
        PoseSet without 3D; subject is "frame 12 / person 0", with a tracker's number if there is.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: if the file is missing, damaged, of another format, or holds nobody.
    """
    path = Path(path).expanduser()
    _check(minimum_score, size)
    found = read(path)
    wanted = skeleton or _usual(found.skeleton)
    taken = joints.parts(found.skeleton, wanted)
    if not taken:
        reason = (
            f"has no joint of {wanted.name}; the file's joints: {listed(found.skeleton.joints)}"
        )
        raise DatasetError(path, "all people", reason)
    if found.share and size is None:
        log.warning(
            "%s: points are shares of the picture, whose size is not known: pictures are taken as "
            "square; size=(width, height) mends it",
            path,
        )
    scale = _scale(found, size)
    people = [
        _person(person, part, minimum_score, scale, size, len(taken) == 1)
        for person in _counted(found.people)
        for part in taken
    ]
    people = [person for person in people if any(person.labelled)]
    if not people:
        reason = f"no joint of {len(found.people)} people has a score of {minimum_score} or more"
        raise DatasetError(path, "all people", f"{reason}: lower minimum_score")
    source = taken[0].skeleton  # of two hands the joints are the same
    poses = gather(path, people, source, wanted, minimum_joints, margin, found.shift)
    return replace(poses, picture=None, crop=None) if found.share and size is None else poses


def track(
    path: str | Path,
    person: str | int | None = None,
    minimum_score: float = MINIMUM_SCORE,
    size: tuple[float, float] | None = None,
) -> Track:
    """One person through a film, from any file that `load` reads.

    People of neighbouring frames are one person if a tracker says so; where it says nothing, if
    their boxes are nearest and less than a body's size apart. Frames that the file leaves out
    between others (AlphaPose lists only people, so an empty frame is not there) count as lost.

    Args:
        path: the file, or the folder of one file a frame.
        person: a tracker's number, or the place (0, 1, ...) in the order of joints seen; None takes
            the person of whom most is seen.
        minimum_score: as in `load`.
        size: width and height in pixels; shares of the picture need it.

    Raises:
        ValueError: if an argument is out of range, there is no such person, or the points are
            shares of the picture and its size is not given.
        DatasetError: as `load`.
    """
    path = Path(path).expanduser()
    _check(minimum_score, size)
    found = read(path)
    if found.share and size is None:
        raise ValueError(
            f"{path}: points are shares of the picture (all within 0 and 1): give its width and "
            "height in pixels, size=(1920, 1080), --width 1920 --height 1080"
        )
    found = found._replace(frames=filled(found.frames))
    groups = people_of(found.frames, found.people)
    chosen = chosen_of(path, groups, person)
    members = {p.frame: p for p in groups[chosen]}
    others = len(groups) - 1
    if others:
        log.warning(
            "%s: %d other people passed over; person %s was found in %d of %d frames",
            *(path, others, chosen, len(members), len(found.frames)),
        )
    points = np.full((len(found.frames), len(found.skeleton), 2), np.nan)
    scores = np.full(points.shape[:2], np.nan)
    for place, frame in enumerate(found.frames):
        if frame in members:
            points[place], scores[place] = members[frame].points, members[frame].scores
    places = torch.from_numpy(points * _scale(found, size))  # (F, J, 2)
    score = torch.from_numpy(scores).nan_to_num(1.0)  # (F, J)
    marked = torch.from_numpy(_marked(scores, minimum_score)) & places.isfinite().all(-1)
    visible = marked & located(places, None, size)
    say_masked(path, int((marked & ~visible).sum()), int(marked.sum()))
    if not visible.any():
        reason = f"no joint with a score of {minimum_score} or more was placed"
        raise DatasetError(path, f"person {chosen}", f"{reason}: lower minimum_score")
    return Track(
        (places + found.shift).where(visible[..., None], 0.0).float(),
        visible,
        score.where(visible, 0.0).float(),
        found.skeleton,
        size,
        f"{path} ({found.skeleton.name})",
        found.frames,
        others,
    )


def read(path: Path) -> Result:
    """All people of a file or folder, as it has them.

    Raises:
        DatasetError: if it cannot be read, or holds no points in any layout that is known.
    """
    if path.is_dir():
        frames, people, shift = _folder(path)
    else:
        content = read_file(path, ORIGIN)
        start = content[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
        if content.startswith(b"PK") and b"positions_2d.npy" in content:
            frames, people, shift = (*read_custom(path), 0.0)
        elif content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")):
            frames, people, shift = (*read_arrays(path, content), 0.0)
        elif start[:1] in (b"{", b"["):
            frames, people, shift = (*read_tree(path, content), 0.5)
        elif b"\0" in content[:4096]:
            raise DatasetError(path, "file", f"is no text, no JSON, no npz and no npy: {ORIGIN}")
        else:
            frames, people, shift = (*read_table(path, content), 0.0)
    if not people:
        reason = f"nobody, or no points that are known, in any of {len(frames)} frames: {ORIGIN}"
        raise DatasetError(path, "all frames", reason)
    people = _alike(path, _told_apart(people))
    share = _shares(people)
    order = sorted(dict.fromkeys(frames), key=_natural)
    return Result(
        tuple(order), tuple(people), joints.named(people[0].names), share, 0.0 if share else shift
    )


# ---- which joints -------------------------------------------------------------------------------


def _usual(source: Skeleton) -> Skeleton:
    """The skeleton to return where none was asked for."""
    if "left_shoulder" in source.joints:
        return COCO17
    return (
        HAND21 if "thumb_tip" in source.joints else FACE68 if "jaw_0" in source.joints else COCO17
    )


def _told_apart(people: list[Found]) -> list[Found]:
    """BODY_25 and BODY_25B have equally many points: in the first, two lie midway between others.

    (The neck, 1, between the shoulders 2 and 5, and the pelvis, 8, between the hips 9 and 12.)
    """
    body = joints.LAYOUTS["BODY_25"]
    off = []
    for person in people:
        if person.names[: len(body)] != body:
            continue
        points = person.points[: len(body)]
        known = np.isfinite(points).all(-1) & points.any(-1)
        size = max(np.ptp(points[known], axis=0).max(), 1e-9) if known.any() else 1.0
        off += [
            np.linalg.norm(points[at] - (points[a] + points[b]) / 2) / size
            for at, a, b in ((1, 2, 5), (8, 9, 12))
            if known[[at, a, b]].all()
        ]
    if not off or np.median(off) < OFF_MIDDLE:
        return people
    other = joints.LAYOUTS["BODY_25B"]
    return [
        p._replace(names=other + p.names[len(body) :]) if p.names[: len(body)] == body else p
        for p in people
    ]


def _alike(path: Path, people: list[Found]) -> list[Found]:
    """People of the most frequent layout; a warning counts the others."""
    usual = Counter(person.names for person in people).most_common(1)[0][0]
    kept = [person for person in people if person.names == usual]
    if len(kept) < len(people):
        log.warning(
            "%s: %d of %d people left out, who do not have the %d points of the others",
            *(path, len(people) - len(kept), len(people), len(usual)),
        )
    return kept


# ---- people -------------------------------------------------------------------------------------


def _check(minimum_score: float, size: tuple[float, float] | None) -> None:
    if not 0 <= minimum_score < math.inf:
        raise ValueError(f"minimum_score is {minimum_score}, expected a number of at least 0")
    if size is not None and not (len(size) == 2 and all(0 < side < math.inf for side in size)):
        raise ValueError(f"size is {size}, expected the picture's (width, height) in pixels")


def _counted(people: Iterable[Found]) -> Iterator[Found]:
    """People with a number in their frame where no tracker gave them one."""
    counts: Counter[str] = Counter()
    for person in people:
        yield person._replace(identity=person.identity or str(counts[person.frame]))
        counts[person.frame] += 1


def _person(
    found: Found,
    part: joints.Part,
    minimum_score: float,
    scale: np.ndarray,
    size: tuple[float, float] | None,
    whole: bool,
) -> Person:
    columns = list(part.columns)
    points, scores = found.points[columns], found.scores[columns]
    marked = _marked(scores, minimum_score) & np.isfinite(points).all(-1)
    box = None
    if found.box is not None and whole:
        left, top, right, bottom = (np.array(found.box) * np.tile(scale, 2)).tolist()
        box = (left, top, right, bottom)
    who = f"frame {found.frame} / person {found.identity}"
    return Person(
        np.nan_to_num(points * scale).tolist(),
        marked.tolist(),
        box,
        "unknown",
        f"{who}, {part.name}" if part.name else who,
        found.frame,
        size,
    )


def _marked(scores: np.ndarray, minimum_score: float) -> np.ndarray:
    """Which joints the detector vouches for; where it gives no score, all."""
    return ~(scores < minimum_score) & ~(scores <= 0)  # NaN fails any comparison


def _scale(found: Result, size: tuple[float, float] | None) -> np.ndarray:
    """What to multiply points by to get pixels, (2,)."""
    return np.array(size if found.share and size is not None else (1.0, 1.0))


def _shares(people: Sequence[Found]) -> bool:
    """Whether points are shares of the picture: no picture is two pixels wide."""
    points = np.concatenate([person.points for person in people])
    points = np.abs(points[np.isfinite(points).all(-1) & points.any(-1)])
    return bool(len(points)) and bool(np.quantile(points, 0.95) <= 1.5 and np.median(points) <= 1.0)


def _natural(frame: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 9.jpg before 10.jpg."""
    pieces = re.findall(r"\d{1,18}|[^\d]+|\d+", frame)
    return tuple((0, int(p), "") if p.isdecimal() and len(p) < 19 else (1, 0, p) for p in pieces)


def _folder(path: Path) -> tuple[list[str], list[Found], float]:
    """One file a frame, named as the film's frames: OpenPose's JSON, or YOLO's label files."""
    try:
        files = sorted((f for f in path.iterdir() if f.is_file()), key=lambda f: _natural(f.name))
    except OSError as error:
        raise DatasetError(path, "folder", f"cannot be read ({error.strerror})") from error
    chosen = [f for f in files if f.suffix.lower() == ".json"]
    tables = [f for f in files if f.suffix.lower() == ".txt" and f.name != "classes.txt"]
    if not chosen and not tables:
        raise DatasetError(path, "folder", f"holds no .json and no .txt file: {ORIGIN}")
    frames, people = list[str](), list[Found]()
    for file in chosen or tables:
        name = file.stem.removesuffix("_keypoints")
        content = read_file(file, ORIGIN)
        own, found = read_tree(file, content) if chosen else read_labels(file, content)
        if len(set(own)) > 1 and len(chosen) == 1:  # a film in a folder of its own: AlphaPose's
            return own, found, 0.5
        if len(set(own)) > 1:
            reason = (
                f"{file.name} holds {len(set(own))} frames; of a folder each file is one frame: "
                "name the file that is meant"
            )
            raise DatasetError(path, "folder", reason)
        frames.append(name)
        people += [person._replace(frame=name) for person in found]
    return frames, people, 0.5 if chosen else 0.0
