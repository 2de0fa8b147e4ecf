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

_CHUNK = 512  # images drawn at once: the working set stays in the processor's cache


def draw_skeletons(
    keypoints: Tensor,
    skeleton: Skeleton,
    size: int,
    thickness: float = 0.05,
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
        thickness: width of a bone as a share of the image.
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
    chunks = [
        _draw(part, seen, skeleton, size, thickness)
        for part, seen in zip(keypoints.split(_CHUNK), visible.split(_CHUNK), strict=True)
    ]
    return torch.cat(chunks) if chunks else keypoints.new_zeros(0, 3, size, size)


def _draw(
    keypoints: Tensor, visible: Tensor, skeleton: Skeleton, size: int, thickness: float
) -> Tensor:
    parents, children = torch.tensor(skeleton.bones, device=keypoints.device).T
    colors = keypoints.new_tensor(skeleton.colors)  # (bones, 3)
    seen = visible[:, parents] & visible[:, children]  # (N, bones)
    points = torch.where(visible[..., None], keypoints, 0.0) * size
    start, end = points[:, parents], points[:, children]  # (N, bones, 2) in pixels
    radius = thickness * size / 2
    pixel, coverage = _bands(start, end, radius, size)  # (N, bones, steps, across) each
    coverage = coverage * seen[..., None, None]
    count = len(keypoints)
    # One row a pixel, and one more at the end of each image that takes what falls outside.
    canvas = keypoints.new_zeros(count * (size * size + 1), 3)
    first = torch.arange(count, device=keypoints.device)[:, None] * (size * size + 1)  # (N, 1)
    for bone in range(len(colors)):
        rows = (first + pixel[:, bone].flatten(1)).flatten()  # (N * steps * across,)
        share = coverage[:, bone].flatten()[:, None]
        canvas.index_put_((rows,), canvas[rows].lerp(colors[bone], share))
    image = canvas.view(count, size * size + 1, 3)[:, :-1]  # (N, size * size, 3)
    return image.transpose(1, 2).unflatten(2, (size, size))  # (N, 3, size, size)


def _bands(start: Tensor, end: Tensor, radius: float, size: int) -> tuple[Tensor, Tensor]:
    """Pixels near each bone and how far the bone covers them.

    Returns:
        Row-major pixel numbers (size * size where there is no pixel) and coverages in [0, 1],
        both (N, bones, steps along the bone's longer axis, pixels across it).
    """
    with torch.no_grad():  # which pixels to look at is a choice, not a quantity
        along = (end - start).abs().argmax(-1)  # (N, bones): 0 if the bone runs along x
        flip = along.bool()[..., None]
        a = torch.where(flip, start.flip(-1), start)  # (N, bones, 2): longer axis first
        b = torch.where(flip, end.flip(-1), end)
        low, high = torch.minimum(a[..., 0], b[..., 0]), torch.maximum(a[..., 0], b[..., 0])
        reach = radius + 1
        low = (low - reach).floor().clamp(-1, size)  # what lies outside needs no steps
        high = (high + reach).ceil().clamp(-1, size)
        steps = int((high - low).max()) + 1 if low.numel() else 1
        run = torch.arange(steps, device=start.device, dtype=start.dtype)
        major = low[..., None] + run  # (N, bones, steps)
        slope = (b[..., 1] - a[..., 1]) / torch.where(
            (b - a)[..., 0].abs() < 1e-6, 1.0, (b - a)[..., 0]
        )
        # The line's place across, at the pixel centre; the segment's ends bound it.
        middle = a[..., 1:] + slope[..., None] * (major + 0.5 - a[..., :1])
        bounds = torch.stack([a[..., 1], b[..., 1]])
        middle = middle.clamp(bounds.amin(0)[..., None], bounds.amax(0)[..., None])
        # A band around a line of slope up to 1 is sqrt(2) times as wide across the axis.
        half = math.ceil(math.sqrt(2) * (radius + 0.5))
        across = torch.arange(-half, half + 1, device=start.device, dtype=start.dtype)
        minor = middle.floor()[..., None] + across  # (N, bones, steps, across)
        major = major[..., None].expand_as(minor)
        x = torch.where(flip[..., None], minor, major)
        y = torch.where(flip[..., None], major, minor)
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        inside &= major <= high[..., None, None]
        pixel = torch.where(inside, y * size + x, size * size).long()
    distance = _segment_distance(x + 0.5, y + 0.5, start, end)
    return pixel, (radius + 0.5 - distance).clamp(0, 1) * inside


def _segment_distance(x: Tensor, y: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance of points (N, bones, ...) to segments given by their ends (N, bones, 2)."""
    bone = end - start
    length = bone.square().sum(-1).clamp_min(1e-8)
    origin_x, origin_y = (start[..., i, None, None] for i in (0, 1))
    bone_x, bone_y = (bone[..., i, None, None] for i in (0, 1))
    dx, dy = x - origin_x, y - origin_y
    share = ((dx * bone_x + dy * bone_y) / length[..., None, None]).clamp(0, 1)
    dx, dy = dx - share * bone_x, dy - share * bone_y
    # The square root has no slope at 0; this keeps the gradient finite on the centre line.
    return (dx * dx + dy * dy + 1e-12).sqrt()
