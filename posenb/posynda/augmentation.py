"""Source poses put where the target's people are (PoSynDA, Sec. 3.2), and rivals of that.

Poses are root-relative windows (N, T, J, 3) in metres in the camera's frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from posenb.posynda.hypotheses import estimate_root, intrinsics, locatable, project
from posenb.posynda.windows import fill
from posenb.world.cameras import Camera
from posenb.world.rotations import vector_to_matrix
from posenb.world.skeletons import Skeleton

_NEAREST = 1.0  # metres: the root comes no nearer, or a hand would be behind the camera
_TELLING = 0.1  # metres: a pose that explains its 2D from nearer only does not explain it


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
    aim = aims(keypoints2d, root)
    missing = keypoints2d.isnan()
    high = keypoints2d.masked_fill(missing, -torch.inf).amax(2)  # (N, T, 2)
    low = keypoints2d.masked_fill(missing, torch.inf).amin(2)
    size = (high - low).mean((1, 2)).clamp(min=1e-6)  # (N,)
    extent = (joints3d.amax(2) - joints3d.amin(2))[..., :2].mean(1)  # (N, 2)
    depth = ((focal[:, 0] * extent).sum(-1) / (2 * size)).clamp(min=_NEAREST)  # (N,)
    side = depth[:, None, None] * (aim - center) / focal  # (N, T, 2)
    place = torch.cat([side, depth[:, None, None].expand(*side.shape[:2], 1)], -1)  # (N, T, 3)
    return put(joints3d, place, camera)


def aims(keypoints2d: Tensor, root: int) -> Tensor:
    """Keypoints of the root, (N, T, 2), where `align` puts people.

    Raises:
        ValueError: if one is missing.
    """
    found = keypoints2d[:, :, root]
    if found.isnan().any():
        raise ValueError(
            "the root joint is missing in some target frames: leave these windows out, fill it in, "
            "or take augment='lifted', which does without"
        )
    return found


def put(joints3d: Tensor, root: Tensor, camera: Camera) -> Placed:
    """Poses at places in the camera's frame, and how it sees them there.

    Args:
        joints3d: root-relative, (N, T, J, 3).
        root: (N, T, 3).
        camera: one, or N.
    """
    return Placed(project(joints3d + root[:, :, None], camera), joints3d, root)


def lifted_places(
    lifted: Tensor, keypoints2d: Tensor, camera: Camera, skeleton: Skeleton, length: float
) -> Tensor:
    """Where people are whose poses a lifter has found: our rival of F's depth. Not in the paper.

    F takes the distance from the size of a 2D box. That mixes how far somebody is with how small
    one looks who crouches, or is seen from above. A lifter knows the pose, and so how far away it
    must be (`estimate_root`). Where all the world looks smaller than at home it finds dwarfs near
    by; so they are grown to the size of people first. As in `align`, a window has one depth.

    A frame whose pose explains its 2D from nowhere before the camera has no say in that, and its
    root goes behind the middle of the joints seen; a window of such frames goes as far away as
    the median of the others.

    Args:
        lifted: root-relative poses of the target, metres, camera frame, (N, T, J, 3).
        keypoints2d: that they were lifted from, in the units of the camera, (N, T, J, 2); NaN
            where missing, be it the root.
        camera: one, or N.
        skeleton: of the J joints.
        length: of all bones together that people of the source have when the same lifter lifts
            them, metres; a mean of hypotheses has shorter ones than a body.

    Returns:
        Places of the root, metres, camera frame, (N, T, 3).

    Raises:
        ValueError: for wrong shapes, or a window in which no frame shows 2 joints.
    """
    there = locatable(keypoints2d)  # (N, T)
    if not there.any(1).all():
        raise ValueError("a window shows nobody, so nothing says where it is: leave it out")
    root = estimate_root(lifted[:, None], keypoints2d, camera)[:, 0]  # (N, T, 3)
    depth = root[..., 2:]  # (N, T, 1)
    tells = depth > _TELLING
    grown = length / total_length(lifted, skeleton).mean(1)  # (N,)
    far = grown[:, None, None] * depth.where(tells, torch.nan).nanmean(1, keepdim=True)  # (N, 1, 1)
    usual = far.nanmedian().nan_to_num(_NEAREST)
    far = far.where(~far.isnan(), usual).clamp(min=_NEAREST)
    focal, center = (v.to(lifted)[:, None] for v in intrinsics(camera, len(lifted)))  # (N, 1, 2)
    middle = (fill(keypoints2d).nanmean(2) - center) / focal  # (N, T, 2)
    sight = (root / depth).where(tells, torch.cat([middle, torch.ones_like(depth)], -1))
    return sight * far


def total_length(joints3d: Tensor, skeleton: Skeleton) -> Tensor:
    """Length of all bones together, (...), of poses (..., J, 3)."""
    return skeleton.bone_lengths(joints3d).sum(-1)


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
        bones: of `vary`.
        angle: of `vary`.
        depth: standard deviation of the logarithm of the distance.
        shift: standard deviation of the shift to the side, in distances.
    """
    poses = vary(joints3d, skeleton, random, bones, angle)
    moved = root * (depth * _normal(joints3d, random, 1)).exp()[:, None]  # along the line of sight
    side = shift * _normal(joints3d, random, 2)[:, None] * moved[..., 2:]
    moved = torch.cat([moved[..., :2] + side, moved[..., 2:].clamp(min=_NEAREST)], -1)
    return put(poses, moved, camera)


def vary(
    joints3d: Tensor,
    skeleton: Skeleton,
    random: torch.Generator,
    bones: float = 0.1,
    angle: float = 0.25,
) -> Tensor:
    """Other bodies, otherwise turned: poses (N, T, J, 3), one change a window.

    A turn stands for a camera that looks from elsewhere, as from higher up, which no place gives.

    Args:
        joints3d: source poses, root-relative, (N, T, J, 3).
        skeleton: of the J joints.
        random: of the draws.
        bones: standard deviation of the logarithm of bone lengths, the same left and right.
        angle: standard deviation of the rotation about each axis, radians.
    """
    change = (bones * _normal(joints3d, random, len(skeleton))).exp()  # (N, J): a bone by its child
    for left, right in skeleton.flip_pairs:
        change[:, right] = change[:, left]
    parents = torch.tensor(skeleton.parents, device=joints3d.device)
    above = joints3d[..., parents.clamp(min=0), :] * (parents >= 0)[:, None]
    vectors = joints3d - above  # (N, T, J, 3)
    chain = ancestry(skeleton).to(joints3d)  # (J, J)
    poses = chain @ (vectors * change[:, None, :, None])
    turn = vector_to_matrix(angle * _normal(joints3d, random, 3))
    return poses @ turn.mT[:, None]


def ancestry(skeleton: Skeleton) -> Tensor:
    """Matrix (J, J) that sums bones along the way from the root: joints = ancestry @ bones."""
    chain = torch.eye(len(skeleton))
    for joint in range(len(skeleton)):
        above = skeleton.parents[joint]
        while above >= 0:
            chain[joint, above] = 1
            above = skeleton.parents[above]
    return chain


def _normal(like: Tensor, random: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers, a set for each of `like`'s windows."""
    return torch.randn(len(like), *shape, generator=random, device=random.device).to(like)
