"""What is learned by (Geometric Reconstruction, Eq. 1 to 3 and 9)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.networks import Maps, gaussians, read
from posenb.reconstruction.pseudo_labels import PseudoLabels
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
    """L_sup (Eq. 1): heat and depth of each keypoint against its label, see `heat_distance`.

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
    inside = _inside(keypoints)
    counted = inside if visible is None else inside & visible  # (N, K)
    heat_loss = _mean(heat_distance(maps.heat, keypoints), counted)
    depth_loss = _mean((read(maps, skeleton).depth - depth).abs(), counted)
    return Supervised(heat_loss, depth_loss, heat_loss + depth_weight * depth_loss)


def heat_distance(heat: Tensor, keypoints: Tensor) -> Tensor:
    """How far maps are from Gaussians around keypoints, (N, K); 0 is perfect.

    It is the cross-entropy between probabilities and the Gaussian scaled to sum 1, less the
    Gaussian's own entropy, where the paper has the distance of maps of height 1: see
    `networks.gaussians` on why those do not go with Eq. 5.

    Args:
        heat: before the softmax, (N, K, h, w).
        keypoints: in [0, 1], (N, K, 2).
    """
    wanted = gaussians(keypoints, *heat.shape[-2:]).flatten(2)  # (N, K, h w)
    entropy = -(wanted * wanted.clamp_min(1e-12).log()).sum(-1)
    return -(wanted * heat.flatten(2).log_softmax(-1)).sum(-1) - entropy


def alignment_loss(z: Tensor, z_plus: Tensor, temperature: float = 0.5) -> Tensor:
    """L_align (Eq. 2), as printed: features of pictures and of their restyled copies agree.

    SimCLR's loss (Chen et al., ICML 2020, the paper's [3]) has the positive pair in the
    denominator, too, takes z_plus as an anchor as well, and is a mean over all 2 B anchors. Here
    the sum is over the B originals only and grows with the batch; and as nothing in the denominator
    is in the numerator, it has no floor at 0: it is negative where pairs agree better than others.

    Args:
        z: features of source pictures, (B, D).
        z_plus: of the same pictures in another style, (B, D).
        temperature: tau.

    Returns:
        Scalar, a sum over the batch.

    Raises:
        ValueError: for other shapes, fewer than two pictures, or a temperature not above 0.
    """
    if z.ndim != 2 or z.shape != z_plus.shape or len(z) < 2:
        raise ValueError(
            "expected two equal shapes (B, D) with B from 2, because Eq. 2 sums over other "
            f"pictures of the batch; found {tuple(z.shape)} and {tuple(z_plus.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, found {temperature}")
    z, z_plus = F.normalize(z, dim=-1), F.normalize(z_plus, dim=-1)
    own = torch.eye(len(z), dtype=torch.bool, device=z.device).repeat(1, 2)
    similar = torch.cat([z @ z.mT, z @ z_plus.mT], -1) / temperature  # (B, 2 B): cosines / tau
    others = similar.masked_fill(own, -torch.inf).logsumexp(-1)  # (B,)
    return (others - (z * z_plus).sum(-1) / temperature).sum()


class PseudoLabelled(NamedTuple):
    """The terms of Eq. 3, scalars; `total` is what to minimise."""

    heat: Tensor
    pose: Tensor
    total: Tensor


def pseudo_label_loss(
    maps: Maps,
    labels: PseudoLabels,
    skeleton: Skeleton,
    united: bool,
    pose_weight: float = 0.1,
) -> PseudoLabelled:
    """L_pseudo (Eq. 3): heat and 2.5D pose of each keypoint against the pseudo-labels.

    The heat's distance is `heat_distance`. The pose's is the Euclidean one of (u, v, d), d counting
    as much as u and v although its unit is another: so Eq. 3 reads. An empty mask gives 0.

    Args:
        maps: of N pictures of the target, which learn.
        labels: of the same pictures, moved with them if those were augmented.
        skeleton: of both.
        united: whether both terms have the union of the masks (epoch >= T), or each its own.
        pose_weight: lambda_y.

    Returns:
        Means over the keypoints of the masks; those moved out of the picture cannot count.
    """
    inside = _inside(labels.keypoints)
    mask_2d, mask_3d = (labels.union,) * 2 if united else (labels.mask_2d, labels.mask_3d)
    # A keypoint that heat maps vouch for may be one of a pose that could not be lifted.
    lifted = labels.corrected.isfinite().all(-1)
    mask_2d, mask_3d = mask_2d & inside, mask_3d & inside & lifted  # (N, K)
    # What is not counted may be NaN, and NaN times 0 still is: labels without any error instead.
    places = torch.where(mask_2d[..., None], labels.keypoints, 0.5)
    heat_loss = _mean(heat_distance(maps.heat, places), mask_2d)
    found = read(maps, skeleton)
    pose = torch.cat([found.keypoints, found.depth[..., None]], -1)  # (N, K, 3): y
    wanted = torch.where(mask_3d[..., None], labels.corrected, pose.detach())
    pose_loss = _mean((pose - wanted).norm(dim=-1), mask_3d)
    return PseudoLabelled(heat_loss, pose_loss, heat_loss + pose_weight * pose_loss)


def _inside(keypoints: Tensor) -> Tensor:
    """Which keypoints (N, K, 2) are in the picture, (N, K) bool."""
    return ((keypoints >= 0) & (keypoints <= 1)).all(-1)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of the values that count; 0 where none does."""
    return (values * (counted / counted.sum().clamp_min(1))).sum()


class Reconstruction(NamedTuple):
    """The terms of a reconstruction's loss, (N,) each: minimise the mean of `total`.

    Attributes:
        features: L_rec of Eq. 9.
        pixels: mean absolute difference of the pictures themselves, likewise at several sizes.
        total: `pixels` and the weighted `features`.
    """

    features: Tensor
    pixels: Tensor
    total: Tensor


def reconstruction_loss(
    rebuilt: Tensor,
    driving: Tensor,
    features: PerceptualFeatures,
    feature_weight: float = 0.1,
    scales: int = 2,
) -> Reconstruction:
    """L_rec (Eq. 9), and an L1 pyramid beside it.

    Eq. 9 sums absolute differences; here each layer counts by its mean, so that neither the size of
    the pictures nor the width of a layer decides what a layer weighs. Each picture is compared at
    its own size and halved, several times over. Features tell little of brightness and colour,
    which is what W and G must learn first: hence the pixels.

    Args:
        rebuilt: pictures, RGB in [0, 1], (N, 3, H, W).
        driving: the true ones, (N, 3, H, W).
        features: phi.
        feature_weight: of Eq. 9 in the total.
        scales: at how many sizes.

    Raises:
        ValueError: if rebuilt and true pictures differ in shape, or no scale is asked for.
    """
    if rebuilt.shape != driving.shape:
        raise ValueError(
            f"found {tuple(rebuilt.shape)} rebuilt for {tuple(driving.shape)} driving pictures: "
            "each is compared with its own"
        )
    if scales < 1:
        raise ValueError(f"pictures are compared at one size at least, found scales={scales}")
    layers, pixels = rebuilt.new_zeros(len(rebuilt)), rebuilt.new_zeros(len(rebuilt))
    for scale in range(scales):
        if scale:
            rebuilt, driving = F.avg_pool2d(rebuilt, 2), F.avg_pool2d(driving, 2)
        pairs = zip(features(rebuilt), features(driving.detach()), strict=True)
        layers = layers + sum(_distance(ours, true) for ours, true in pairs) / scales
        pixels = pixels + _distance(rebuilt, driving.detach()) / scales
    return Reconstruction(layers, pixels, pixels + feature_weight * layers)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference of each of N, (N,), in single precision at least."""
    dtype = torch.promote_types(one.dtype, torch.float32)
    return (one.to(dtype) - other.to(dtype)).abs().flatten(1).mean(1)
