"""Whole films with 3D: what a lifter trains on, and the poses in them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posenb.world.cameras import Camera, concatenate
from posenb.world.datasets.records import FARTHEST, DatasetError
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, Skeleton, convert

__all__ = ["Sequence3D", "build", "take_poses"]

REACH = (0.3, 3.0)  # metres from the pelvis to the farthest joint; beyond, the units are wrong


@dataclass(frozen=True, eq=False)
class Sequence3D:
    """F frames of one person, filmed by one camera, in BODY17. NaN-free: see the masks.

    Attributes:
        joints3d: metres, world frame (right-handed, y up), (F, 17, 3), 0 where not `valid`.
        keypoints: pixels, x right, y down, (F, 17, 2), 0 where not `visible`.
        camera: F cameras in pixels (a static one F times), which map `joints3d` to `keypoints`
            but for annotation noise.
        visible: (F, 17) bool, the keypoint is known; it may be outside of the image.
        valid: (F, 17) bool, the joint is known in 3D; score these only.
        fps: frames a second, or None where the file does not say.
        subject: who it is, such as S9.
        action: what is done.
        view: the camera's name.
        width: of the picture, pixels; the files do not hold it, so it is the data set's.
        source: the file and the record in it.
    """

    joints3d: Tensor
    keypoints: Tensor
    camera: Camera
    visible: Tensor
    valid: Tensor
    fps: float | None
    subject: str
    action: str
    view: str
    width: float
    source: str

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.keypoints)


def build(
    path: Path,
    record: str,
    joints3d: Tensor,
    keypoints: Tensor,
    camera: Camera,
    *,
    fps: float | None,
    subject: str,
    action: str,
    view: str,
    width: float,
) -> Sequence3D:
    """A sequence of what a file holds, in float32; NaN says that something is not known.

    Args:
        path: the file.
        record: where in it.
        joints3d: metres, world frame, (F, 17, 3).
        keypoints: pixels, (F, 17, 2).
        camera: one or F of them, in pixels.
        fps: see `Sequence3D`.
        subject: see `Sequence3D`.
        action: see `Sequence3D`.
        view: see `Sequence3D`.
        width: see `Sequence3D`.

    Raises:
        DatasetError: if the bodies are no bodies in metres, or no frame has any joint.
    """
    valid = joints3d.isfinite().all(-1)  # (F, 17)
    visible = (keypoints.abs() <= FARTHEST).all(-1)  # (F, 17); NaN fails any comparison
    offsets = (joints3d - joints3d[:, :1]).norm(dim=-1)  # (F, 17)
    reach = offsets.nan_to_num(0.0, 0.0).amax(-1)  # (F,)
    reach = reach[reach > 0]
    if not len(reach):
        raise DatasetError(path, record, "no frame has a known pelvis and another known joint")
    if not REACH[0] <= (typical := float(reach.median())) <= REACH[1]:
        reason = (
            f"people reach {typical:.3g} m from the pelvis, expected {REACH[0]} to {REACH[1]}: the "
            "unit of length is not this format's, or the joints are in another order"
        )
        raise DatasetError(path, record, reason)
    count = len(keypoints)
    fields = (camera.rotation, camera.translation, camera.focal, camera.center, camera.distortion)
    tails = ((3, 3), (3,), (2,), (2,), (5,))
    expanded = [
        None if value is None else value.float().expand(count, *tail)
        for value, tail in zip(fields, tails, strict=True)
    ]
    return Sequence3D(
        joints3d.where(valid.unsqueeze(-1), 0.0).float(),
        keypoints.where(visible.unsqueeze(-1), 0.0).float(),
        Camera(*expanded),  # type: ignore[arg-type]
        visible,
        valid,
        fps,
        subject,
        action,
        view,
        width,
        f"{path}: {record}",
    )


def take_poses(
    path: Path,
    sequences: Iterable[Sequence3D],
    *,
    every: int,
    minimum_joints: int,
    skeleton: Skeleton,
    margin: float,
    flat: bool = False,
) -> PoseSet:
    """Single poses of films, each in a square about its joints.

    Args:
        path: for messages.
        sequences: at least one.
        every: every so many-th frame.
        minimum_joints: fewest visible joints, of `skeleton`, to keep a pose.
        skeleton: joints to return, through `skeletons.convert`.
        margin: side of the square in larger extents of the visible joints, at least 1.
        flat: without 3D; else a joint is visible only if it is known in 3D too.

    Returns:
        PoseSet with the cameras of the crops; joints that are not visible are 0, in 3D too.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: if no pose is left.
    """
    if every < 1:
        raise ValueError(f"every is {every}, expected 1 (each frame) or more")
    if not 1 <= minimum_joints <= len(skeleton):
        raise ValueError(
            f"minimum_joints is {minimum_joints}, expected 1 to {len(skeleton)} ({skeleton.name})"
        )
    if not 1 <= margin < math.inf:
        raise ValueError(f"margin is {margin}, expected a number of at least 1 (1.25 is usual)")
    parts: list[tuple[Tensor, Tensor, Tensor, Camera]] = []
    action: list[str] = []
    subject: list[str] = []
    most = seen = 0
    for sequence in sequences:
        pixels = sequence.keypoints.where(sequence.visible.unsqueeze(-1), torch.nan)[::every]
        joints = sequence.joints3d.where(sequence.valid.unsqueeze(-1), torch.nan)[::every]
        pixels = convert(pixels, BODY17, skeleton).keypoints  # (F, J, 2)
        joints = convert(joints, BODY17, skeleton).keypoints  # (F, J, 3)
        visible = ~pixels.isnan().any(-1)  # (F, J)
        if not flat:
            visible = visible & ~joints.isnan().any(-1)
        counts = visible.sum(-1)  # (F,)
        seen, most = seen + len(counts), max(most, int(counts.max()))
        kept = counts >= minimum_joints
        if not kept.any():
            continue
        visible, pixels, joints = visible[kept], pixels[kept], joints[kept]
        known = visible.unsqueeze(-1)
        low = pixels.where(known, torch.inf).amin(1)  # (n, 2)
        high = pixels.where(known, -torch.inf).amax(1)
        side = margin * (high - low).amax(-1).clamp(min=1.0)  # (n,)
        corner = (low + high - side.unsqueeze(-1)) / 2  # (n, 2)
        crops = (pixels - corner.unsqueeze(1)) / side[:, None, None]  # (n, J, 2)
        camera = sequence.camera[::every][kept].crop(corner, side)
        parts.append((crops.where(known, 0.0), joints.where(known, 0.0), visible, camera))
        action += [sequence.action] * len(visible)
        subject += [sequence.subject] * len(visible)
    if not parts:
        reason = (
            f"none has {minimum_joints} visible joints of {skeleton.name}; the most is {most}: "
            "lower minimum_joints"
        )
        raise DatasetError(path, f"all {seen} poses", reason)
    crops_all, joints_all, visible_all, cameras = zip(*parts, strict=True)
    return PoseSet(
        torch.cat(crops_all),
        None if flat else torch.cat(joints_all),
        None if flat else concatenate(cameras),
        tuple(action),
        tuple(subject),
        skeleton,
        torch.cat(visible_all),
    )


def tensor(values: np.ndarray) -> Tensor:
    """A float64 tensor of its own."""
    return torch.tensor(values, dtype=torch.float64)
