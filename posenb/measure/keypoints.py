"""Errors and scores of predicted keypoints (explained in notebook 00).

Every function takes `predicted` and `target` of one shape (..., joints, dims), with any leading
batch shape and 2 or 3 dims, and an optional mask `visible`, boolean and broadcastable to
(..., joints). A joint that is not visible counts nowhere, and may hold anything, NaN included
(`world.skeletons.convert` marks missing joints so). Nothing else is ever left out: a joint at the
very edge of the image counts like any other.

Whatever is no tensor of such a shape raises ValueError, NumPy arrays included: `torch.as_tensor`
makes tensors of them. Poses in rows of numbers, (poses, 51), and coordinates before joints,
(poses, 3, 17), are refused with the way to reshape them.

`reduce=True` averages over all visible joints of all poses, each with the same weight, and gives
a scalar tensor; `reduce=False` averages over the poses only and gives one value a joint, (joints,).
Results are floating point, at least float32, on the device of the input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from posenb.measure.shapes import check_coordinates, check_tensor

__all__ = [
    "auc",
    "eval_pose",
    "eval_pose_chance",
    "joint_angles",
    "joint_triplets",
    "mean_squared_error",
    "mpjpe",
    "pa_mpjpe",
    "pck",
    "procrustes",
    "root_relative",
]


def pck(
    predicted: Tensor,
    target: Tensor,
    threshold: float | Tensor,
    visible: Tensor | None = None,
    reduce: bool = True,
) -> Tensor:
    """Percentage of correct keypoints, as a share in [0, 1].

    A joint is correct if its distance to the target is at most `threshold` (<=, as for MPII).
    With keypoints in [0, 1] of the crop, PCK@0.05 is `threshold=0.05`: 5 % of the image size.

    Args:
        predicted: keypoints, (..., joints, dims).
        target: keypoints in the same units and frame, (..., joints, dims).
        threshold: distance in the units of the keypoints; one number, or one a pose, (...), such
            as half the head size for PCKh.
        visible: joints to count, boolean, broadcastable to (..., joints); default all.
        reduce: one score (True) or one a joint (False).

    Returns:
        Share of correct joints, scalar or (joints,).

    Raises:
        ValueError: if shapes differ, a visible value is not finite, a threshold is negative or
            not finite, or nothing (for `reduce=False`: some joint nowhere) is visible.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    limit = torch.as_tensor(threshold, dtype=predicted.dtype, device=predicted.device)
    if not (torch.isfinite(limit) & (limit >= 0)).all():
        raise ValueError(f"threshold is {threshold}: expected finite distances of at least 0")
    if limit.ndim and limit.shape != predicted.shape[:-2]:
        raise ValueError(
            f"threshold has shape {tuple(limit.shape)}: expected one number, or one a pose, "
            f"{tuple(predicted.shape[:-2])}"
        )
    distance = (predicted - target).norm(dim=-1)  # (..., joints)
    return _mean_over_joints(distance <= limit[..., None], visible, reduce)


def mean_squared_error(
    predicted: Tensor,
    target: Tensor,
    image_size: float | tuple[float, float] = 1.0,
    visible: Tensor | None = None,
    reduce: bool = True,
) -> Tensor:
    """Mean squared distance between predicted and true joint, in pixels squared.

    It is what its name says: dx^2 + dy^2 in pixels, averaged over joints, neither halved (as the
    mean over coordinates would be) nor rooted.

    The field uses the name for another quantity, too. KeypointGAN's "%-MSE normalised by image
    size" on Simplified Human3.6M is, in its published code, the mean distance (not squared) in
    per cent of the image size: `100 * mpjpe(predicted, target)` for keypoints in [0, 1]. FlexPose
    feeds that detector, and its Table 2 ("mean square error in pixels") must be on such a scale:
    it reports 12.66 together with a PCK@10% of 0.000, but if every joint is off by more than
    12.8 of 128 pixels, then the squared error exceeds 163. Compare with that table through
    `mpjpe`, and say so.

    Args:
        predicted: keypoints in [0, 1] of the image, (..., joints, 2).
        target: the same, (..., joints, 2).
        image_size: pixels that 1.0 stands for: the side of a square image, or (width, height).
            The default leaves the units as they are, for keypoints that are in pixels already.
        visible: joints to count, boolean, broadcastable to (..., joints); default all.
        reduce: one error (True) or one a joint (False).

    Returns:
        Mean squared distance in pixels squared, scalar or (joints,).

    Raises:
        ValueError: if shapes differ, a visible value is not finite, `image_size` is not positive,
            or nothing (for `reduce=False`: some joint nowhere) is visible.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    scale = torch.as_tensor(image_size, dtype=predicted.dtype, device=predicted.device)
    if not (torch.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"image_size is {image_size}: expected a positive number of pixels")
    if scale.ndim and scale.shape != predicted.shape[-1:]:
        raise ValueError(
            f"image_size is {image_size}: expected one number, or one for each of the "
            f"{predicted.shape[-1]} coordinates"
        )
    squared = ((predicted - target) * scale).square().sum(-1)  # (..., joints)
    return _mean_over_joints(squared, visible, reduce)


def mpjpe(
    predicted: Tensor, target: Tensor, visible: Tensor | None = None, reduce: bool = True
) -> Tensor:
    """Mean per-joint position error: the mean distance, in the units of the input.

    `PoseSet.joints3d` is in metres; papers print millimetres. Their "protocol 1" places both
    roots at the origin first: `mpjpe(root_relative(predicted), root_relative(target))`.

    Args:
        predicted: joints, (..., joints, dims).
        target: joints in the same units and frame, (..., joints, dims).
        visible: joints to count, boolean, broadcastable to (..., joints); default all.
        reduce: one error (True) or one a joint (False).

    Returns:
        Mean distance, scalar or (joints,).

    Raises:
        ValueError: if shapes differ, a visible value is not finite, or nothing (for
            `reduce=False`: some joint nowhere) is visible.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    distance = (predicted - target).norm(dim=-1)  # (..., joints)
    return _mean_over_joints(distance, visible, reduce)


def pa_mpjpe(
    predicted: Tensor, target: Tensor, visible: Tensor | None = None, reduce: bool = True
) -> Tensor:
    """MPJPE after each pose has been aligned by `procrustes` ("protocol 2"), in input units.

    Takes, returns and raises what `mpjpe` does. Besides, ValueError if a pose has fewer than
    three visible joints: a similarity brings any two points into line, and the error would be 0.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    aligned = procrustes(predicted, target, visible)
    return _mean_over_joints((aligned - target).norm(dim=-1), visible, reduce)


def procrustes(predicted: Tensor, target: Tensor, visible: Tensor | None = None) -> Tensor:
    """Move each predicted pose onto its target by the best similarity (Umeyama, 1991).

    Rotation (never a reflection), one scale and a translation minimise the squared distance over
    the visible joints. A prediction that is a single point has no size, and lands on the mean of
    the target.

    Args:
        predicted: joints, (..., joints, dims).
        target: joints, (..., joints, dims).
        visible: joints to align by, boolean, broadcastable to (..., joints); default all.

    Returns:
        The aligned `predicted`, (..., joints, dims). Joints that are not visible are 0.

    Raises:
        ValueError: if shapes differ, a visible value is not finite, or a pose has fewer than
            three visible joints.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    count = visible.sum(-1)  # (...)
    if (count < 3).any():
        raise ValueError(
            f"{int((count < 3).sum())} of {count.numel()} poses have fewer than 3 visible joints: "
            "an alignment says nothing about them, leave them out"
        )
    weight = visible[..., None].to(predicted.dtype)  # (..., joints, 1)
    total = weight.sum(-2, keepdim=True)  # (..., 1, 1)
    target_mean = (weight * target).sum(-2, keepdim=True) / total  # (..., 1, dims)
    moving = weight * (predicted - (weight * predicted).sum(-2, keepdim=True) / total)
    fixed = weight * (target - target_mean)

    u, s, vh = torch.linalg.svd(moving.mT @ fixed)  # (..., dims, dims), (..., dims), as u
    # A negative determinant means that the best orthogonal matrix mirrors the pose: turning the
    # weakest direction round gives the best proper rotation.
    sign = torch.ones_like(s)
    sign[..., -1] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vh))
    rotation = (u * sign[..., None, :]) @ vh  # (..., dims, dims)
    size = moving.square().sum((-2, -1))  # (...)
    scale = torch.where(size > 0, (s * sign).sum(-1) / size, 0.0)  # (...)
    aligned: Tensor = scale[..., None, None] * moving @ rotation + target_mean
    return aligned.where(visible[..., None], 0.0)


def root_relative(keypoints: Tensor, root: int = 0) -> Tensor:
    """Place the joint `root` of every pose at the origin; (..., joints, dims) in and out.

    Raises:
        ValueError: if the shape is another one, or no joint has the index `root`.
    """
    check_coordinates("keypoints", keypoints)
    joints = keypoints.shape[-2]
    if not -joints <= root < joints:
        raise ValueError(f"root is joint {root}, but there are {joints}")
    return keypoints - keypoints[..., root, :].unsqueeze(-2)


def auc(
    predicted: Tensor,
    target: Tensor,
    visible: Tensor | None = None,
    reduce: bool = True,
    thresholds: Tensor | None = None,
) -> Tensor:
    """Area under the PCK curve, in [0, 1]: the mean PCK over evenly spaced thresholds.

    MPI-INF-3DHP's convention is 0, 5, ..., 150 mm on root-relative joints; this is the default,
    written in metres, the unit of `PoseSet.joints3d`. As in `pck`, a distance equal to the
    threshold is correct, so a perfect prediction scores 1 (with <, as some code has it, 30/31).

    Args:
        predicted: joints, (..., joints, dims).
        target: joints in the same units and frame, (..., joints, dims).
        visible: joints to count, boolean, broadcastable to (..., joints); default all.
        reduce: one score (True) or one a joint (False).
        thresholds: distances in the units of the joints, (steps,); `torch.arange(0, 151, 5)` if
            they are in millimetres.

    Returns:
        Area, scalar or (joints,).

    Raises:
        ValueError: for what `pck` raises it, and if there are no thresholds.
    """
    if thresholds is None:
        thresholds = torch.arange(0, 151, 5) / 1000  # (31,) metres
    check_tensor("thresholds", thresholds)
    if thresholds.ndim != 1 or thresholds.numel() == 0:
        raise ValueError(
            f"thresholds has shape {tuple(thresholds.shape)}: expected (steps,), not empty"
        )
    scores = [pck(predicted, target, float(step), visible, reduce) for step in thresholds]
    return torch.stack(scores).mean(0)


def joint_triplets(parents: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """The joints at which a skeleton bends: (parent, joint, child) for all that have both.

    Args:
        parents: parent of every joint, -1 for the root (`Skeleton.parents`).

    Returns:
        Index triplets; the middle one is the vertex of the angle. BODY17 has 13.

    Raises:
        ValueError: if no joint has both a parent and a child.
    """
    triplets = tuple(
        (parents[joint], joint, child)
        for child, joint in enumerate(parents)
        if joint >= 0 and parents[joint] >= 0
    )
    if not triplets:
        raise ValueError(f"no joint has both a parent and a child in parents={tuple(parents)}")
    return triplets


def joint_angles(keypoints: Tensor, triplets: Sequence[tuple[int, int, int]]) -> Tensor:
    """Angle between the two bones of each triplet (Effective Synthetic Data Sampling, Sec. 2.4).

    Both bones point away from the middle joint, so pi is a straight limb. Where one bone has no
    length, and so no direction, the angle is pi / 2; where both have none, 0. Of a joint that is
    missing (NaN) the angles are NaN.

    Args:
        keypoints: joints, (..., joints, dims).
        triplets: (end, vertex, end) joint indices, as `joint_triplets` gives them.

    Returns:
        Angles in radians in [0, pi], (..., triplets).

    Raises:
        ValueError: if the shape is another one, there are no triplets, or one names a joint that
            does not exist.
    """
    check_coordinates("keypoints", keypoints)
    keypoints = keypoints.to(torch.promote_types(keypoints.dtype, torch.float32))
    index = torch.as_tensor(triplets, dtype=torch.long, device=keypoints.device)
    if index.ndim != 2 or index.shape[1] != 3:
        raise ValueError(f"expected triplets (end, vertex, end) of joints, found {triplets!r}")
    joints = keypoints.shape[-2]
    if (index < 0).any() or (index >= joints).any():
        raise ValueError(f"triplets name joints up to {int(index.max())}, but there are {joints}")
    first, vertex, second = keypoints[..., index.T, :].unbind(-3)  # each (..., triplets, dims)
    first = normalize(first - vertex, dim=-1, eps=torch.finfo(keypoints.dtype).tiny)
    second = normalize(second - vertex, dim=-1, eps=torch.finfo(keypoints.dtype).tiny)
    # Kahan's formula: acos of the dot product loses half of the digits near 0 and pi, where
    # straight limbs are.
    return 2 * torch.atan2((first - second).norm(dim=-1), (first + second).norm(dim=-1))


def eval_pose(
    predicted: Tensor,
    target: Tensor,
    triplets: Sequence[tuple[int, int, int]],
    visible: Tensor | None = None,
    reduce: bool = True,
) -> Tensor:
    """EvalPose: cosine between predicted and true joint angles (Eff. Syn. Data Sampling, Eq. 3).

    Invariant to translation, rotation and scale of either pose. Angles are never negative, so
    the score is far above 0 for poses that have nothing to do with each other: show
    `eval_pose_chance` beside it, or better, the score against shuffled targets.

    Args:
        predicted: keypoints, (..., joints, dims).
        target: keypoints, (..., joints, dims).
        triplets: (end, vertex, end) joint indices. The paper does not list its own; we take
            `joint_triplets(skeleton.parents)`.
        visible: boolean, broadcastable to (..., joints); an angle counts if its three joints are
            visible. Default all.
        reduce: mean over poses (True) or one score a pose (False).

    Returns:
        Cosine in [0, 1], scalar or (...). A pose whose angles are all 0 scores 0.

    Raises:
        ValueError: if shapes differ, a visible value is not finite, `triplets` does not fit, or a
            pose has no angle with its three joints visible.
    """
    predicted, target, visible = _checked(predicted, target, visible)
    first, second = joint_angles(predicted, triplets), joint_angles(target, triplets)
    index = torch.as_tensor(triplets, device=visible.device)
    counted = visible[..., index].all(-1)  # (..., triplets)
    bare = ~counted.any(-1)  # (...)
    if bare.any():
        raise ValueError(
            f"{int(bare.sum())} of {bare.numel()} poses have no angle with three visible joints: "
            "leave them out"
        )
    score = cosine_similarity(first * counted, second * counted, dim=-1)  # (...)
    score = score.clamp(0, 1)  # rounding takes equal poses a little above 1
    return score.mean() if reduce else score


def eval_pose_chance(angles: int) -> float:
    """EvalPose that independent angles, uniform on [0, pi], reach on average.

    By symmetry and independence it is n m^2 with m = E[x_1 / |x|] for n angles. Writing 1 / |x|
    as (2 / sqrt(pi)) times the integral of exp(-t^2 |x|^2) over t > 0 makes the expectation a
    product over the angles, so m is a one-dimensional integral. It falls from 1 (one angle)
    towards E[x]^2 / E[x^2] = 3/4.

    Args:
        angles: number of angles in a pose, `len(triplets)`.

    Returns:
        The expected score, accurate to 1e-6.

    Raises:
        ValueError: if `angles` is less than 1.
    """
    if angles < 1:
        raise ValueError(f"angles is {angles}: expected at least 1")
    u = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096  # midpoints of (0, 1)
    t = u / (1 - u)  # the angles' scale cancels: they are uniform on [0, 1] here
    weighted = -torch.expm1(-t.square()) / (2 * t.square())  # E[x exp(-t^2 x^2)]
    plain = math.sqrt(math.pi) * torch.erf(t) / (2 * t)  # E[exp(-t^2 x^2)]
    integrand = weighted * plain ** (angles - 1) / (1 - u).square()
    return min(angles * (2 / math.sqrt(math.pi) * integrand.mean().item()) ** 2, 1.0)


def _checked(
    predicted: Tensor, target: Tensor, visible: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The three of one shape and floating point, with joints that are not visible set to 0."""
    check_coordinates("predicted", predicted)
    check_coordinates("target", target)
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)} and target {tuple(target.shape)}: "
            "expected one shape (..., joints, dims)"
        )
    if predicted.numel() == 0:
        raise ValueError(f"predicted and target are empty: shape {tuple(predicted.shape)}")
    if visible is None:
        visible = torch.ones(predicted.shape[:-1], dtype=torch.bool, device=predicted.device)
    check_tensor("visible", visible)
    if visible.dtype != torch.bool:
        raise ValueError(f"visible has dtype {visible.dtype}: expected bool, such as `flag > 0`")
    try:
        visible = visible.expand(predicted.shape[:-1])
    except RuntimeError as error:
        raise ValueError(
            f"visible has shape {tuple(visible.shape)}: expected {tuple(predicted.shape[:-1])}"
        ) from error
    if not visible.any():
        raise ValueError("no joint is visible: there is nothing to measure")
    dtype = torch.promote_types(predicted.dtype, target.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    shown = visible[..., None]
    predicted, target = (torch.where(shown, x.to(dtype), 0.0) for x in (predicted, target))
    for name, values in (("predicted", predicted), ("target", target)):
        bad = int((~torch.isfinite(values)).sum())
        if bad:
            raise ValueError(
                f"{name} has {bad} NaN or infinite values of {values.numel()} at visible joints: "
                "correct them, or mark their joints in `visible` as False"
            )
    return predicted, target, visible


def _mean_over_joints(values: Tensor, visible: Tensor, reduce: bool) -> Tensor:
    """Mean of `values` (..., joints) where visible: scalar, or (joints,) without `reduce`."""
    if not values.is_floating_point():
        values = values.to(torch.float32)
    if reduce:
        return values[visible].mean()
    joints = values.shape[-1]
    count = visible.reshape(-1, joints).sum(0)  # (joints,)
    if (count == 0).any():
        unseen = (count == 0).nonzero().flatten().tolist()
        raise ValueError(
            f"joints {unseen} are visible in no pose and have no mean: select the other joints"
        )
    return torch.where(visible, values, 0.0).reshape(-1, joints).sum(0) / count
