"""What pose detectors write: OpenPose, AlphaPose, COCO results, mmpose, ViTPose, MediaPipe, YOLO.

All of these are one tree: a film of frames, frames of people, people of points with scores. They
differ in the names of the branches and in how a row of numbers is to be read, so one walk reads
them all; which joint a point is follows from the file's own names, else from how many there are.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posenb.world.datasets import joints
from posenb.world.datasets.pickles import read_npz, unpacked_size
from posenb.world.datasets.records import (
    DatasetError,
    Person,
    gather,
    listed,
    located,
    parse_json,
    read_file,
    say_masked,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, MPII16, Skeleton

__all__ = ["MINIMUM_SCORE", "Track", "is_table", "load", "track"]

# On the shipped real clip (OpenPose, four cameras, 6,700 joints) four of five joints below .3
# lie more than 20 pixels from where the other cameras see them, every second from .3 to .4, and 3 %
# above .4. It is also the threshold at which mmpose draws a joint.
MINIMUM_SCORE = 0.3
ORIGIN = "it must be the result of a pose detector; see the README for the formats that are read"
DEPTH = 8  # deepest nesting of people in frames in files


# Orders by the number of points, where a file does not name them. (OpenPose's 70 of a face are the
# 68 and two pupils.) BODY_25B has as many as BODY_25: see `_told_apart`.
BY_COUNT: Mapping[int, tuple[str, ...]] = {
    **{
        len(names): names
        for key, names in joints.LAYOUTS.items()
        if key not in ("BODY17", "BODY_25B")
    },
    16: MPII16.joints,
    17: COCO17.joints,
    70: (*FACE68.joints, "right_pupil", "left_pupil"),
}
OFF_MIDDLE = 0.08  # of a body's extent, farther from the middle a point is no neck and no pelvis
PATIENCE, NEAR = 30, 0.6  # frames without somebody, and body sizes from frame to frame, in a track
POINTS = (
    *("keypoints", "pose_keypoints_2d", "pose_keypoints", "joints", "landmarks", "landmark"),
    *("pose_landmarks", "poseLandmarks", "keypoints_2d", "hand_pts"),
)
PARTS = {  # OpenPose keeps these beside the body's
    "face_keypoints_2d": BY_COUNT[70],
    "hand_left_keypoints_2d": joints.HANDS[:21],
    "hand_right_keypoints_2d": joints.HANDS[21:],
}
SCORES = ("keypoint_scores", "scores", "keypoints_scores", "keypoints_score", "keypoints_conf")
PEOPLE = ("people", "bodies", "instances", "persons", "predictions", "poses", "detections")
FRAMES = ("instance_info", "frames", "images", "results", "data")
FRAME = (
    *("image_id", "frame_id", "frame", "frame_index", "frame_idx", "frame_number", "frameIndex"),
    *("image_name", "image", "file_name", "filename", "img_path"),
)
IDENTITIES = ("track_id", "tracking_id", "idx", "person_id", "instance_id", "id")
CONFIDENCE = ("score", "visibility", "confidence", "likelihood", "conf", "visible", "v", "c", "p")

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """One person in one frame, as the file has it."""

    frame: str
    points: np.ndarray  # (J, 2), NaN where there is nothing
    scores: np.ndarray  # (J,), NaN where the file has none
    names: tuple[str, ...]  # of the J points
    box: tuple[float, float, float, float] | None = None
    identity: str | None = None  # a tracker's


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
    found = found._replace(frames=_filled(found.frames))
    groups = _people(found)
    chosen = _chosen(path, groups, person)
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
            frames, people, shift = (*_custom(path), 0.0)
        elif content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")):
            frames, people, shift = (*_arrays(path, content), 0.0)
        elif start[:1] in (b"{", b"["):
            frames, people, shift = (*_json(path, content), 0.5)
        elif b"\0" in content[:4096]:
            raise DatasetError(path, "file", f"is no text, no JSON, no npz and no npy: {ORIGIN}")
        else:
            frames, people, shift = (*_table(path, content), 0.0)
    if not people:
        reason = f"nobody, or no points that are known, in any of {len(frames)} frames: {ORIGIN}"
        raise DatasetError(path, "all frames", reason)
    people = _alike(path, _told_apart(people))
    share = _shares(people)
    order = sorted(dict.fromkeys(frames), key=_natural)
    return Result(
        tuple(order), tuple(people), _skeleton(people[0].names), share, 0.0 if share else shift
    )


# ---- which joints -------------------------------------------------------------------------------


def _skeleton(names: tuple[str, ...]) -> Skeleton:
    """The file's joints as a skeleton of bare joints, by the name of their order if it has one."""
    for key, layout in joints.LAYOUTS.items():
        if layout == names:
            return joints.layout(key)
    return joints.read(names)


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


def _filled(frames: tuple[str, ...]) -> tuple[str, ...]:
    """Frames with those that the numbers in their names leave out."""
    parts = [re.fullmatch(r"(.*?)(\d{1,15})(\D*)", frame) for frame in frames]
    if len(frames) < 3 or not all(parts):
        return frames
    found = [match for match in parts if match is not None]
    if len({(match[1], match[3]) for match in found}) > 1:
        return frames
    numbers = [int(match[2]) for match in found]
    step = math.gcd(*(b - a for a, b in zip(numbers, numbers[1:], strict=False)))
    if step < 1 or (numbers[-1] - numbers[0]) // step > 20 * len(numbers):
        return frames
    known = {int(match[2]): frame for match, frame in zip(found, frames, strict=True)}
    width = len(found[0][2])
    return tuple(
        known.get(n, f"{found[0][1]}{n:0{width}d}{found[0][3]}")
        for n in range(numbers[0], numbers[-1] + 1, step)
    )


def _people(found: Result) -> dict[str, list[Found]]:
    """Each person's appearances, at most one a frame, by a tracker's number or by nearness."""
    ids = Counter(person.identity for person in found.people)
    tracked = None not in ids and (len(ids) < len(found.people) or len(found.people) == 1)
    groups: dict[str, dict[str, Found]] = {}
    if tracked:
        for person in found.people:
            there = groups.setdefault(str(person.identity), {})
            if person.frame not in there or _seen([there[person.frame]]) < _seen([person]):
                there[person.frame] = person
        return {name: list(members.values()) for name, members in groups.items()}
    places = {frame: place for place, frame in enumerate(found.frames)}
    by_frame: dict[str, list[Found]] = {}
    for person in found.people:
        by_frame.setdefault(person.frame, []).append(person)
    last: dict[str, tuple[int, np.ndarray, float]] = {}  # frame, middle, size of each
    for frame in found.frames:
        free, now = dict(enumerate(by_frame.get(frame, []))), places[frame]
        boxes = {i: _extent(person) for i, person in free.items()}
        pairs = sorted(
            (float(np.linalg.norm(middle - boxes[i][0])) / max(size, boxes[i][1], 1e-9), name, i)
            for name, (then, middle, size) in last.items()
            if now - then <= PATIENCE
            for i in free
        )
        taken: set[str] = set()
        for distance, name, i in pairs:
            if distance > NEAR or name in taken or i not in free:
                continue
            taken.add(name)
            groups[name][frame] = free.pop(i)
            last[name] = (now, *boxes[i])
        for i, person in free.items():
            name = str(len(groups))
            groups[name] = {frame: person}
            last[name] = (now, *boxes[i])
    everybody = (list(members.values()) for members in groups.values())
    ranked = sorted(everybody, key=lambda members: -_seen(members))
    return {str(place): members for place, members in enumerate(ranked)}


def _extent(person: Found) -> tuple[np.ndarray, float]:
    """Middle (2,) and larger side of what is known of a person."""
    known = np.isfinite(person.points).all(-1) & person.points.any(-1) & ~(person.scores <= 0)
    if not known.any():
        return np.zeros(2), 0.0
    low, high = person.points[known].min(0), person.points[known].max(0)
    return (low + high) / 2, float((high - low).max())


def _seen(members: Sequence[Found]) -> float:
    """How much is seen of a person: the sum of all scores, at most 1 a joint."""
    return float(
        sum(
            (np.nan_to_num(p.scores, nan=1.0).clip(0, 1) * np.isfinite(p.points).all(-1)).sum()
            for p in members
        )
    )


def _chosen(path: Path, groups: Mapping[str, Sequence[Found]], person: str | int | None) -> str:
    ranked = sorted(groups, key=lambda name: -_seen(groups[name]))
    if person is None:
        return ranked[0]
    if str(person) in groups:
        return str(person)
    raise ValueError(
        f"{path}: there is no person {person}; people are numbered {listed(ranked)}, the first "
        "is seen most"
    )


# ---- JSON ---------------------------------------------------------------------------------------


def _json(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
    """Frames and people of a JSON file."""
    tree = parse_json(path, content, ORIGIN)
    walk = _Walk(path)
    if isinstance(tree, dict) and isinstance(tree.get("meta_info"), dict):  # mmpose names joints
        walk.names = _table_of_names(tree["meta_info"].get("keypoint_id2name"))
    if isinstance(tree, dict) and isinstance(tree.get("skeleton"), dict) and "keypoints" in tree:
        walk.easy_vitpose(tree)
    elif isinstance(tree, dict) and isinstance(tree.get("annotations"), list):
        walk.annotated(tree)
    else:
        walk.visit(tree, None, 0)
    return walk.frames, walk.people


def _table_of_names(table: Any) -> tuple[str, ...] | None:
    """Names from {"0": "nose", ...}."""
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        return None
    try:
        order = sorted(table, key=int)
    except ValueError:
        return None
    return tuple(table[key] for key in order) or None


class _Walk:
    """Frames and people of a tree, in its order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: tuple[str, ...] | None = None  # of the points, where the file tells
        self.frames: list[str] = []
        self.people: list[Found] = []

    def easy_vitpose(self, tree: dict[str, Any]) -> None:
        """Its frames are {person: [[y, x, score], ...]}, y before x."""
        self.names = _table_of_names(tree["skeleton"])
        frames = tree["keypoints"]
        for number, frame in enumerate(frames if isinstance(frames, list) else []):
            self.frames.append(str(number))
            for identity, rows in frame.items() if isinstance(frame, dict) else ():
                made = self.person({"keypoints": rows}, str(number))
                if made is not None:
                    flipped = np.ascontiguousarray(made.points[:, ::-1])
                    self.people.append(made._replace(points=flipped, identity=str(identity)))

    def annotated(self, tree: dict[str, Any]) -> None:
        """A film of COCO annotations, such as CVAT's of a video; pictures are its frames."""
        categories, images = (
            {
                _label(entry.get("id")): entry
                for entry in tree.get(key) or ()
                if isinstance(entry, dict)
            }
            for key in ("categories", "images")
        )
        files = {key: _label(image.get("file_name")) or key for key, image in images.items()}
        self.frames = [frame for frame in files.values() if frame]
        for entry in tree["annotations"]:
            if not isinstance(entry, dict) or not entry.get("keypoints") or entry.get("iscrowd"):
                continue
            names = categories.get(_label(entry.get("category_id")), {}).get("keypoints")
            self.names = tuple(map(str, names)) if isinstance(names, list) else None
            own = _label(entry.get("image_id"))
            frame = files.get(own) or own or "0"
            self.frames.append(frame)
            further = entry.get("attributes")
            number = further.get("track_id") if isinstance(further, dict) else None
            made = self.person(entry, frame)
            if made is not None:
                self.people.append(made._replace(identity=_identity(number)))

    def visit(self, node: Any, frame: str | None, depth: int) -> None:
        """Take what is in a node; `frame` is where it stands, None outside of any."""
        if depth > DEPTH:
            raise DatasetError(
                self.path, "file", f"people are nested deeper than {DEPTH}: {ORIGIN}"
            )
        if isinstance(node, dict):
            self.branch(node, frame, depth)
        elif isinstance(node, list) and node:
            self.row(node, frame, depth)

    def branch(self, node: dict[str, Any], frame: str | None, depth: int) -> None:
        own = next((_label(node[key]) for key in FRAME if _label(node.get(key))), None)
        frame = own or frame
        people = [node[key] for key in PEOPLE if isinstance(node.get(key), list)]
        films = [node[key] for key in FRAMES if isinstance(node.get(key), list)]
        key = next((key for key in POINTS if isinstance(node.get(key), (list, dict))), None)
        if people:
            frame = frame or "0"
            self.frames.append(frame)
            for person in people[0]:
                self.visit(person, frame, depth + 1)
        elif films:
            self.visit(films[0], frame, depth + 1)
        elif key is not None:
            frame = frame or "0"
            self.frames.append(frame)
            several = _deep(node[key]) == 3
            for person in node[key] if several else [node]:
                made = self.person({"keypoints": person} if several else node, frame)
                if made is not None:
                    self.people.append(made)
        elif own is None and all(isinstance(child, (dict, list)) for child in node.values()):
            for name, child in node.items():  # frames by name
                self.frames.append(str(name))
                self.visit(child, str(name), depth + 1)
        elif own is not None:
            self.frames.append(own)  # a frame without anybody

    def row(self, node: list[Any], frame: str | None, depth: int) -> None:
        """A list of points, of people of one frame, or of frames."""
        if _deep(node) in (1, 2) or all(isinstance(c, dict) and "x" in c for c in node):
            self.branch({"keypoints": node}, frame, depth)
        elif frame is not None or self.of_one_frame(node):
            for child in node:
                self.visit(child, frame, depth + 1)
        else:
            for number, child in enumerate(node):
                if not (isinstance(child, dict) and any(_label(child.get(k)) for k in FRAME)):
                    self.frames.append(str(number))
                self.visit(child, str(number), depth + 1)

    def of_one_frame(self, node: list[Any]) -> bool:
        """Whether a list without frames is the people of one picture.

        A list of bare 33 landmarks is a film: MediaPipe's usual result is one person a frame.
        """
        people = [c for c in node if isinstance(c, dict) and any(k in c for k in POINTS)]
        if len(people) < len(node) or any(_label(c.get(k)) for c in people for k in FRAME):
            return False
        made = self.person(people[0], "0")
        return made is None or len(made.names) != 33

    def person(self, node: dict[str, Any], frame: str) -> Found | None:
        """One person, or None if there are no points at all."""
        record = f"frame {frame}"
        pieces = []
        for key in POINTS:
            if isinstance(node.get(key), (list, dict)):
                scores = next((node[k] for k in SCORES if isinstance(node.get(k), list)), None)
                pieces.append(self.points(record, node[key], scores, self.names))
                break
        for key, names in PARTS.items():
            if isinstance(node.get(key), list) and node[key] and pieces and pieces[0] is not None:
                pieces.append(self.points(record, node[key], None, names))
        kept = [piece for piece in pieces if piece is not None]
        if not kept:
            return None
        return Found(
            frame,
            np.concatenate([points for points, _, _ in kept]),
            np.concatenate([scores for _, scores, _ in kept]),
            tuple(name for _, _, names in kept for name in names),
            _box(node),
            next((label for k in IDENTITIES if (label := _identity(node.get(k)))), None),
        )

    def points(
        self, record: str, value: Any, scores: Any, names: tuple[str, ...] | None
    ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
        """Points (J, 2), scores (J,) and names of any way to write them; None if there are none."""
        while isinstance(value, dict) and isinstance(value.get("landmark"), list):
            value = value["landmark"]
        rows, own = _rows(value)
        if rows is None or not len(rows):
            return None
        names = own or names
        if rows.ndim == 1:
            rows = _folded(rows, None if names is None else len(names))
        if rows is None or not 2 <= rows.shape[1] <= 5:
            found = len(value)
            reason = f"{found} numbers are no points of a layout that is known: {ORIGIN}"
            raise DatasetError(self.path, record, reason)
        if names is None or len(names) != len(rows):
            names = BY_COUNT.get(len(rows))
        if names is None:
            reason = (
                f"{len(rows)} points without names: known are {listed(sorted(BY_COUNT), 12)}. "
                "Name them in the file"
            )
            raise DatasetError(self.path, record, reason)
        # Of x, y, z, visibility the last is the score; of x, y, score too.
        given = rows[:, -1] if rows.shape[1] > 2 else np.full(len(rows), np.nan)
        if scores is not None:
            flat = _rows(scores)[0]
            if flat is not None and flat.size == len(rows):
                given = flat.reshape(-1)
        return rows[:, :2], given, names


def _deep(node: Any, most: int = DEPTH) -> int:
    """Depth of nested lists of numbers; 0 if it is none, or deeper than `most`."""
    if isinstance(node, list) and node and most:
        if all(value is None or _number(value) is not None for value in node):
            return 1
        inner = {_deep(child, most - 1) for child in node}
        return inner.pop() + 1 if len(inner) == 1 and inner != {0} else 0
    return 0


def _number(value: Any) -> float | None:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return float(value) if plain else None
    except OverflowError:
        return math.inf


def _label(value: Any) -> str | None:
    """A frame's name as text, 7 and 7.0 alike."""
    if isinstance(value, str):
        return value[:200].strip() or None
    number = _number(value)
    if number is None or not math.isfinite(number):
        return None
    return str(int(number)) if number.is_integer() else str(number)


def _identity(value: Any) -> str | None:
    """A tracker's number; AlphaPose wraps it in lists, and -1 says that there is none."""
    while isinstance(value, list) and value:
        value = value[0]
    label = _label(value)
    return None if label == "-1" else label


def _rows(value: Any) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Numbers (n,) or points (J, 2 to 5), NaN where null; and the names of points that have one."""
    names: tuple[str, ...] | None = None
    if isinstance(value, dict):
        if isinstance(value.get("x"), list) and isinstance(value.get("y"), list):  # columns
            columns = [value["x"], value["y"]]
            columns += [value[k] for k in CONFIDENCE if isinstance(value.get(k), list)][:1]
            if len({len(column) for column in columns}) > 1:
                return None, None
            value = [list(row) for row in zip(*columns, strict=True)]
        else:
            names, value = tuple(map(str, value)), list(value.values())
    if not isinstance(value, list):
        return None, None
    if value and all(isinstance(point, dict) for point in value):
        labels = [point.get("name", point.get("part", point.get("id"))) for point in value]
        if all(isinstance(label, str) and label for label in labels):
            names = tuple(labels)
        given = [next((p[k] for k in CONFIDENCE if k in p), None) for p in value]
        value = [[p.get("x"), p.get("y"), s] for p, s in zip(value, given, strict=True)]
    if value and any(isinstance(point, list) for point in value):
        width = max(len(point) for point in value if isinstance(point, list))
        value = [p if isinstance(p, list) and len(p) == width else [None] * width for p in value]
        numbers = [[_number(number) for number in point] for point in value]
    else:
        numbers = [_number(number) for number in value]  # type: ignore[misc]
    if names is not None and (len(set(names)) < len(names) or len(names) != len(value)):
        names = None
    rows = np.array(numbers, dtype=np.float64)
    return (rows if rows.ndim in (1, 2) else None), names


def _folded(flat: np.ndarray, joints_known: int | None) -> np.ndarray | None:
    """A row of numbers as points: x, y, score; x, y; or x, y, z, visibility."""
    for width in (3, 2, 4):
        count, rest = divmod(len(flat), width)
        if not rest and (count == joints_known or (joints_known is None and count in BY_COUNT)):
            return flat.reshape(count, width)
    return None


def _box(node: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of a box, or None if there is none that makes sense.

    COCO and AlphaPose write the width and the height, mmpose and transformers the other corner.
    """
    value = node.get("bbox", node.get("box"))
    corners = any(key in node for key in ("keypoint_scores", "bbox_score", "scores"))
    if isinstance(value, dict):
        value, corners = [value.get(key) for key in ("x1", "y1", "x2", "y2")], True
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list) or len(value) < 4:
        return None
    numbers = [_number(number) for number in value[:4]]
    left, top, right, bottom = (math.nan if n is None else n for n in numbers)
    if not corners:
        right, bottom = left + right, top + bottom
    good = all(map(math.isfinite, (left, top, right, bottom))) and right > left and bottom > top
    return (left, top, right, bottom) if good else None


# ---- folders, tables, arrays --------------------------------------------------------------------


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
        own, found = _json(file, content) if chosen else _labels(file, content)
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


def _cells(content: bytes) -> list[list[str]]:
    """Rows of a table; its delimiter is the one that occurs most in the first row."""
    text = content.decode("utf-8-sig", errors="replace").replace("\0", "")
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t ", key=first.count)
    if mark == " ":
        return [line.split() for line in text.splitlines() if line.strip()]
    rows = csv.reader(io.StringIO(text), delimiter=mark)
    try:
        return [[cell.strip() for cell in row] for row in rows if row]
    except csv.Error:
        return []


def is_table(first: bytes) -> bool:
    """Whether a first line is that of a table of points: numbers, or columns of x and y."""
    cells = next(iter(_cells(first)), [])
    if len(cells) < 3:
        return False
    if not any(math.isnan(_value(cell)) for cell in cells if cell):
        return True
    axes = {cell.lower() for cell in cells} | {c[1] for cell in cells if (c := _column(cell))}
    return {"x", "y"} <= axes or cells[0].lower() in ("scorer", "bodyparts")


def _value(cell: str) -> float:
    """A cell as a number; NaN if it is none, such as an empty one."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _table(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
    """CSV: named columns, DeepLabCut's three header rows, a row a joint, or numbers alone."""
    rows = _cells(content)
    if not rows:
        raise DatasetError(path, "file", f"is empty, or no text: {ORIGIN}")
    if all(not math.isnan(_value(cell)) for cell in rows[0] if cell):
        if len(rows[0]) in LABELS and _value(rows[0][0]).is_integer():
            return _labels(path, content)
        return _film(path, _matrix(path, rows))
    header, body = rows[0], rows[1:]
    axes_at = next((i for i, row in enumerate(rows[:4]) if row[0].lower() == "coords"), 0)
    if axes_at:
        header = [f"{a}_{b}" for a, b in zip(rows[axes_at - 1], rows[axes_at], strict=False)]
        body = rows[axes_at + 1 :]
        owners = rows[axes_at - 2] if axes_at > 1 else [""]
        if owners[0].lower() == "individuals":
            return _individuals(path, owners, header, body)
    lower = [name.lower() for name in header]
    if "x" in lower and "y" in lower:
        return _long(path, lower, body)
    return _wide(path, header, body)


def _individuals(
    path: Path, owners: list[str], header: list[str], body: list[list[str]]
) -> tuple[list[str], list[Found]]:
    """DeepLabCut's table of several, each with columns of its own."""
    frames, people = list[str](), list[Found]()
    for who in dict.fromkeys(owners[1:]):
        columns = [0, *(i for i, owner in enumerate(owners[: len(header)]) if i and owner == who)]
        rows = [[row[i] if i < len(row) else "" for i in columns] for row in body]
        frames, found = _wide(path, [header[i] for i in columns], rows)
        people += [person._replace(identity=who) for person in found]
    return frames, people


AXIS = r"x|y|z|score|confidence|conf|likelihood|visibility|visible|vis|prob|v|c|p|s"


def _column(name: str) -> tuple[str, str] | None:
    """Joint and axis of a column such as nose_x, x_nose, LWrist.likelihood, x12; or None."""
    for pattern in (rf"(.+?)[ _.:/-]+({AXIS})", rf"({AXIS})[ _.:/-]+(.+)", rf"({AXIS})(\d+)"):
        match = re.fullmatch(pattern, name.strip(), re.IGNORECASE)
        if match is not None:
            joint, axis = match.groups() if pattern[1] == "." else reversed(match.groups())
            return str(joint), str(axis).lower()
    return None


def _wide(path: Path, header: list[str], body: list[list[str]]) -> tuple[list[str], list[Found]]:
    """A row a pose, named columns."""
    columns: dict[str, dict[str, int]] = {}
    for place, name in enumerate(header):
        found = _column(name)
        if found is not None:
            axis = found[1] if found[1] in ("x", "y", "z") else "score"
            columns.setdefault(found[0], {}).setdefault(axis, place)
    taken = {joint: axes for joint, axes in columns.items() if {"x", "y"} <= axes.keys()}
    if not taken:
        reason = f"found columns {listed(header)}; expected such as nose_x, nose_y, nose_score"
        raise DatasetError(path, "first row", reason)
    names = _column_names(path, tuple(taken))
    frame_at = next((i for i, name in enumerate(header) if name.lower() in FRAME), None)
    who_at = next((i for i, name in enumerate(header) if name.lower() in IDENTITIES), None)
    frames, people = list[str](), list[Found]()
    for number, row in enumerate(body):
        row = row + [""] * (len(header) - len(row))
        frame = (_label(_value(row[frame_at])) or row[frame_at]) if frame_at is not None else ""
        frame = frame or str(number)
        frames.append(frame)
        points = np.array([[_value(row[a["x"]]), _value(row[a["y"]])] for a in taken.values()])
        scores = np.array(
            [_value(row[a["score"]]) if "score" in a else math.nan for a in taken.values()]
        )
        if np.isfinite(points).all(-1).any():
            cell = row[who_at] if who_at is not None else ""
            who = _identity(cell if math.isnan(_value(cell)) else _value(cell))
            people.append(Found(frame, points, scores, names, identity=who))
    return frames, people


def _column_names(path: Path, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Joints of columns; numbers mean the usual order of so many."""
    if all(label.isdecimal() for label in labels):
        names = BY_COUNT.get(len(labels))
        if names is None:
            reason = f"{len(labels)} joints without names; known are {listed(sorted(BY_COUNT), 12)}"
            raise DatasetError(path, "first row", reason)
        first = min(map(int, labels))
        order = [int(label) - first for label in labels]
        if sorted(order) == list(range(len(labels))):
            return tuple(names[place] for place in order)
    return labels


def _long(path: Path, header: list[str], body: list[list[str]]) -> tuple[list[str], list[Found]]:
    """A row a joint: frame, joint (a name or a number), x, y and perhaps a score."""
    wanted: tuple[str, ...] = (
        "joint",
        "keypoint",
        "landmark",
        "name",
        "bodypart",
        "part",
        "joint_id",
    )
    wanted += ("keypoint_id", "landmark_id", "landmark_index", "landmark_name", "index", "id")
    joint_at = next((header.index(name) for name in wanted if name in header), None)
    frame_at = next((header.index(name) for name in (*FRAME, "time") if name in header), None)
    if joint_at is None:
        reason = f"found columns {listed(header)}; expected one that names the joint"
        raise DatasetError(path, "first row", reason)
    score_at = next((header.index(name) for name in CONFIDENCE if name in header), None)
    table: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in body:
        row = row + [""] * (len(header) - len(row))
        frame = "0" if frame_at is None else (_label(_value(row[frame_at])) or row[frame_at])
        score = math.nan if score_at is None else _value(row[score_at])
        place = (_value(row[header.index("x")]), _value(row[header.index("y")]), score)
        table.setdefault(frame, {}).setdefault(row[joint_at], place)
    labels = tuple(dict.fromkeys(joint for points in table.values() for joint in points))
    names = _column_names(path, labels)
    nothing = (math.nan,) * 3
    people = []
    for frame, points in table.items():
        rows = np.array([points.get(label, nothing) for label in labels])
        people.append(Found(frame, rows[:, :2], rows[:, 2], names))
    return list(table), people


# Columns of a row of ultralytics' label files: class, box, points with or without a score, and
# perhaps the person's confidence and number.
LABELS = {5 + width * 17 + more: width for width in (2, 3) for more in (0, 1, 2)}


def _labels(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
    """YOLO's label file of one picture, shares of it."""
    people = []
    for number, row in enumerate(_cells(content)):
        width, cells = LABELS.get(len(row)), np.array([_value(cell) for cell in row])
        if width is None or math.isnan(cells[0]):
            reason = f"found {len(row)} numbers, expected class, box and 17 points"
            raise DatasetError(path, f"line {number + 1}", reason)
        x, y, across, down = cells[1:5].tolist()
        points = cells[5 : 5 + 17 * width].reshape(17, width)
        scores = points[:, 2] if width == 3 else np.full(17, np.nan)
        box = (x - across / 2, y - down / 2, x + across / 2, y + down / 2)
        good = bool(np.isfinite(box).all()) and across > 0 and down > 0
        who = _identity(cells[-1]) if len(row) - 5 - 17 * width == 2 else None
        people.append(Found("0", points[:, :2], scores, COCO17.joints, box if good else None, who))
    return ["0"], people


def _matrix(path: Path, rows: list[list[str]]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([[_value(c) for c in row] + [math.nan] * (width - len(row)) for row in rows])


def _arrays(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
    """npy, or the first array of points of an npz; `visible`, `score` and `joints` go with it."""
    try:
        if content[:2] == b"PK":
            unpacked_size(path)
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        several = {"array": loaded} if isinstance(loaded, np.ndarray) else loaded
        arrays = {name: a for name, a in several.items() if isinstance(a, np.ndarray)}
    except DatasetError:
        raise
    except Exception as error:  # NumPy raises many kinds on damaged files
        reason = f"is no file of plain arrays, or is cut off ({str(error)[:120]})"
        raise DatasetError(path, "file", reason) from error
    film = next(
        (a for a in arrays.values() if a.dtype.kind in "fiu" and a.ndim >= 2 and a.size >= 4), None
    )
    if film is None:
        reason = f"has no array of points, (frames, joints, 2 or 3); found {listed(arrays)}"
        raise DatasetError(path, "file", reason)
    named = arrays.get("joints")
    names = None
    if named is not None and named.dtype.kind == "U" and named.ndim == 1:
        names = tuple(map(str, named.tolist()))
    scores = next((arrays[k] for k in ("visible", "scores", "score") if k in arrays), None)
    return _film(path, film.astype(np.float64), names, scores)


def _custom(path: Path) -> tuple[list[str], list[Found]]:
    """The one film of a file made for VideoPose3D: positions_2d[film][action][view]."""
    name = "positions_2d"
    value = read_npz(path, ORIGIN, name)
    while isinstance(value, (dict, list)):
        if len(value) != 1:
            reason = (
                f"holds {len(value)} films, expected one. Those of data_2d_h36m_*.npz go with "
                "data_3d_h36m.npz: human36m.load(that file, keypoints=this one)"
            )
            raise DatasetError(path, name, reason)
        value = next(iter(value.values() if isinstance(value, dict) else value))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.ndim != 3:
        raise DatasetError(path, name, "expected an array (frames, joints, 2 or 3) in each film")
    try:
        metadata = read_npz(path, ORIGIN, "metadata")
    except DatasetError:  # not every tool writes it
        metadata = {}
    human36m = isinstance(metadata, dict) and metadata.get("layout_name") == "h36m"
    names = BODY17.joints if human36m and value.shape[1] == len(BODY17) else None
    return _film(path, value.astype(np.float64), names)


def _film(
    path: Path,
    film: np.ndarray,
    names: tuple[str, ...] | None = None,
    scores: np.ndarray | None = None,
) -> tuple[list[str], list[Found]]:
    """Frames of (F, J, 2 or 3), (F, people, J, 2 or 3), or (F, 2 J or 3 J) numbers."""
    if film.ndim == 2 and film.shape[1] not in (2, 3):
        first = _folded(film[0], None if names is None else len(names))
        film = film if first is None else film.reshape(len(film), *first.shape)
    elif film.ndim == 2:
        film = film[None]
    if film.ndim == 3:
        film = film[:, None]  # (F, people, J, C)
    fits = film.ndim == 4 and film.shape[-1] in (2, 3)
    names = names or (BY_COUNT.get(film.shape[2]) if fits else None)
    if not fits or names is None or len(names) != film.shape[2]:
        reason = (
            f"found numbers of shape {film.shape}, expected (frames, joints, 2 or 3) with "
            f"{listed(sorted(BY_COUNT), 12)} joints, or `joints` that names them"
        )
        raise DatasetError(path, "file", reason)
    given = film[..., 2] if film.shape[-1] == 3 else np.full(film.shape[:-1], np.nan)
    if scores is not None and scores.size == given.size and scores.dtype.kind in "fiub":
        given = scores.astype(np.float64).reshape(given.shape)
    frames = [str(number) for number in range(len(film))]
    people = [
        Found(frame, points[..., :2], seen, names)
        for frame, row, shown in zip(frames, film, given, strict=True)
        for points, seen in zip(row, shown, strict=True)
        if np.isfinite(points[..., :2]).all(-1).any() and points[..., :2].any()
    ]
    return frames, people
