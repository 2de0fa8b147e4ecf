"""Face domains: seeded recipes for landmarks of talking, smiling, turning heads (notebook 02).

A face is 68 landmarks in three dimensions: a mean face of ordinary proportions, plus what makes
a person (`SHAPES`, drawn once a subject), plus what the face does (`MOVES`, drawn once a pose).
Both are fields of small displacements, one number each; only eyelids close by a rule of their own.
The head then turns and is photographed. The two domains are named after what they stand in for;
neither is that data set.

Frames: a head looks along z, with x to the right of the picture (the person's left) and y up, in
metres, its turning point in the origin. The world is that of a head which looks into the camera.
Subjects of `train` and `test` are disjoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from posenb.world import recipes
from posenb.world.cameras import Camera, look_at
from posenb.world.motion import between_keys, smooth
from posenb.world.poses import PoseSet
from posenb.world.recipes import Shelf, Split, between
from posenb.world.rotations import yaw_pitch_roll
from posenb.world.skeletons import FACE68

__all__ = ["EXPRESSIONS", "MOVES", "SHAPES", "FaceDomain", "face", "get", "mirror", "names"]

# The right half of the mean face and its middle line, centimetres from between the eyes. Widths and
# heights are an adult's: eye corners 3.3 and 9.0 apart, nose 3.3 and mouth 5.1 wide, face 12 long.
_RIGHT_HALF = {
    0: (-7.10, -0.30, -5.10), 1: (-7.05, -2.10, -4.90), 2: (-6.85, -3.90, -4.60),
    3: (-6.45, -5.60, -4.10), 4: (-5.75, -7.30, -3.40), 5: (-4.65, -8.80, -2.30),
    6: (-3.30, -10.00, -1.00), 7: (-1.75, -10.75, 0.00), 8: (0.00, -11.00, 0.40),
    17: (-5.90, 1.50, -1.40), 18: (-4.95, 2.30, -0.30), 19: (-3.75, 2.60, 0.50),
    20: (-2.45, 2.45, 1.00), 21: (-1.25, 2.05, 1.30),
    27: (0.00, 0.70, 1.30), 28: (0.00, -0.60, 1.90), 29: (0.00, -1.90, 2.60),
    30: (0.00, -3.20, 3.30), 31: (-1.65, -4.05, 1.30), 32: (-0.85, -4.35, 1.80),
    33: (0.00, -4.55, 2.10),
    36: (-4.50, -0.05, -0.80), 37: (-3.65, 0.55, 0.00), 38: (-2.55, 0.50, 0.15),
    39: (-1.65, -0.15, -0.10), 40: (-2.55, -0.50, 0.05), 41: (-3.60, -0.50, -0.10),
    48: (-2.55, -6.90, 0.50), 49: (-1.60, -6.35, 1.50), 50: (-0.60, -6.10, 2.05),
    51: (0.00, -6.25, 2.10), 57: (0.00, -7.95, 1.90), 58: (-0.80, -7.85, 1.80),
    59: (-1.70, -7.50, 1.35),
    60: (-2.25, -6.90, 0.70), 61: (-0.80, -6.80, 1.65), 62: (0.00, -6.85, 1.80),
    66: (0.00, -6.97, 1.75), 67: (-0.80, -6.93, 1.60),
}  # fmt: skip
_HOLD = 0.5  # seconds from one expression to the next
_CENTER = (0.0, -2.5, -8.0)  # where the head turns, centimetres
_JAW, _BROWS, _NOSE, _EYES, _LIPS = (
    slice(0, 17), slice(17, 27), slice(27, 36), slice(36, 48), slice(48, 68)
)  # fmt: skip
_UPPER_LIDS, _LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]
_UPPER_LIP, _LOWER_LIP = [49, 50, 51, 52, 53], [55, 56, 57, 58, 59]
_CORNERS = [48, 54, 60, 64]

SHAPES = (
    "face_width", "face_length", "jaw_length", "jaw_width", "chin_width", "chin_depth",
    "nose_length", "nose_width", "nose_depth", "eye_distance", "eye_size", "eye_slant",
    "brow_height", "brow_arch", "mouth_width", "mouth_height", "lip_thickness", "lip_depth",
)  # fmt: skip
MOVES = (
    "jaw_open", "smile_right", "smile_left", "pucker", "lip_raise", "brow_raise", "brow_furrow",
    "brow_inner", "close_right", "close_left",
)  # fmt: skip

# What an expression is made of: lowest and highest value of its moves; a pair of sides is named
# without its side. The rest stays near 0. Negative: a drooping mouth, wide lips, wide eyes.
EXPRESSIONS: dict[str, dict[str, tuple[float, float]]] = {
    "neutral": {},
    "talk": {
        "jaw_open": (0.05, 0.4), "smile": (-0.2, 0.3), "pucker": (-0.2, 0.6),
        "brow_raise": (-0.1, 0.4),
    },
    "smile": {"smile": (0.4, 1.0), "jaw_open": (0.0, 0.1), "close": (0.0, 0.3)},
    "laugh": {
        "smile": (0.6, 1.1), "jaw_open": (0.2, 0.55), "lip_raise": (0.2, 0.8), "close": (0.2, 0.8),
    },
    "surprise": {"brow_raise": (0.6, 1.2), "jaw_open": (0.2, 0.8), "close": (-0.5, -0.2)},
    "frown": {"smile": (-0.9, -0.3), "brow_furrow": (0.4, 1.0), "close": (0.0, 0.3)},
    "sad": {"smile": (-0.9, -0.3), "brow_inner": (0.4, 1.0), "close": (0.1, 0.5)},
    "blink": {"close": (0.85, 1.0), "jaw_open": (0.0, 0.1)},
    "wink": {"close_right": (0.85, 1.0), "smile": (0.0, 0.6)},
    "kiss": {"pucker": (0.6, 1.0), "close": (0.0, 0.6)},
    "shout": {
        "jaw_open": (0.7, 1.0), "lip_raise": (0.2, 0.8), "brow_furrow": (0.0, 1.0),
        "smile": (-0.2, 0.4), "close": (-0.2, 0.6),
    },
}  # fmt: skip


class FaceScenes(NamedTuple):
    """What N faces do at T times before cameras.

    Attributes:
        moves: amounts of MOVES, (N, T, moves).
        angles: of the heads, yaw, pitch and roll in degrees, (N, T, 3); see `yaw_pitch_roll`.
        camera: N cameras, in pixels of an image 1000 pixels wide.
        action: expression at time 0, N labels.
        subject: N ids, the domain's name and a number.
    """

    moves: Tensor
    angles: Tensor
    camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]


@dataclass(frozen=True)
class FaceDomain:
    """A recipe for faces. Make variants with `dataclasses.replace(domain, yaw=(0, 5))`.

    The random draws depend on the expressions, their weights and the number of subjects, and on
    no other number of the recipe. So a variant of the same name shows the same people with the
    same expressions at the same seed. Where a mean and a standard deviation are stated, draws
    are normal but never farther than 2.5 deviations away.

    Attributes:
        name: seeds the domain's random draws.
        stands_for: what it is a stand-in for, in words.
        expressions: (expression, weight) pairs, names of EXPRESSIONS.
        subjects: number of people; every fourth is a test subject.
        subject_spread: standard deviation of each of SHAPES; 1 is an ordinary population.
        strength: factor on all moves of the face.
        yaw: mean and standard deviation, degrees; positive turns the nose to the picture's right.
        pitch: mean and standard deviation, degrees; positive looks up.
        roll: mean and standard deviation, degrees, clockwise in the image.
        distance: nearest and farthest camera, metres.
        focal: focal length in pixels of an image 1000 pixels wide.
        margin: side of the crop, times the landmarks' larger extent.
        lift: how far the crop is moved up, as a share of its side: boxes of face detectors hold
            the forehead, which has no landmarks.
        crop_noise: standard deviation of the crop's place, as a share of its side, and of the
            logarithm of its side: a detector's imprecision.
        visible_contour: annotators follow the visible edge of the cheek. The landmarks of the far
            jaw then slide forward as the head turns; otherwise they stay where they are, unseen.
        convention: (name of SHAPES, amount) pairs: where this data set's annotators see every
            face, in standard deviations; brow_height 1 puts the brows at their upper edge.
        noise: standard deviation of the annotation noise, in units of the crop.
    """

    name: str
    stands_for: str
    expressions: tuple[tuple[str, float], ...]
    subjects: int = 200
    subject_spread: float = 1.0
    strength: float = 1.0
    yaw: tuple[float, float] = (0.0, 12.0)
    pitch: tuple[float, float] = (0.0, 6.0)
    roll: tuple[float, float] = (0.0, 4.0)
    distance: tuple[float, float] = (0.6, 1.5)
    focal: float = 1100.0
    margin: float = 1.25
    lift: float = 0.0
    crop_noise: float = 0.01
    visible_contour: bool = False
    convention: tuple[tuple[str, float], ...] = ()
    noise: float = 0.003

    def __post_init__(self) -> None:
        """Check what would otherwise fail late, or not at all.

        Raises:
            ValueError: for an unknown expression or shape, without an expression that has a
                weight, with too few subjects, or a camera inside the head.
        """
        owner = f"face domain {self.name}"
        recipes.check_choices(owner, "expression", self.expressions)
        recipes.check_known(owner, "expression", self.expressions, EXPRESSIONS)
        recipes.check_known(owner, "shape", self.convention, SHAPES)
        recipes.check_subjects(owner, self.subjects)
        if not 0.3 <= self.distance[0] <= self.distance[1] or self.margin <= 0:
            raise ValueError(
                f"{owner}: distances must be at least 0.3 m, the nearest first, "
                f"and margin positive, found {self.distance} and {self.margin}"
            )

    def sample(self, count: int, seed: int, split: Split = "train") -> PoseSet:
        """Draw faces of this domain.

        Args:
            count: number of poses N, at least 1.
            seed: the same seed gives the same poses.
            split: `train` or `test`.

        Returns:
            PoseSet of FACE68: keypoints in [0, 1] of the crop (a landmark may lie outside),
            landmarks in metres in the world (y up), and the cameras of the crops. `keypoints` are
            the projections of `joints3d` plus the annotation noise; `action` is the expression.

        Raises:
            ValueError: for a count below 1 or an unknown split.
        """
        random = recipes.generator(self.name, split, seed)
        shape, scenes = _scenes(self, count, split, random)
        points = face(shape, scenes.moves[:, 0])  # (N, 68, 3)
        turn = yaw_pitch_roll(*scenes.angles[:, 0].unbind(-1))  # (N, 3, 3)
        if self.visible_contour:
            points = _slide_contour(points, turn[:, :, 2])
        joints = points @ turn.mT
        camera = scenes.camera.crop(*_crop(self, scenes.camera.project(joints), random))
        noise = torch.randn(count, len(FACE68), 2, generator=random)
        keypoints = camera.project(joints) + self.noise * noise
        return PoseSet(keypoints, joints, camera, scenes.action, scenes.subject, FACE68, None)

    def scenes(
        self, count: int, seed: int, split: Split = "train", seconds: Tensor | None = None
    ) -> FaceScenes:
        """What faces do at times (T,) in seconds, from what `sample` shows at time 0.

        Raises:
            ValueError: as `sample`.
        """
        _, scenes = _scenes(self, count, split, recipes.generator(self.name, split, seed))
        if seconds is None or len(seconds) == 1:
            return scenes
        random = recipes.generator(self.name, split, seed, "time")
        later = int(float(seconds.max()) / _HOLD) + 2
        moves, _ = _moves(self, count * later, random)
        keys = torch.cat([scenes.moves, moves.view(count, later, len(MOVES))], 1)
        moves = between_keys(keys, (seconds / _HOLD).expand(count, -1))  # (N, T, moves)
        drift = smooth(count, 3, seconds, random)
        nod = torch.tensor([14.0, 7.0, 5.0]) * (drift - drift[:, :1])
        return scenes._replace(moves=moves, angles=scenes.angles + nod)


def _scenes(
    domain: FaceDomain, count: int, split: Split, random: torch.Generator
) -> tuple[Tensor, FaceScenes]:
    """Shapes (N, shapes), and the rest at time 0."""
    recipes.check_draw(count, split)
    shape, subject = _people(domain, count, split, random)
    moves, action = _moves(domain, count, random)
    angles, translation, rotation = _film(domain, count, random)
    camera = Camera(
        rotation=rotation,
        translation=translation,
        focal=torch.full((count, 2), domain.focal),
        center=torch.full((count, 2), 500.0),
    )
    return shape, FaceScenes(moves[:, None], angles[:, None], camera, action, subject)


def _people(
    domain: FaceDomain, count: int, split: Split, random: torch.Generator
) -> tuple[Tensor, tuple[str, ...]]:
    """Shapes (N, shapes) as the annotators see them, and the ids of their owners."""
    people = recipes.generator(domain.name, "people")
    shapes = domain.subject_spread * _bounded(people, domain.subjects, len(SHAPES))
    for name, amount in domain.convention:
        shapes[:, SHAPES.index(name)] += amount
    chosen, ids = recipes.draw_subjects(domain.name, domain.subjects, count, split, random)
    return shapes[chosen], ids


def _moves(
    domain: FaceDomain, count: int, random: torch.Generator
) -> tuple[Tensor, tuple[str, ...]]:
    """Moves (N, moves) and the names of the expressions that they make."""
    labels = [name for name, _ in domain.expressions]
    weights = torch.tensor([weight for _, weight in domain.expressions])
    chosen = torch.multinomial(weights, count, replacement=True, generator=random)  # (N,)
    low, high = _ranges()[:, [list(EXPRESSIONS).index(name) for name in labels]]
    draw = torch.rand(count, len(MOVES), generator=random)
    for right, left in _SIDES:  # the sides of a face nearly agree
        draw[:, left] = draw[:, right].lerp(draw[:, left], 0.15)
    moves = low[chosen] + draw * (high - low)[chosen]  # (N, moves)
    moves = domain.strength * (moves + 0.04 * _bounded(random, count, len(MOVES)))
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    return torch.where(mirrored, mirror(moves), moves), tuple(labels[i] for i in chosen.tolist())


def _film(domain: FaceDomain, count: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Angles of the heads (N, 3), and the cameras' translations and rotations."""
    draws = _bounded(random, count, 3)
    spread = torch.tensor([domain.yaw, domain.pitch, domain.roll])  # (3, 2)
    angles = spread[:, 0] + spread[:, 1] * draws
    eye = torch.zeros(count, 3)
    eye[:, 2] = between(domain.distance, torch.rand(count, generator=random))
    rotation, translation = look_at(eye, torch.zeros(3))
    return angles, translation, rotation


def _crop(domain: FaceDomain, pixels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Top-left corner (N, 2) and side (N,) of the square crops, in pixels of the image."""
    draws = domain.crop_noise * _bounded(random, len(pixels), 3)
    low, high = pixels.amin(1), pixels.amax(1)  # (N, 2)
    side = domain.margin * (high - low).amax(-1) * draws[:, 2].exp()
    shift = draws[:, :2] - torch.tensor([0.5, 0.5 + domain.lift])
    return (low + high) / 2 + side[:, None] * shift, side


def face(shape: Tensor, moves: Tensor) -> Tensor:
    """Landmarks of faces that look straight ahead.

    Args:
        shape: amounts of SHAPES in standard deviations, (..., shapes).
        moves: amounts of MOVES, 1 is as far as it goes, (..., moves).

    Returns:
        FACE68 in the frame of the head, metres, (..., 68, 3).
    """
    mean, shapes, fields = _model()
    points = mean + torch.einsum("...s,sjc->...jc", shape, shapes)  # (..., 68, 3)
    points = points + torch.einsum("...m,mjc->...jc", moves, fields)
    # Lids meet a little above the lower one; open wide, they part by their own height.
    close = moves[..., [MOVES.index("close_right"), MOVES.index("close_left")]].clamp(-1, 1)
    close = close.repeat_interleave(2, -1)[..., None]  # (..., 4, 1)
    upper, lower = points[..., _UPPER_LIDS, :], points[..., _LOWER_LIDS, :]
    closed = points.clone()
    closed[..., _UPPER_LIDS, :] = upper + 0.85 * close * (lower - upper)
    closed[..., _LOWER_LIDS, :] = lower + 0.15 * close * (upper - lower)
    return 0.01 * (closed - closed.new_tensor(_CENTER))


def mirror(moves: Tensor) -> Tensor:
    """The moves (..., moves) of the mirrored face."""
    order = list(range(len(MOVES)))
    for right, left in _SIDES:
        order[right], order[left] = left, right
    return moves[..., order]


def _slide_contour(points: Tensor, gaze: Tensor) -> Tensor:
    """Move the far jaw to the visible edge of the cheek.

    A horizontal cut through the cheek is taken for an ellipse, as wide as the jaw there and as deep
    as from the jaw to the chin. Its outermost point seen from the front is the landmark itself.

    Args:
        points: (N, 68, 3) in the frame of the head.
        gaze: direction that the heads look in, with the camera far away along z, (N, 3).
    """
    jaw = points[:, _JAW]
    depth = (jaw[:, 8:9, 2] - jaw[..., 2]).clamp_min(0)  # (N, 17)
    width = jaw[..., 0].abs()
    across, ahead = gaze[:, :1] * jaw[..., 0].sign(), gaze[:, 2:].clamp_min(1e-3)
    angle = torch.atan2(depth * across.clamp_min(0), width * ahead + 1e-6)
    moved = points.clone()
    moved[:, _JAW, 0] = jaw[..., 0] * angle.cos()
    moved[:, _JAW, 2] = jaw[..., 2] + depth * angle.sin()
    return moved


@cache
def _model() -> tuple[Tensor, Tensor, Tensor]:
    """Mean face (68, 3) and the displacements of SHAPES and MOVES, (..., 68, 3), centimetres."""
    mean = torch.zeros(len(FACE68), 3)
    for landmark, place in _RIGHT_HALF.items():
        mean[landmark] = torch.tensor(place)
    right = torch.tensor([joint in _RIGHT_HALF for joint in range(len(FACE68))])
    partner = mean[list(FACE68.flip_order)] * torch.tensor([-1.0, 1.0, 1.0])
    mean = torch.where(right[:, None], mean, partner)
    return mean, _shape_fields(mean), _move_fields(mean)


def _shape_fields(mean: Tensor) -> Tensor:
    """What one standard deviation of each of SHAPES moves, (shapes, 68, 3), centimetres."""
    x, y, _ = mean.unbind(-1)
    side = x.sign()
    chin = (y[0] - y[_JAW]) / (y[0] - y[8])  # 0 at the ears, 1 at the chin
    tip = (y[27] - y[_NOSE]) / (y[27] - y[33])  # 0 between the eyes, 1 below the nose
    outer = x[_EYES].abs() - x[[36, 39]].abs().mean()  # from the middle of its eye
    field = {name: torch.zeros_like(mean) for name in SHAPES}
    field["face_width"][:, 0] = 0.02 * x
    field["face_width"][_JAW, 0] = 0.05 * x[_JAW]
    field["face_length"][:, 1] = 0.04 * y
    field["jaw_length"][_JAW, 1] = -0.4 * chin.square()
    field["jaw_width"][_JAW, 0] = 0.25 * x[_JAW] * chin * (1 - chin)
    field["chin_width"][_JAW, 0] = 0.12 * x[_JAW] * chin**4
    field["chin_depth"][_JAW, 2] = 0.4 * chin.square()
    field["nose_length"][_NOSE, 1] = -0.28 * tip
    field["nose_width"][_NOSE, 0] = 0.11 * x[_NOSE]
    field["nose_depth"][_NOSE, 2] = 0.25 * tip
    field["eye_distance"][_EYES, 0] = 0.16 * side[_EYES]
    field["eye_distance"][_BROWS, 0] = 0.12 * side[_BROWS]
    field["eye_size"][_EYES, 0] = 0.05 * side[_EYES] * outer
    field["eye_size"][_EYES, 1] = 0.15 * y[_EYES]
    field["eye_slant"][_EYES, 1] = 0.09 * outer
    field["brow_height"][_BROWS, 1] = 0.25
    field["brow_arch"][_BROWS, 1] = 0.15 - 0.06 * (x[_BROWS].abs() - 3.6).square()
    field["mouth_width"][_LIPS, 0] = 0.07 * x[_LIPS]
    field["mouth_height"][_LIPS, 1] = 0.22
    field["lip_thickness"][_UPPER_LIP, 1] = 0.12
    field["lip_thickness"][_LOWER_LIP, 1] = -0.14
    field["lip_depth"][_LIPS, 2] = 0.2
    return torch.stack([field[name] for name in SHAPES])


def _move_fields(mean: Tensor) -> Tensor:
    """What each of MOVES moves at its full amount, (moves, 68, 3), centimetres."""
    x, y, _ = mean.unbind(-1)
    side = x.sign()
    chin = (y[0] - y[_JAW]) / (y[0] - y[8])
    inner = 1 - (x[_BROWS].abs() - 1.25) / 4.65  # 1 at the brows' inner end, 0 at the outer
    field = {name: torch.zeros_like(mean) for name in MOVES}

    opening = field["jaw_open"]  # about the hinge below the ears: chin down and back
    opening[_JAW, 1], opening[_JAW, 2] = -2.7 * chin**3, -0.8 * chin**3
    opening[_LOWER_LIP] = torch.tensor([0.0, -2.5, -0.7])
    opening[[55, 59]] = torch.tensor([0.0, -1.9, -0.5])
    opening[[65, 66, 67]] = torch.tensor([0.0, -2.5, -0.7])
    opening[_CORNERS] = torch.tensor([0.0, -0.9, -0.2])
    opening[_LIPS, 0] = -0.12 * x[_LIPS]

    smile = torch.zeros_like(mean)
    for landmarks, move in (
        (_CORNERS, (0.75, 0.75, -0.5)),
        ([49, 53, 55, 59], (0.40, 0.35, -0.25)),
        ([50, 52, 56, 58, 61, 63, 65, 67], (0.12, 0.1, -0.1)),
        ([40, 41, 46, 47], (0.0, 0.14, 0.0)),
        ([31, 35], (0.12, 0.06, 0.0)),
    ):
        smile[landmarks] = torch.tensor(move)
    smile[:, 0] *= side
    field["smile_right"] = torch.where((side < 0)[:, None], smile, 0.0)
    field["smile_left"] = torch.where((side > 0)[:, None], smile, 0.0)

    field["pucker"][_LIPS, 0] = -0.42 * x[_LIPS]
    field["pucker"][_LIPS, 1] = 0.18 * (y[_LIPS] + 6.95)
    field["pucker"][_LIPS, 2] = 0.6
    field["lip_raise"][[*_UPPER_LIP, 61, 62, 63], 1] = 0.4
    field["lip_raise"][[31, 32, 33, 34, 35], 1] = 0.15
    field["brow_raise"][_BROWS, 1] = 0.8
    field["brow_raise"][_UPPER_LIDS, 1] = 0.1
    field["brow_furrow"][_BROWS, 1] = -0.65 * inner
    field["brow_furrow"][_BROWS, 0] = -0.3 * side[_BROWS] * inner
    field["brow_inner"][_BROWS, 1] = 0.8 * inner.square() - 0.15
    return torch.stack([field[name] for name in MOVES])


_SIDES = [
    (MOVES.index(f"{name}_right"), MOVES.index(f"{name}_left")) for name in ("smile", "close")
]


@cache
def _ranges() -> Tensor:
    """Lowest and highest moves of all EXPRESSIONS, (2, expressions, moves)."""
    rows = torch.zeros(2, len(EXPRESSIONS), len(MOVES))
    for row, parts in enumerate(EXPRESSIONS.values()):
        for name, limits in parts.items():
            for move in (name, f"{name}_right", f"{name}_left"):
                if move in MOVES:
                    rows[:, row, MOVES.index(move)] = torch.tensor(limits)
    return rows


def _bounded(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal draws that are never farther than 2.5 from 0."""
    uniform = 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1
    return (math.sqrt(2) * torch.erfinv(uniform * math.erf(2.5 / math.sqrt(2)))).float()


_FILMED = (
    ("talk", 4.0), ("neutral", 3.0), ("smile", 1.5), ("blink", 0.6), ("frown", 0.5),
    ("surprise", 0.4),
)  # fmt: skip
_PHOTOGRAPHED = (
    ("smile", 2.0), ("laugh", 1.5), ("neutral", 1.5), ("talk", 1.0), ("surprise", 1.0),
    ("frown", 1.0), ("shout", 1.0), ("sad", 0.7), ("kiss", 0.6), ("blink", 0.5), ("wink", 0.3),
)  # fmt: skip
_DOMAINS = {
    domain.name: domain
    for domain in (
        FaceDomain(
            name="faces_video",
            stands_for="300-VW: videos of people who talk towards a camera, cropped to their "
            "landmarks",
            expressions=_FILMED,
        ),
        FaceDomain(
            name="faces_wild",
            stands_for="WFLW: photographs of faces with large poses and strong expressions, in "
            "the boxes of a detector, the visible outline annotated",
            expressions=_PHOTOGRAPHED,
            subjects=400,
            subject_spread=1.3,
            strength=1.15,
            yaw=(0.0, 26.0),
            pitch=(4.0, 11.0),
            roll=(0.0, 13.0),
            distance=(1.0, 4.0),
            margin=1.45,
            lift=0.04,
            crop_noise=0.025,
            visible_contour=True,
            convention=(("brow_height", 1.2), ("lip_thickness", 0.8), ("jaw_width", 0.8)),
            noise=0.004,
        ),
    )
}
_SHELF = Shelf("face domain", _DOMAINS)
names, get = _SHELF.names, _SHELF.get
