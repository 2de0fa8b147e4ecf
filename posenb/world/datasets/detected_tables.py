"""Tables and arrays of points: CSV of many kinds, YOLO's label files, npz and npy."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

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
)
from posenb.world.datasets.joints import BY_COUNT
from posenb.world.datasets.pickles import read_npz, unpacked_size
from posenb.world.datasets.records import DatasetError, listed
from posenb.world.skeletons import BODY17, COCO17


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


def read_table(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
    """CSV: named columns, DeepLabCut's three header rows, a row a joint, or numbers alone."""
    rows = _cells(content)
    if not rows:
        raise DatasetError(path, "file", f"is empty, or no text: {ORIGIN}")
    if all(not math.isnan(_value(cell)) for cell in rows[0] if cell):
        if len(rows[0]) in LABELS and _value(rows[0][0]).is_integer():
            return read_labels(path, content)
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
        frame = (label_of(_value(row[frame_at])) or row[frame_at]) if frame_at is not None else ""
        frame = frame or str(number)
        frames.append(frame)
        points = np.array([[_value(row[a["x"]]), _value(row[a["y"]])] for a in taken.values()])
        scores = np.array(
            [_value(row[a["score"]]) if "score" in a else math.nan for a in taken.values()]
        )
        if np.isfinite(points).all(-1).any():
            cell = row[who_at] if who_at is not None else ""
            who = identity_of(cell if math.isnan(_value(cell)) else _value(cell))
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
    wanted = ["joint", "keypoint", "landmark", "name", "bodypart", "part", "joint_id"]
    wanted += ["keypoint_id", "landmark_id", "landmark_index", "landmark_name", "index", "id"]
    joint_at = next((header.index(name) for name in wanted if name in header), None)
    frame_at = next((header.index(name) for name in (*FRAME, "time") if name in header), None)
    if joint_at is None:
        reason = f"found columns {listed(header)}; expected one that names the joint"
        raise DatasetError(path, "first row", reason)
    score_at = next((header.index(name) for name in CONFIDENCE if name in header), None)
    table: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in body:
        row = row + [""] * (len(header) - len(row))
        frame = "0" if frame_at is None else (label_of(_value(row[frame_at])) or row[frame_at])
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


def read_labels(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
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
        who = identity_of(cells[-1]) if len(row) - 5 - 17 * width == 2 else None
        people.append(Found("0", points[:, :2], scores, COCO17.joints, box if good else None, who))
    return ["0"], people


def _matrix(path: Path, rows: list[list[str]]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([[_value(c) for c in row] + [math.nan] * (width - len(row)) for row in rows])


def read_arrays(path: Path, content: bytes) -> tuple[list[str], list[Found]]:
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


def read_custom(path: Path) -> tuple[list[str], list[Found]]:
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
        first = folded(film[0], None if names is None else len(names))
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
