"""Whole films with 3D: what a lifter trains on, and the poses in them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posenb.world.cameras import Camera, concatenate
from posenb.world.datasets.records import WIDTHS, DatasetError, few, located
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, Skeleton, convert

__all__ = ["Sequence3D", "body", "build", "counted", "placed", "take_poses", "tensor"]

REACH = (0.3, 3.0)  # metres from the pelvis to the farthest joint; beyond, the units are wrong
SPAN = 2.0  # metres from the middle of a body to any of its joints: 1.4 with both arms up
NEAREST = 0.1  # metres before the lens; nearer, or behind it, nothing is seen
AWAY = 1000.0  # metres from the origin of the world

log = logging.getLogger(__name__)


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
        masked: how many keypoints and joints the file holds that are taken as not known.
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
    masked: int = 0

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
    masked: int = 0,
) -> Sequence3D:
    """A sequence of what a file holds, in float32; NaN says that something is not known.

    A keypoint is visible if it is `located`, and not that of a joint behind the lens.

    Args:
        path: the file.
        record: where in it.
        joints3d: metres, world frame, of `body`, (F, 17, 3).
        keypoints: pixels, (F, 17, 2).
        camera: one or F of them, in pixels.
        fps: see `Sequence3D`.
        subject: see `Sequence3D`.
        action: see `Sequence3D`.
        view: see `Sequence3D`.
        width: see `Sequence3D`.
        masked: how many keypoints and joints are NaN already, though the file holds numbers there.
    """
    valid = joints3d.isfinite().all(-1)  # (F, 17)
    behind = camera.to_camera(joints3d)[..., 2] <= NEAREST  # (F, 17); False where NaN
    visible = located(keypoints, size=(width, width)) & ~behind
    masked += int((keypoints.isfinite().all(-1) & ~visible).sum())
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
        masked,
    )


def body(path: Path, record: str, joints: Tensor, source: Skeleton) -> tuple[Tensor, int]:
    """A file's own joints as BODY17, NaN where they are not `plausible`.

    Args:
        path: for messages.
        record: for messages.
        joints: metres, in any frame, NaN where not known, (F, J, 3).
        source: what they are.

    Returns:
        The joints, (F, 17, 3), and how many of those with numbers are NaN now.

    Raises:
        DatasetError: if the bodies are no bodies in metres, or no frame has any joint.
    """
    root = source.index("pelvis")
    named = [j for j, name in enumerate(source.joints) if name in BODY17.joints]
    offsets = (joints[:, named] - joints[:, root : root + 1]).norm(dim=-1)  # (F, J)
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
    seen = joints.isfinite().all(-1)  # (F, J)
    known = seen.clone()
    known[:, named] = plausible(joints[:, named])
    masked = int((seen & ~known).sum())
    return convert(joints.where(known.unsqueeze(-1), torch.nan), source, BODY17).keypoints, masked


def plausible(joints3d: Tensor) -> Tensor:
    """Which joints may belong to a body: the rule of a known joint in 3D.

    Finite, at most `SPAN` from the median of the frame's joints and at most `AWAY` from the origin;
    and, of a frame as a whole, not all in one point, as zeros for somebody who was not found are.

    Args:
        joints3d: metres, (F, J, 3).

    Returns:
        (F, J) bool.
    """
    known = joints3d.isfinite().all(-1) & (joints3d.abs() <= AWAY).all(-1)  # (F, J)
    finite = joints3d.where(known.unsqueeze(-1), torch.nan)
    middle = finite.nanmedian(1, keepdim=True).values  # (F, 1, 3)
    distance = (finite - middle).norm(dim=-1)  # (F, J)
    known = distance <= SPAN  # NaN fails any comparison
    extent = distance.where(known, 0.0).amax(-1, keepdim=True)  # (F, 1)
    return known & ((extent >= REACH[0] / 2) | (known.sum(-1, keepdim=True) < 3))


def placed(pixels: Tensor, width: float, score: Tensor | None = None) -> tuple[Tensor, int]:
    """A file's own keypoints, NaN where nothing was found: before any joint is made of others.

    Args:
        pixels: as the file has them, (F, J, 2).
        width: of the picture, pixels.
        score: of a detector, (F, J).

    Returns:
        The keypoints, and how many of those with numbers and no score of 0 are NaN now.
    """
    seen = located(pixels, score, (width, width))  # (F, J)
    marked = pixels.isfinite().all(-1)
    if score is not None:
        marked &= score > 0
    return pixels.where(seen.unsqueeze(-1), torch.nan), int((marked & ~seen).sum())


def counted(path: Path, films: Iterable[Sequence3D], origin: str) -> Iterator[Sequence3D]:
    """The films of a file, and after the last of them one warning that counts what was masked.

    Raises:
        DatasetError: if there is no film.
    """
    masked = total = 0
    for film in films:
        masked, total = masked + film.masked, total + film.valid.numel()
        yield film
    if not total:
        reason = f"holds no film: was it made of an empty folder, or of another? {origin}"
        raise DatasetError(path, "all films", reason)
    if masked:
        log.warning(
            "%s: %d keypoints or joints, of %d each, are taken as not known: at (0, 0), more than "
            "%g widths outside of the picture, behind the lens, or no part of a body",
            *(path, masked, total, WIDTHS),
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
        PoseSet with crops, their cameras, and "FILM, frame N" (from 0) as picture; joints that are
        not visible are 0, in 3D too.

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
    parts: list[tuple[Tensor, Tensor, Tensor, Camera, Tensor]] = []
    action: list[str] = []
    subject: list[str] = []
    picture: list[str] = []
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
        square = torch.eye(2) * side[:, None, None]  # (n, 2, 2)
        crop = torch.cat([square, corner.unsqueeze(-1)], -1)  # (n, 2, 3)
        parts.append((crops.where(known, 0.0), joints.where(known, 0.0), visible, camera, crop))
        action += [sequence.action] * len(visible)
        subject += [sequence.subject] * len(visible)
        frames = every * kept.nonzero().squeeze(-1)  # (n,)
        picture += [f"{sequence.source}, frame {frame}" for frame in frames.tolist()]
    if not parts:
        reason = few(minimum_joints, most, skeleton, "visible")
        raise DatasetError(path, f"all {seen} poses", reason)
    crops_all, joints_all, visible_all, cameras, affine = zip(*parts, strict=True)
    return PoseSet(
        torch.cat(crops_all),
        None if flat else torch.cat(joints_all),
        None if flat else concatenate(cameras),
        tuple(action),
        tuple(subject),
        skeleton,
        torch.cat(visible_all),
        tuple(picture),
        torch.cat(affine),
    )


def tensor(values: np.ndarray) -> Tensor:
    """A float64 tensor of its own."""
    return torch.tensor(values, dtype=torch.float64)
