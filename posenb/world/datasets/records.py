"""What the loaders share: the error, careful reading, and the crop from pixels to [0, 1]."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.world.poses import PoseSet
from posenb.world.skeletons import Skeleton, convert

__all__ = [
    "DatasetError",
    "Person",
    "few",
    "field",
    "gather",
    "listed",
    "located",
    "number",
    "plain",
    "parse_json",
    "parse_number",
    "read_file",
    "read_json",
    "say_masked",
    "say_passed",
]

FARTHEST = 1e5  # pixels; beyond it a coordinate is damage where no picture's size is known
WIDTHS = 3.0  # of the picture; farther outside of it a coordinate is damage
LONGEST = 500  # characters of a reason: what a terminal shows without scrolling

log = logging.getLogger(__name__)


class DatasetError(Exception):
    """A file of a dataset that cannot be used.

    Attributes:
        path: the file.
        record: which part of it, e.g. "annotation 200887".
        reason: what was found, what was expected, what to do.
    """

    def __init__(self, path: str | Path, record: str, reason: str) -> None:
        """Keep the three parts, long ones without their middle; `str` joins them."""
        record, reason = _shortened(record, 120), _shortened(reason, LONGEST)
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
    labelled: list[bool]  # (J,), what the file marks; `gather` asks `located` as well
    box: tuple[float, float, float, float] | None  # left, top, right, bottom; None: of the joints
    action: str
    subject: str
    picture: str = ""  # file name or id of the image
    size: tuple[float, float] | None = None  # width and height of the image in pixels, if known


def located(
    points: Tensor,
    score: Tensor | None = None,
    size: tuple[float, float] | Tensor | None = None,
) -> Tensor:
    """Which joints somebody or something placed: the one rule of a seen joint, for all loaders.

    A joint is not placed if it is not finite; if it has a score that is not above 0; if it lies at
    exactly (0, 0) or (-1, -1), whatever its score says (nobody labels the corner of a picture, but
    tools write zeros for what they did not find, and MPII's files -1); or if it lies more than
    `WIDTHS` pictures outside of its picture (more than `FARTHEST` pixels from the corner where the
    size is not known).

    Args:
        points: pixels as the file has them, before any shift, (..., J, 2).
        score: visibility, score or confidence, (..., J); None if there is none.
        size: width and height of the picture, or of each, (..., 2); NaN where not known.

    Returns:
        (..., J) bool.
    """
    unset = (points == 0).all(-1) | (points == -1).all(-1)  # (..., J)
    seen = points.isfinite().all(-1) & ~unset
    if score is not None:
        seen &= score > 0  # NaN fails any comparison
    if size is None:
        return seen & (points.abs() <= FARTHEST).all(-1)
    whole = torch.as_tensor(size, dtype=points.dtype, device=points.device).unsqueeze(-2)
    low = (-WIDTHS * whole).nan_to_num(-FARTHEST)  # (..., 1, 2)
    high = ((1 + WIDTHS) * whole).nan_to_num(FARTHEST)
    return seen & ((points >= low) & (points <= high)).all(-1)


def say_masked(path: str | Path, count: int, total: int) -> None:
    """Warn, once for a file, that joints marked as seen are not: see `located`."""
    if count:
        log.warning(
            "%s: %d of %d joints are marked as seen but were not placed (at (0, 0) or "
            "(-1, -1), not finite, or far outside of the picture): taken as not visible",
            *(path, count, total),
        )


def say_passed(path: str | Path, passed: Mapping[str, int], kept: int) -> None:
    """Warn, once for a file, of people who are passed over.

    Args:
        path: the file.
        passed: how many for which reason, such as "without a labelled joint".
        kept: how many are not passed over.

    Raises:
        DatasetError: if it is everybody.
    """
    often = sorted(passed, key=lambda reason: -passed[reason])[:6]
    reasons = "; ".join(f"{passed[reason]} {reason}" for reason in often)
    count = sum(passed.values())
    if not kept:
        reason = f"nobody in this file can be used: {reasons or 'it has no people'}"
        raise DatasetError(path, f"all people ({count})", reason)
    if count:
        log.warning("%s: passed over %d of %d: %s", path, count, count + kept, reasons)


def listed(names: Iterable[Any], most: int = 6) -> str:
    """Names with commas, the first few of many: "a, b and 3 more"."""
    words = [_shortened(str(name), 40) for name in names]
    rest = len(words) - most
    return ", ".join(words) if rest <= 0 else f"{', '.join(words[:most])} and {rest} more"


def _shortened(text: str, longest: int) -> str:
    """The text; a long one without its middle."""
    head = 2 * longest // 3
    return text if len(text) <= longest else f"{text[:head]} ... {text[head + 5 - longest :]}"


def plain(content: bytes) -> bytes:
    """Text as UTF-8: Windows' PowerShell writes UTF-16. Anything else as it is."""
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content
    try:
        return content.decode("utf-16").encode()
    except UnicodeError:
        return content


def read_file(path: Path, origin: str) -> bytes:
    """The bytes of a file.

    Raises:
        DatasetError: if it cannot be read; `origin` then says where it comes from.
    """
    try:
        return plain(path.read_bytes())
    except OSError as error:
        reason = f"cannot be read ({error.strerror}). Nothing is downloaded: {origin}"
        raise DatasetError(path, "file", reason) from error


def read_json(path: Path, origin: str) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: if it cannot be read or is not JSON.
    """
    return parse_json(path, read_file(path, origin), origin)


def parse_json(path: Path, content: bytes, origin: str) -> Any:
    """What the bytes of a JSON file say; the path is for messages.

    Raises:
        DatasetError: if it is not JSON.
    """
    try:
        return json.loads(content)
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
        reason = f"key {key!r} is missing; found {listed(holder) or 'no keys'}"
        raise DatasetError(path, record, reason)
    if not isinstance(holder[key], kind):
        reason = f"{key!r} must be a {kind.__name__}, found {type(holder[key]).__name__}"
        raise DatasetError(path, record, reason)
    return holder[key]


def number(value: Any) -> float:
    """A number of JSON or Matlab as float; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer of 400 digits
        return math.inf


def parse_number(path: Path, record: str, word: str) -> float:
    """A number of a text file, with a decimal point or comma; NaN for an infinite one.

    Raises:
        DatasetError: if it is none.
    """
    try:
        value = float(word.replace(",", "."))
    except ValueError as error:
        raise DatasetError(path, record, f"expected a number, found {word[:40]!r}") from error
    return value if math.isfinite(value) else math.nan


def gather(
    path: Path,
    people: Sequence[Person],
    source: Skeleton,
    skeleton: Skeleton,
    minimum_joints: int,
    margin: float,
    shift: float = 0.0,
) -> PoseSet:
    """Crop people to squares, convert their joints, and drop those with too few.

    The square's side is `margin` times the larger side of the smallest upright box that holds the
    annotated box, if there is one, and all labelled joints; they share their centre. (The annotated
    box alone would not do: annotators also place joints that are hidden or outside the visible
    part.) A joint that is marked as labelled but not `located` is masked, and a warning counts
    these.

    Args:
        path: for messages.
        people: at least one.
        source: skeleton of the file.
        skeleton: wanted skeleton; a joint is visible if every joint it is made of is labelled.
        minimum_joints: fewest visible joints, of `skeleton`, to keep a person.
        margin: at least 1.
        shift: what to add to the people's keypoints to count from the corner of the top-left pixel
            (`located` must see them as the file has them); their boxes do already.

    Returns:
        PoseSet with pictures and crops, without 3D.

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
    marked = torch.tensor([p.labelled for p in people])  # (N, J)
    unknown = (math.nan, math.nan)
    sizes = torch.tensor([p.size or unknown for p in people], dtype=torch.float64)  # (N, 2)
    placed = located(pixels, marked, sizes)
    say_masked(path, int((marked & ~placed).sum()), int(marked.sum()))
    if not placed.any():
        reason = f"none of {int(marked.sum())} joints marked as labelled was placed in a picture"
        raise DatasetError(path, f"all {len(people)} people", reason)
    known = placed.unsqueeze(-1)  # (N, J, 1)
    low, high, pixels = _extents(people, pixels + shift, known)
    side = margin * (high - low).amax(-1, keepdim=True)  # (N, 1)
    side = side.where(side > 0, 1.0)  # somebody of one joint has no extent
    corner = (low + high - side) / 2
    crops = (pixels - corner.unsqueeze(1)) / side.unsqueeze(1)  # (N, J, 2)
    # NaN marks what is not labelled, so that the conversion carries it into all that is built on it
    converted = convert(crops.where(known, torch.nan), source, skeleton)
    keypoints = converted.keypoints  # (N, J_target, 2)
    visible = ~keypoints.isnan().any(-1)  # (N, J_target)
    counts = visible.sum(-1)  # (N,)
    kept = (counts >= minimum_joints).nonzero().squeeze(-1)
    log.info("%s: %d of %d people with labelled joints kept", path, len(kept), len(people))
    if not len(kept):
        pairs = zip(skeleton.joints, converted.status, strict=True)
        lacks = listed(joint for joint, how in pairs if how == "missing")
        reason = few(minimum_joints, int(counts.max()), skeleton, "labelled")
        reason += f" (its joints make no {lacks})" if lacks else ""
        raise DatasetError(path, f"all {len(people)} people", reason)
    pictures = tuple(people[i].picture for i in kept.tolist())
    squares = torch.eye(2, dtype=torch.float64) * side.unsqueeze(-1)  # (N, 2, 2)
    return PoseSet(
        keypoints.nan_to_num(0.0)[kept].float(),
        None,
        None,
        tuple(people[i].action for i in kept.tolist()),
        tuple(people[i].subject for i in kept.tolist()),
        skeleton,
        visible[kept],
        pictures if any(pictures) else None,
        torch.cat([squares, corner.unsqueeze(-1)], -1)[kept].float(),
    )


def few(minimum: int, most: int, skeleton: Skeleton, how: str) -> str:
    """Why nobody is kept. Who asks for all joints cannot do with fewer, so no advice for them."""
    if minimum == len(skeleton):
        return f"nobody has all {minimum} joints of {skeleton.name} {how}; the most is {most}"
    return f"none has {minimum} {how} joints of {skeleton.name}; the most is {most}" + (
        ": lower minimum_joints" if most else ""
    )


def _extents(
    people: Sequence[Person], pixels: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Top-left and bottom-right corner of what is known of each (N, 2), and the pixels cleaned."""
    nothing = (math.inf, math.inf, -math.inf, -math.inf)
    boxes = torch.tensor([p.box or nothing for p in people], dtype=torch.float64)  # (N, 4)
    low = torch.minimum(boxes[:, :2], pixels.where(known, torch.inf).amin(1))  # (N, 2)
    high = torch.maximum(boxes[:, 2:], pixels.where(known, -torch.inf).amax(1))
    return low, high, pixels.where(known, 0.0)
