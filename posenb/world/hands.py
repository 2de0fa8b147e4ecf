"""Hand domains: seeded recipes for hands that take one gesture after the other.

A gesture bends and spreads five fingers within their joints' limits (`GESTURES`, see
`Body.with_fingers`); over time one passes smoothly into the next, while the hand drifts and the
wrist gives. The two domains are named after what they stand in for; neither is that data set.

Subjects of `train` and `test` are disjoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from posenb.world import recipes
from posenb.world.body import FINGERS, SIDES, Body, load_body
from posenb.world.cameras import AIM, Camera, around
from posenb.world.domains import IMAGE_WIDTH
from posenb.world.motion import between_keys, smooth
from posenb.world.recipes import Shelf, Split, between
from posenb.world.rotations import vector_to_matrix

__all__ = ["GESTURES", "HandDomain", "HandScenes", "get", "names"]

# Lowest and highest bend of thumb, index, middle, ring and little finger (0 stretched, 1 a fist),
# and how far they are apart (0 side by side, 1 wide).
_Range = tuple[float, float]
_OUT, _IN, _OVER = (0.0, 0.12), (0.8, 1.0), (0.45, 0.9)
_CLOSE, _ANY, _WIDE = (0.0, 0.2), (0.1, 0.6), (0.4, 1.0)
GESTURES: dict[str, tuple[tuple[_Range, ...], _Range]] = {
    "relaxed": (((0.1, 0.4), (0.1, 0.35), (0.15, 0.4), (0.2, 0.45), (0.2, 0.5)), _ANY),
    "open": ((_OUT,) * 5, _WIDE),
    "flat": ((_OUT,) * 5, _CLOSE),
    "fist": ((_OVER, _IN, _IN, _IN, _IN), _CLOSE),
    "point": ((_OVER, _OUT, _IN, _IN, _IN), _CLOSE),
    "two": ((_OVER, _OUT, _OUT, _IN, _IN), _WIDE),
    "three": ((_OVER, _OUT, _OUT, _OUT, _IN), _WIDE),
    "four": ((_OVER, _OUT, _OUT, _OUT, _OUT), _WIDE),
    "thumb": ((_OUT, _IN, _IN, _IN, _IN), _WIDE),
    "horns": ((_OVER, _OUT, _IN, _IN, _OUT), _ANY),
    "call": ((_OUT, _IN, _IN, _IN, _OUT), _WIDE),
    "grip": (((0.2, 0.6), (0.3, 0.65), (0.3, 0.65), (0.3, 0.65), (0.3, 0.65)), _ANY),
    "pinch": (((0.4, 0.7), (0.4, 0.6), (0.1, 0.5), (0.1, 0.5), (0.1, 0.5)), _ANY),
}
_HOLD = 0.7  # seconds from one gesture to the next
_WRIST = (math.radians(45), math.radians(15))  # at most: to the palm and back, to the sides
_FOCAL = 1100.0  # pixels of an image 1000 pixels wide, as in `domains`


class HandScenes(NamedTuple):
    """N hands at T times before cameras.

    Attributes:
        left: which hand, (N,) bool; the others are right hands.
        rotations: of the body's bones, (N, T, B, 3, 3): turned as a whole until the hand is as it
            should be; only forearm and hand are meant to be seen.
        drift: of the hand from the aim of the cameras, (N, T, 3), metres.
        camera: N cameras, in pixels of an image 1000 pixels wide.
        action: gesture at time 0, N labels.
        subject: N ids, the domain's name and a number.
    """

    left: Tensor
    rotations: Tensor
    drift: Tensor
    camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]


@dataclass(frozen=True)
class HandDomain:
    """A recipe for hands. Make variants with `dataclasses.replace(domain, tilt=5)`.

    Attributes:
        name: seeds the domain's random draws.
        stands_for: what it is a stand-in for, in words.
        gestures: (gesture, weight) pairs, names of GESTURES.
        subjects: number of people; every fourth is a test subject.
        upright: standard deviation of the angle between fingers and upright, in the picture,
            degrees.
        tilt: the same of their angle with the picture's plane.
        wrist: share of the wrist's range that is used.
        distance: nearest and farthest camera, metres.
        elevation: lowest and highest angle of the camera, degrees.
        margin: side of the crop, times the joints' larger extent.
    """

    name: str
    stands_for: str
    gestures: tuple[tuple[str, float], ...]
    subjects: int = 100
    upright: float = 60.0
    tilt: float = 22.0
    wrist: float = 0.7
    distance: tuple[float, float] = (0.5, 1.0)
    elevation: tuple[float, float] = (-5.0, 25.0)
    margin: float = 1.4

    def __post_init__(self) -> None:
        """Check what would otherwise fail late, or not at all.

        Raises:
            ValueError: for an unknown gesture, none with a weight, too few subjects, or a camera
                in the hand.
        """
        owner = f"hand domain {self.name}"
        recipes.check_known(owner, "gesture", self.gestures, GESTURES)
        recipes.check_choices(owner, "gesture", self.gestures)
        recipes.check_subjects(owner, self.subjects)

    def scenes(
        self, count: int, seed: int, split: Split, seconds: Tensor | None = None
    ) -> HandScenes:
        """Draw hands of this domain at times (T,); None: at time 0 only.

        Raises:
            ValueError: for a count below 1 or an unknown split.
        """
        recipes.check_draw(count, split)
        seconds = torch.zeros(1) if seconds is None else seconds
        random = recipes.generator(self.name, split, seed)
        _, subject = recipes.draw_subjects(self.name, self.subjects, count, split, random)
        left = torch.rand(count, generator=random) < 0.5
        camera = _camera(self, count, random)
        angle = torch.deg2rad(
            torch.randn(count, 1, 2, generator=random) * torch.tensor([self.upright, self.tilt])
        )
        angle[..., 1].clamp_(-0.9, 0.9)  # no view along the forearm
        spin = 2 * math.pi * torch.rand(count, 1, 1, generator=random)
        moves = smooth(count, 8, seconds, random)  # (N, T, 8)
        angle = torch.cat([angle, spin], -1) + moves[..., :3] * torch.tensor([0.3, 0.2, 0.4])
        wrist = moves[..., 3:5] * self.wrist * torch.tensor(_WRIST)
        curl, spread, action = _fingers(self, count, seconds, random)
        body = load_body()
        sides: dict[str, Tensor] = {}
        for side in SIDES:
            rest, bend = rest_frame(body, side), _wrist(body, side, wrist)
            turn = camera.rotation.mT[:, None] @ _frames(*angle.unbind(-1)) @ rest.T @ bend.mT
            pose = body.identity(count, len(seconds)).clone()
            pose[..., 0, :, :] = turn
            pose[..., body.bones.index(f"{side}_hand"), :, :] = bend
            sides[side] = body.with_fingers(pose, side, curl, spread)
        which = left[:, None, None, None, None]
        rotations = torch.where(which, sides["left"], sides["right"])
        return HandScenes(left, rotations, 0.01 * moves[..., 5:], camera, action, subject)


def _camera(domain: HandDomain, count: int, random: torch.Generator) -> Camera:
    """N cameras around the aim."""
    draws = torch.rand(count, 3, generator=random)
    return around(
        torch.tensor(AIM),
        between(domain.distance, draws[:, 2]),
        2 * math.pi * draws[:, 0],
        torch.deg2rad(between(domain.elevation, draws[:, 1])),
        None,
        _FOCAL,
        IMAGE_WIDTH,
    )


def _fingers(
    domain: HandDomain, count: int, seconds: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Bends and spreads of the fingers, (N, T, 5) each, and the first gestures."""
    keys = int(float(seconds.max()) / _HOLD) + 3
    chosen = torch.multinomial(
        torch.tensor([weight for _, weight in domain.gestures]), count * keys, True,
        generator=random,
    ).view(count, keys)  # fmt: skip
    table = torch.tensor(
        [[*GESTURES[name][0], GESTURES[name][1]] for name, _ in domain.gestures]
    )  # (gestures, 6, 2)
    low, high = table[chosen].unbind(-1)  # (N, keys, 6)
    draw = torch.rand(count, keys, len(FINGERS), generator=random)
    apart = torch.rand(count, keys, 1, generator=random)
    key = low + (high - low) * torch.cat([draw, apart], -1)  # (N, keys, 6)
    at = seconds / _HOLD + torch.rand(count, 1, generator=random)  # (N, T)
    now = between_keys(key, at)  # (N, T, 6)
    spread = now[..., 5:].expand(-1, -1, len(FINGERS)) * (1 - 0.8 * now[..., :5])
    first = torch.where(at[:, 0] < 0.5, chosen[:, 0], chosen[:, 1])
    return now[..., :5], spread, tuple(domain.gestures[i][0] for i in first.tolist())


def rest_frame(body: Body, side: str) -> Tensor:
    """Directions of a hand at rest as columns, (3, 3): along the fingers, across, out of the palm.

    Who sees the palm of a right hand with its fingers upwards sees its thumb to the right.
    """
    hand, index, middle, little = (
        body.heads.mean[body.bones.index(f"{side}_{bone}")]
        for bone in ("hand", "index1", "middle1", "little1")
    )
    along = torch.nn.functional.normalize(middle - hand, dim=0)
    palm = torch.linalg.cross(index - hand, little - hand) * (1 if side == "right" else -1)
    palm = torch.nn.functional.normalize(palm - (palm @ along) * along, dim=0)
    return torch.stack([along, torch.linalg.cross(palm, along), palm], -1)


def _frames(upright: Tensor, tilt: Tensor, spin: Tensor) -> Tensor:
    """Wanted directions of hands in the camera's frame, (..., 3, 3), as `rest_frame` has them."""
    zero = torch.zeros_like(tilt)
    up = torch.stack([upright.sin(), -upright.cos(), zero], -1)
    near = torch.stack([zero, zero, -torch.ones_like(tilt)], -1)
    cos, sin = tilt.cos()[..., None], tilt.sin()[..., None]
    along, facing = cos * up + sin * near, cos * near - sin * up
    beside = torch.linalg.cross(facing, along)
    palm = spin.cos()[..., None] * facing + spin.sin()[..., None] * beside
    return torch.stack([along, torch.linalg.cross(palm, along), palm], -1)


def _wrist(body: Body, side: str, bend: Tensor) -> Tensor:
    """Turns of the hand against the forearm, (..., 3, 3), by angles (..., 2) in radians."""
    _, across, palm = rest_frame(body, side).unbind(-1)
    vector = bend[..., :1] * across + bend[..., 1:] * palm
    return vector_to_matrix(vector)


_RENDERED = HandDomain(
    name="hands_rendered",
    stands_for="RHD: rendered hands of many people, any gesture seen from anywhere",
    gestures=tuple((name, 1.0) for name in GESTURES),
    upright=70.0,
)
_REAL = HandDomain(
    name="hands_real",
    stands_for="Hand-3D-Studio: real hands of few people in a studio, counting and pointing",
    gestures=(
        ("relaxed", 1.0), ("open", 2.0), ("flat", 1.0), ("fist", 1.0), ("point", 2.0),
        ("two", 2.0), ("three", 2.0), ("four", 2.0), ("thumb", 1.0), ("grip", 1.0),
    ),
    subjects=12,
    upright=35.0,
    tilt=15.0,
    elevation=(0.0, 35.0),
    margin=1.5,
)  # fmt: skip
_SHELF = Shelf("hand domain", {domain.name: domain for domain in (_RENDERED, _REAL)})
names, get = _SHELF.names, _SHELF.get
