"""Which poses a body can take, and the nearest one to a pose that it cannot (Sec. 3.3.1).

The paper corrects lifted poses after its reference [36], "SemiHand" (Yang and others, ICCV 2021),
which makes the lengths of a hand's bones feasible, greedily down the tree. Ours differs. Ranges are
measured on poses of the source, so they serve any skeleton that is one tree; and they hold
directions as well as lengths. And each bone aims at where its joint was found, not along its old
direction: a joint that had to move does not carry along all that hangs on it. Last, the feasible
body is registered to what was found, so that an error near the root, whose bones say how the body
is turned, is not put on all the others.

A bone's direction is measured in a frame that is swung along from the bone above, without a twist
about it. There it has two angles, a turn about an axis and a lean towards it. The axis is the one
that the source's bones stay farthest away from: a knee's or a finger's hinge, and the two angles
then are flexion and abduction. (The plain angle between a bone and its parent does not tell a knee
bent forwards from one bent backwards.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from posenb.measure.keypoints import procrustes
from posenb.reconstruction.lifting import bone_scale
from posenb.world.clouds import PIECES
from posenb.world.filming import find, shots
from posenb.world.rendering import render
from posenb.world.skeletons import Skeleton, check_joints

_HALVINGS = 60  # of the interval in which a body's scale lies: to the last digit of a float64
_SMALLEST = 16  # pixels of pictures of which only the labels are wanted


@dataclass(frozen=True, eq=False)
class KinematicRanges:
    """What `measure` found, for the B bones of a skeleton.

    Attributes:
        lengths: least and largest length in units of `lifting.bone_scale`, (B, 2).
        axes: rows x, y, z in the frame of the bone above, (B, 3, 3): z is the axis of the turn, x
            the middle of the directions.
        angles: least and largest turn (from x to y) and lean (towards z), radians, (B, 2, 2).
        spanning: the two bones at the root by which the body's own frame is found.
        either_side: whether a mirrored pose (the other hand) is as good.
    """

    lengths: Tensor
    axes: Tensor
    angles: Tensor
    spanning: tuple[int, int]
    either_side: bool = False

    def __post_init__(self) -> None:
        """Check that some body has such lengths.

        Raises:
            ValueError: if none has.
        """
        low, high = self.lengths.unbind(-1)
        if not ((low > 0) & (low <= high)).all():
            raise ValueError("a bone's least length must be above 0 and at most its largest")
        if low.square().mean() > 1 or high.square().mean() < 1:
            raise ValueError(
                "no body has bones in these ranges: in units of its own scale their mean square "
                f"is 1, here it lies in {low.square().mean():g} to {high.square().mean():g}"
            )


def measure(
    joints3d: Tensor, skeleton: Skeleton, share: float = 0.99, mirrored: Tensor | None = None
) -> KinematicRanges:
    """Ranges of lengths and directions that poses of the source take.

    Args:
        joints3d: poses in any unit and frame, (N, K, 3).
        skeleton: of the poses, one tree.
        share: of the poses that is within each single range; 1: all.
        mirrored: of hands, (N,) bool: which are left ones. Then the ranges are those of the right
            hand, and serve both.

    Raises:
        ValueError: for no poses, other joints, values that are not finite, a bone of no length, a
            share outside of (0, 1], or a skeleton that is not one tree with two bones at its root.
    """
    _check(joints3d, skeleton)
    if not len(joints3d) or not 0 < share <= 1:
        raise ValueError(
            f"expected poses and a share in (0, 1], found {len(joints3d)} poses and {share}"
        )
    if mirrored is not None:
        joints3d = torch.where(mirrored[:, None, None], _mirror(joints3d), joints3d)
    ratios = skeleton.bone_lengths(joints3d) / bone_scale(joints3d, skeleton)[:, None]
    spanning = _spanning(joints3d, skeleton)
    directions = _directions(joints3d, skeleton, spanning)  # (N, B, 3)
    axes = _axes(directions)
    angles = _angles(torch.einsum("nbi,bji->nbj", directions, axes))  # (N, B, 2)
    lengths, angles = (_range(values, share) for values in (ratios, angles))
    return KinematicRanges(lengths, axes, angles, spanning, mirrored is not None)


def source_ranges(
    domain: str, skeleton: Skeleton, count: int = 2000, seed: int = 0, share: float = 0.99
) -> KinematicRanges:
    """`measure` on people or hands of a domain.

    Args:
        domain: the source.
        skeleton: of what it shows.
        count: number of poses.
        seed: which.
        share: as in `measure`.
    """
    joints = render(domain, count, seed, _SMALLEST).joints3d
    piece = shots(find(domain), count, seed).piece
    left = piece == PIECES.index("left_hand")
    hands = left | (piece == PIECES.index("right_hand"))
    return measure(joints, skeleton, share, left if hands.all() else None)


def correct(joints3d: Tensor, ranges: KinematicRanges, skeleton: Skeleton) -> Tensor:
    """Poses with all bones within the ranges (after SemiHand, the paper's [36]).

    Poses that are within the ranges stay; so does what was corrected, if it is so again. No
    gradient passes: the result is a label.

    Args:
        joints3d: poses, (N, K, 3), any unit and frame.
        ranges: of the same skeleton.
        skeleton: of the poses.

    Returns:
        (N, K, 3).

    Raises:
        ValueError: for other joints, ranges of another number of bones, values that are not finite,
            or a pose of no size.
    """
    _check(joints3d, skeleton)
    if len(ranges.lengths) != len(skeleton.bones):
        raise ValueError(
            f"found ranges of {len(ranges.lengths)} bones, but {skeleton.name} has "
            f"{len(skeleton.bones)}: measure them on poses of this skeleton"
        )
    joints3d = joints3d.detach()
    corrected = _correct(joints3d, ranges, skeleton)
    if not ranges.either_side:
        return corrected
    other = _mirror(_correct(_mirror(joints3d), ranges, skeleton))
    moved, moved_other = ((x - joints3d).square().sum((-2, -1)) for x in (corrected, other))
    return torch.where((moved <= moved_other)[:, None, None], corrected, other)


def _correct(joints: Tensor, ranges: KinematicRanges, skeleton: Skeleton) -> Tensor:
    """`correct` for one side."""
    lengths = _feasible_lengths(skeleton.bone_lengths(joints), ranges.lengths.to(joints))
    axes, angles = ranges.axes.to(joints), ranges.angles.to(joints)
    root = skeleton.parents.index(-1)
    frames = {root: _root_frame(joints, skeleton, ranges.spanning)}
    placed = {root: joints[:, root]}
    for bone, parent, child in _downwards(skeleton):
        frame = frames[parent]
        aim = _unit(joints[:, child] - placed[parent])
        seen = _inner(aim, frame) @ axes[bone].mT  # (N, 3), in the bone's own axes
        inner = _clamp(seen, angles[bone]) @ axes[bone]
        frames[child] = _swing(frame, inner)
        step = (frame @ inner[..., None]).squeeze(-1)
        placed[child] = placed[parent] + lengths[:, bone, None] * step
    feasible = torch.stack([placed[joint] for joint in range(len(skeleton))], 1)  # (N, K, 3)
    return procrustes(feasible, joints)


def _feasible_lengths(lengths: Tensor, ranges: Tensor) -> Tensor:
    """Lengths (N, B) within ranges (B, 2) in units of their own root mean square s.

    Clamping changes s, and s the ranges. So s is what solves mean(clamp(l / s)^2) = 1: the left
    side falls with s, from at least 1 where all bones are as long as they may to at most 1 where
    all are as short.
    """
    low, high = ranges.unbind(-1)
    least = (lengths / high).amin(-1, keepdim=True)  # (N, 1)
    largest = (lengths / low).amax(-1, keepdim=True)
    for _ in range(_HALVINGS):
        scale = (least + largest) / 2
        above = _clamped(lengths / scale, low, high).square().mean(-1, keepdim=True) > 1
        least, largest = torch.where(above, scale, least), torch.where(above, largest, scale)
    return scale * _clamped(lengths / scale, low, high)


def _clamped(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(values, low), high)


def _clamp(seen: Tensor, angles: Tensor) -> Tensor:
    """Directions (N, 3) in a bone's own axes with turn and lean (2, 2) in their ranges."""
    turn, lean = _angles(seen).unbind(-1)
    low, high = angles[0]
    # Of both ends of the range, that which is nearer around the circle.
    past_low, past_high = (
        (turn - end + math.pi).remainder(2 * math.pi) - math.pi for end in (low, high)
    )
    end = torch.where(past_low.abs() < past_high.abs(), low, high)
    turn = torch.where((turn >= low) & (turn <= high), turn, end)
    lean = _clamped(lean, *angles[1])
    flat = lean.cos()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), lean.sin()], -1)


def _angles(seen: Tensor) -> Tensor:
    """Turn and lean, (..., 2), of directions in their own axes, (..., 3)."""
    x, y, z = seen.unbind(-1)
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], -1)


def _axes(directions: Tensor) -> Tensor:
    """Axes (B, 3, 3) of directions (N, B, 3): z where they are least, x in their middle."""
    moments = torch.einsum("nbi,nbj->bij", directions, directions) / len(directions)
    z, u, v = torch.linalg.eigh(moments).eigenvectors.unbind(-1)  # (B, 3) each, the least first
    across = torch.stack([(directions * axis).sum(-1) for axis in (u, v)], -1)  # (N, B, 2)
    middle = across.div(across.norm(dim=-1, keepdim=True).clamp_min(1e-9)).mean(0)
    turn = torch.atan2(middle[:, 1], middle[:, 0])[:, None]  # (B, 1), from u to v
    x = turn.cos() * u + turn.sin() * v
    return torch.stack([x, torch.linalg.cross(z, x), z], -2)


def _range(values: Tensor, share: float) -> Tensor:
    """The middle share of values (N, ...), (..., 2)."""
    ends = values.new_tensor([(1 - share) / 2, (1 + share) / 2])
    return torch.quantile(values, ends, dim=0).movedim(0, -1)


def _directions(joints: Tensor, skeleton: Skeleton, spanning: tuple[int, int]) -> Tensor:
    """Directions of the bones in the frames of the bones above, (N, B, 3)."""
    units = _unit(skeleton.bone_vectors(joints))
    root = skeleton.parents.index(-1)
    frames = {root: _root_frame(joints, skeleton, spanning)}
    directions = torch.empty_like(units)
    for bone, parent, child in _downwards(skeleton):
        directions[:, bone] = _inner(units[:, bone], frames[parent])
        frames[child] = _swing(frames[parent], directions[:, bone])
    return directions


def _spanning(joints: Tensor, skeleton: Skeleton) -> tuple[int, int]:
    """Those two bones at the root, the longer one first, that always span the largest area."""
    vectors = skeleton.bone_vectors(joints) / bone_scale(joints, skeleton)[:, None, None]
    root = skeleton.parents.index(-1)
    at_root = [bone for bone, parent, _ in _downwards(skeleton) if parent == root]
    if len(at_root) < 2:
        raise ValueError(f"{skeleton.name} has {len(at_root)} bone at its root, expected 2 or more")
    at_root.sort(key=lambda bone: -float(vectors[:, bone].norm(dim=-1).mean()))

    def least_area(pair: tuple[int, int]) -> float:
        area = torch.linalg.cross(vectors[:, pair[0]], vectors[:, pair[1]]).norm(dim=-1)
        return float(area.quantile(0.01))

    return max(combinations(at_root, 2), key=least_area)


def _root_frame(joints: Tensor, skeleton: Skeleton, spanning: tuple[int, int]) -> Tensor:
    """The body's own frame in the world's, columns x, y, z, (N, 3, 3): x along the first bone."""
    x, other = (_unit(skeleton.bone_vectors(joints)[:, bone]) for bone in spanning)
    side = other - (other * x).sum(-1, keepdim=True) * x
    spare = torch.eye(3).to(x)[x.abs().argmin(-1)]  # for parallel bones: any that is not x
    spare = spare - (spare * x).sum(-1, keepdim=True) * x
    y = _unit(torch.where(side.norm(dim=-1, keepdim=True) > 1e-6, side, spare))
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _inner(directions: Tensor, frame: Tensor) -> Tensor:
    """Directions (N, 3) of the world in frames (N, 3, 3)."""
    return (frame.mT @ directions[..., None]).squeeze(-1)


def _swing(frame: Tensor, inner: Tensor) -> Tensor:
    """Frames turned the shortest way so that x points along a direction (N, 3) in them."""
    x, y, z = inner.unbind(-1)
    straight = (1 + x).clamp_min(1e-6)  # folded back exactly, there is no shortest way
    rows = [
        torch.stack([x, -y, -z], -1),
        torch.stack([y, 1 - y * y / straight, -y * z / straight], -1),
        torch.stack([z, -y * z / straight, 1 - z * z / straight], -1),
    ]
    half_turn = frame.new_tensor([-1.0, -1.0, 1.0]).diag()
    turn = torch.where((1 + x > 1e-6)[:, None, None], torch.stack(rows, -2), half_turn)
    return frame @ turn


def _downwards(skeleton: Skeleton) -> Iterator[tuple[int, int, int]]:
    """(bone, parent, child), every bone after the one above it."""
    numbers = {child: bone for bone, (_, child) in enumerate(skeleton.bones)}
    waiting = [skeleton.parents.index(-1)]
    while waiting:
        parent = waiting.pop(0)
        for child in (c for c, above in enumerate(skeleton.parents) if above == parent):
            yield numbers[child], parent, child
            waiting.append(child)


def _unit(vectors: Tensor) -> Tensor:
    """Directions of vectors (..., 3); that of no vector at all is x, as good as any."""
    length = vectors.norm(dim=-1, keepdim=True)
    return torch.where(length > 0, vectors / length, vectors.new_tensor([1.0, 0.0, 0.0]))


def _mirror(joints: Tensor) -> Tensor:
    """Poses in a mirror."""
    return joints * joints.new_tensor([-1.0, 1.0, 1.0])


def _check(joints: Tensor, skeleton: Skeleton) -> None:
    check_joints(joints, skeleton)
    if joints.ndim != 3 or joints.shape[-1] != 3:
        raise ValueError(f"expected poses (N, {len(skeleton)}, 3), found {tuple(joints.shape)}")
    if skeleton.parents.count(-1) != 1:
        raise ValueError(f"{skeleton.name} has {skeleton.parents.count(-1)} roots, expected one")
    bad = (~joints.isfinite()).flatten(1).any(1) | (bone_scale(joints, skeleton) == 0)
    if bad.any():
        number = int(bad.nonzero()[0])
        raise ValueError(
            f"pose {number} has joints that are not finite or all in one place; leave it out"
        )
