"""Rotations as quaternions, vectors and matrices, and the few turns that the world is made with.

Quaternions are (w, x, y, z); vectors are axis times angle in radians; matrices turn columns.
"""

from __future__ import annotations

import torch
from torch import Tensor


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of quaternions (w, x, y, z), (..., 4), of any length but 0."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))  # (..., 3, 3)


def quaternion_to_vector(quaternion: Tensor) -> Tensor:
    """Rotation vectors, axis times angle in [0, pi], (..., 3), of quaternions (..., 4)."""
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = quaternion[..., 1:].norm(dim=-1, keepdim=True)  # (..., 1)
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * torch.where(sine > 1e-7, angle / sine.clamp_min(1e-7), 2.0)


def vector_to_quaternion(vector: Tensor) -> Tensor:
    """Unit quaternions (..., 4) of rotation vectors (..., 3) in radians."""
    angle = vector.norm(dim=-1, keepdim=True)  # (..., 1)
    return torch.cat([torch.cos(angle / 2), vector * 0.5 * torch.sinc(angle / (2 * torch.pi))], -1)


def vector_to_matrix(vector: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) in radians."""
    return quaternion_to_matrix(vector_to_quaternion(vector))


def about_y(angle: Tensor) -> Tensor:
    """Turns about the vertical, (..., 3, 3), by angles (...) in radians."""
    zero = torch.zeros_like(angle)
    return quaternion_to_matrix(
        torch.stack([(angle / 2).cos(), zero, (angle / 2).sin(), zero], dim=-1)
    )


def yaw_pitch_roll(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Turns of a head, (..., 3, 3), by angles in degrees (...) with the signs of `FaceDomain`.

    The head looks along z, y is up. It turns sideways first, then nods, then tilts.
    """
    zero = torch.zeros_like(yaw)
    about = ((zero, yaw, zero), (-pitch, zero, zero), (zero, zero, -roll))
    yawed, nodded, tilted = (
        vector_to_matrix(torch.deg2rad(torch.stack(axis, -1))) for axis in about
    )
    return tilted @ nodded @ yawed
