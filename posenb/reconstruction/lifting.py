"""From 2.5D to 3D (Geometric Reconstruction, Sec. 3.2, after its reference [9], Iqbal et al. 2018).

A point k seen along the ray r_k = (x_k, y_k, 1) at depth Z_k is P_k = Z_k r_k. With depths relative
to the root and divided by a length s of the body, d_k = (Z_k - Z_root) / s, so

    P_k / s = (Z + d_k) r_k,    Z = Z_root / s.

[9] fixes the one unknown Z by asking one bone to have its known length. Here all bones do so
together: s is the root mean square of the bones' lengths, and the mean of the squared lengths of
P / s must be 1. That is a quadratic equation in Z all the same, needs no bone to be chosen, and is
not upset when one bone points at the camera.
"""

from __future__ import annotations

import torch
from torch import Tensor

from posenb.world.cameras import Camera
from posenb.world.skeletons import Skeleton, check_joints


def bone_scale(joints3d: Tensor, skeleton: Skeleton) -> Tensor:
    """s: root mean square length of the bones, (...), in the units of joints (..., K, 3).

    Raises:
        ValueError: if the joints are not those of the skeleton.
    """
    return skeleton.bone_vectors(joints3d).square().sum(-1).mean(-1).sqrt()


def root_depth(rays: Tensor, depth: Tensor, skeleton: Skeleton) -> Tensor:
    """Z: depth of the root in units of s, by which the bones get their length.

    With P_n - P_m = s (Z A + B), A = r_n - r_m and B = d_n r_n - d_m r_m for every bone (m, n), the
    mean of |Z A + B|^2 must be 1. Of the two solutions the larger one is before the camera. Where
    noise leaves none, the nearest Z is taken: that of the shortest bones.

    Args:
        rays: (x, y, 1) in the camera's frame, (..., K, 3).
        depth: d, behind the root in units of s, (..., K).
        skeleton: of the keypoints.

    Returns:
        (...).

    Raises:
        ValueError: if the keypoints are not those of the skeleton.
    """
    across = skeleton.bone_vectors(rays)  # A, (..., bones, 3)
    along = skeleton.bone_vectors(depth[..., None] * rays)  # B
    a = across.square().sum(-1).mean(-1)
    half_b = (across * along).sum(-1).mean(-1)
    c = along.square().sum(-1).mean(-1) - 1
    return (-half_b + (half_b.square() - a * c).clamp_min(0).sqrt()) / a


def lift(
    keypoints: Tensor,
    depth: Tensor,
    camera: Camera,
    scale: Tensor | float,
    skeleton: Skeleton,
    root: Tensor | None = None,
) -> Tensor:
    """Joints in 3D of keypoints in 2.5D.

    Args:
        keypoints: in the units of the camera's `focal`, (N, K, 2).
        depth: behind the root in units of s, (N, K), as `KeypointDetector` gives it.
        camera: N cameras, or one.
        scale: s, metres, (N,) or one number (see `bone_scale`): how large the person is.
        skeleton: of the keypoints.
        root: depth of the root in metres, (N,), where it is known; else see `root_depth`.

    Returns:
        Metres, world frame, (N, K, 3).

    Raises:
        ValueError: if the keypoints are not those of the skeleton, or the scale is not positive.
    """
    check_joints(keypoints, skeleton)
    scale = torch.as_tensor(scale, dtype=keypoints.dtype, device=keypoints.device)
    if not (scale > 0).all():
        raise ValueError(f"the scale of a body is above 0 metres, found {float(scale.min())}")
    if root is None:
        ahead = camera.unproject(keypoints, torch.ones_like(depth))  # one metre before the camera
        root = scale * root_depth(camera.to_camera(ahead), depth, skeleton)  # (N,)
    return camera.unproject(keypoints, root[..., None] + scale[..., None] * depth)
