"""What the loaders share: the error, careful reading, and the crop from pixels to [0, 1]."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from posenb.world.poses import PoseSet
from posenb.world.skeletons import Skeleton, convert

__all__ = ["DatasetError", "Person", "field", "gather", "numbers", "read_file", "read_json"]

FARTHEST = 1e6  # pixels; beyond it a coordinate is damage, not a picture

log = logging.getLogger(__name__)


class DatasetError(Exception):
    """A file of a dataset that cannot be used.

    Attributes:
        path: the file.
        record: which part of it, e.g. "annotation 200887".
        reason: what was found, what was expected, what to do.
    """

    def __init__(self, path: str | Path, record: str, reason: str) -> None:
        """Keep the three parts; `str` joins them."""
        super().__init__(path, record, reason)
        self.path = Path(path)
        self.record = record
        self.reason = reason

    def __str__(self) -> str:
        """Path, record and reason in one line."""
        return f"{self.path}: {self.record}: {self.reason}"


class Person(NamedTuple):
    """One annotated person, in pixels with (0, 0) at the corner of the top-left pixel."""

    keypoints: list[list[float]]  # (J, 2), anything where not labelled
    labelled: list[bool]  # (J,)
    box: tuple[float, float, float, float]  # left, top, right, bottom
    action: str
    subject: str


def read_file(path: Path, origin: str) -> bytes:
    """The bytes of a file.

    Raises:
        DatasetError: if it cannot be read; `origin` then says where it comes from.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = f"cannot be read ({error.strerror}). Nothing is downloaded: {origin}"
        raise DatasetError(path, "file", reason) from error


def read_json(path: Path, origin: str) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: if it cannot be read or is not JSON.
    """
    text = read_file(path, origin)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"is not JSON, or is cut off: {error}. Unpack or fetch it again: {origin}"
        raise DatasetError(path, "file", reason) from error


def field(path: Path, record: str, holder: Any, key: str, kind: type) -> Any:
    """`holder[key]`, made sure to be a `kind`.

    Raises:
        DatasetError: if `holder` is no JSON object, has no such key, or another type there.
    """
    if not isinstance(holder, dict):
        reason = f"expected an object with key {key!r}, found {type(holder).__name__}"
        raise DatasetError(path, record, reason)
    if key not in holder:
        reason = f"key {key!r} is missing; found {', '.join(map(str, holder)) or 'no keys'}"
        raise DatasetError(path, record, reason)
    if not isinstance(holder[key], kind):
        reason = f"{key!r} must be a {kind.__name__}, found {type(holder[key]).__name__}"
        raise DatasetError(path, record, reason)
    return holder[key]


def numbers(path: Path, record: str, what: str, values: Any, count: int) -> list[float]:
    """A list of exactly `count` finite numbers, small enough to be pixels.

    Raises:
        DatasetError: on another length, something that is no number, NaN, or a huge value.
    """
    found = len(values) if isinstance(values, Sequence) else type(values).__name__
    if found != count or isinstance(values, str):
        raise DatasetError(path, record, f"{what} must be {count} numbers, found {found}")
    for value in values:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not -FARTHEST <= value <= FARTHEST:  # NaN fails any comparison
            reason = f"{what} holds {str(value)[:40]!r}, expected a number within +-{FARTHEST:g}"
            raise DatasetError(path, record, reason)
    return [float(value) for value in values]


def gather(
    path: Path,
    people: Sequence[Person],
    source: Skeleton,
    skeleton: Skeleton,
    minimum_joints: int,
    margin: float,
) -> PoseSet:
    """Crop people to squares, convert their joints, and drop those with too few.

    The square's side is `margin` times the larger side of the smallest upright box that holds the
    annotated box and all labelled joints; they share their centre. (The annotated box alone would
    not do: annotators also place joints that are hidden or outside the visible part.)

    Args:
        path: for messages.
        people: at least one.
        source: skeleton of the file.
        skeleton: wanted skeleton; a joint is visible if every joint it is made of is labelled.
        minimum_joints: fewest visible joints, of `skeleton`, to keep a person.
        margin: at least 1.

    Raises:
        ValueError: if `minimum_joints` or `margin` is out of range.
        DatasetError: if nobody is left.
    """
    if not 1 <= minimum_joints <= len(skeleton):
        raise ValueError(
            f"minimum_joints is {minimum_joints}, expected 1 to {len(skeleton)} ({skeleton.name})"
        )
    if not 1 <= margin < math.inf:
        raise ValueError(f"margin is {margin}, expected a number of at least 1 (1.25 is usual)")
    if not people:
        raise DatasetError(path, "all people", "nobody in this file has a labelled joint")
    pixels = torch.tensor([p.keypoints for p in people], dtype=torch.float64)  # (N, J, 2)
    labelled = torch.tensor([p.labelled for p in people]).unsqueeze(-1)  # (N, J, 1)
    boxes = torch.tensor([p.box for p in people], dtype=torch.float64)  # (N, 4)
    low = torch.minimum(boxes[:, :2], pixels.where(labelled, torch.inf).amin(1))  # (N, 2)
    high = torch.maximum(boxes[:, 2:], pixels.where(labelled, -torch.inf).amax(1))
    side = margin * (high - low).amax(-1, keepdim=True)  # (N, 1)
    corner = (low + high - side) / 2
    crops = (pixels - corner.unsqueeze(1)) / side.unsqueeze(1)  # (N, J, 2)
    # NaN marks what is not labelled, so that the conversion carries it into all that is built on it
    keypoints = convert(crops.where(labelled, torch.nan), source, skeleton).keypoints
    visible = ~keypoints.isnan().any(-1)  # (N, J_target)
    counts = visible.sum(-1)  # (N,)
    kept = (counts >= minimum_joints).nonzero().squeeze(-1)
    log.info("%s: %d of %d people with labelled joints kept", path, len(kept), len(people))
    if not len(kept):
        reason = (
            f"none has {minimum_joints} labelled joints of {skeleton.name}; the most is "
            f"{int(counts.max())}: lower minimum_joints"
        )
        raise DatasetError(path, f"all {len(people)} people", reason)
    return PoseSet(
        keypoints.nan_to_num(0.0)[kept].float(),
        None,
        None,
        tuple(people[i].action for i in kept.tolist()),
        tuple(people[i].subject for i in kept.tolist()),
        skeleton,
        visible[kept],
    )
