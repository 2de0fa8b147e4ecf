"""Motion capture: twenty real recordings and the kinematics that turn them into joints.

The recordings ship with the package `pybullet` 3.2.7 (zlib licence, see NOTICE). The asset keeps
what a pose needs: joint rotations as quaternions, the root's place, the time of a frame, and an
action label. Frame: right-handed, metres, y up; at rest the person looks along +x and the right
side is at +z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from posenb import assets
from posenb.world.rotations import quaternion_to_matrix, quaternion_to_vector
from posenb.world.rotations import vector_to_quaternion as vector_to_quaternion

# Kinematic parents of the joints of BODY17. They differ from the skeleton's own parents in one
# thing: shoulders hang on the spine joint (which carries the chest's rotation), not on the neck.
KINEMATIC_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 7, 11, 12, 7, 14, 15)

# Place of each joint in its parent's frame, metres. Nose and head top are our addition: the
# recordings end in a head sphere 0.175 m above the neck.
REST_OFFSETS = torch.tensor(
    [
        [0.0, 0.0, 0.0],  # pelvis
        [0.0, 0.0, 0.085],  # right hip
        [0.0, -0.42, 0.0],  # right knee
        [0.0, -0.41, 0.0],  # right ankle
        [0.0, 0.0, -0.085],  # left hip
        [0.0, -0.42, 0.0],  # left knee
        [0.0, -0.41, 0.0],  # left ankle
        [0.0, 0.236, 0.0],  # spine
        [0.0, 0.224, 0.0],  # neck
        [0.10, 0.17, 0.0],  # nose
        [-0.10, 0.11, 0.0],  # head top
        [-0.024, 0.243, -0.183],  # left shoulder
        [0.0, -0.275, 0.0],  # left elbow
        [0.0, -0.259, 0.0],  # left wrist
        [-0.024, 0.243, 0.183],  # right shoulder
        [0.0, -0.275, 0.0],  # right elbow
        [0.0, -0.259, 0.0],  # right wrist
    ]
)

_MIRRORED = (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13)
ASSET = "motion/humanoid.npz"


@dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
        name: file name in the source without its ending, e.g. `humanoid3d_walk`.
        action: label, e.g. `walk`.
        fps: mean frames a second.
        rotations: unit quaternions (w, x, y, z) of each joint in its parent's frame,
            (frames, 17, 4); identity where a joint carries no rotation.
        root: place of the pelvis in metres, (frames, 3), y up.
    """

    name: str
    action: str
    fps: float
    rotations: Tensor
    root: Tensor

    def __len__(self) -> int:
        return len(self.rotations)

    def joints(self, offsets: Tensor = REST_OFFSETS) -> Tensor:
        """Joints of every frame in metres, (frames, 17, 3), for bones given by `offsets`."""
        matrices = quaternion_to_matrix(self.rotations)
        return forward_kinematics(matrices, offsets, KINEMATIC_PARENTS) + self.root[:, None]


@dataclass(frozen=True)
class Motion:
    """All recordings, in alphabetical order of their names."""

    clips: tuple[Clip, ...]

    def __len__(self) -> int:
        return len(self.clips)

    def clip(self, name: str) -> Clip:
        """The recording of that name; ValueError lists the names there are."""
        for clip in self.clips:
            if clip.name == name:
                return clip
        known = ", ".join(clip.name for clip in self.clips)
        raise ValueError(f"there is no clip {name!r}; there are: {known}")

    @property
    def actions(self) -> tuple[str, ...]:
        """Labels that occur, in alphabetical order."""
        return tuple(sorted({clip.action for clip in self.clips}))


@cache
def load_motion() -> Motion:
    """The 20 recordings (1,810 frames, 40 s) that everything in the course moves by.

    Raises:
        ValueError: if the asset is missing or altered.
    """
    with np.load(assets.path(ASSET)) as data:
        lengths = data["lengths"].tolist()
        rotations = torch.from_numpy(data["rotations"]).split(lengths)  # (frames, 17, 4) each
        roots = torch.from_numpy(data["root"]).split(lengths)  # (frames, 3) each
        return Motion(
            tuple(
                Clip(str(name), str(action), float(fps), rotation, root)
                for name, action, fps, rotation, root in zip(
                    data["names"], data["actions"], data["fps"], rotations, roots, strict=True
                )
            )
        )


def forward_kinematics(rotations: Tensor, offsets: Tensor, parents: Sequence[int]) -> Tensor:
    """Joints from rotations: x_j = x_parent + R_parent o_j, R_j = R_parent r_j, root first.

    Args:
        rotations: rotation of each joint in its parent's frame, (..., J, 3, 3).
        offsets: place of each joint in its parent's frame, (..., J, 3) or (J, 3), metres. The
            root's offset is its place in the world.
        parents: parent of each joint, -1 for a root; a parent comes before its children.

    Returns:
        Joints in the world frame, (..., J, 3), metres.

    Raises:
        ValueError: if the counts of joints differ or a child comes before its parent.
    """
    count = len(parents)
    if rotations.shape[-3:] != (count, 3, 3) or offsets.shape[-2:] != (count, 3):
        raise ValueError(
            f"{count} parents need rotations (..., {count}, 3, 3) and offsets (..., {count}, 3), "
            f"found {tuple(rotations.shape)} and {tuple(offsets.shape)}"
        )
    offsets = offsets.to(rotations).expand(*rotations.shape[:-3], count, 3)
    joints: list[Tensor] = []
    frames: list[Tensor] = []
    for joint, parent in enumerate(parents):
        if parent >= joint:
            raise ValueError(f"joint {joint} comes before its parent {parent}: reorder the joints")
        local, offset = rotations[..., joint, :, :], offsets[..., joint, :]
        if parent < 0:
            joints.append(offset)
            frames.append(local)
        else:
            joints.append(joints[parent] + (frames[parent] @ offset[..., None])[..., 0])
            frames.append(frames[parent] @ local)
    return torch.stack(joints, dim=-2)  # (..., J, 3)


def interpolate(rotations: Tensor, frame: Tensor) -> Tensor:
    """Pose between two frames: normalised linear interpolation of quaternions.

    Args:
        rotations: quaternions, (frames, J, 4).
        frame: place in time, in frames, (...), in [0, frames - 1].

    Returns:
        Unit quaternions, (..., J, 4).
    """
    low = frame.floor().long().clamp(0, len(rotations) - 1)
    high = (low + 1).clamp_max(len(rotations) - 1)
    before, after = rotations[low], rotations[high]  # (..., J, 4)
    after = torch.where((before * after).sum(-1, keepdim=True) < 0, -after, after)
    blend = before.lerp(after, (frame - low)[..., None, None].to(before))
    return torch.nn.functional.normalize(blend, dim=-1)


def mirror(rotations: Tensor) -> Tensor:
    """The same pose seen in a mirror across the body's middle plane (z -> -z), (..., 17, 4)."""
    swapped = rotations[..., _MIRRORED, :]
    return swapped * swapped.new_tensor([1.0, -1.0, -1.0, 1.0])


def mirror_path(path: Tensor) -> Tensor:
    """The root's places (..., 3) in the mirror of `mirror`."""
    return path * path.new_tensor([1.0, 1.0, -1.0])


def between_frames(places: Tensor, frame: Tensor) -> Tensor:
    """Places (F, C) at real-valued frames (...) from 0 to F - 1, on straight lines; (..., C)."""
    low = frame.floor().long()
    high = (low + 1).clamp_max(len(places) - 1)
    return places[low].lerp(places[high], (frame - low)[..., None])


def smooth(count: int, width: int, seconds: Tensor, generator: torch.Generator) -> Tensor:
    """Unhurried random movement around 0, mostly within 1, (count, T, width), at times (T,)."""
    draws = torch.rand(2, count, 3, 1, width, generator=generator)
    pace = 2 * torch.pi * (0.2 + torch.tensor([0.1, 0.4, 0.9])[:, None, None] * draws[0])
    wave = torch.sin(pace * seconds[:, None] + 2 * torch.pi * draws[1])  # (N, 3, T, width)
    return (wave * torch.tensor([0.6, 0.3, 0.15])[:, None, None]).sum(1)


def between_keys(keys: Tensor, at: Tensor) -> Tensor:
    """What is at times (N, T), counted in keys, if each of keys (N, K, C) eases into the next."""
    row, before = torch.arange(len(keys))[:, None], at.long()
    share = (at - before)[..., None]
    return keys[row, before].lerp(keys[row, before + 1], share * share * (3 - 2 * share))


@cache
def joint_limits() -> tuple[Tensor, Tensor]:
    """Range of each joint's rotation vector over all recordings and their mirror images.

    A tenth of the range is added at either end, none at joints that never turn.

    Returns:
        Lowest and highest rotation vector, (17, 3) each, radians. The root is free: +-infinity.
    """
    rotations = torch.cat([clip.rotations for clip in load_motion().clips])  # (frames, 17, 4)
    vectors = quaternion_to_vector(torch.cat([rotations, mirror(rotations)]))  # (2 frames, 17, 3)
    low, high = vectors.amin(0), vectors.amax(0)
    slack = 0.1 * (high - low)
    low, high = low - slack, high + slack
    low[0], high[0] = -torch.inf, torch.inf
    return low, high
