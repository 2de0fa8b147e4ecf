"""Who stands how before which camera: what the pictures and videos of a domain show.

A `Shots` holds all that pictures of N moments follow from except the look. Domains of bodies, hands
and faces are filmed alike: one picture of each scene, or several frames of it, at chosen times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from posenb.world import domains, faces, hands, looks, rooms
from posenb.world.body import load_body
from posenb.world.cameras import AIM, Camera, look_at
from posenb.world.clouds import PIECES
from posenb.world.domains import Domain, Scenes
from posenb.world.faces import MOVES, FaceDomain, FaceScenes
from posenb.world.hands import HandDomain, HandScenes
from posenb.world.motion import (
    between_frames,
    interpolate,
    load_motion,
    mirror,
    mirror_path,
    smooth,
)
from posenb.world.poses import moved, some
from posenb.world.recipes import Split, generator
from posenb.world.retarget import on_floor, retarget, retarget_motion
from posenb.world.rotations import about_y, yaw_pitch_roll

__all__ = ["FPS", "AnyDomain", "Film", "Shots", "film", "shots"]

AnyDomain = Domain | HandDomain | FaceDomain
FPS = 30.0  # frames a second of videos
HAND_HELD = ("outdoor",)  # domains whose videos are taken by somebody who walks and turns
_SMALLEST_BOX = 1.3  # metres; nobody is zoomed in upon beyond
_NEAREST = 1.4  # metres between a video's camera and the path of the pelvis
_SAME = ("skin", "hair", "bald", "hair_volume", "hair_length")  # of a person in all pictures
_NEW = ("grain_x", "grain_y")  # of every frame of a video


@dataclass(frozen=True, eq=False)
class Shots:
    """What N pictures show before a look is chosen.

    Attributes:
        shape: of the person, (N, K), as `body.people` draws it.
        woman: who may wear what, (N,) bool.
        rotations: of the body's bones, (N, B, 3, 3).
        root: place of the pelvis, (N, 3), metres; the floor is y = 0.
        expression: of the face, (N, E), as `body.expression` makes it.
        camera: N cameras in units of the crop ([0, 1] inside it).
        chances: numbers that looks follow from, (N, C), from `looks.chances`.
        eye: from which of the eyes of a place the background is seen, (N,), see `rooms.plate`.
        piece: number in `clouds.PIECES` of what of the body is shown, (N,).
        convention: (joint, other, share) triples of the domain's annotators, see `Domain`.
    """

    shape: Tensor
    woman: Tensor
    rotations: Tensor
    root: Tensor
    expression: Tensor
    camera: Camera
    chances: Tensor
    eye: Tensor
    piece: Tensor
    convention: tuple[tuple[str, str, float], ...] = ()

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.root)

    def __getitem__(self, index: slice | Tensor) -> Shots:
        """Some of the pictures."""
        return some(self, index)

    def to(self, device: torch.device | str) -> Shots:
        """The same on another device."""
        return moved(self, device)


class Film(NamedTuple):
    """N scenes of T frames each.

    Attributes:
        shots: N T of them; the frames of a scene follow each other.
        action: what happens, N labels.
        subject: who it is, N ids, a domain's name and a number.
    """

    shots: Shots
    action: tuple[str, ...]
    subject: tuple[str, ...]


def find(domain: str | AnyDomain) -> AnyDomain:
    """The domain of that name, or the one that is given.

    Raises:
        ValueError: if there is none of that name; the message lists the names.
    """
    if not isinstance(domain, str):
        return domain
    for kind in (hands, faces):
        if domain in kind.names():
            return kind.get(domain)
    return domains.get(domain)


def shots(domain: str | AnyDomain, count: int, seed: int, split: Split = "train") -> Shots:
    """One picture of each of so many scenes; see `film`.

    Poses, headings, places and cameras of people are those that `domain.sample` draws at the same
    arguments; bodies are this package's own, one for each subject.
    """
    return film(domain, count, (0,), seed, split).shots


def film(
    domain: str | AnyDomain,
    count: int,
    frames: Sequence[int],
    seed: int,
    split: Split = "train",
    margin: float | None = None,
) -> Film:
    """Draw people, what they do, and cameras of a domain, on the CPU.

    A single frame shows a pose as `domain.sample` draws it. Several frames show a recording as it
    was made, without other arms or noise on its joints. The crop of a scene is the same for all
    of its frames and holds them all; the camera stands still, except in HAND_HELD domains.

    Args:
        domain: the recipe, or its name.
        count: number of scenes N.
        frames: T times at which pictures are taken, in frames of 1 / FPS, ascending from 0.
        seed: the same seed gives the same films.
        split: `train` or `test`: other takes of the recordings, other people.
        margin: cut the crop close to the person's keypoints in all frames of a scene, so many
            times as wide as they are; the same people before the same cameras. Default: the
            domain's own crop, which is wide.

    Raises:
        ValueError: as `domain.sample`; if there are no frames, or not in that order; if no
            recording is long enough; if somebody leaves the picture; or for a margin below 1.
    """
    if margin is not None and not margin >= 1:
        raise ValueError(f"margin must be at least 1, which touches the person, found {margin}")
    if list(frames) != sorted({0, *frames}):
        raise ValueError(
            f"frames must be at least one, ascending from 0, found {list(frames)}: give times in "
            f"1 / {FPS:g} s, as (0,) or range(0, 30, 10)"
        )
    domain = find(domain)
    random = generator(domain.name, split, seed, "looks")
    steps, seconds = len(frames), torch.tensor(frames) / FPS
    if not isinstance(domain, Domain):
        domain = domain if margin is None else replace(domain, margin=margin)
        close = domain.scenes(count, seed, split, seconds)
        people = _cast(domain.name, domain.subjects, close.subject, random).repeat(steps, random)
        if isinstance(close, HandScenes):
            made = _hands(close, people, steps, domain.margin)
        else:
            assert isinstance(domain, FaceDomain)
            made = _faces(close, people, steps, domain, random)
        return Film(made, close.action, close.subject)
    scenes = domain.scenes(count, seed, split)
    cast = _cast(domain.name, domain.subjects, scenes.subject, random)
    body, action = load_body(), scenes.action
    if steps == 1:
        rotations = retarget(body, scenes.rotations, cast.shape)
        root = on_floor(body, cast.shape, rotations, scenes.place)
        rotations, root, camera = rotations[:, None], root[:, None], scenes.camera
    else:
        motion = generator(domain.name, split, seed, "motion")
        rotations, root, action = _moves(domain, scenes, cast.shape, frames, split, motion)
        camera = _follow(domain, scenes, root, seconds, motion)
    # (N, T, B, 3, 3), (N, T, 3); from here on, all frames are pictures of their own
    rotations, root = rotations.flatten(0, 1), root.flatten(0, 1)
    taken = cast.repeat(steps, random)
    joints = domain.annotate(body.keypoints("BODY17", taken.shape, rotations, root))
    if margin is not None:
        camera = _crop(camera, joints, margin, steps)
    else:
        camera = _framed(domain, camera, joints, steps)
    if steps > 1:
        _require_inside(camera.project(joints), domain.name)
    made = taken.before(camera, rotations, root, domain.convention)
    return Film(made, action, scenes.subject)


def _hands(scenes: HandScenes, taken: _Cast, steps: int, margin: float) -> Shots:
    """Hands in the middle of what the cameras look at."""
    rotations = scenes.rotations.flatten(0, 1)
    root = torch.zeros(len(rotations), 3)
    left = scenes.left.repeat_interleave(steps)
    right_hand, left_hand = (
        load_body().keypoints(name, taken.shape, rotations, root) for name in PIECES[2:]
    )
    joints = torch.where(left[:, None, None], left_hand, right_hand)  # (N T, 21, 3)
    root = torch.tensor(AIM) + scenes.drift.flatten(0, 1) - joints.mean(1)
    camera = _crop(_repeat(scenes.camera, steps), joints + root[:, None], margin, steps)
    piece = torch.where(left, PIECES.index("left_hand"), PIECES.index("right_hand"))
    return taken.before(camera, rotations, root, piece=piece)


def _faces(
    scenes: FaceScenes, taken: _Cast, steps: int, domain: FaceDomain, random: torch.Generator
) -> Shots:
    """Heads on shoulders, in the middle of what the cameras look at; anywhere in a place."""
    count, body = len(scenes.moves), load_body()
    # Where a face looks along z (`faces`), a body at rest looks along x.
    around = about_y(2 * torch.pi * torch.rand(count, generator=random))
    around = around.repeat_interleave(steps, 0)  # (N T, 3, 3)
    ahead = torch.tensor([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    angles = scenes.angles.flatten(0, 1)  # (N T, 3)
    chest, neck, head = (
        around @ yaw_pitch_roll(*(angles * share).unbind(-1)) @ ahead
        for share in angles.new_tensor([[0.25, 0.0, 0.1], [0.6, 0.5, 0.5], [1.0, 1.0, 1.0]])
    )
    rotations = body.identity(count * steps)
    for bone, turn in (("pelvis", chest), ("neck", chest.mT @ neck), ("head", neck.mT @ head)):
        rotations[:, body.bones.index(bone)] = turn
    moves = dict(zip(MOVES, scenes.moves.flatten(0, 1).unbind(-1), strict=True))
    expression = body.expression(moves).clamp(0, 1.2)
    root = torch.zeros(count * steps, 3)
    joints = body.keypoints("FACE68", taken.shape, rotations, root, expression)
    first = joints.view(count, steps, -1, 3)[:, :1].mean(2).expand(-1, steps, 3).flatten(0, 1)
    root = torch.tensor(AIM) - first
    camera = _repeat(scenes.camera, steps)
    eye = torch.tensor(AIM) + (around @ camera.position[..., None])[..., 0]
    rotation = camera.rotation @ around.mT
    camera = replace(camera, rotation=rotation, translation=-(rotation @ eye[..., None])[..., 0])
    camera = _crop(camera, joints + root[:, None], domain.margin, steps, domain.lift)
    piece = torch.full_like(angles[:, 0], PIECES.index("head"), dtype=torch.long)
    return taken.before(camera, rotations, root, expression=expression, piece=piece)


def _framed(domain: Domain, camera: Camera, joints: Tensor, steps: int) -> Camera:
    """The domain's own crop around the joints (N T, J, 3) of each scene."""
    count = len(joints) // steps
    corner, side = domain.frame(camera, joints, _SMALLEST_BOX)
    if domain.crop == "root":
        ends = torch.arange(count)[:, None] * steps + torch.tensor([0, steps - 1])  # (N, 2)
        corner, side = corner[ends].mean(1), side[ends].mean(1)
    else:
        corner, side = _around(corner.view(count, steps, 2), side.view(count, steps))
    return camera.crop(corner.repeat_interleave(steps, 0), side.repeat_interleave(steps))


def _crop(camera: Camera, joints: Tensor, margin: float, steps: int, lift: float = 0.0) -> Camera:
    """One square around the joints (N T, J, 3) of each scene, moved up by a share of its side."""
    pixels = camera.project(joints).unflatten(0, (-1, steps)).flatten(1, 2)  # (N, T J, 2)
    low, high = pixels.amin(1), pixels.amax(1)
    side = margin * (high - low).amax(-1)
    corner = (low + high) / 2 - side[:, None] * side.new_tensor([0.5, 0.5 + lift])
    return camera.crop(corner.repeat_interleave(steps, 0), side.repeat_interleave(steps))


@dataclass(frozen=True, eq=False)
class _Cast:
    """Shapes, sexes and looks of those in N pictures, as in `Shots`."""

    shape: Tensor
    woman: Tensor
    chances: Tensor

    def repeat(self, steps: int, random: torch.Generator) -> _Cast:
        """The same people in so many frames each; only the sensor's noise is new in a frame."""
        shape, woman, chances = (
            part.repeat_interleave(steps, 0) for part in (self.shape, self.woman, self.chances)
        )
        if steps > 1:
            own = [looks.CHANCES[name] for name in _NEW]
            chances[:, own] = torch.rand(len(chances), len(own), generator=random)
        return _Cast(shape, woman, chances)

    def before(
        self,
        camera: Camera,
        rotations: Tensor,
        root: Tensor,
        convention: tuple[tuple[str, str, float], ...] = (),
        expression: Tensor | None = None,
        piece: Tensor | None = None,
    ) -> Shots:
        """These people in poses before cameras."""
        count = len(root)
        if expression is None:
            expression = torch.zeros(count, len(load_body().expressions))
        piece = torch.zeros(count, dtype=torch.long) if piece is None else piece
        return Shots(
            self.shape, self.woman, rotations, root, expression, camera, self.chances,
            rooms.eye(camera.position), piece, convention,
        )  # fmt: skip


def _cast(name: str, subjects: int, chosen: Sequence[str], random: torch.Generator) -> _Cast:
    """The chosen subjects of a domain: bodies, skin and hair are theirs, clothes are new."""
    people = generator(name, "people")
    shapes, women = load_body().people(subjects, people)
    own = looks.chances(subjects, people)
    subject = torch.tensor([int(label.rsplit("-", 1)[1]) for label in chosen])
    numbers = looks.chances(len(chosen), random)
    kept = [looks.CHANCES[trait] for trait in _SAME]
    numbers[:, kept] = own[subject][:, kept]
    return _Cast(shapes[subject], women[subject], numbers)


def _moves(
    domain: Domain,
    scenes: Scenes,
    shape: Tensor,
    frames: Sequence[int],
    split: Split,
    random: torch.Generator,
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Pieces of recordings: rotations (N, T, B, 3, 3), pelvis (N, T, 3), and the actions.

    People look where `scenes` says when the piece begins, and walk around its place.
    """
    weights, spans = dict(domain.actions), []
    for clip in load_motion().clips:
        for start, stop in domains.takes(len(clip), split):
            if weights.get(clip.action, 0) > 0:
                spans.append((clip, start, stop - 1, (stop - 1 - start) / clip.fps))
    wanted, longest = frames[-1] / FPS, max(seconds for *_, seconds in spans)
    spans = [span for span in spans if span[-1] >= wanted]
    if not spans:
        raise ValueError(
            f"{frames[-1]} frames from the first picture to the last are longer than every take "
            f"of domain {domain.name!r} in split {split!r}: {int(longest * FPS)} at most, at "
            f"{FPS:g} a second; take a shorter stride or fewer frames"
        )
    weight = domains.shares(weights, [c.action for c, *_ in spans], [span[-1] for span in spans])
    chosen = torch.multinomial(weight, len(shape), True, generator=random)
    begin = torch.rand(len(shape), generator=random)
    mirrored = torch.rand(len(shape), generator=random) < 0.5
    poses, paths, action = [], [], []
    for number, late, flipped in zip(chosen.tolist(), begin.tolist(), mirrored, strict=True):
        clip, start, stop, seconds = spans[number]
        first = start + late * (seconds - wanted) * clip.fps
        at = (first + torch.tensor(frames) * (clip.fps / FPS)).clamp_max(stop)  # (T,)
        pose, path = interpolate(clip.rotations, at), between_frames(clip.root, at)
        poses.append(mirror(pose) if flipped else pose)
        paths.append(mirror_path(path) if flipped else path)
        action.append(clip.action)
    rotations, root = retarget_motion(load_body(), torch.stack(poses), torch.stack(paths), shape)
    ahead, wanted_way = rotations[:, 0, 0, :, 0], scenes.rotations[:, 0, :, 0]  # (N, 3)
    turn = about_y(
        torch.atan2(ahead[:, 2], ahead[:, 0]) - torch.atan2(wanted_way[:, 2], wanted_way[:, 0])
    )[:, None]
    rotations = torch.cat([turn[:, :, None] @ rotations[:, :, :1], rotations[:, :, 1:]], 2)
    flat = root - (root[:, :1] + root[:, -1:]) / 2
    flat[..., 1] = root[..., 1]  # heights stay
    return rotations, (turn @ flat[..., None])[..., 0] + scenes.place[:, None], tuple(action)


def _follow(
    domain: Domain, scenes: Scenes, root: Tensor, seconds: Tensor, random: torch.Generator
) -> Camera:
    """N T cameras at the places of the scenes', or held by somebody who keeps people in sight."""
    count, steps = root.shape[:2]
    eye = scenes.camera.position[:, None]  # (N, 1, 3)
    flat = root * root.new_tensor([1.0, 0.0, 1.0])
    away = (eye - scenes.place[:, None]) * root.new_tensor([1.0, 0.0, 1.0])
    near = (eye - root).norm(dim=-1).amin(1)[:, None, None]
    shift = torch.nn.functional.normalize(away, dim=-1) * (_NEAREST - near).clamp_min(0)
    rotation, translation = scenes.camera.rotation[:, None], scenes.camera.translation[:, None]
    translation = translation - (rotation @ shift[..., None])[..., 0]  # (N, 1, 3)
    if domain.name in HAND_HELD:
        sway = smooth(count, 4, seconds, random)  # (N, T, 4)
        aim = flat + root.new_tensor([0.0, 0.9, 0.0]) + 0.05 * sway[..., :3]
        level = torch.rand(count, 1, generator=random) * 2 - 1
        roll = torch.deg2rad(domain.roll[0] + domain.roll[1] * level + 2.0 * sway[..., 3])
        rotation, translation = look_at(eye + shift + 0.04 * sway[..., 1:], aim, roll=roll)
    moved = replace(
        _repeat(scenes.camera, steps),
        rotation=rotation.expand(count, steps, 3, 3).flatten(0, 1),
        translation=translation.expand(count, steps, 3).flatten(0, 1),
    )
    return moved


def _repeat(camera: Camera, steps: int) -> Camera:
    """Each of N cameras so many times."""
    return camera[torch.arange(len(camera.focal)).repeat_interleave(steps)]


def _around(corner: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
    """The squares, (N, 2) and (N,), that hold all T of corners (N, T, 2) and sides (N, T)."""
    low, high = corner.amin(1), (corner + side[..., None]).amax(1)
    side = (high - low).amax(-1)
    return (low + high - side[:, None]) / 2, side


def _require_inside(keypoints: Tensor, name: str) -> None:
    """ValueError unless somebody is in each picture, by keypoints (N, J, 2)."""
    out = int((~((keypoints >= 0) & (keypoints < 1)).all(-1).any(-1)).sum())
    if out:
        raise ValueError(
            f"the person is out of the picture in {out} of {len(keypoints)} frames of domain "
            f"{name!r}: widen its margin, or take fewer frames or a shorter stride"
        )
