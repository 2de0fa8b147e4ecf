"""Skeletons: which joints a dataset annotates, how they hang together, and their colours.

One bone keeps one colour in the whole course: it is known by its child joint, so `left_elbow` is
the left upper arm in every skeleton. Limbs of the left are warm, of the right cool, trunk and head
green to grey. People see them on white, networks on black (explained in notebook 01).
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "BODY17", "COCO17", "DHP17", "DHP28", "FACE68", "HAND21", "LSP14", "MPII16", "OPENPOSE18",
    "SMPL24", "Converted", "Skeleton", "convert", "flip", "get", "names",
]  # fmt: skip

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Skeleton:
    """Named joints in a fixed order, as a tree (FACE68: a forest, one root a contour).

    Attributes:
        name: what `get` knows it by.
        joints: joint names; "left" and "right" are the person's own.
        parents: index of each joint's parent, -1 for a root; any order, so a parent may come later.
        flip_pairs: index pairs that change places when the picture is mirrored.
        colors: RGB in [0, 1], one a bone, in the order of `bones`.
        thickness: width of a bone where nothing else is said, as a share of the image.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    colors: tuple[Color, ...]
    thickness: float = 0.05

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ValueError: if names repeat, parents do not form a tree, counts disagree, or bones have
                no thickness.
        """
        count = len(self.joints)
        if len(set(self.joints)) != count:
            raise ValueError(f"skeleton {self.name}: a joint name occurs twice in {self.joints}")
        if len(self.parents) != count or not all(-1 <= parent < count for parent in self.parents):
            raise ValueError(f"skeleton {self.name}: needs {count} parents in -1..{count - 1}")
        for joint in range(count):
            above, steps = joint, 0
            while above >= 0 and steps <= count:
                above, steps = self.parents[above], steps + 1
            if steps > count:
                raise ValueError(f"skeleton {self.name}: {self.joints[joint]} is its own ancestor")
        flipped = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(flipped)) != len(flipped) or not all(0 <= joint < count for joint in flipped):
            raise ValueError(f"skeleton {self.name}: a joint has two flip partners or none")
        if len(self.colors) != len(self.bones):
            raise ValueError(
                f"skeleton {self.name}: {len(self.colors)} colors for {len(self.bones)} bones"
            )
        if not self.thickness > 0:
            raise ValueError(
                f"skeleton {self.name}: thickness must be above 0, found {self.thickness}"
            )

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) for every joint with a parent, in the order of the joints."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def flip_order(self) -> tuple[int, ...]:
        """For each joint of a mirrored picture, the joint of the original that it is."""
        order = list(range(len(self)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def __len__(self) -> int:
        """Number of joints."""
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint.

        Raises:
            ValueError: if this skeleton has no such joint.
        """
        if joint not in self.joints:
            raise ValueError(f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    def bone_vectors(self, joints: Tensor) -> Tensor:
        """From the parent to the child of each of `bones`, (..., bones, D), of (..., J, D).

        Raises:
            ValueError: if the joints are not those of this skeleton.
        """
        check_joints(joints, self)
        parents, children = zip(*self.bones, strict=True)
        return joints[..., children, :] - joints[..., parents, :]

    def bone_lengths(self, joints: Tensor) -> Tensor:
        """Length of each of `bones`, (..., bones), in the units of joints (..., J, D)."""
        return self.bone_vectors(joints).norm(dim=-1)


@dataclass(frozen=True)
class Converted:
    """Keypoints in another skeleton, and where each joint came from.

    Attributes:
        keypoints: (..., J_target, D), NaN where a joint is missing.
        status: per target joint "exact", "interpolated" or "missing".
    """

    keypoints: Tensor
    status: tuple[str, ...]


# What stands in for a joint that the source does not name: alternatives, in each pose the first
# whose joints are known; each is a weighted sum of joints, which may be interpolated themselves.
INTERPOLATED: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "pelvis": ({"left_hip": 0.5, "right_hip": 0.5},),
    "neck": ({"thorax": 1.0}, {"left_shoulder": 0.5, "right_shoulder": 0.5}),
    "thorax": ({"neck": 1.0},),
    "spine": ({"pelvis": 0.5, "neck": 0.5},),
    "upper_neck": ({"neck": 2 / 3, "head_top": 1 / 3},),
    "head": ({"neck": 0.5, "head_top": 0.5},),
    "nose": ({"neck": 0.5, "head_top": 0.5},),
    "head_top": (
        {"left_ear": 0.8, "right_ear": 0.8, "neck": -0.6},
        {"left_ear": 1.6, "neck": -0.6},
        {"right_ear": 1.6, "neck": -0.6},
        {"nose": 2.0, "neck": -1.0},
    ),
}


def convert(keypoints: Tensor, source: Skeleton, target: Skeleton) -> Converted:
    """Keypoints of one skeleton in the joints of another.

    A joint that both name is copied ("exact": the name is the same, though datasets place the same
    joint up to a few centimetres apart). Otherwise it is "interpolated" (`INTERPOLATED`): pelvis =
    midpoint of the hips; neck = thorax, else midpoint of the shoulders; thorax = neck; spine =
    midpoint of pelvis and neck; upper_neck = neck + 1/3 of the way to head_top; head and nose =
    midpoint of neck and head_top (Human3.6M's nose lies there); head_top, the roughest, = 1.6 times
    as far from the neck as the ears (both, or the one that is known), else as far beyond the nose
    as that is from the neck. What is left is "missing" and NaN. A joint made of NaN is NaN.

    Args:
        keypoints: (..., J_source, D), any units and any D (the rules are linear).
        source: the skeleton of `keypoints`.
        target: the skeleton to make.

    Returns:
        Keypoints (..., J_target, D), differentiable in the input, and the status of each joint.

    Raises:
        ValueError: if `keypoints` does not have the joints of `source`.
    """
    check_joints(keypoints, source)
    joints, status = [], []
    for name in target.joints:
        joint = _joint(name, keypoints, source, frozenset())
        if joint is None:
            joints.append(torch.full_like(keypoints[..., 0, :], torch.nan))
            status.append("missing")
        else:
            joints.append(joint)
            status.append("exact" if name in source.joints else "interpolated")
    return Converted(torch.stack(joints, -2), tuple(status))  # (..., J_target, D)


def flip(keypoints: Tensor, skeleton: Skeleton) -> Tensor:
    """Mirror a crop: x becomes 1 - x, and left and right joints change names.

    Args:
        keypoints: in [0, 1] of the crop, (..., J, 2).
        skeleton: the skeleton of `keypoints`.

    Returns:
        Mirrored keypoints, (..., J, 2).

    Raises:
        ValueError: on a wrong joint count, or if the points are not two-dimensional.
    """
    check_joints(keypoints, skeleton)
    if keypoints.shape[-1] != 2:
        raise ValueError(f"flip mirrors 2D crops, found {keypoints.shape[-1]} coordinates a joint")
    mirrored = torch.stack([1 - keypoints[..., 0], keypoints[..., 1]], -1)
    return mirrored[..., list(skeleton.flip_order), :]


def check_joints(keypoints: Tensor, skeleton: Skeleton) -> None:
    """ValueError unless keypoints (..., J, D) have the joints of the skeleton."""
    if keypoints.ndim < 2 or keypoints.shape[-2] != len(skeleton):
        found = keypoints.shape[-2] if keypoints.ndim >= 2 else "no"
        raise ValueError(
            f"found {found} joints in keypoints of shape {tuple(keypoints.shape)}, but "
            f"{skeleton.name} has {len(skeleton)}: expected (..., {len(skeleton)}, D)"
        )


def _joint(name: str, keypoints: Tensor, source: Skeleton, asked: frozenset[str]) -> Tensor | None:
    """One joint, (..., D), copied or interpolated, or None; `asked` stops circular rules."""
    if name in source.joints:
        return keypoints[..., source.index(name), :]
    found: Tensor | None = None
    for rule in INTERPOLATED.get(name, ()) if name not in asked else ():
        total: Tensor | None = torch.zeros_like(keypoints[..., 0, :])
        for part, weight in rule.items():
            joint = _joint(part, keypoints, source, asked | {name})
            total = None if joint is None or total is None else total + weight * joint
        if total is not None:
            found = total if found is None else torch.where(found.isnan(), total, found)
    return found


# Joints of one colour never meet in one skeleton (an ear and a hand, a neck and a thorax).
BODY_COLORS: Mapping[str, Color] = {
    "spine": (0.1, 0.9, 0.0), "neck": (0.7, 0.8, 0.0), "thorax": (0.7, 0.8, 0.0),
    "nose": (0.0, 0.7, 0.3), "head": (0.0, 0.7, 0.3), "upper_neck": (0.0, 0.7, 0.3),
    "head_top": (0.75, 0.75, 0.75), "spine2": (0.5, 0.85, 0.4), "spine3": (0.3, 0.65, 0.0),
    "spine4": (0.2, 0.7, 0.5), "lower_spine": (0.1, 0.9, 0.0), "middle_spine": (0.5, 0.85, 0.4),
    "upper_spine": (0.3, 0.65, 0.0), "left_shoulder": (1.0, 0.5, 0.0),
    "left_elbow": (1.0, 0.0, 0.0), "left_wrist": (1.0, 0.5, 0.8), "left_hip": (0.8, 0.7, 0.4),
    "left_knee": (1.0, 0.0, 0.6), "left_ankle": (0.85, 0.25, 0.35),
    "left_clavicle": (1.0, 0.5, 0.3), "left_eye": (1.0, 0.5, 0.3), "left_hand": (1.0, 0.0, 0.3),
    "left_ear": (1.0, 0.0, 0.3), "left_foot": (0.7, 0.2, 0.5), "left_toe": (0.8, 0.3, 0.0),
    "right_shoulder": (0.0, 0.7, 0.8), "right_elbow": (0.0, 0.3, 1.0),
    "right_wrist": (0.5, 0.8, 0.9), "right_hip": (0.5, 0.5, 1.0), "right_knee": (0.75, 0.3, 1.0),
    "right_ankle": (0.3, 0.15, 1.0), "right_clavicle": (0.2, 0.6, 1.0),
    "right_eye": (0.2, 0.6, 1.0), "right_hand": (0.0, 0.4, 0.7), "right_ear": (0.0, 0.4, 0.7),
    "right_foot": (0.6, 0.4, 0.7), "right_toe": (0.3, 0.3, 0.7),
}  # fmt: skip


def _body(name: str, tree: Mapping[str, str | None]) -> Skeleton:
    """A body skeleton from joint -> parent, in the dataset's order."""
    joints = tuple(tree)
    return Skeleton(
        name,
        joints,
        tuple(-1 if parent is None else joints.index(parent) for parent in tree.values()),
        tuple(
            (i, joints.index("right_" + joint.removeprefix("left_")))
            for i, joint in enumerate(joints)
            if joint.startswith("left_")
        ),
        tuple(BODY_COLORS[joint] for joint, parent in tree.items() if parent is not None),
    )


def _shades(hue: float, count: int) -> tuple[Color, ...]:
    """One hue from dark and full to bright and pale, as many steps as a chain has bones."""
    steps = [step / max(count - 1, 1) for step in range(count)]
    return tuple(colorsys.hsv_to_rgb(hue, 1 - 0.65 * t, 0.6 + 0.4 * t) for t in steps)


# Human3.6M's 17, the skeleton of all our domains
BODY17 = _body("BODY17", {
    "pelvis": None, "right_hip": "pelvis", "right_knee": "right_hip", "right_ankle": "right_knee",
    "left_hip": "pelvis", "left_knee": "left_hip", "left_ankle": "left_knee",
    "spine": "pelvis", "neck": "spine", "nose": "neck", "head_top": "nose",
    "left_shoulder": "neck", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
    "right_shoulder": "neck", "right_elbow": "right_shoulder", "right_wrist": "right_elbow",
})  # fmt: skip

# no pelvis and no neck: shoulders hang on the nose, hips on the shoulders
COCO17 = _body("COCO17", {
    "nose": None, "left_eye": "nose", "right_eye": "nose",
    "left_ear": "left_eye", "right_ear": "right_eye",
    "left_shoulder": "nose", "right_shoulder": "nose",
    "left_elbow": "left_shoulder", "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow", "right_wrist": "right_elbow",
    "left_hip": "left_shoulder", "right_hip": "right_shoulder",
    "left_knee": "left_hip", "right_knee": "right_hip",
    "left_ankle": "left_knee", "right_ankle": "right_knee",
})  # fmt: skip

# MPII Human Pose, joint ids 0 to 15
MPII16 = _body("MPII16", {
    "right_ankle": "right_knee", "right_knee": "right_hip", "right_hip": "pelvis",
    "left_hip": "pelvis", "left_knee": "left_hip", "left_ankle": "left_knee",
    "pelvis": None, "thorax": "pelvis", "upper_neck": "thorax", "head_top": "upper_neck",
    "right_wrist": "right_elbow", "right_elbow": "right_shoulder", "right_shoulder": "thorax",
    "left_shoulder": "thorax", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
})  # fmt: skip

# Leeds Sports Pose: no pelvis, hips hang on the shoulders as in COCO17
LSP14 = _body("LSP14", {
    "right_ankle": "right_knee", "right_knee": "right_hip", "right_hip": "right_shoulder",
    "left_hip": "left_shoulder", "left_knee": "left_hip", "left_ankle": "left_knee",
    "right_wrist": "right_elbow", "right_elbow": "right_shoulder", "right_shoulder": "neck",
    "left_shoulder": "neck", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
    "neck": None, "head_top": "neck",
})  # fmt: skip

# MPI-INF-3DHP, all 28 joints of annot.mat; the root is joint 4
DHP28 = _body("DHP28", {
    "spine3": "spine2", "spine4": "spine3",
    "spine2": "spine", "spine": "pelvis", "pelvis": None,
    "neck": "spine4", "head": "neck", "head_top": "head",
    "left_clavicle": "neck", "left_shoulder": "left_clavicle", "left_elbow": "left_shoulder",
    "left_wrist": "left_elbow", "left_hand": "left_wrist",
    "right_clavicle": "neck", "right_shoulder": "right_clavicle", "right_elbow": "right_shoulder",
    "right_wrist": "right_elbow", "right_hand": "right_wrist",
    "left_hip": "pelvis", "left_knee": "left_hip", "left_ankle": "left_knee",
    "left_foot": "left_ankle", "left_toe": "left_foot",
    "right_hip": "pelvis", "right_knee": "right_hip", "right_ankle": "right_knee",
    "right_foot": "right_ankle", "right_toe": "right_foot",
})  # fmt: skip

# MPI-INF-3DHP's test set and evaluation; the root is joint 14
DHP17 = _body("DHP17", {
    "head_top": "head",
    "neck": "spine", "right_shoulder": "neck", "right_elbow": "right_shoulder",
    "right_wrist": "right_elbow",
    "left_shoulder": "neck", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
    "right_hip": "pelvis", "right_knee": "right_hip", "right_ankle": "right_knee",
    "left_hip": "pelvis", "left_knee": "left_hip", "left_ankle": "left_knee",
    "pelvis": None, "spine": "pelvis",
    "head": "neck",
})  # fmt: skip

# SMPL's joints; its head is the base of the skull, the spine's joints are its own
SMPL24 = _body("SMPL24", {
    "pelvis": None, "left_hip": "pelvis", "right_hip": "pelvis",
    "lower_spine": "pelvis",
    "left_knee": "left_hip", "right_knee": "right_hip",
    "middle_spine": "lower_spine",
    "left_ankle": "left_knee", "right_ankle": "right_knee",
    "upper_spine": "middle_spine",
    "left_foot": "left_ankle", "right_foot": "right_ankle",
    "neck": "upper_spine",
    "left_clavicle": "upper_spine", "right_clavicle": "upper_spine",
    "head": "neck",
    "left_shoulder": "left_clavicle", "right_shoulder": "right_clavicle",
    "left_elbow": "left_shoulder", "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow", "right_wrist": "right_elbow",
    "left_hand": "left_wrist", "right_hand": "right_wrist",
})  # fmt: skip

# OpenPose's COCO model: COCO's joints and the shoulders' midpoint as a neck
OPENPOSE18 = _body("OPENPOSE18", {
    "nose": "neck", "neck": None, "right_shoulder": "neck", "right_elbow": "right_shoulder",
    "right_wrist": "right_elbow",
    "left_shoulder": "neck", "left_elbow": "left_shoulder", "left_wrist": "left_elbow",
    "right_hip": "neck", "right_knee": "right_hip", "right_ankle": "right_knee",
    "left_hip": "neck", "left_knee": "left_hip", "left_ankle": "left_knee",
    "right_eye": "nose", "left_eye": "nose",
    "right_ear": "right_eye", "left_ear": "left_eye",
})  # fmt: skip


def _hand() -> Skeleton:
    """Wrist and four joints a finger; one hue a finger, paler towards the tip.

    A mirrored hand is the other hand, joint by joint, so nothing changes places.
    """
    fingers = {"thumb": 0.0, "index": 0.11, "middle": 0.33, "ring": 0.55, "little": 0.8}
    joints, parents, colors = ["wrist"], [-1], list[Color]()
    for finger, hue in fingers.items():
        parts = ("cmc", "mcp", "ip", "tip") if finger == "thumb" else ("mcp", "pip", "dip", "tip")
        for step, part in enumerate(parts):
            parents.append(0 if step == 0 else len(joints) - 1)
            joints.append(f"{finger}_{part}")
        colors += _shades(hue, 4)
    return Skeleton("HAND21", tuple(joints), tuple(parents), (), tuple(colors))


def _face() -> Skeleton:
    """The 68 landmarks of iBUG: every contour a chain with its own root and hue, in landmark order.

    A tree has no cycles, so eyes and lips stay open between their last and first landmark. Lines
    are half as thick as a body's: at 64 pixels an open eye is three pixels high.
    """
    contours = {  # first landmark, count, hue
        "jaw": (0, 17, 0.33),
        "right_brow": (17, 5, 0.5),
        "left_brow": (22, 5, 0.08),
        "nose": (27, 9, 0.23),
        "right_eye": (36, 6, 0.6),
        "left_eye": (42, 6, 0.0),
        "outer_lip": (48, 12, 0.85),
        "inner_lip": (60, 8, 0.73),
    }
    joints, parents, colors = list[str](), list[int](), list[Color]()
    for contour, (first, count, hue) in contours.items():
        joints += [f"{contour}_{step}" for step in range(count)]
        parents += [-1, *range(first, first + count - 1)]
        colors += _shades(hue, count - 1)
    # The nostrils run from right (31) to left (35) below the tip (30): hang them on their middle.
    parents[31:36] = [32, 33, 30, 33, 34]
    mirrored = [  # runs of landmarks and their partners, first with last
        (range(0, 8), range(16, 8, -1)),
        (range(17, 22), range(26, 21, -1)),
        (range(31, 33), range(35, 33, -1)),
        (range(36, 40), range(45, 41, -1)),
        (range(40, 42), range(47, 45, -1)),
        (range(48, 51), range(54, 51, -1)),
        (range(55, 57), range(59, 57, -1)),
        (range(60, 62), range(64, 62, -1)),
        (range(65, 66), range(67, 66, -1)),
    ]
    pairs = [pair for one, other in mirrored for pair in zip(one, other, strict=True)]
    return Skeleton("FACE68", tuple(joints), tuple(parents), tuple(pairs), tuple(colors), 0.025)


HAND21 = _hand()
FACE68 = _face()
_ALL = {
    s.name: s
    for s in (BODY17, COCO17, MPII16, LSP14, DHP28, DHP17, SMPL24, OPENPOSE18, HAND21, FACE68)
}


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_ALL)


def get(name: str) -> Skeleton:
    """A skeleton by its name, in capitals or not.

    Raises:
        ValueError: if there is no such skeleton.
    """
    if name.upper() not in _ALL:
        raise ValueError(f"unknown skeleton {name!r}; known are {', '.join(_ALL)}")
    return _ALL[name.upper()]
