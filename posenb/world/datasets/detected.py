"""What readers of detectors' files make of them, and the names that such files use."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from posenb.world.datasets.joints import BY_COUNT

ORIGIN = "it must be the result of a pose detector; see the README for the formats that are read"
FRAME = (
    *("image_id", "frame_id", "frame", "frame_index", "frame_idx", "frame_number", "frameIndex"),
    *("image_name", "image", "file_name", "filename", "img_path"),
)
IDENTITIES = ("track_id", "tracking_id", "idx", "person_id", "instance_id", "id")
CONFIDENCE = ("score", "visibility", "confidence", "likelihood", "conf", "visible", "v", "c", "p")


class Found(NamedTuple):
    """One person in one frame, as the file has it."""

    frame: str
    points: np.ndarray  # (J, 2), NaN where there is nothing
    scores: np.ndarray  # (J,), NaN where the file has none
    names: tuple[str, ...]  # of the J points
    box: tuple[float, float, float, float] | None = None
    identity: str | None = None  # a tracker's


def number_of(value: Any) -> float | None:
    """A number as it is in JSON, or None if it is none."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return float(value) if plain else None
    except OverflowError:
        return math.inf


def label_of(value: Any) -> str | None:
    """A frame's name as text, 7 and 7.0 alike."""
    if isinstance(value, str):
        return value[:200].strip() or None
    number = number_of(value)
    if number is None or not math.isfinite(number):
        return None
    return str(int(number)) if number.is_integer() else str(number)


def identity_of(value: Any) -> str | None:
    """A tracker's number; AlphaPose wraps it in lists, and -1 says that there is none."""
    while isinstance(value, list) and value:
        value = value[0]
    label = label_of(value)
    return None if label == "-1" else label


def folded(flat: np.ndarray, joints_known: int | None) -> np.ndarray | None:
    """A row of numbers as points: x, y, score; x, y; or x, y, z, visibility."""
    for width in (3, 2, 4):
        count, rest = divmod(len(flat), width)
        if not rest and (count == joints_known or (joints_known is None and count in BY_COUNT)):
            return flat.reshape(count, width)
    return None
