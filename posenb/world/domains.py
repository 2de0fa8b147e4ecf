"""Domains: named, seeded recipes for poses seen by cameras (notebook 00).

A domain says who moves (subjects and their proportions), what they do (actions), how they are
filmed (cameras), how the joints are annotated, and with how much noise. All domains move by the
same real motion capture, so two domains differ in exactly what their recipes differ in. They are
named after the data they stand in for; none of them is that data set.

Splits. A recording is cut into three takes with a gap between them: the first and the last are
`train`, the middle one is `test`. Subjects are disjoint too. So no frame of `test`, nor its
neighbour in time, nor a body of `test` is ever seen in `train`. Whole recordings are not held
out, because most actions were recorded once: their classes would be missing from one side.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from posenb.world.cameras import Camera, look_at
from posenb.world.motion import (
    KINEMATIC_PARENTS,
    REST_OFFSETS,
    forward_kinematics,
    interpolate,
    joint_limits,
    load_motion,
    mirror,
    quaternion_to_matrix,
    quaternion_to_vector,
    vector_to_quaternion,
)
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17

Split = Literal["train", "test"]

# Bones that grow together, by the joints at their ends (offsets are scaled as a whole).
BONE_GROUPS: dict[str, tuple[int, ...]] = {
    "hips": (1, 4),
    "thighs": (2, 5),
    "shanks": (3, 6),
    "torso": (7, 8),
    "head": (9, 10),
    "shoulders": (11, 14),
    "upper_arms": (12, 15),
    "forearms": (13, 16),
}
_ARMS = (11, 12, 13, 14, 15, 16)
TEST_TAKE = (0.55, 0.80)  # share of a recording that is the test take
TAKE_GAP = 0.04  # share of a recording that is dropped at either side of it
IMAGE_WIDTH = 1000.0  # pixels of the image that `Domain.focal` belongs to
_WARP = (0.8, 1.25)  # slowest and fastest replay of a recording
_GROUND = 0.08  # height of the lowest joint (an ankle has flesh below it), metres
_SMALLEST_BOX = 1.2  # metres: a crouching person is not zoomed in upon beyond this


@dataclass(frozen=True, eq=False)
class Film:
    """N moving people, each filmed by a camera that stands still.

    Attributes:
        joints3d: metres, world frame (right-handed, y up), as annotated, (N, T, 17, 3).
        camera: N cameras, in pixels of an image 1000 pixels wide.
        action: a label each, N of them.
        subject: who it is, N of them.
    """

    joints3d: Tensor
    camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    """A recipe for poses. Make variants with `dataclasses.replace(domain, elevation=(30, 40))`.

    The random draws depend on the actions, their weights and the number of subjects, and on no
    other number of the recipe. So a variant of the same name shows the same people in the same
    poses at the same seed: a gap can be dialled one thing at a time. The ground is not drawn and
    hides nothing: a camera that looks up from far away may stand a little below it.

    Attributes:
        name: seeds the domain's random draws.
        stands_for: what it is a stand-in for, in words.
        actions: (action, weight) pairs.
        subjects: number of people; every fourth is a test subject.
        subject_spread: standard deviation of the logarithm of each bone group's length.
        bone_ratios: (bone group, factor) pairs that hold for all subjects.
        limb_mixing: probability that the arms come from another frame than the rest.
        jitter: standard deviation of the noise on joint rotations, radians; joints stay in the
            limits of `motion.joint_limits`.
        facing: standard deviation of the angle between the person's heading and the camera,
            degrees; None: any heading.
        lean: standard deviation of a tilt of the whole body off the recording, degrees.
        azimuths: fixed places of the cameras around the room, degrees; None: anywhere.
        elevation: lowest and highest angle of the camera above the aimed point, degrees.
        distance: nearest and farthest camera, metres from the aimed point.
        roll: mean and standard deviation of the camera's roll, degrees, clockwise in the image.
        area: radius of the disc that people stand in, metres.
        focal: focal length in pixels of an image 1000 pixels wide.
        crop: `box` is a square around all joints, `root` a square around the pelvis.
        margin: side of the crop: times the joints' larger extent (`box`), metres (`root`).
        convention: (joint, other, share) triples: this data set's annotators place `joint` moved
            by that share of the way to `other`; negative is away from it.
        noise: standard deviation of the annotation noise, in units of the crop.
    """

    name: str
    stands_for: str
    actions: tuple[tuple[str, float], ...]
    subjects: int = 40
    subject_spread: float = 0.06
    bone_ratios: tuple[tuple[str, float], ...] = ()
    limb_mixing: float = 0.3
    jitter: float = 0.1
    facing: float | None = None
    lean: float = 3.0
    azimuths: tuple[float, ...] | None = None
    elevation: tuple[float, float] = (0.0, 10.0)
    distance: tuple[float, float] = (3.0, 6.0)
    roll: tuple[float, float] = (0.0, 2.0)
    area: float = 0.3
    focal: float = 1100.0
    crop: Literal["box", "root"] = "box"
    margin: float = 1.25
    convention: tuple[tuple[str, str, float], ...] = ()
    noise: float = 0.003

    def __post_init__(self) -> None:
        """Check what would otherwise fail late, or not at all.

        Raises:
            ValueError: for an unknown crop, or without an action that has a weight.
        """
        if self.crop not in ("box", "root"):
            raise ValueError(f"domain {self.name}: crop must be box or root, found {self.crop!r}")
        weights = [weight for _, weight in self.actions]
        if not sum(weights) > 0 or min(weights) < 0:
            raise ValueError(
                f"domain {self.name}: actions need weights that are not negative and not all 0, "
                f"found {self.actions}"
            )

    def sample(self, count: int, seed: int, split: Split = "train") -> PoseSet:
        """Draw poses of this domain.

        Args:
            count: number of poses N, at least 1.
            seed: the same seed gives the same poses.
            split: `train` or `test`.

        Returns:
            PoseSet of BODY17: keypoints in [0, 1] of the crop (a joint may lie outside), joints
            in metres in the world (y up), and the cameras of the crops. `keypoints` are the
            projections of `joints3d` plus the annotation noise.

        Raises:
            ValueError: for a count below 1, an unknown split, action or bone group.
        """
        _check(count, split)
        generator = _generator(self.name, split, seed)
        rotations, action = self._poses(count, split, generator)
        offsets, subject = self._bodies(count, split, generator)
        still = torch.zeros(count, 1, 3)
        joints, camera = self._shoot(rotations[:, None], still, offsets, generator)
        joints = self._annotate(joints[:, 0])  # (N, 17, 3)
        camera = camera.crop(*self._crop(camera, joints))
        noise = torch.randn(count, len(BODY17), 2, generator=generator)
        keypoints = camera.project(joints) + self.noise * noise
        return PoseSet(keypoints, joints, camera, action, subject, BODY17, None)

    def film(
        self, count: int, frames: int, seed: int, split: Split = "train", fps: float = 50.0
    ) -> Film:
        """Film people who move, with this domain's actions, bodies and cameras.

        A window stays inside one take of a split. Where a take is too short it is played back and
        forth. Recordings run up to a quarter faster or slower; the noise on joint rotations
        changes evenly over the window; the path is as long as the legs allow.

        Args:
            count: number of windows N, at least 1.
            frames: of a window, T, at least 1.
            seed: the same seed gives the same windows.
            split: `train` or `test`, cut as for `sample`.
            fps: frames a second; 50 is that of Human3.6M.

        Raises:
            ValueError: for a count or number of frames below 1, a rate not above 0, an unknown
                split, action or bone group.
        """
        _check(count, split)
        if frames < 1 or not fps > 0:
            raise ValueError(f"frames must be at least 1 and fps above 0, found {frames} and {fps}")
        generator = _generator(f"{self.name}/film", split, seed)
        rotations, path, action = self._motions(count, frames, fps, split, generator)
        offsets, subject = self._bodies(count, split, generator)
        joints, camera = self._shoot(rotations, path, offsets, generator)
        return Film(self._annotate(joints), camera, action, subject)

    def _poses(
        self, count: int, split: Split, generator: torch.Generator
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Local rotations as quaternions, (N, 17, 4), and the actions' names."""
        body, action = self._frames(count, split, generator)
        arms, _ = self._frames(count, split, generator)
        swap = torch.rand(count, generator=generator) < self.limb_mixing
        chosen = torch.zeros(len(BODY17), dtype=torch.bool)
        chosen[list(_ARMS)] = True
        mixed = torch.where((swap[:, None] & chosen)[..., None], arms, body)  # (N, 17, 4)
        low, high = joint_limits()
        noise = torch.randn(count, len(BODY17), 3, generator=generator)
        noise[:, 0] = 0  # the root is turned by heading and lean instead
        vectors = (quaternion_to_vector(mixed) + self.jitter * noise).clamp(low, high)
        return vector_to_quaternion(vectors), action

    def _frames(
        self, count: int, split: Split, generator: torch.Generator
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Frames drawn from the takes of a split, half of them mirrored."""
        takes = _takes(split)
        weight = self._take_weights(takes.lengths, takes.labels)
        take = torch.multinomial(weight, count, replacement=True, generator=generator)  # (N,)
        inside = torch.rand(count, generator=generator) * (takes.lengths[take] - 1)
        quaternions = interpolate(takes.rotations, takes.starts[take] + inside)  # (N, 17, 4)
        mirrored = torch.rand(count, generator=generator) < 0.5
        quaternions = torch.where(mirrored[:, None, None], mirror(quaternions), quaternions)
        return quaternions, tuple(takes.labels[i] for i in take.tolist())

    def _motions(
        self, count: int, frames: int, fps: float, split: Split, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Local rotations (N, T, 17, 4), the pelvis's path (N, T, 3) in metres, actions."""
        body, path, action = self._stretches(count, frames, fps, split, generator)
        arms, _, _ = self._stretches(count, frames, fps, split, generator)
        swap = torch.rand(count, generator=generator) < self.limb_mixing
        chosen = torch.zeros(len(BODY17), dtype=torch.bool)
        chosen[list(_ARMS)] = True
        mixed = torch.where((swap[:, None] & chosen)[:, None, :, None], arms, body)
        low, high = joint_limits()
        ends = torch.randn(2, count, 1, len(BODY17), 3, generator=generator)
        noise = ends[0].lerp(ends[1], torch.linspace(0, 1, frames)[:, None, None])  # (N, T, 17, 3)
        noise[:, :, 0] = 0  # the root is turned by heading and lean instead
        vectors = (quaternion_to_vector(mixed) + self.jitter * noise).clamp(low, high)
        return vector_to_quaternion(vectors), path, action

    def _stretches(
        self, count: int, frames: int, fps: float, split: Split, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Stretches of recordings, half of them mirrored: rotations, path, actions."""
        takes = _takes(split)
        weight = self._take_weights(takes.lengths, takes.labels)
        take = torch.multinomial(weight, count, replacement=True, generator=generator)  # (N,)
        draws = torch.rand(count, 3, generator=generator)
        pace = (_WARP[0] + (_WARP[1] - _WARP[0]) * draws[:, 0]) * takes.fps[take] / fps
        last = (takes.lengths[take] - 1).to(pace)  # (N,)
        room = last - pace * (frames - 1)
        begin = draws[:, 1] * torch.where(room > 0, room, last)
        time = begin[:, None] + pace[:, None] * torch.arange(frames)  # (N, T)
        time = time % (2 * last[:, None])  # back and forth
        time = torch.minimum(time, 2 * last[:, None] - time)
        frame = (takes.starts[take, None] + time).flatten()  # (N T,)
        quaternions = interpolate(takes.rotations, frame).unflatten(0, (count, frames))
        low = frame.long()
        high = (low + 1).clamp_max(len(takes.root) - 1)
        path = takes.root[low].lerp(takes.root[high], (frame - low)[:, None])
        path = path.unflatten(0, (count, frames))  # (N, T, 3)
        mirrored = (draws[:, 2] < 0.5)[:, None, None]
        path = torch.where(mirrored, path * path.new_tensor([1.0, 1.0, -1.0]), path)
        quaternions = torch.where(mirrored[..., None], mirror(quaternions), quaternions)
        return quaternions, path, tuple(takes.labels[i] for i in take.tolist())

    def _take_weights(self, lengths: Tensor, labels: tuple[str, ...]) -> Tensor:
        """Probability of each take: its action's weight, shared in proportion to its length."""
        known = set(labels)
        for action, _ in self.actions:
            if action not in known:
                raise ValueError(f"there is no action {action!r}; there are: {sorted(known)}")
        wanted = dict(self.actions)
        total = dict.fromkeys(known, 0.0)
        for label, length in zip(labels, lengths.tolist(), strict=True):
            total[label] += length
        shares = [
            wanted.get(label, 0.0) * length / total[label]
            for label, length in zip(labels, lengths.tolist(), strict=True)
        ]
        return torch.tensor(shares)

    def _bodies(
        self, count: int, split: Split, generator: torch.Generator
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Bone offsets (N, 17, 3) in metres and the ids of the subjects they belong to."""
        people = torch.Generator().manual_seed(zlib.crc32(f"{self.name}/bodies".encode()))
        spread = torch.randn(self.subjects, 1 + len(BONE_GROUPS), generator=people)
        factors = torch.exp(self.subject_spread * spread)  # (subjects, 1 + groups)
        ratios = dict(self.bone_ratios)
        unknown = set(ratios) - set(BONE_GROUPS)
        if unknown:
            raise ValueError(f"no bone groups {sorted(unknown)}; there are: {list(BONE_GROUPS)}")
        scale = torch.ones(self.subjects, len(BODY17))
        for column, (group, joints) in enumerate(BONE_GROUPS.items()):
            scale[:, list(joints)] = factors[:, 1 + column, None] * ratios.get(group, 1.0)
        scale = scale * factors[:, :1]
        offsets = scale[..., None] * REST_OFFSETS  # (subjects, 17, 3)
        # A shoulder's height is the torso's matter, not the shoulders'.
        for joint in BONE_GROUPS["shoulders"]:
            offsets[:, joint, 1] = scale[:, BONE_GROUPS["torso"][0]] * REST_OFFSETS[joint, 1]
        number = torch.arange(self.subjects)
        pool = number[(number % 4 == 3) == (split == "test")]
        if not len(pool):
            raise ValueError(f"{self.subjects} subjects are too few for a test split: at least 4")
        chosen = pool[torch.randint(len(pool), (count,), generator=generator)]  # (N,)
        return offsets[chosen], tuple(f"{self.name}-{i:03d}" for i in chosen.tolist())

    def _shoot(
        self, rotations: Tensor, path: Tensor, offsets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Camera]:
        """Stand people in the room and cameras around it: joints (N, T, 17, 3), N cameras.

        Of rotations (N, T, 17, 4), the pelvis's path (N, T, 3) and offsets (N, 17, 3).
        """
        count = len(rotations)
        draws = torch.rand(count, 6, generator=generator)
        normal = torch.randn(count, 4, generator=generator)
        azimuth = 2 * math.pi * draws[:, 0]
        if self.azimuths is not None:
            fixed = torch.deg2rad(torch.tensor(self.azimuths))
            azimuth = fixed[(draws[:, 0] * len(fixed)).long()]
        matrices = quaternion_to_matrix(rotations)  # (N, T, 17, 3, 3)
        forward = matrices[:, 0, 0, :, 0]  # (N, 3): the pelvis looks along its own x at first
        heading = torch.atan2(-forward[:, 2], forward[:, 0])
        wanted = 2 * math.pi * draws[:, 1]
        if self.facing is not None:
            wanted = -azimuth + math.radians(self.facing) * normal[:, 0]
        turn = _about_y(wanted - heading)
        tilt_axis = 2 * math.pi * draws[:, 2]
        tilt = math.radians(self.lean) * normal[:, 1]
        lean = torch.stack([tilt * tilt_axis.cos(), torch.zeros(count), tilt * tilt_axis.sin()], -1)
        lean_matrix = quaternion_to_matrix(vector_to_quaternion(lean))  # (N, 3, 3)
        matrices = matrices.clone()
        matrices[:, :, 0] = (lean_matrix @ turn)[:, None] @ matrices[:, :, 0]
        joints = forward_kinematics(matrices, offsets[:, None], KINEMATIC_PARENTS)
        legs = offsets[:, 2:4].norm(dim=-1).sum(-1) / REST_OFFSETS[2:4].norm(dim=-1).sum()
        centred = legs[:, None, None] * (path - path[:, path.shape[1] // 2, None])
        joints = joints + (centred @ turn.mT)[:, :, None]  # (N, T, 17, 3)
        radius = self.area * draws[:, 3].sqrt()
        angle = 2 * math.pi * draws[:, 4]
        floor = -joints[..., 1].amin((1, 2))  # (N,)
        place = torch.stack([radius * angle.cos(), floor, radius * angle.sin()])
        joints = joints + (place.T + torch.tensor([0.0, _GROUND, 0.0]))[:, None, None]
        reach = torch.rand(count, 2, generator=generator)
        distance = self.distance[0] + (self.distance[1] - self.distance[0]) * reach[:, 0]
        elevation = torch.deg2rad(
            self.elevation[0] + (self.elevation[1] - self.elevation[0]) * reach[:, 1]
        )
        aim = torch.tensor([0.0, 0.9, 0.0]).expand(count, 3)
        outward = torch.stack(
            [elevation.cos() * azimuth.cos(), elevation.sin(), elevation.cos() * azimuth.sin()], -1
        )
        roll = torch.deg2rad(self.roll[0] + self.roll[1] * normal[:, 2])
        rotation, translation = look_at(aim + distance[:, None] * outward, aim, roll=roll)
        focal = torch.full((count, 2), self.focal)
        center = torch.full((count, 2), IMAGE_WIDTH / 2)
        return joints, Camera(rotation, translation, focal, center)

    def _annotate(self, joints: Tensor) -> Tensor:
        """Joints as this data set's annotators place them, (..., 17, 3)."""
        moved = joints.clone()
        for joint, other, share in self.convention:
            a, b = BODY17.index(joint), BODY17.index(other)
            moved[..., a, :] = joints[..., a, :] + share * (joints[..., b, :] - joints[..., a, :])
        return moved

    def _crop(self, camera: Camera, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Top-left corner (N, 2) and side (N,) of the square crops, in pixels of the image."""
        pixels = camera.project(joints)  # (N, 17, 2)
        metre = self.focal / camera.to_camera(joints)[:, 0, 2]  # (N,) pixels a metre at the pelvis
        if self.crop == "root":
            side = self.margin * metre
            return pixels[:, 0] - side[:, None] / 2, side
        low, high = pixels.amin(1), pixels.amax(1)  # (N, 2)
        extent = torch.maximum((high - low).amax(-1), _SMALLEST_BOX * metre)
        side = self.margin * extent
        return (low + high) / 2 - side[:, None] / 2, side


def _generator(name: str, split: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{name}/{split}/{seed}".encode()))


def _about_y(angle: Tensor) -> Tensor:
    """Rotations about the vertical, (N, 3, 3)."""
    zero = torch.zeros_like(angle)
    return quaternion_to_matrix(
        torch.stack([(angle / 2).cos(), zero, (angle / 2).sin(), zero], dim=-1)
    )


def _check(count: int, split: str) -> None:
    if count < 1:
        raise ValueError(f"count must be at least 1, found {count}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', found {split!r}")


class _Takes(NamedTuple):
    """All frames (F, 17, 4), the root's place (F, 3), and the takes of a split."""

    rotations: Tensor
    root: Tensor
    starts: Tensor  # first frame of each take
    lengths: Tensor
    fps: Tensor
    labels: tuple[str, ...]


@cache
def _takes(split: Split) -> _Takes:
    clips = load_motion().clips
    starts, lengths, rates, labels, first = [], [], [], [], 0
    for clip in clips:
        frames = len(clip)
        low, high = (round(share * frames) for share in TEST_TAKE)
        gap = max(1, round(TAKE_GAP * frames))
        spans = [(low, high)] if split == "test" else [(0, low - gap), (high + gap, frames)]
        for start, stop in spans:
            starts.append(first + start)
            lengths.append(stop - start)
            rates.append(clip.fps)
            labels.append(clip.action)
        first += frames
    return _Takes(
        torch.cat([clip.rotations for clip in clips]),
        torch.cat([clip.root for clip in clips]),
        torch.tensor(starts),
        torch.tensor(lengths),
        torch.tensor(rates),
        tuple(labels),
    )


_UPRIGHT = ("walk", "turn", "run", "dance_a", "dance_b", "punch", "kick", "jump", "spin")
_FLOOR = ("crawl", "roll", "getup_facedown", "getup_faceup", "cartwheel", "backflip")
_STUDIO = ("walk", "dance_a", "dance_b", "punch", "jump", "spin")
_EXERCISES = ("walk", "dance_b", "kick", "punch", "jump", "spinkick", *_FLOOR[:4])
_FIFTEEN = tuple(a for a in (*_UPRIGHT, "spinkick", *_FLOOR) if a != "turn")

# Marker-based joints: hips far apart, neck higher, shoulders closer in; and long-legged actors.
_MARKERS = (
    ("right_hip", "pelvis", -0.55),
    ("left_hip", "pelvis", -0.55),
    ("neck", "head_top", 0.15),
    ("right_shoulder", "neck", 0.15),
    ("left_shoulder", "neck", 0.15),
)
_ACTORS = (("thighs", 1.06), ("shanks", 1.05), ("head", 0.9))

_DOMAINS = {
    domain.name: domain
    for domain in (
        Domain(
            name="wild",
            stands_for="COCO: photographs of many people by many people; mostly upright, most "
            "look towards the camera, floor exercises are rare",
            actions=(*((a, 1.0) for a in _UPRIGHT), ("spinkick", 0.4), *((a, 0.1) for a in _FLOOR)),
            subjects=200,
            subject_spread=0.07,
            facing=60.0,
            elevation=(-8.0, 15.0),
            distance=(2.5, 8.0),
            roll=(0.0, 4.0),
            noise=0.006,
        ),
        Domain(
            name="lab",
            stands_for="Human3.6M: a few actors in a studio, 15 action classes, four cameras in "
            "the corners, joints from markers rather than from annotators",
            actions=tuple((a, 1.0) for a in _FIFTEEN),
            subjects=8,
            subject_spread=0.04,
            bone_ratios=_ACTORS,
            azimuths=(45.0, 135.0, 225.0, 315.0),
            elevation=(12.0, 18.0),
            distance=(4.6, 5.6),
            roll=(0.0, 0.5),
            area=1.2,
            crop="root",
            margin=2.6,
            convention=_MARKERS,
            noise=0.002,
        ),
        Domain(
            name="lab_simple",
            stands_for="Simplified Human3.6M: the studio again, six upright actions, people "
            "cropped to their box",
            actions=tuple((a, 1.0) for a in _STUDIO),
            subjects=8,
            subject_spread=0.04,
            bone_ratios=_ACTORS,
            limb_mixing=0.1,
            azimuths=(45.0, 135.0, 225.0, 315.0),
            elevation=(12.0, 18.0),
            distance=(4.6, 5.6),
            roll=(0.0, 0.5),
            area=0.8,
            margin=1.35,
            convention=_MARKERS,
            noise=0.002,
        ),
        Domain(
            name="stage",
            stands_for="MPI-INF-3DHP: eight actors, exercises down to the floor, cameras from "
            "knee height to the ceiling",
            actions=tuple((a, 1.0) for a in _EXERCISES),
            subjects=8,
            subject_spread=0.05,
            azimuths=(0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0),
            elevation=(-12.0, 60.0),
            distance=(3.0, 4.5),
            area=0.8,
            margin=1.3,
            convention=(("head_top", "nose", -0.15),),
        ),
        Domain(
            name="synthetic",
            stands_for="SURREAL: rendered bodies of every build in motion-capture poses, any "
            "heading, body leaning at random",
            actions=tuple((a, 1.0) for a in (*_UPRIGHT, "spinkick", *_FLOOR)),
            subjects=200,
            subject_spread=0.1,
            lean=15.0,
            elevation=(-10.0, 10.0),
            distance=(4.0, 9.0),
            roll=(0.0, 0.0),
            margin=1.4,
            noise=0.0,
        ),
        Domain(
            name="outdoor",
            stands_for="3DPW: a hand-held camera follows a few walkers outdoors",
            actions=(("walk", 3.0), ("turn", 2.0), ("run", 1.0), ("jump", 0.5), ("dance_a", 0.5)),
            subjects=12,
            subject_spread=0.05,
            elevation=(0.0, 20.0),
            distance=(2.0, 5.0),
            roll=(0.0, 7.0),
            area=0.8,
            margin=1.5,
            convention=(("pelvis", "spine", 0.15), ("head_top", "nose", 0.2)),
            noise=0.008,
        ),
    )
}


def names() -> tuple[str, ...]:
    """Names of the domains."""
    return tuple(_DOMAINS)


def get(name: str) -> Domain:
    """The domain of that name.

    Raises:
        ValueError: if there is none; the message lists the names.
    """
    if name not in _DOMAINS:
        raise ValueError(f"there is no domain {name!r}; there are: {', '.join(_DOMAINS)}")
    return _DOMAINS[name]
