"""Bones as places in a picture, and how each moved (Geometric Reconstruction, Sec. 3.3.2, Eq. 6-8).

One convention throughout: keypoints come in [0, 1] of the picture; from there on, places are in
[-1, 1] with x (right) before y (down), -1 and 1 being the outer edges of the picture. The centre of
pixel i of n is (2 i + 1) / n - 1, which is `grid_sample` with `align_corners=False`.

An affine map is a matrix [linear part, offset], (..., 2, 3): it takes (x, y, 1) to a place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from posenb.world.skeletons import Skeleton, check_joints

THICKNESS = 0.07  # sigma of Eq. 6 in [-1, 1]: half a limb is 3.5 % of the picture wide
SHORTEST = 0.01  # in [-1, 1]: half a pixel of 100; a shorter bone points nowhere
_EQUAL = 1e-5  # share of the variance: axes that differ by less count as equally long


def pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """The places of all pixels, (height, width, 2), with dtype and device of `like`."""
    x, y = (centres(count, like) for count in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def centres(count: int, like: Tensor) -> Tensor:
    """The places of the pixels along one side, (count,)."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1


def bone_ends(keypoints: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Places of the parents and of the children, (..., J, 2) each, of keypoints (..., K, 2).

    Raises:
        ValueError: if the keypoints are not those of the skeleton, or not in two dimensions.
    """
    check_joints(keypoints, skeleton)
    if keypoints.shape[-1] != 2:
        raise ValueError(f"keypoints must be (..., K, 2), found {tuple(keypoints.shape)}")
    parents, children = zip(*skeleton.bones, strict=True)
    places = 2 * keypoints - 1
    return places[..., parents, :], places[..., children, :]


def bone_maps(
    keypoints: Tensor,
    skeleton: Skeleton,
    height: int,
    width: int,
    thickness: float = THICKNESS,
    squared: bool = True,
) -> Tensor:
    """B_j: a ridge of height 1 along each bone (Eq. 6).

    The default is exp(-d^2 / sigma^2), d the distance to the bone. The paper prints
    exp(-d / sigma^2): there sigma^2 is a length, so that sigma is not the thickness that it is
    said to be (0.07 would draw lines of a sixth of a pixel of 64), and the ridge has a crease, at
    which the gradient jumps.

    Args:
        keypoints: in [0, 1] of the picture, (N, K, 2).
        skeleton: of the keypoints; says which are joined.
        height: h, pixels.
        width: w, pixels.
        thickness: sigma in [-1, 1].
        squared: False for the formula as printed.

    Returns:
        (N, J, h, w), in the order of `skeleton.bones`. The gradient is finite everywhere, at bones
        without length too.

    Raises:
        ValueError: if the keypoints are not those of the skeleton, or sigma is not positive.
    """
    if not thickness > 0:
        raise ValueError(f"the thickness of a bone is above 0, found {thickness}")
    parent, child = bone_ends(keypoints, skeleton)
    # x and y apart: along one of them everything is small, until both meet in the picture.
    (dx, dy), (from_x, from_y) = (
        part[..., None, None].unbind(-3) for part in (child - parent, parent)
    )  # (N, J, 1, 1) each
    away_x = centres(width, keypoints) - from_x  # (N, J, 1, w)
    away_y = centres(height, keypoints)[:, None] - from_y  # (N, J, h, 1)
    length = (dx.square() + dy.square()).clamp_min(1e-6)  # squared
    share = (away_x * (dx / length) + away_y * (dy / length)).clamp(0, 1)  # (N, J, h, w)
    distance = (away_x - share * dx).square() + (away_y - share * dy).square()  # squared
    if not squared:
        distance = (distance + 1e-12).sqrt()  # a root has no slope at 0
    return torch.exp(distance / -(thickness**2))


def middles(keypoints: Tensor, skeleton: Skeleton) -> Tensor:
    """mu_j: the places halfway between the ends of each bone, (..., J, 2)."""
    parent, child = bone_ends(keypoints, skeleton)
    return (parent + child) / 2


def moments(maps: Tensor, middle: Tensor, unit_mass: bool = True) -> Tensor:
    """The sum of Eq. 7: second moments of bone maps about the middles of the bones.

    Eq. 7 sums the map as it is. Its mass then counts as size, and A_base A_drv^-1 carries the root
    of the ratio of the two masses: a bone that is half as long in one picture makes the limb
    thinner, too. So the map is scaled to sum 1 first.

    Args:
        maps: (N, J, h, w), not negative.
        middle: mu_j, places, (N, J, 2).
        unit_mass: False for the sum as printed.

    Returns:
        (N, J, 2, 2).

    Raises:
        ValueError: if a map is empty: its bone is far outside of the picture.
    """
    mass = maps.sum((-2, -1))  # (N, J)
    if not (mass > 0).all():
        pair, bone = (~(mass > 0)).nonzero()[0].tolist()
        raise ValueError(
            f"{int((~(mass > 0)).sum())} bone maps are empty, the first is bone {bone} of picture "
            f"{pair}: is it outside of the picture? `missing` says which pictures to leave out, "
            "and `directed_transforms` needs no map"
        )
    weight = (maps / mass[..., None, None] if unit_mass else maps).flatten(2)  # (N, J, h w)
    pixels = pixel_centres(maps.shape[-2], maps.shape[-1], maps).flatten(0, 1)
    x, y = (pixels - middle[..., None, :]).unbind(-1)  # (N, J, h w) each
    # Sums rather than products of matrices, which autocast would round to three digits.
    across, both, down = ((weight * a * b).sum(-1) for a, b in ((x, x), (x, y), (y, y)))
    return torch.stack([across, both, both, down], -1).unflatten(-1, (2, 2))


def svd_transforms(maps: Tensor, middle: Tensor, unit_mass: bool = True) -> Tensor:
    """A_j = [U_j S_j^(1/2), mu_j] from bone maps (Eq. 7 as printed, but for the unit of mass).

    The trap: an SVD gives axes, not directions. U and -U fit equally well, and nothing ties the
    choice in one picture to that in the other, so A_base A_drv^-1 may turn a limb by 180 degrees.
    Here the first axis always points to the right (straight down where it is upright), which flips
    whenever a bone passes the vertical. `directed_transforms` knows parent and child and has no
    such choice.

    A symmetric matrix of 2 x 2 has its SVD in closed form. That is quicker than
    `torch.linalg.svd`, and its gradient stays finite where both singular values are equal: there
    every axis is as good as any other, and the angle counts as constant.

    Args:
        maps: (N, J, h, w).
        middle: mu_j, places, (N, J, 2).
        unit_mass: as in `moments`.

    Returns:
        (N, J, 2, 3); never a reflection.

    Raises:
        ValueError: as `moments`.
    """
    moment = moments(maps, middle, unit_mass)
    a, b, c = moment[..., 0, 0], moment[..., 0, 1], moment[..., 1, 1]
    mean, half = (a + c) / 2, (a - c) / 2  # (N, J)
    difference = half.square() + b.square()
    equal = difference <= (_EQUAL * mean).square()
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    angle = torch.atan2(torch.where(equal, zero, b), torch.where(equal, one, half)) / 2
    spread = torch.where(equal, zero, torch.where(equal, one, difference).sqrt())
    longer, shorter = (mean + spread).sqrt(), (mean - spread).clamp_min(_EQUAL * mean).sqrt()
    axis = torch.stack([angle.cos(), angle.sin()], -1)  # (N, J, 2)
    return _frame(axis, longer, shorter, middle)


def directed_transforms(
    keypoints: Tensor, skeleton: Skeleton, thickness: float = THICKNESS
) -> Tensor:
    """A_j of Eq. 7 in closed form from the directed bone: no maps, no SVD, no sign to choose.

    The first axis points from parent to child. A rod of length L has the variance L^2 / 12 along
    itself, and exp(-d^2 / sigma^2) has sigma^2 / 2 across; the sum of both is taken along. (A bone
    map has round caps too, which the rod leaves out: they make it look longer than it is.) So
    A_base A_drv^-1 takes ends to ends exactly where both bones are equally long, and nearly where
    one is foreshortened: the thickness keeps a bone that points at the camera from being stretched
    without end.

    A bone shorter than SHORTEST counts as pointing down, without a gradient of its direction; so
    the gradient is finite everywhere.

    Args:
        keypoints: in [0, 1] of the picture, (N, K, 2).
        skeleton: of the keypoints.
        thickness: sigma in [-1, 1].

    Returns:
        (N, J, 2, 3).

    Raises:
        ValueError: if the keypoints are not those of the skeleton, or sigma is not positive.
    """
    if not thickness > 0:
        raise ValueError(f"the thickness of a bone is above 0, found {thickness}")
    parent, child = bone_ends(keypoints, skeleton)
    bone = child - parent  # (N, J, 2)
    squared = bone.square().sum(-1)
    across = torch.full_like(squared, thickness / math.sqrt(2))
    along = (squared / 12 + across.square()).sqrt()
    down = torch.stack([torch.zeros_like(squared), torch.ones_like(squared)], -1)
    pointing = torch.where(squared[..., None] > SHORTEST**2, bone, down)
    axis = pointing / pointing.norm(dim=-1, keepdim=True)
    return _frame(axis, along, across, (parent + child) / 2)


def _frame(axis: Tensor, along: Tensor, across: Tensor, middle: Tensor) -> Tensor:
    """[along axis, across axis, middle], (..., 2, 3): the second axis is a quarter turn further."""
    normal = torch.stack([-axis[..., 1], axis[..., 0]], -1)
    return torch.stack([along[..., None] * axis, across[..., None] * normal, middle], -1)


def sampling_transforms(base: Tensor, driving: Tensor) -> Tensor:
    """Where in the base picture each bone's part of the driving picture comes from.

    A picture is warped by asking for every pixel of the new one where it was in the old one. So
    the map must take places of the driving picture to places of the base picture: back from the
    driving bone to the reference, then to the base bone, A_base A_drv^-1. The paper's
    A_drv A_base^-1 is the other way round and would move the limb away twice as far.

    Args:
        base: A_j of the base picture, (..., 2, 3).
        driving: A_j of the driving picture, (..., 2, 3).

    Returns:
        T_j, (..., 2, 3): takes places of the driving picture to places of the base picture.
    """
    (a, b), (c, d) = (row.unbind(-1) for row in driving[..., :2].unbind(-2))
    adjugate = torch.stack([d, -b, -c, a], -1).unflatten(-1, (2, 2))
    inverse = adjugate / (a * d - b * c)[..., None, None]  # (..., 2, 2)
    linear = (base[..., :2, None] * inverse[..., None, :, :]).sum(-2)
    offset = base[..., 2] - (linear * driving[..., None, :, 2]).sum(-1)  # (..., 2)
    return torch.cat([linear, offset[..., None]], -1)


def expand(transforms: Tensor, height: int, width: int) -> Tensor:
    """Affine maps of every pixel ('Expand' in Eq. 8).

    Args:
        transforms: (..., 2, 3).
        height: h, pixels.
        width: w, pixels.

    Returns:
        Places, (..., h, w, 2).
    """
    x, y = (centres(count, transforms)[:, None] for count in (width, height))  # (w, 1), (h, 1)
    by_x, by_y, offset = transforms[..., None, None, :, :].unbind(-1)  # (..., 1, 1, 2) each
    return (y[:, None] * by_y + offset) + x * by_x


def missing(keypoints: Tensor, skeleton: Skeleton, thickness: float = THICKNESS) -> Tensor:
    """Pictures without a person to rebuild: callers leave out those pairs, and count them.

    A person is there if at least one bone has a length and lies in the picture at least in part.

    Args:
        keypoints: in [0, 1] of the picture, (N, K, 2).
        skeleton: of the keypoints.
        thickness: sigma in [-1, 1]; half as far outside of the picture, a bone still shows.

    Returns:
        (N,) bool; True too where a keypoint is NaN or infinite.

    Raises:
        ValueError: if the keypoints are not those of the skeleton.
    """
    parent, child = bone_ends(keypoints, skeleton)
    share = torch.linspace(0, 1, 9, device=keypoints.device, dtype=keypoints.dtype)
    points = parent[..., None, :].lerp(child[..., None, :], share[:, None])  # (N, J, 9, 2)
    shown = (points.abs() < 1 + thickness / 2).all(-1).any(-1)  # (N, J)
    there = (shown & ((child - parent).norm(dim=-1) > SHORTEST)).any(-1)
    return ~(there & keypoints.isfinite().flatten(1).all(-1))
