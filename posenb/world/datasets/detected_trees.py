"""JSON of pose detectors: frames of people of points with scores, whatever the branches' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posenb.world.datasets.detected import (
    CONFIDENCE,
    FRAME,
    IDENTITIES,
    ORIGIN,
    Found,
    folded,
    identity_of,
    label_of,
    number_of,
)
from posenb.world.datasets.joints import BY_COUNT, HANDS
from posenb.world.datasets.records import DatasetError, listed, parse_json

DEPTH = 8  # deepest nesting of people in frames in files
POINTS = (
    *("keypoints", "pose_keypoints_2d", "pose_keypoints", "joints", "landmarks", "landmark"),
    *("pose_landmarks", "poseLandmarks", "keypoints_2d", "hand_pts"),
)
PARTS = {  # OpenPose keeps these beside the body's
    "face_keypoints_2d": BY_COUNT[70],
    "hand_left_keypoints_2d": HANDS[:21],
    "hand_right_keypoints_2d": HANDS[21:],
}
SCORES = ("keypoint_scores", "scores", "keypoints_scores", "keypoints_score", "keypoints_conf")
PEOPLE = ("people", "bodies", "instances", "persons", "predictions", "poses", "detections")
FRAMES = ("instance_info", "frames", "images", "results", "data")


def read_tree(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
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
                label_of(entry.get("id")): entry
                for entry in tree.get(key) or ()
                if isinstance(entry, dict)
            }
            for key in ("categories", "images")
        )
        files = {key: label_of(image.get("file_name")) or key for key, image in images.items()}
        self.frames = [frame for frame in files.values() if frame]
        for entry in tree["annotations"]:
            if not isinstance(entry, dict) or not entry.get("keypoints") or entry.get("iscrowd"):
                continue
            names = categories.get(label_of(entry.get("category_id")), {}).get("keypoints")
            self.names = tuple(map(str, names)) if isinstance(names, list) else None
            own = label_of(entry.get("image_id"))
            frame = files.get(own) or own or "0"
            self.frames.append(frame)
            further = entry.get("attributes")
            number = further.get("track_id") if isinstance(further, dict) else None
            made = self.person(entry, frame)
            if made is not None:
                self.people.append(made._replace(identity=identity_of(number)))

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
        own = next((label_of(node[key]) for key in FRAME if label_of(node.get(key))), None)
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
                if not (isinstance(child, dict) and any(label_of(child.get(k)) for k in FRAME)):
                    self.frames.append(str(number))
                self.visit(child, str(number), depth + 1)

    def of_one_frame(self, node: list[Any]) -> bool:
        """Whether a list without frames is the people of one picture.

        A list of bare 33 landmarks is a film: MediaPipe's usual result is one person a frame.
        """
        people = [c for c in node if isinstance(c, dict) and any(k in c for k in POINTS)]
        if len(people) < len(node) or any(label_of(c.get(k)) for c in people for k in FRAME):
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
            next((label for k in IDENTITIES if (label := identity_of(node.get(k)))), None),
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
            rows = folded(rows, None if names is None else len(names))
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
        if all(value is None or number_of(value) is not None for value in node):
            return 1
        inner = {_deep(child, most - 1) for child in node}
        return inner.pop() + 1 if len(inner) == 1 and inner != {0} else 0
    return 0


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
        numbers = [[number_of(number) for number in point] for point in value]
    else:
        numbers = [number_of(number) for number in value]  # type: ignore[misc]
    if names is not None and (len(set(names)) < len(names) or len(names) != len(value)):
        names = None
    rows = np.array(numbers, dtype=np.float64)
    return (rows if rows.ndim in (1, 2) else None), names


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
    numbers = [number_of(number) for number in value[:4]]
    left, top, right, bottom = (math.nan if n is None else n for n in numbers)
    if not corners:
        right, bottom = left + right, top + bottom
    good = all(map(math.isfinite, (left, top, right, bottom))) and right > left and bottom > top
    return (left, top, right, bottom) if good else None
