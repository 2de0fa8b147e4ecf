"""Who is who from frame to frame of what a detector found."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from posenb.world.datasets.detected import Found
from posenb.world.datasets.records import listed

PATIENCE, NEAR = 30, 0.6  # frames without somebody, and body sizes from frame to frame, in a track


def filled(frames: tuple[str, ...]) -> tuple[str, ...]:
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


def people_of(frames: Sequence[str], people: Sequence[Found]) -> dict[str, list[Found]]:
    """Each person's appearances, at most one a frame, by a tracker's number or by nearness."""
    ids = Counter(person.identity for person in people)
    tracked = None not in ids and (len(ids) < len(people) or len(people) == 1)
    groups: dict[str, dict[str, Found]] = {}
    if tracked:
        for person in people:
            there = groups.setdefault(str(person.identity), {})
            if person.frame not in there or _seen([there[person.frame]]) < _seen([person]):
                there[person.frame] = person
        return {name: list(members.values()) for name, members in groups.items()}
    places = {frame: place for place, frame in enumerate(frames)}
    by_frame: dict[str, list[Found]] = {}
    for person in people:
        by_frame.setdefault(person.frame, []).append(person)
    last: dict[str, tuple[int, np.ndarray, float]] = {}  # frame, middle, size of each
    for frame in frames:
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


def chosen_of(path: Path, groups: Mapping[str, Sequence[Found]], person: str | int | None) -> str:
    """The person asked for, or who is seen most; ValueError if there is no such person."""
    ranked = sorted(groups, key=lambda name: -_seen(groups[name]))
    if person is None:
        return ranked[0]
    if str(person) in groups:
        return str(person)
    raise ValueError(
        f"{path}: there is no person {person}; people are numbered {listed(ranked)}, the first "
        "is seen most"
    )
