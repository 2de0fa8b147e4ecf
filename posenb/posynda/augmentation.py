"""Source poses put where the target's people are (PoSynDA, Sec. 3.2), and a plain rival of it.

Poses are root-relative windows (N, T, J, 3) in metres in the camera's frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from posenb.posynda.hypotheses import intrinsics, project
from posenb.world.cameras import Camera
from posenb.world.motion import quaternion_to_matrix, vector_to_quaternion
from posenb.world.skeletons import Skeleton

_NEAREST = 1.0  # metres: the root comes no nearer, or a hand would be behind the camera


class Placed(NamedTuple):
    """Poses with the keypoints that they have at a place.

    Attributes:
        keypoints: in the units of the camera, (N, T, J, 2).
        joints3d: root-relative, metres, camera frame, (N, T, J, 3).
        root: metres, camera frame, (N, T, 3).
    """

    keypoints: Tensor
    joints3d: Tensor
    root: Tensor


def align(joints3d: Tensor, keypoints2d: Tensor, camera: Camera, root: int = 0) -> Placed:
    """F of Eq. 3: pose n at the place and of the size of the target's person n.

    PoSynDA refers to PoseDA for F, whose global position alignment this is: with s the mean of
    width and height of the target's 2D box, and dx, dy the extents of the source's pose, the depth
    is z = (f_x dx + f_y dy) / (2 s), and (x, y) = z (target's 2D root - c) / f. Here s, dx and dy
    are means over the window, so that nobody is moved to and fro by swinging arms; the 2D root is
    followed frame by frame. What F cannot move is how high the camera looks from.

    Args:
        joints3d: source poses, root-relative, (N, T, J, 3).
        keypoints2d: target keypoints in the units of `camera`, (N, T, J, 2); NaN where missing,
            but the root has to be there.
        camera: the target's, one or N.
        root: index of the root joint.

    Raises:
        ValueError: for wrong shapes, or a missing root.
    """
    if joints3d.shape[:-1] != keypoints2d.shape[:-1] or joints3d.ndim != 4:
        raise ValueError(
            f"expected as many source poses (N, T, J, 3) as target keypoints (N, T, J, 2), found "
            f"{tuple(joints3d.shape)} and {tuple(keypoints2d.shape)}"
        )
    focal, center = (value.to(joints3d)[:, None] for value in intrinsics(camera, len(joints3d)))
    aim = keypoints2d[:, :, root]  # (N, T, 2)
    if aim.isnan().any():
        raise ValueError(
            "the root joint is missing in some target frames: leave these windows out, or fill in"
        )
    missing = keypoints2d.isnan()
    high = keypoints2d.masked_fill(missing, -torch.inf).amax(2)  # (N, T, 2)
    low = keypoints2d.masked_fill(missing, torch.inf).amin(2)
    size = (high - low).mean((1, 2)).clamp(min=1e-6)  # (N,)
    extent = (joints3d.amax(2) - joints3d.amin(2))[..., :2].mean(1)  # (N, 2)
    depth = ((focal[:, 0] * extent).sum(-1) / (2 * size)).clamp(min=_NEAREST)  # (N,)
    side = depth[:, None, None] * (aim - center) / focal  # (N, T, 2)
    place = torch.cat([side, depth[:, None, None].expand(*side.shape[:2], 1)], -1)  # (N, T, 3)
    return Placed(project(joints3d + place[:, :, None], camera), joints3d, place)


def jitter(
    joints3d: Tensor,
    root: Tensor,
    camera: Camera,
    skeleton: Skeleton,
    random: torch.Generator,
    bones: float = 0.1,
    angle: float = 0.25,
    depth: float = 0.25,
    shift: float = 0.1,
) -> Placed:
    """The sceptic's rival of F: random changes that know nothing of the target.

    After PoseAug (Gong et al., 2021): bone lengths, rotation and position, here drawn and not
    learned.

    Args:
        joints3d: source poses, root-relative, (N, T, J, 3).
        root: their true places in the source's camera, (N, T, 3): source labels.
        camera: the source's, one or N.
        skeleton: of the J joints.
        random: of all draws, one set a window.
        bones: standard deviation of the logarithm of bone lengths, the same left and right.
        angle: standard deviation of the rotation about each axis, radians.
        depth: standard deviation of the logarithm of the distance.
        shift: standard deviation of the shift to the side, in distances.
    """
    count, joints = len(joints3d), len(skeleton)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random, device=random.device).to(joints3d)

    change = (bones * normal(joints)).exp()  # (N, J), a bone being known by its child
    for left, right in skeleton.flip_pairs:
        change[:, right] = change[:, left]
    parents = torch.tensor(skeleton.parents, device=joints3d.device)
    above = joints3d[..., parents.clamp(min=0), :] * (parents >= 0)[:, None]
    vectors = joints3d - above  # (N, T, J, 3)
    chain = ancestry(skeleton).to(joints3d)  # (J, J)
    poses = chain @ (vectors * change[:, None, :, None])
    turn = quaternion_to_matrix(vector_to_quaternion(angle * normal(3)))  # (N, 3, 3)
    poses = poses @ turn.mT[:, None]
    moved = root * (depth * normal(1)).exp()[:, None]  # (N, T, 3): along the line of sight
    side = shift * normal(2)[:, None] * moved[..., 2:]
    moved = torch.cat([moved[..., :2] + side, moved[..., 2:].clamp(min=_NEAREST)], -1)
    return Placed(project(poses + moved[:, :, None], camera), poses, moved)


def ancestry(skeleton: Skeleton) -> Tensor:
    """Matrix (J, J) that sums bones along the way from the root: joints = ancestry @ bones."""
    chain = torch.eye(len(skeleton))
    for joint in range(len(skeleton)):
        above = skeleton.parents[joint]
        while above >= 0:
            chain[joint, above] = 1
            above = skeleton.parents[above]
    return chain
