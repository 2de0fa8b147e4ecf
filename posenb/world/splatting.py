"""A z-buffer for points: the nearest point of every pixel, by one integer minimum.

Depth and number of a point share one integer, depth in the upper bits, so the smallest integer of
a pixel is its nearest point. A minimum does not depend on the order of its terms: the result is the
same on every device and at every number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BITS = 15  # of the depth, beside 16 of the number: a tenth of a millimetre in a person's depth
_NEIGHBOURS = 5  # of 8 that must be


class Splats(NamedTuple):
    """What N pictures show.

    Attributes:
        point: number of the nearest point of each pixel, (N, S, S), -1 where there is none.
        depth: its depth, (N, S, S), to 1/32,766 of the cloud's depth; infinite where there is none.
    """

    point: Tensor
    depth: Tensor


def splat(
    x: Tensor,
    y: Tensor,
    depth: Tensor,
    size: int,
    shown: Tensor | None = None,
    closing: int = 0,
    gap: float = 0.04,
) -> Splats:
    """Draw points into pictures; each takes the pixel that it lies in.

    Args:
        x: to the right in pixels, (N, P); a point outside of the picture is not drawn.
        y: downwards, (N, P).
        depth: distance from the camera's plane, (N, P), any unit.
        size: S, height and width of the pictures.
        shown: (N, P) bool; other points are not drawn. None: all are.
        closing: so many times, pixels between points of a nearer surface are closed: where five of
            eight neighbours are nearer by `gap`, the nearest of them is taken.
        gap: in units of the depth; 4 cm suit a whole person in metres.

    Returns:
        Numbers and depths of the nearest points.

    Raises:
        ValueError: if shapes differ, or there is no point, or a depth is not finite.
    """
    if not x.shape == y.shape == depth.shape or x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"x, y and depth must be (N, P) alike with a point at least, found {tuple(x.shape)}, "
            f"{tuple(y.shape)} and {tuple(depth.shape)}"
        )
    count, points = x.shape
    low, high = depth.amin(1, keepdim=True), depth.amax(1, keepdim=True)  # (N, 1)
    if not (low.isfinite() & high.isfinite()).all():
        raise ValueError("depths must be finite: some are not")
    wide = points > 1 << 16
    kind = torch.int64 if wide else torch.int32
    bits, shift = (24, 32) if wide else (_BITS, 16)
    empty = torch.iinfo(kind).max
    scale = ((1 << bits) - 2) / (high - low).clamp_min(1e-6)
    keys = ((depth - low) * scale).to(kind) << shift
    keys |= torch.arange(points, dtype=kind, device=x.device)
    if shown is not None:
        keys = torch.where(shown, keys, empty)
    # A margin of one pixel takes what is outside.
    side = size + 2
    row, column = ((t + 1).clamp_(0, size + 1).int() for t in (y, x))
    first = torch.arange(count, dtype=torch.int32, device=x.device)[:, None] * (side * side)
    pixel = row.mul_(side).add_(column).add_(first)
    buffer = torch.full((count * side * side,), empty, dtype=kind, device=x.device)
    buffer.scatter_reduce_(0, pixel.flatten().long(), keys.flatten(), "amin")
    buffer = buffer.view(count, side, side)
    buffer[:, [0, -1]] = empty
    buffer[:, :, [0, -1]] = empty
    step = (gap * scale).clamp_max((1 << bits) - 1).to(kind)[..., None] << shift
    for _ in range(closing):
        buffer[:, 1:-1, 1:-1] = _close(buffer, step)
    buffer = buffer[:, 1:-1, 1:-1]
    hit = buffer != empty
    point = torch.where(hit, buffer & ((1 << shift) - 1), -1)
    far = (buffer >> shift).to(depth) / scale[..., None] + low[..., None]
    return Splats(point.long(), torch.where(hit, far, torch.inf))


def _close(buffer: Tensor, gap: Tensor) -> Tensor:
    """Keys (N, S, S) after holes were closed by the nearest of enough nearer neighbours.

    Args:
        buffer: with a margin of one pixel, (N, S + 2, S + 2).
        gap: key by which a neighbour must be nearer, (N, 1, 1).
    """
    size = buffer.shape[-1] - 2
    middle = buffer[:, 1:-1, 1:-1]
    limit, nearest = middle - gap, middle
    nearer = torch.zeros_like(middle, dtype=torch.int8)
    for row in range(3):
        for column in range(3):
            if (row, column) != (1, 1):
                other = buffer[:, row : row + size, column : column + size]
                nearer += other < limit
                nearest = torch.minimum(nearest, other)
    return torch.where(nearer >= _NEIGHBOURS, nearest, middle)
