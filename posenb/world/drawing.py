"""Skeleton images: alpha of FlexPose (Sec. 3.2), keypoints drawn as coloured sticks on black.

The obvious way compares every pixel with every bone: 65,536 distances an image at 64 pixels and
16 bones, nearly all of them to pixels far off. Here each bone is walked along its longer axis,
and at each step only the few pixels across it are looked at. Bones are painted one after the
other, so that the later bone lies on top; every step is differentiable in the keypoints.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from posenb.world.skeletons import Skeleton

_CHUNK = 256  # images drawn at once: the working set stays near the processor


def draw_skeletons(
    keypoints: Tensor,
    skeleton: Skeleton,
    size: int,
    thickness: float | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Draw skeleton images, one colour a bone, anti-aliased (alpha; FlexPose, Sec. 3.2).

    A pixel is covered by a bone as far as its centre is closer to the bone's segment than half
    the thickness, with a ramp one pixel wide at the edge. Gradients reach the keypoints through
    that ramp, as they do in the differentiable renderers of the field.

    Args:
        keypoints: (N, J, 2) in [0, 1] of the image, x right, y down. Parts of bones that lie
            outside the image are not drawn.
        skeleton: the skeleton that says which joints are joined, and in which colours.
        size: height and width of the images in pixels.
        thickness: width of a bone as a share of the image; default the skeleton's own.
        visible: (N, J) bool; a bone is drawn if both its joints are visible. None: all are.

    Returns:
        Images (N, 3, size, size) in [0, 1] on black, on the device of `keypoints`.

    Raises:
        ValueError: if the joints are not those of the skeleton, or a visible one is not finite.
    """
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(skeleton), 2):
        raise ValueError(
            f"{skeleton.name} has {len(skeleton)} joints: keypoints must be "
            f"(N, {len(skeleton)}, 2), found {tuple(keypoints.shape)}"
        )
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, found {size}")
    if visible is None:
        visible = torch.ones_like(keypoints[..., 0], dtype=torch.bool)
    bad = (~keypoints.isfinite()).any(-1) & visible
    if bad.any():
        pose, joint = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{int(bad.sum())} keypoints are not finite, the first is joint "
            f"{skeleton.joints[joint]} of pose {pose}: mark missing joints with `visible`"
        )
    points = torch.where(visible[..., None], keypoints, 0.0) * size
    radius = (skeleton.thickness if thickness is None else thickness) * size / 2
    if keypoints.requires_grad:  # the way back copies a canvas for every bone: keep canvases small
        parts = zip(points.split(_CHUNK // 8), visible.split(_CHUNK // 8), strict=True)
        return torch.cat([_draw(*part, skeleton, size, radius) for part in parts])
    return _draw(points, visible, skeleton, size, radius)


def _draw(points: Tensor, visible: Tensor, skeleton: Skeleton, size: int, radius: float) -> Tensor:
    """Images (N, 3, size, size) on one canvas, of points (N, J, 2) in pixels."""
    count = len(points)
    # One row a pixel, and one more at the end that takes what falls outside its image.
    canvas = points.new_zeros(count * size * size + 1, 3)
    for first in range(0, count, _CHUNK):
        part = slice(first, first + _CHUNK)
        _paint(canvas, points[part], visible[part], first, skeleton, size, radius)
    return canvas[:-1].view(count, size, size, 3).permute(0, 3, 1, 2)


def _paint(
    canvas: Tensor,
    points: Tensor,
    visible: Tensor,
    first: int,
    skeleton: Skeleton,
    size: int,
    radius: float,
) -> None:
    """Paint images into the canvas (pixels, 3), one bone of all of them after the other.

    Args:
        canvas: changed in place.
        points: (N, J, 2) in pixels.
        visible: (N, J).
        first: number of the first of these images in the canvas.
        skeleton: says which joints are joined, and in which colours.
        size: of the images.
        radius: half a bone's width in pixels.
    """
    offset = (first + torch.arange(len(points), device=points.device)) * (size * size)
    for (parent, child), color in zip(skeleton.bones, skeleton.colors, strict=True):
        pixel, coverage = _band(points[:, parent], points[:, child], radius, size)
        coverage = coverage * (visible[:, parent] & visible[:, child])[:, None, None]
        inside = pixel >= 0
        rows = torch.where(inside, pixel + offset[:, None, None], len(canvas) - 1).flatten()
        share = coverage.flatten()[:, None]
        canvas.index_copy_(
            0, rows, canvas.index_select(0, rows).lerp(points.new_tensor(color), share)
        )


def _band(start: Tensor, end: Tensor, radius: float, size: int) -> tuple[Tensor, Tensor]:
    """Pixels near a bone of each image and how far the bone covers them.

    Args:
        start: one end of the bone in pixels, (N, 2).
        end: the other, (N, 2).
        radius: half the bone's width in pixels.
        size: of the images.

    Returns:
        Row-major numbers of pixels (-1 where there is none) and coverages in [0, 1], both
        (N, steps along the bone's longer axis, pixels across it).
    """
    with torch.no_grad():  # which pixels to look at is a choice, not a quantity
        steep = (end - start).abs().argmax(-1).bool()[:, None]  # (N, 1): runs along y
        a = torch.where(steep, start.flip(-1), start)  # (N, 2): longer axis first
        b = torch.where(steep, end.flip(-1), end)
        reach = radius + 1
        low = (torch.minimum(a, b)[:, :1] - reach).floor().clamp(-1, size)  # (N, 1)
        high = (torch.maximum(a, b)[:, :1] + reach).ceil().clamp(-1, size)
        steps = int((high - low).max()) + 1 if len(low) else 1
        major = low + torch.arange(steps, device=start.device)  # (N, steps)
        run = (b - a)[:, :1]
        slope = (b - a)[:, 1:] / torch.where(run.abs() < 1e-6, 1.0, run)
        # The bone's place across the axis at this step; its ends bound it.
        middle = a[:, 1:] + slope * (major + 0.5 - a[:, :1])
        middle = middle.clamp(torch.minimum(a, b)[:, 1:], torch.maximum(a, b)[:, 1:])
        # A band around a line of slope up to 1 is up to sqrt(2) times as wide across the axis.
        half = math.ceil(math.sqrt(2) * (radius + 0.5))
        across = torch.arange(-half, half + 1, device=start.device)
        minor = middle.floor()[..., None] + across  # (N, steps, across)
        major = major[..., None]  # (N, steps, 1)
        inside = (
            (minor >= 0)
            & (minor < size)
            & (major >= 0)
            & (major < torch.clamp_max(high[..., None] + 1, size))
        )
        x = torch.where(steep[..., None], minor, major)
        y = torch.where(steep[..., None], major, minor)
        pixel = torch.where(inside, y.long() * size + x.long(), -1)
    distance = _segment_distance(x + 0.5, y + 0.5, start, end)
    return pixel, (radius + 0.5 - distance).clamp(0, 1) * inside


def _segment_distance(x: Tensor, y: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance of points (N, h, w) to segments given by their ends, (N, 2) each."""
    bone = end - start  # (N, 2)
    unit = bone / bone.square().sum(-1, keepdim=True).clamp_min(1e-8)
    (bone_x, bone_y), (unit_x, unit_y), (start_x, start_y) = (
        v[..., None, None].unbind(1) for v in (bone, unit, start)
    )
    dx, dy = x - start_x, y - start_y  # (N, h, w)
    share = (dx * unit_x + dy * unit_y).clamp(0, 1)
    dx, dy = dx - share * bone_x, dy - share * bone_y
    # The square root has no slope at 0; this keeps the gradient finite on the centre line.
    return (dx * dx + dy * dy + 1e-12).sqrt()
