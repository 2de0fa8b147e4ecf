"""Integrated pseudo-labels: which keypoints of a teacher are believed (Sec. 3.3.1).

2D evidence and 3D feasibility each choose keypoints, and in the end their union is learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from posenb.reconstruction.kinematics import KinematicRanges, correct
from posenb.reconstruction.lifting import bone_scale, lift
from posenb.reconstruction.networks import Detection
from posenb.world.cameras import Camera
from posenb.world.skeletons import Skeleton

CORRECT = 0.05  # of the picture's side: a label is correct within PCK@0.05 (Table 3b)


class PseudoLabels(NamedTuple):
    """What N pictures of the target are said to show.

    Attributes:
        keypoints: in [0, 1], (N, K, 2): the centres of h~, as the teacher found them.
        corrected: y~ = (u, v, d), (N, K, 3): place in [0, 1] and depth behind the root in units of
            the body's scale, of the corrected pose. NaN for poses that could not be lifted.
        mask_2d: which keypoints heat maps vouch for, (N, K) bool.
        mask_3d: which ones correction leaves in their place, (N, K) bool.
    """

    keypoints: Tensor
    corrected: Tensor
    mask_2d: Tensor
    mask_3d: Tensor

    @property
    def union(self) -> Tensor:
        """M of Eq. 3, (N, K) bool."""
        return self.mask_2d | self.mask_3d


@dataclass(frozen=True)
class Selection:
    """Which keypoints are believed.

    Attributes:
        quantile: of a batch's confidences; as many are left out (UniFrame has 0.5).
        threshold: gamma_2D: a constant in place of the quantile.
        shift: gamma_3D: what correction may move a keypoint by, as a share of the picture's side.
    """

    quantile: float = 0.5
    threshold: float | None = None
    shift: float = 0.01

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        if not 0 <= self.quantile <= 1 or not self.shift >= 0:
            raise ValueError(
                "quantile must be in [0, 1] and shift at least 0, found "
                f"{self.quantile} and {self.shift}"
            )


def pseudo_labels(
    found: Detection,
    camera: Camera,
    ranges: KinematicRanges,
    skeleton: Skeleton,
    selection: Selection = Selection(),
) -> PseudoLabels:
    """Pseudo-labels of a teacher's answers, without gradients.

    Args:
        found: by the teacher in N pictures.
        camera: of the pictures, in units of the crop, N or one.
        ranges: of the source's poses.
        skeleton: of the keypoints.
        selection: which are believed.

    Raises:
        ValueError: if joints, ranges and skeleton do not fit.
    """
    found = Detection(*(part.detach() for part in found))
    corrected = corrected_pose(found, camera, ranges, skeleton)
    return PseudoLabels(
        found.keypoints,
        corrected,
        mask_2d(found.confidence, selection.quantile, selection.threshold),
        mask_3d(found.keypoints, corrected, selection.shift),
    )


def mask_2d(confidence: Tensor, quantile: float = 0.5, threshold: float | None = None) -> Tensor:
    """M_2D: keypoints whose heat map is as high as it should be, (N, K) bool.

    The limit is a quantile over all keypoints of the batch as in UniFrame (Kim et al., ECCV 2022,
    the paper's [15]): as the teacher grows more confident, it grows, too, and never lets all
    through or none.

    Args:
        confidence: in [0, 1], (N, K), see `networks.confidence`.
        quantile: share that is left out.
        threshold: gamma_2D, a constant limit instead.
    """
    if not confidence.numel():
        return confidence > 0
    return confidence >= (confidence.quantile(quantile) if threshold is None else threshold)


def mask_3d(keypoints: Tensor, corrected: Tensor, shift: float) -> Tensor:
    """M_3D: keypoints that correction moves by at most gamma_3D in the picture, (N, K) bool.

    Args:
        keypoints: before, (N, K, 2).
        corrected: after, (N, K, 3), of `corrected_pose`.
        shift: gamma_3D, in the keypoints' units.
    """
    return (corrected[..., :2] - keypoints).norm(dim=-1) <= shift  # not so where it is NaN


def corrected_pose(
    found: Detection, camera: Camera, ranges: KinematicRanges, skeleton: Skeleton
) -> Tensor:
    """y~: the 2.5D pose of a feasible body, (N, K, 3), see `PseudoLabels.corrected`.

    The pose is lifted, corrected and projected back. How large the person is plays no part in it.
    """
    lifted = lift(found.keypoints, found.depth, camera, 1.0, skeleton)
    # Keypoints all in one place, or of NaN, are no pose.
    whole = lifted.isfinite().flatten(1).all(1) & (bone_scale(lifted, skeleton) > 0)
    pose = torch.full_like(lifted, torch.nan)
    if not whole.any():
        return pose
    feasible = lifted.clone()
    feasible[whole] = correct(lifted[whole], ranges, skeleton)
    far = camera.to_camera(feasible)[..., 2]  # (N, K)
    root = skeleton.parents.index(-1)
    depth = (far - far[:, root, None]) / bone_scale(feasible, skeleton)[:, None]
    seen = torch.cat([camera.project(feasible), depth[..., None]], -1)
    pose[whole] = seen[whole]
    return pose.where((far > 0)[..., None], torch.nan)  # nothing is seen behind the camera


def share_correct(
    labels: PseudoLabels, truth: Tensor, united: bool = True, threshold: float = CORRECT
) -> float:
    """Share of all keypoints that are chosen and right (Table 3b).

    Labels that are right and not used teach nothing, so the whole is all keypoints, not only the
    chosen ones: a mask that lets two sure keypoints through does not score 100 %.

    Args:
        labels: of N pictures.
        truth: keypoints in [0, 1], (N, K, 2); those outside of the picture do not count.
        united: of the union of the masks; else of M_2D alone.
        threshold: as a share of the picture's side.

    Raises:
        ValueError: if shapes differ, or no keypoint is in its picture.
    """
    if truth.shape != labels.keypoints.shape:
        raise ValueError(
            f"expected true keypoints {tuple(labels.keypoints.shape)}, found {tuple(truth.shape)}"
        )
    inside = ((truth >= 0) & (truth <= 1)).all(-1)
    if not inside.any():
        raise ValueError("no true keypoint is in its picture: are they in [0, 1] of it?")
    right = (labels.keypoints - truth).norm(dim=-1) <= threshold
    chosen = labels.union if united else labels.mask_2d
    return float((right & chosen)[inside].float().mean())
