"""What the detector is trained by (Geometric Reconstruction, Eq. 1)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from posenb.reconstruction.networks import Maps, gaussians, read
from posenb.world.skeletons import Skeleton


class Supervised(NamedTuple):
    """The terms of Eq. 1, scalars; `total` is what to minimise."""

    heat: Tensor
    depth: Tensor
    total: Tensor


def supervised_loss(
    maps: Maps,
    keypoints: Tensor,
    depth: Tensor,
    skeleton: Skeleton,
    depth_weight: float,
    visible: Tensor | None = None,
) -> Supervised:
    """L_sup (Eq. 1): heat and depth of each keypoint against its label.

    The heat's distance is the cross-entropy between probabilities and the Gaussian scaled to sum 1,
    less the Gaussian's own entropy (so 0 is perfect), where the paper has the squared distance of
    maps of height 1: see `networks.gaussians` on why those do not go with Eq. 5.

    Args:
        maps: of N pictures.
        keypoints: labels in [0, 1], (N, K, 2).
        depth: labels behind the root in units of `lifting.bone_scale`, (N, K).
        skeleton: of both.
        depth_weight: lambda_d.
        visible: (N, K) bool, keypoints that count; those outside of the picture cannot. Default
            those inside.

    Returns:
        Means over keypoints that count.
    """
    inside = ((keypoints >= 0) & (keypoints <= 1)).all(-1)
    counted = inside if visible is None else inside & visible  # (N, K)
    wanted = gaussians(keypoints, *maps.heat.shape[-2:]).flatten(2)  # (N, K, h w)
    entropy = -(wanted * wanted.clamp_min(1e-12).log()).sum(-1)
    heat = -(wanted * maps.heat.flatten(2).log_softmax(-1)).sum(-1) - entropy  # (N, K)
    off = (read(maps, skeleton).depth - depth).abs()
    share = counted / counted.sum().clamp_min(1)
    heat_loss, depth_loss = (heat * share).sum(), (off * share).sum()
    return Supervised(heat_loss, depth_loss, heat_loss + depth_weight * depth_loss)
