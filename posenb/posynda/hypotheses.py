"""From many hypotheses to one pose (PoSynDA, Sec. 3.3), without the true place of the body.

Hypotheses are root-relative poses (N, H, T, J, 3) in metres in the camera's frame. To project
them one has to know where the root is, and at test time nobody does: `estimate_root` finds the
place from which a pose explains the 2D keypoints best. Missing joints, NaN, count nowhere, and
neither does a frame in which fewer than 2 joints are seen (`locatable`).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from posenb.posynda.windows import nearest
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17, Skeleton

Aggregate = Literal["mean", "pose", "joint", "plausible", "mean_of_best", "rays"]
AGGREGATES = ("mean", "pose", "joint", "plausible", "mean_of_best", "rays")
_NEAREST = 0.1  # metres: what a projection takes for the depth of anything nearer


def intrinsics(camera: Camera | None, windows: int) -> tuple[Tensor, Tensor]:
    """Focal lengths and principal points, (N, 2) each, of one camera or of N.

    Raises:
        ValueError: without a camera, with a number of cameras other than 1 or N, or with a lens
            that distorts.
    """
    if camera is None:
        raise ValueError(
            "lifting needs the camera's focal length and principal point: "
            "give a Camera(rotation, translation, focal, center) in the units of the keypoints"
        )
    if camera.distortion is not None and camera.distortion.any():
        raise ValueError(
            "the camera's lens distorts: straighten keypoints and camera with windows.to_screen"
        )
    if camera.shape not in ((), (1,), (windows,)):
        raise ValueError(
            f"found cameras of batch shape {tuple(camera.shape)} for {windows} windows: "
            "expected one camera, or one a window"
        )
    return camera.focal.expand(windows, 2), camera.center.expand(windows, 2)


def project(joints3d: Tensor, camera: Camera) -> Tensor:
    """G of Eq. 4: image points (N, ..., J, 2) of joints (N, ..., J, 3) in the camera's frame."""
    focal, center = intrinsics(camera, len(joints3d))
    shape = (len(joints3d), *[1] * (joints3d.ndim - 2), 2)
    plane = joints3d[..., :2] / joints3d[..., 2:].clamp(min=_NEAREST)
    return plane * focal.to(joints3d).view(shape) + center.to(joints3d).view(shape)


def estimate_root(
    hypotheses: Tensor,
    keypoints2d: Tensor,
    camera: Camera,
    steps: int = 2,
    huber: float | None = None,
) -> Tensor:
    """Where the root must be for each pose to explain the 2D keypoints, by least squares.

    x_j = f (X_j + t) / (Z_j + t_z) + c is linear in t once multiplied by the depth; that has a
    closed solution. Gauss-Newton steps then minimise the error in the image itself.

    Args:
        hypotheses: root-relative, metres, camera frame, (N, H, T, J, 3).
        keypoints2d: in the units of the camera, (N, T, J, 2); NaN where missing.
        camera: one, or N.
        steps: of Gauss-Newton; one that does not help is not taken, and is the last.
        huber: errors beyond this, in the units of the camera, count linearly; None: squares.

    Returns:
        Place of the root, metres, camera frame, (N, H, T, 3). A frame that is not `locatable` has
        that of the nearest frame that is, the earlier of two; without any it is the camera's own.

    Raises:
        ValueError: for wrong shapes.
    """
    known, weight = _seen(hypotheses, keypoints2d)  # (N, 1, T, J, 2), (N, 1, T, J, 1)
    focal, center = (
        value.to(hypotheses)[:, None, None, None] for value in intrinsics(camera, len(hypotheses))
    )  # (N, 1, 1, 1, 2)
    root = best = _closed_root(hypotheses, (known - center) / focal, weight)
    cost = torch.full_like(root[..., 0], torch.inf)
    for step in range(steps + 1):
        moved = hypotheses + root[..., None, :]
        depth = moved[..., 2:].clamp(min=_NEAREST)  # (N, H, T, J, 1)
        error = moved[..., :2] / depth * focal + center - known  # (N, H, T, J, 2)
        size = error.norm(dim=-1, keepdim=True)
        trust = weight.expand_as(size)
        if huber is not None:
            trust = trust * (huber / size.clamp(min=huber))
        now = (weight * _loss(size, huber)).sum((-2, -1))  # (N, H, T)
        better = now < cost
        cost = torch.where(better, now, cost)
        best = torch.where(better[..., None], root, best)
        if step == steps:
            break
        slope = torch.zeros(*error.shape, 3, device=error.device, dtype=error.dtype)
        rate = focal / depth  # (N, H, T, J, 2)
        slope[..., 0, 0], slope[..., 1, 1] = rate[..., 0], rate[..., 1]
        slope[..., 2] = -rate * moved[..., :2] / depth
        rows = (trust[..., None] * slope).flatten(-3, -2)  # (N, H, T, 2 J, 3)
        normal = rows.mT @ slope.flatten(-3, -2)  # (N, H, T, 3, 3)
        ridge = 1e-9 * normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        lost = (weight.sum((-2, -1)) == 0)[..., None, None]  # (N, 1, T, 1, 1): nothing to solve
        normal = normal + (ridge + lost) * torch.eye(3, device=error.device, dtype=error.dtype)
        change = torch.linalg.solve(normal, rows.mT @ error.flatten(-2)[..., None])[..., 0]
        root = torch.where(better[..., None], best - change, best)
    frame = nearest(locatable(keypoints2d))  # (N, T)
    held = best.gather(2, frame.clamp(min=0)[:, None, :, None].expand_as(best))
    return held.where((frame >= 0)[:, None, :, None], 0.0)


def locatable(keypoints2d: Tensor) -> Tensor:
    """Whether frames (N, T) of keypoints (N, T, J, 2) show enough to find a body by: 2 joints."""
    return (~keypoints2d.isnan().any(-1)).sum(-1) >= 2


def reprojection_error(
    hypotheses: Tensor, keypoints2d: Tensor, camera: Camera, root: Tensor | None = None
) -> Tensor:
    """Distance of each projected joint from its keypoint, (N, H, T, J); 0 where missing.

    Args:
        hypotheses: root-relative, metres, camera frame, (N, H, T, J, 3).
        keypoints2d: in the units of the camera, (N, T, J, 2).
        camera: one, or N.
        root: (N, H, T, 3), default `estimate_root`. The true one would be a leak.
    """
    known, weight = _seen(hypotheses, keypoints2d)
    root = estimate_root(hypotheses, keypoints2d, camera) if root is None else root
    found = project(hypotheses + root[..., None, :], camera)
    return weight[..., 0] * (found - known).norm(dim=-1)


def implausibility(
    hypotheses: Tensor, keypoints2d: Tensor, camera: Camera, skeleton: Skeleton = BODY17
) -> Tensor:
    """How little a hypothesis moves like a body: our scorer, which sees depth. Not in the paper.

    Within a frame the reprojection error says next to nothing about depth. But bones keep their
    lengths, left ones equal right ones, and joints do not jump. The score is a sum of four mean
    distances in metres, each with weight 1: bone lengths from their median over all frames and
    hypotheses; left from right; a joint from the middle of where it was and will be; and the
    reprojection error at the body's depth.

    Args:
        hypotheses: root-relative, metres, camera frame, (N, H, T, J, 3).
        keypoints2d: in the units of the camera, (N, T, J, 2).
        camera: one, or N.
        skeleton: of the J joints.

    Returns:
        Scores in metres, (N, H).
    """
    length = skeleton.bone_lengths(hypotheses)  # (N, H, T, B)
    usual = length.flatten(1, 2).median(1).values[:, None, None]  # (N, 1, 1, B)
    score = (length - usual).abs().mean((-2, -1))  # (N, H)
    order = {child: bone for bone, (_, child) in enumerate(skeleton.bones)}
    pairs = [(order[a], order[b]) for a, b in skeleton.flip_pairs if a in order and b in order]
    if pairs:
        left, right = zip(*pairs, strict=True)
        score = score + (length[..., left] - length[..., right]).abs().mean((-2, -1))
    if hypotheses.shape[2] > 2:
        middle = (hypotheses[:, :, 2:] + hypotheses[:, :, :-2]) / 2
        score = score + (hypotheses[:, :, 1:-1] - middle).norm(dim=-1).mean((-2, -1))
    root = estimate_root(hypotheses, keypoints2d, camera)
    error = reprojection_error(hypotheses, keypoints2d, camera, root).mean(-1)  # (N, H, T)
    focal = intrinsics(camera, len(hypotheses))[0].mean(-1).to(error)[:, None, None]
    return score + (error * root[..., 2].clamp(min=_NEAREST) / focal).mean(-1)


def combine(
    hypotheses: Tensor,
    keypoints2d: Tensor,
    camera: Camera | None,
    how: Aggregate = "mean",
    skeleton: Skeleton = BODY17,
) -> Tensor:
    """One pose of many.

    Args:
        hypotheses: root-relative, metres, camera frame, (N, H, T, J, 3).
        keypoints2d: in the units of the camera, (N, T, J, 2).
        camera: one, or N; `mean` needs none.
        how: `mean`; `pose`: in every frame the pose with the smallest reprojection error (Eq. 4
            and 5); `joint`: every joint for itself (D3DP's, Shan et al., 2023); `plausible`: the
            window with the lowest `implausibility`; `mean_of_best`: the mean of that half of the
            windows with the lowest; `rays`: the mean, put `onto_rays`. The last three are ours.
        skeleton: of the J joints, for the last three.

    Returns:
        Root-relative poses, metres, camera frame, (N, T, J, 3).

    Raises:
        ValueError: for another `how`, wrong shapes, or no camera where one is needed.
    """
    if how not in AGGREGATES:
        raise ValueError(f"aggregate must be one of {AGGREGATES}, found {how!r}")
    if how == "mean":
        return hypotheses.mean(1)
    intrinsics(camera, len(hypotheses))
    assert camera is not None
    if how == "rays":
        return onto_rays(hypotheses.mean(1), keypoints2d, camera, skeleton)
    if how in ("pose", "joint"):
        error = reprojection_error(hypotheses, keypoints2d, camera)  # (N, H, T, J)
        if how == "pose":
            error = error.square().sum(-1, keepdim=True)  # the norm of Eq. 4, but for its root
        return _chosen(hypotheses, error)
    score = implausibility(hypotheses, keypoints2d, camera, skeleton)  # (N, H)
    kept = 1 if how == "plausible" else math.ceil(hypotheses.shape[1] / 2)
    best = score.topk(kept, dim=1, largest=False).indices  # (N, kept)
    rows = torch.arange(len(hypotheses), device=best.device)[:, None]
    return hypotheses[rows, best].mean(1)


def onto_rays(
    poses: Tensor, keypoints2d: Tensor, camera: Camera, skeleton: Skeleton = BODY17
) -> Tensor:
    """Move every joint, at its depth, onto the line of sight of its keypoint. Not in the paper.

    Choosing by reprojection prefers hypotheses that lie near the lines of sight; this goes all the
    way there, and leaves to the hypotheses what they alone know, the depth.

    Args:
        poses: root-relative, metres, camera frame, (N, T, J, 3).
        keypoints2d: in the units of the camera, (N, T, J, 2); a missing joint is not moved, and
            nothing in a frame whose pose explains its 2D from nowhere before the camera.
        camera: one, or N.
        skeleton: of the J joints; its first joint without a parent is the root.

    Returns:
        Root-relative poses, (N, T, J, 3).
    """
    focal, center = (v.to(poses)[:, None, None] for v in intrinsics(camera, len(poses)))
    root = estimate_root(poses[:, None], keypoints2d, camera)[:, 0]  # (N, T, 3)
    placed = poses + root[:, :, None]
    depth = placed[..., 2:].clamp(min=_NEAREST)
    seen = torch.cat([(keypoints2d - center) / focal * depth, placed[..., 2:]], -1)
    explained = (root[..., 2] > _NEAREST) & locatable(keypoints2d)  # (N, T)
    moved = seen.where(explained[..., None, None] & ~seen.isnan(), placed)
    return moved - moved[..., skeleton.parents.index(-1), None, :]


def oracle(hypotheses: Tensor, truth: Tensor, by: Literal["pose", "joint"] = "pose") -> Tensor:
    """The best hypothesis of every frame or joint, chosen by the truth: a bound, not a method.

    Args:
        hypotheses: (N, H, T, J, 3).
        truth: (N, T, J, 3).
        by: choose whole poses, or each joint for itself.

    Returns:
        Poses (N, T, J, 3).
    """
    error = (hypotheses - truth[:, None]).norm(dim=-1)  # (N, H, T, J)
    return _chosen(hypotheses, error.mean(-1, keepdim=True) if by == "pose" else error)


def _chosen(hypotheses: Tensor, error: Tensor) -> Tensor:
    """Hypotheses (N, T, J, 3) with the smallest errors (N, H, T, J or 1)."""
    best = error.argmin(1, keepdim=True)[..., None]  # (N, 1, T, J or 1, 1)
    shape = (len(hypotheses), 1, *hypotheses.shape[2:])
    return hypotheses.gather(1, best.expand(shape))[:, 0]


def _seen(hypotheses: Tensor, keypoints2d: Tensor) -> tuple[Tensor, Tensor]:
    """Keypoints (N, 1, T, J, 2), 0 where missing, and 1 or 0 for each joint (N, 1, T, J, 1)."""
    count, _, frames, joints, _ = hypotheses.shape
    if keypoints2d.shape != (count, frames, joints, 2):
        raise ValueError(
            f"keypoints have shape {tuple(keypoints2d.shape)}, expected "
            f"{(count, frames, joints, 2)} to fit hypotheses {tuple(hypotheses.shape)}"
        )
    seen = ~keypoints2d.isnan().any(-1) & locatable(keypoints2d)[..., None]  # (N, T, J)
    seen = seen[:, None, ..., None]  # (N, 1, T, J, 1)
    return keypoints2d[:, None].where(seen, 0.0).to(hypotheses), seen.to(hypotheses)


def _closed_root(hypotheses: Tensor, plane: Tensor, weight: Tensor) -> Tensor:
    """Place t of least squares, t_xy - u t_z = u Z - XY, with u on the plane z = 1."""
    share = weight / weight.sum(-2, keepdim=True).clamp(min=1)  # (N, 1, T, J, 1)
    wanted = plane * hypotheses[..., 2:] - hypotheses[..., :2]  # (N, H, T, J, 2)
    mean_u = (share * plane).sum(-2, keepdim=True)  # (N, 1, T, 1, 2)
    mean_b = (share * wanted).sum(-2, keepdim=True)  # (N, H, T, 1, 2)
    spread = (share * (plane - mean_u).square()).sum((-2, -1)).clamp(min=1e-9)  # (N, 1, T)
    depth = -(share * (plane - mean_u) * (wanted - mean_b)).sum((-2, -1)) / spread  # (N, H, T)
    side = mean_b[..., 0, :] + mean_u[..., 0, :] * depth[..., None]  # (N, H, T, 2)
    return torch.cat([side, depth[..., None]], -1)


def _loss(size: Tensor, huber: float | None) -> Tensor:
    """The square; beyond `huber` the line that goes on from there (twice Huber's loss)."""
    if huber is None:
        return size.square()
    return torch.where(size > huber, huber * (2 * size - huber), size.square())
