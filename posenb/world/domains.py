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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from posenb.world import recipes
from posenb.world.cameras import AIM, Camera, around
from posenb.world.motion import (
    KINEMATIC_PARENTS,
    REST_OFFSETS,
    between_frames,
    forward_kinematics,
    interpolate,
    joint_limits,
    load_motion,
    mirror,
    mirror_path,
)
from posenb.world.poses import PoseSet
from posenb.world.recipes import Shelf, Split, between
from posenb.world.rotations import (
    about_y,
    quaternion_to_matrix,
    quaternion_to_vector,
    vector_to_matrix,
    vector_to_quaternion,
)
from posenb.world.skeletons import BODY17

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


class Scenes(NamedTuple):
    """Who stands where in which pose, and who films: what a domain draws for N pictures.

    Attributes:
        rotations: of each joint of BODY17 in its parent's frame, (N, 17, 3, 3); the pelvis is
            turned to its heading.
        offsets: bones of the person, (N, 17, 3), metres, as `forward_kinematics` takes them.
        place: where they stand on the floor y = 0, (N, 3), metres.
        camera: N cameras, in pixels of an image 1000 pixels wide.
        action: N labels.
        subject: N ids, a domain's name and a number.
    """

    rotations: Tensor
    offsets: Tensor
    place: Tensor
    camera: Camera
    action: tuple[str, ...]
    subject: tuple[str, ...]


class MotionSet(NamedTuple):
    """N moving people, each seen by a camera that stands still.

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
        recipes.check_choices(f"domain {self.name}", "action", self.actions)

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
        random = recipes.generator(self.name, split, seed)
        scenes, path = _scenes(self, count, 1, 1.0, split, random)
        joints = self.annotate(_stand(scenes, path)[:, 0])  # (N, 17, 3)
        camera = scenes.camera.crop(*self.frame(scenes.camera, joints))
        noise = torch.randn(count, len(BODY17), 2, generator=random)
        keypoints = camera.project(joints) + self.noise * noise
        return PoseSet(keypoints, joints, camera, scenes.action, scenes.subject, BODY17, None)

    def scenes(self, count: int, seed: int, split: Split = "train") -> Scenes:
        """What `sample` shows at the same arguments, before anybody is measured or cut out.

        Raises:
            ValueError: as `sample`.
        """
        scenes, _ = _scenes(self, count, 1, 1.0, split, recipes.generator(self.name, split, seed))
        return scenes._replace(rotations=scenes.rotations[:, 0])

    def sample_motion(
        self, count: int, frames: int, seed: int, split: Split = "train", fps: float = 50.0
    ) -> MotionSet:
        """Draw windows of motion: as `sample`, with time, and without pictures or noise in 2D.

        A window stays inside one take of a split. Where a take is too short it is played back and
        forth. Recordings run up to a quarter faster or slower; the noise on joint rotations
        changes evenly over the window; the path is as long as the legs allow. (For pictures of
        people who move, `filming.film` dresses bodies and shows recordings as they were made.)

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
        if frames < 1 or not fps > 0:
            raise ValueError(f"frames must be at least 1 and fps above 0, found {frames} and {fps}")
        random = recipes.generator(self.name, "motion", split, seed)
        scenes, path = _scenes(self, count, frames, fps, split, random)
        joints = self.annotate(_stand(scenes, path))
        return MotionSet(joints, scenes.camera, scenes.action, scenes.subject)

    def annotate(self, joints: Tensor) -> Tensor:
        """Joints as this data set's annotators place them, (..., 17, 3)."""
        return annotated(joints, self.convention)

    def frame(
        self, camera: Camera, joints: Tensor, smallest: float = _SMALLEST_BOX
    ) -> tuple[Tensor, Tensor]:
        """Top-left corner (N, 2) and side (N,) of the square crops, in pixels of the image.

        Args:
            camera: N cameras, in pixels.
            joints: metres, world, (N, 17, 3).
            smallest: metres; nobody is zoomed in upon beyond a box of this size.
        """
        pixels = camera.project(joints)  # (N, 17, 2)
        metre = self.focal / camera.to_camera(joints)[:, 0, 2]  # (N,) pixels a metre at the pelvis
        if self.crop == "root":
            side = self.margin * metre
            return pixels[:, 0] - side[:, None] / 2, side
        low, high = pixels.amin(1), pixels.amax(1)  # (N, 2)
        extent = torch.maximum((high - low).amax(-1), smallest * metre)
        side = self.margin * extent
        return (low + high) / 2 - side[:, None] / 2, side


def _scenes(
    domain: Domain, count: int, frames: int, fps: float, split: Split, random: torch.Generator
) -> tuple[Scenes, Tensor]:
    """Scenes with rotations of T frames, (N, T, 17, 3, 3), and paths (N, T, 3) of the pelvis.

    Paths are metres from its place, for legs as long as the recordings'.
    """
    recipes.check_draw(count, split)
    rotations, path, action = _poses(domain, count, frames, fps, split, random)
    offsets, subject = _bodies(domain, count, split, random)
    matrices, turn, place, camera = _film(domain, rotations, random)
    path = (path - path[:, frames // 2, None]) @ turn.mT
    return Scenes(matrices, offsets, place, camera, action, subject), path


def _poses(
    domain: Domain, count: int, frames: int, fps: float, split: Split, random: torch.Generator
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Local rotations (N, T, 17, 4) as quaternions, the pelvis's path (N, T, 3), actions."""
    body, path, action = _stretches(domain, count, frames, fps, split, random)
    arms, _, _ = _stretches(domain, count, frames, fps, split, random)
    swap = torch.rand(count, generator=random) < domain.limb_mixing
    chosen = torch.zeros(len(BODY17), dtype=torch.bool)
    chosen[list(_ARMS)] = True
    mixed = torch.where((swap[:, None] & chosen)[:, None, :, None], arms, body)
    low, high = joint_limits()
    noise = torch.randn(count, 1, len(BODY17), 3, generator=random)
    if frames > 1:
        end = torch.randn(noise.shape, generator=random)
        noise = noise.lerp(end, torch.linspace(0, 1, frames)[:, None, None])  # (N, T, 17, 3)
    noise[:, :, 0] = 0  # the root is turned by heading and lean instead
    vectors = (quaternion_to_vector(mixed) + domain.jitter * noise).clamp(low, high)
    return vector_to_quaternion(vectors), path, action


def _stretches(
    domain: Domain, count: int, frames: int, fps: float, split: Split, random: torch.Generator
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Stretches of the takes of a split, half of them mirrored: rotations, path, actions."""
    takes = _takes(split)
    for action, _ in domain.actions:
        if action not in takes.labels:
            known = sorted(set(takes.labels))
            raise ValueError(f"there is no action {action!r}; there are: {known}")
    weight = shares(dict(domain.actions), takes.labels, takes.lengths.tolist())
    take = torch.multinomial(weight, count, replacement=True, generator=random)  # (N,)
    begin = torch.rand(count, generator=random)
    mirrored = (torch.rand(count, generator=random) < 0.5)[:, None, None]
    pace = torch.zeros(count)
    if frames > 1:
        warp = torch.rand(count, generator=random)
        pace = between(_WARP, warp) * takes.fps[take] / fps
    last = (takes.lengths[take] - 1).to(pace)  # (N,)
    room = last - pace * (frames - 1)
    begin = begin * torch.where(room > 0, room, last)
    time = begin[:, None] + pace[:, None] * torch.arange(frames)  # (N, T)
    time = time % (2 * last[:, None])  # back and forth
    time = torch.minimum(time, 2 * last[:, None] - time)
    frame = takes.starts[take, None] + time
    quaternions = interpolate(takes.rotations, frame)  # (N, T, 17, 4)
    quaternions = torch.where(mirrored[..., None], mirror(quaternions), quaternions)
    path = between_frames(takes.root, frame)  # (N, T, 3)
    path = torch.where(mirrored, mirror_path(path), path)
    return quaternions, path, tuple(takes.labels[i] for i in take.tolist())


def shares(wanted: Mapping[str, float], labels: Sequence[str], sizes: Sequence[float]) -> Tensor:
    """Probabilities of takes: their action's weight, shared in proportion to their sizes."""
    total = dict.fromkeys(labels, 0.0)
    for label, size in zip(labels, sizes, strict=True):
        total[label] += size
    return torch.tensor(
        [wanted.get(a, 0.0) * size / total[a] for a, size in zip(labels, sizes, strict=True)]
    )


def _bodies(
    domain: Domain, count: int, split: Split, random: torch.Generator
) -> tuple[Tensor, tuple[str, ...]]:
    """Bone offsets (N, 17, 3) in metres and the ids of the subjects they belong to."""
    people = recipes.generator(domain.name, "bodies")
    spread = torch.randn(domain.subjects, 1 + len(BONE_GROUPS), generator=people)
    factors = torch.exp(domain.subject_spread * spread)  # (subjects, 1 + groups)
    ratios = dict(domain.bone_ratios)
    unknown = set(ratios) - set(BONE_GROUPS)
    if unknown:
        raise ValueError(f"no bone groups {sorted(unknown)}; there are: {list(BONE_GROUPS)}")
    scale = torch.ones(domain.subjects, len(BODY17))
    for column, (group, joints) in enumerate(BONE_GROUPS.items()):
        scale[:, list(joints)] = factors[:, 1 + column, None] * ratios.get(group, 1.0)
    scale = scale * factors[:, :1]
    offsets = scale[..., None] * REST_OFFSETS  # (subjects, 17, 3)
    # A shoulder's height is the torso's matter, not the shoulders'.
    for joint in BONE_GROUPS["shoulders"]:
        offsets[:, joint, 1] = scale[:, BONE_GROUPS["torso"][0]] * REST_OFFSETS[joint, 1]
    chosen, ids = recipes.draw_subjects(domain.name, domain.subjects, count, split, random)
    return offsets[chosen], ids


def _film(
    domain: Domain, rotations: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Camera]:
    """Stand people with rotations (N, T, 17, 4) in the room and cameras around it.

    Returns:
        Rotations (N, T, 17, 3, 3), turns to the headings (N, 3, 3), places on the floor (N, 3),
        and N cameras.
    """
    count = len(rotations)
    draws = torch.rand(count, 6, generator=random)
    normal = torch.randn(count, 4, generator=random)
    azimuth = 2 * math.pi * draws[:, 0]
    if domain.azimuths is not None:
        fixed = torch.deg2rad(torch.tensor(domain.azimuths))
        azimuth = fixed[(draws[:, 0] * len(fixed)).long()]
    matrices = quaternion_to_matrix(rotations)  # (N, T, 17, 3, 3)
    forward = matrices[:, 0, 0, :, 0]  # (N, 3): the pelvis looks along its own x at first
    heading = torch.atan2(-forward[:, 2], forward[:, 0])
    wanted = 2 * math.pi * draws[:, 1]
    if domain.facing is not None:
        wanted = -azimuth + math.radians(domain.facing) * normal[:, 0]
    turn = about_y(wanted - heading)
    tilt_axis = 2 * math.pi * draws[:, 2]
    tilt = math.radians(domain.lean) * normal[:, 1]
    lean = torch.stack([tilt * tilt_axis.cos(), torch.zeros(count), tilt * tilt_axis.sin()], -1)
    matrices = matrices.clone()
    matrices[:, :, 0] = (vector_to_matrix(lean) @ turn)[:, None] @ matrices[:, :, 0]
    radius = domain.area * draws[:, 3].sqrt()
    angle = 2 * math.pi * draws[:, 4]
    place = torch.stack(
        [radius * angle.cos(), torch.zeros(count), radius * angle.sin()], -1
    )  # (N, 3)
    reach = torch.rand(count, 2, generator=random)
    camera = around(
        torch.tensor(AIM),
        between(domain.distance, reach[:, 0]),
        azimuth,
        torch.deg2rad(between(domain.elevation, reach[:, 1])),
        torch.deg2rad(domain.roll[0] + domain.roll[1] * normal[:, 2]),
        domain.focal,
        IMAGE_WIDTH,
    )
    return matrices, turn, place, camera


def annotated(
    joints: Tensor, convention: Sequence[tuple[str, str, float]], strength: float = 1.0
) -> Tensor:
    """Joints of BODY17 (..., 17, 3) moved by so much of a convention, see `Domain`."""
    moved = joints.clone()
    for joint, other, share in convention:
        a, b = joints[..., BODY17.index(joint), :], joints[..., BODY17.index(other), :]
        moved[..., BODY17.index(joint), :] = a + strength * share * (b - a)
    return moved


def takes(frames: int, split: Split) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of the takes of a recording of so many frames."""
    low, high = (round(share * frames) for share in TEST_TAKE)
    gap = max(1, round(TAKE_GAP * frames))
    return [(low, high)] if split == "test" else [(0, low - gap), (high + gap, frames)]


def _stand(scenes: Scenes, path: Tensor) -> Tensor:
    """Joints (N, T, 17, 3) of people on the floor, of rotations (N, T, 17, 3, 3) and paths."""
    offsets = scenes.offsets
    joints = forward_kinematics(scenes.rotations, offsets[:, None], KINEMATIC_PARENTS)
    legs = offsets[:, 2:4].norm(dim=-1).sum(-1) / REST_OFFSETS[2:4].norm(dim=-1).sum()
    joints = joints + (legs[:, None, None] * path)[:, :, None]  # (N, T, 17, 3)
    lift = torch.zeros_like(scenes.place)
    lift[:, 1] = -joints[..., 1].amin((1, 2))
    place = (scenes.place + lift) + torch.tensor([0.0, _GROUND, 0.0])
    return joints + place[:, None, None]


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
        for start, stop in takes(len(clip), split):
            starts.append(first + start)
            lengths.append(stop - start)
            rates.append(clip.fps)
            labels.append(clip.action)
        first += len(clip)
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
_SHELF = Shelf("domain", _DOMAINS)
names, get = _SHELF.names, _SHELF.get
