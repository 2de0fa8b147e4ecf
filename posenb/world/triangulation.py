"""Points in space from their pictures in several calibrated cameras, although some are wrong.

A detector that errs by a pixel is averaged out by the other views; one that takes a left wrist for
a right one must be outvoted. So each point is found twice: first in closed form, from all views and
from each pair of them, the best of these being the one most views agree with; then by least squares
on pixel errors, in which a view loses its say as its error grows past a scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from posenb.world.cameras import Camera

__all__ = ["Triangulated", "triangulate"]

STEPS = 20  # as many again move no point of the real clip by a tenth of a millimetre
DELTA = 1e-5  # metres, of central differences: right to eight digits in double precision
DAMPING = 1e-12  # share of a normal matrix's trace, so that a point that no view saw is no error


@dataclass(frozen=True)
class Triangulated:
    """Points found, and how far each view is from them.

    Attributes:
        points: metres, world frame, (..., 3); NaN where fewer than two views saw the point.
        error: distance of projection and keypoint, in the units of the cameras' `focal` (pixels),
            (C, ...); NaN where the view did not see the point, or the point is NaN.
    """

    points: Tensor
    error: Tensor


def triangulate(
    cameras: Camera, keypoints: Tensor, confidence: Tensor | None = None, scale: float = 50.0
) -> Triangulated:
    """Robust triangulation of many points at once, through lenses with or without distortion.

    Minimises sum_c w_c rho(|project_c(x) - keypoint_c|) with w the confidence and Geman and
    McClure's rho(r) = r^2 / (1 + r^2 / scale^2): a square far below `scale`, a constant far above.
    One wrong view of three or more does no harm; of two views, none can be told to be wrong.

    Args:
        cameras: C cameras, batch shape (C,).
        keypoints: image points in the units of the cameras' `focal` (pixels), (C, ..., 2); where
            one is not finite, that view does not count.
        confidence: weight of each keypoint, 0 for one that was not seen, (C, ...); default 1.
        scale: error in pixels at which a view has a quarter of its weight.

    Returns:
        Points (..., 3) in metres and reprojection errors (C, ...) in pixels.

    Raises:
        ValueError: if the shapes disagree, there are fewer than two cameras, a weight is negative,
            or the scale is not positive.
    """
    if confidence is None:
        confidence = torch.ones_like(keypoints[..., 0])
    _check(cameras, keypoints, confidence, scale)
    shape = keypoints.shape[1:-1]
    seen = keypoints.isfinite().all(-1) & (confidence > 0)  # (C, ...)
    weight = torch.where(seen, confidence, 0).flatten(1).double()  # (C, N)
    pixels = torch.where(seen[..., None], keypoints, 0).flatten(1, -2).double()  # (C, N, 2)
    exact = _double(cameras)
    points = _start(exact, pixels, weight, scale)  # (N, 3)
    points = _refine(exact, pixels, weight, scale, points)
    error = (exact.project(points) - pixels).norm(dim=-1)  # (C, N)
    points = torch.where(((weight > 0).sum(0) >= 2)[:, None], points, torch.nan)
    error = torch.where((weight > 0) & points.isfinite().all(-1), error, torch.nan)
    return Triangulated(
        points.to(keypoints).unflatten(0, shape), error.to(keypoints).unflatten(1, shape)
    )


def _check(cameras: Camera, keypoints: Tensor, confidence: Tensor, scale: float) -> None:
    if len(cameras.shape) != 1 or len(cameras) < 2:
        raise ValueError(
            f"triangulation needs two cameras or more in one batch dimension, found batch shape "
            f"{tuple(cameras.shape)}"
        )
    count, size = len(cameras), tuple(keypoints.shape)
    if keypoints.ndim < 3 or size[0] != count or size[-1] != 2:
        raise ValueError(f"{count} cameras need keypoints ({count}, ..., 2), found {size}")
    if confidence.shape != keypoints.shape[:-1]:
        raise ValueError(
            f"keypoints {size} need confidence {size[:-1]}, found {tuple(confidence.shape)}"
        )
    if not (confidence >= 0).all():
        raise ValueError("a confidence is negative or NaN: give 0 to a keypoint that was not seen")
    if not scale > 0:
        raise ValueError(f"scale must be above 0 pixels, found {scale}")


def _double(cameras: Camera) -> Camera:
    lens = cameras.distortion
    return Camera(
        cameras.rotation.double(),
        cameras.translation.double(),
        cameras.focal.double(),
        cameras.center.double(),
        None if lens is None else lens.double(),
    )


def _start(cameras: Camera, pixels: Tensor, weight: Tensor, scale: float) -> Tensor:
    """The best of several linear solutions, (N, 3): from all views, and from each pair of them."""
    count = len(cameras)
    subsets = [range(count), *combinations(range(count), 2)]
    use = weight.new_tensor(
        [[float(view in subset) for view in range(count)] for subset in subsets]
    )
    candidates = _linear(cameras, pixels, use[..., None] * weight)  # (H, N, 3)
    cost = torch.stack([_cost(cameras, pixels, weight, scale, points) for points in candidates])
    best = cost.argmin(0)  # (N,)
    return candidates[best, torch.arange(len(best), device=best.device)]


def _linear(cameras: Camera, pixels: Tensor, weight: Tensor) -> Tensor:
    """Weighted direct linear transformation (Hartley and Zisserman, 12.2), (H, N, 3).

    A ray (u, v, 1) in a camera's frame meets x where u (R x + t)_z = (R x + t)_x, and v likewise.

    Args:
        cameras: C cameras.
        pixels: (C, N, 2).
        weight: of each view in each of H hypotheses, (H, C, N).
    """
    origin = cameras.position.unsqueeze(-2)  # (C, 1, 3)
    rays = cameras.to_camera(cameras.unproject(pixels, torch.ones_like(pixels[..., 0])))
    axes = cameras.rotation.unsqueeze(1)  # (C, 1, 3, 3)
    rows = rays[..., :2, None] * axes[..., 2:, :] - axes[..., :2, :]  # (C, N, 2, 3)
    rows = rows * cameras.focal[:, None, :, None]
    right = (rows @ origin.unsqueeze(-1)).squeeze(-1)  # (C, N, 2)
    normal = torch.einsum("hcn,cnki,cnkj->hnij", weight, rows, rows)
    return _solve(normal, torch.einsum("hcn,cnki,cnk->hni", weight, rows, right))


def _refine(
    cameras: Camera, pixels: Tensor, weight: Tensor, scale: float, points: Tensor
) -> Tensor:
    """Gauss-Newton steps with weights anew in each; a step that makes a point worse is halved."""
    size = torch.ones_like(weight[0])  # (N,)
    cost = _cost(cameras, pixels, weight, scale, points)
    axes = DELTA * torch.eye(3, dtype=points.dtype, device=points.device)
    for _ in range(STEPS):
        residual = cameras.project(points) - pixels  # (C, N, 2)
        ahead, behind = (
            torch.stack([cameras.project(points + sign * axis) for axis in axes], -1)
            for sign in (1, -1)
        )
        jacobian = (ahead - behind) / (2 * DELTA)  # (C, N, 2, 3)
        trust = weight / (1 + residual.square().sum(-1) / scale**2) ** 2  # (C, N)
        normal = torch.einsum("cn,cnki,cnkj->nij", trust, jacobian, jacobian)
        step = _solve(normal, torch.einsum("cn,cnki,cnk->ni", trust, jacobian, residual))
        moved = points - size[:, None] * step
        moved_cost = _cost(cameras, pixels, weight, scale, moved)
        better = moved_cost <= cost
        points, cost = torch.where(better[:, None], moved, points), cost.minimum(moved_cost)
        size = torch.where(better, 1.0, size / 2)
    return points


def _cost(cameras: Camera, pixels: Tensor, weight: Tensor, scale: float, points: Tensor) -> Tensor:
    """Weighted sum of Geman and McClure's rho over the views, (N,); its limit behind a camera."""
    square = (cameras.project(points) - pixels).square().sum(-1)  # (C, N)
    rho = square / (1 + square / scale**2)
    rho = torch.where(cameras.to_camera(points)[..., 2] > 0, rho, scale**2)
    return (weight * rho).sum(0)


def _solve(normal: Tensor, right: Tensor) -> Tensor:
    """Solve normal x = right, (..., 3), with a little damping so that no system is singular."""
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    identity = torch.eye(3, dtype=normal.dtype, device=normal.device)
    return torch.linalg.solve(normal + (DAMPING * trace + 1e-12) * identity, right)
