"""What others call joints, and the orders in which detectors and data sets write them.

A file's own names become a `Skeleton` of bare joints (`read`), so that `skeletons.convert` can make
the joints that are asked for; `LAYOUTS` holds the orders of tools that write numbers without names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from posenb.world.datasets.records import listed
from posenb.world.skeletons import (
    BODY17,
    BODY_COLORS,
    COCO17,
    FACE68,
    HAND21,
    INTERPOLATED,
    MPII16,
    OPENPOSE18,
    Skeleton,
)

__all__ = [
    "BY_COUNT",
    "LAYOUTS",
    "Part",
    "bare",
    "canonical",
    "layout",
    "named",
    "parts",
    "read",
    "unnamed",
]

SIDES = ("left", "right")
FEET = tuple(f"{side}_{part}" for side in SIDES for part in ("big_toe", "small_toe", "heel"))
HANDS = tuple(f"{side}_hand_{joint}" for side in SIDES for joint in HAND21.joints)

# WFLW's 98 landmarks as iBUG's 68: the jaw is twice as dense, brows and eyes have more points, and
# two pupils come last. (Position among the 98 of each of the 68.)
WFLW = (
    *range(0, 33, 2),
    *range(33, 38),
    *range(42, 47),
    *range(51, 60),
    *(60, 61, 63, 64, 65, 67),
    *(68, 69, 71, 72, 73, 75),
    *range(76, 96),
)


def _wflw() -> tuple[str, ...]:
    names = dict(zip(WFLW, FACE68.joints, strict=True))
    return tuple(names.get(i, f"landmark_{i}") for i in range(98))


def _sided(*parts: str) -> tuple[str, ...]:
    """Each part left, then right."""
    return tuple(f"{side}_{part}" for part in parts for side in SIDES)


LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "BODY17": BODY17.joints,
    "COCO17": COCO17.joints,
    "OPENPOSE18": OPENPOSE18.joints,
    "HAND21": HAND21.joints,
    "BODY_25": (  # OpenPose's default
        *OPENPOSE18.joints[:8],
        "pelvis",
        *OPENPOSE18.joints[8:],
        *FEET,
    ),
    "BODY_25B": (*COCO17.joints, "upper_neck", "head_top", *FEET),  # OpenPose's experimental one
    "HALPE26": (
        *COCO17.joints,
        *("head_top", "neck", "pelvis"),
        *_sided("big_toe", "small_toe", "heel"),
    ),
    "MEDIAPIPE33": (  # BlazePose
        "nose",
        *(f"{side}_eye{corner}" for side in SIDES for corner in ("_inner", "", "_outer")),
        *_sided("ear", "mouth", "shoulder", "elbow", "wrist", "little", "index"),
        *_sided("thumb", "hip", "knee", "ankle", "heel", "toe"),
    ),
    "FACE68": FACE68.joints,
    "WFLW98": _wflw(),
    "WHOLEBODY133": (*COCO17.joints, *FEET, *FACE68.joints, *HANDS),  # COCO-WholeBody
}
LAYOUTS = {**LAYOUTS, "HALPE136": (*LAYOUTS["HALPE26"], *FACE68.joints, *HANDS)}
# Orders by the number of joints, where a file does not name them. (OpenPose's 70 of a face are the
# 68 and two pupils.) BODY_25B has as many as BODY_25: detections tell them apart.
BY_COUNT: Mapping[int, tuple[str, ...]] = {
    **{len(LAYOUTS[key]): LAYOUTS[key] for key in LAYOUTS if key not in ("BODY17", "BODY_25B")},
    16: MPII16.joints,
    17: COCO17.joints,
    70: (*FACE68.joints, "right_pupil", "left_pupil"),
}
ANNOTATED = (17, 21, 26, 68, 98, 133, 136)  # counts that mean one order in annotations, too

# Other names of joints, without sides and without anything but letters and digits.
PARTS = {
    **{part: part for part in ("nose", "spine", "thorax", "neck", "pelvis", "head", "belly")},
    **{part: part for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")},
    **{part: part for part in ("heel", "foot", "toe", "hand", "finger", "clavicle", "mouth")},
    **dict.fromkeys(("headtop", "tophead", "topofhead", "crown", "vertex"), "head_top"),
    **dict.fromkeys(("headbottom", "bottomhead", "upperneck", "neckupper"), "upper_neck"),
    **dict.fromkeys(("root", "rootpelvis", "midhip", "hipcenter", "centerhip"), "pelvis"),
    **dict.fromkeys(("hips", "hipsmid", "spinebase", "midhips", "centerofhips"), "pelvis"),
    **dict.fromkeys(("midshoulder", "shouldercenter", "centershoulder", "spineshoulder"), "neck"),
    **dict.fromkeys(("torso", "spinemid", "midspine"), "spine"),
    **dict.fromkeys(("bigtoe", "toebig"), "big_toe"),
    **dict.fromkeys(("smalltoe", "littletoe", "toesmall"), "small_toe"),
    **dict.fromkeys(("footindex", "toes", "toebase"), "toe"),
    **dict.fromkeys(("collar", "clavicula"), "clavicle"),
    "sho": "shoulder",
    "elb": "elbow",
    "wri": "wrist",
    "ank": "ankle",
    "eyes": "eye",
    "ears": "ear",
    "neckbase": "nose",  # mmpose's name of Human3.6M's joint between neck and top of the head
}
PAIRED = {"shoulder", "elbow", "wrist", "knee", "ankle", "eye", "ear", "heel", "foot", "toe"}
PAIRED |= {"hand", "finger", "clavicle", "mouth", "big_toe", "small_toe"}
FINGERS = {
    **dict.fromkeys(("thumb",), "thumb"),
    **dict.fromkeys(("index", "indexfinger", "forefinger", "fore", "pointer"), "index"),
    **dict.fromkeys(("middle", "middlefinger"), "middle"),
    **dict.fromkeys(("ring", "ringfinger"), "ring"),
    **dict.fromkeys(("little", "littlefinger", "pinky", "pinkyfinger", "pinkie"), "little"),
}
STEPS = {"thumb": ("cmc", "mcp", "ip", "tip"), "": ("mcp", "pip", "dip", "tip")}


class Part(NamedTuple):
    """What of a file's joints makes one pose of a wanted skeleton.

    Attributes:
        name: "" for the person as a whole, else such as "left hand".
        columns: positions among the file's joints.
        skeleton: these joints, under the names of the wanted skeleton.
    """

    name: str
    columns: tuple[int, ...]
    skeleton: Skeleton


def bare(name: str, joints: Sequence[str]) -> Skeleton:
    """A skeleton of joints that hang on nothing: enough to convert from."""
    joints = tuple(joints)
    pairs = tuple(
        (i, joints.index("right_" + joint.removeprefix("left_")))
        for i, joint in enumerate(joints)
        if joint.startswith("left_") and "right_" + joint.removeprefix("left_") in joints
    )
    return Skeleton(name, joints, (-1,) * len(joints), pairs, ())


def layout(name: str) -> Skeleton:
    """The joints of a tool's order, such as BODY_25, as a skeleton to convert from.

    Raises:
        ValueError: if there is no such order.
    """
    if name.upper() not in LAYOUTS:
        raise ValueError(f"unknown layout {name!r}; known are {', '.join(LAYOUTS)}")
    return bare(name.upper(), LAYOUTS[name.upper()])


def named(joints: tuple[str, ...]) -> Skeleton:
    """A file's joints as bare joints, by the name of their order if it has one."""
    for key, order in LAYOUTS.items():
        if order == joints:
            return layout(key)
    return read(joints)


def unnamed(count: int) -> Skeleton | None:
    """The usual order of so many joints that annotations do not name, or None if none is usual."""
    return named(BY_COUNT[count]) if count in ANNOTATED else None


def canonical(name: str) -> str | None:
    """The house's name of a joint that others call `name`, or None if it is not known.

    Any spelling will do: `l_wrist`, `LWrist`, `left wrist`, `Left-Wrist`, `wrist_l`, `wrist.L`.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    if plain in KNOWN:
        return plain
    text = re.sub(r"([a-z])([A-Z])", r"\1_\2", name.strip())  # LeftWrist, wristL
    text = re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", text)  # LWrist
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    side, rest = _side(words)
    finger = _finger(rest)
    if finger is not None:
        return f"{side}_hand_{finger}" if side else finger
    part = PARTS.get(rest)
    if part in PAIRED:
        return f"{side}_{part}" if side else ("wrist" if part == "wrist" else None)
    if part == "hip":
        return f"{side}_hip" if side else "pelvis"
    return None if side else part


def _side(words: Sequence[str]) -> tuple[str, str]:
    """Left, right or "", and the other words as one."""
    for place, word in enumerate(words):
        if word in ("l", "left", "lft", "r", "right", "rgt"):
            side = "left" if word.startswith("l") else "right"
            return side, "".join([*words[:place], *words[place + 1 :]])
    joined = "".join(words)
    if joined not in PARTS and not _finger(joined):  # such as lwrist, leftwrist, wristr
        for mark in ("left", "right", "l", "r"):
            for rest in (joined.removeprefix(mark), joined.removesuffix(mark)):
                if rest != joined and rest in PARTS:
                    return "left" if mark.startswith("l") else "right", rest
    return "", joined


def _finger(text: str) -> str | None:
    """A joint of a hand: a finger's name with a step (1 to 4, or mcp, pip, dip, tip)."""
    if text in ("handroot", "handwrist"):
        return "wrist"
    text = text.removeprefix("hand")
    match = re.fullmatch(r"([a-z]+?)_?([1-4]|cmc|mcp|pip|dip|ip|tip)", text)
    finger = FINGERS.get(match[1]) if match else None
    if match is None or finger is None:
        return None
    steps = STEPS.get(finger, STEPS[""])
    if match[2].isdigit():
        return f"{finger}_{steps[int(match[2]) - 1]}"
    if match[2] in steps:
        return f"{finger}_{match[2]}"
    if finger == "thumb" and match[2] in STEPS[""]:  # thumb mcp, pip, dip, tip of some tools
        return f"{finger}_{steps[STEPS[''].index(match[2])]}"
    return None


KNOWN = {
    *(joint for names in LAYOUTS.values() for joint in names if not joint.startswith("landmark")),
    *BODY_COLORS,
    *_sided("foot", "toe", "finger"),
}


def read(names: Sequence[str], mapping: Mapping[str, str] | None = None) -> Skeleton:
    """A file's own joints under our names, in the file's order.

    A name that is not known, or whose joint is there already, is kept as it is. Two names depend
    on what else a file has: `head` is the top of the head (CrowdPose, ExLPose, Human3.6M) unless
    there is such a joint too, or a belly (JHMDB, whose head is the face, so a nose); `left_foot`
    is the ankle where the file has neither that ankle nor that toe.

    Args:
        names: as the file has them.
        mapping: names of the file -> ours, for what is not known or taken wrongly.

    Raises:
        ValueError: if `mapping` has a joint that the file does not name.
    """
    mapping = mapping or {}
    if strangers := [name for name in mapping if name not in names]:
        raise ValueError(
            f"mapping names {listed(strangers)}, but the file's joints are {listed(names, 12)}"
        )
    wanted = {name: canonical(joint) or joint for name, joint in mapping.items()}
    found = [wanted.get(name, canonical(name)) for name in names]
    given = set(wanted.values())
    for place, joint in enumerate(found):
        if names[place] in wanted or joint is None:
            continue
        if joint == "head" and "head_top" not in found:
            found[place] = "nose" if "belly" in found and "nose" not in found else "head_top"
        elif joint == "belly" and "spine" not in found:
            found[place] = "spine"
        elif joint.endswith("_foot"):
            side = joint.removesuffix("_foot")
            if f"{side}_ankle" not in found and f"{side}_toe" not in found:
                found[place] = f"{side}_ankle"
    joints: list[str] = []
    for name, joint in zip(names, found, strict=True):
        taken = joint is None or joint in joints or (joint in given and name not in wanted)
        joints.append(_free(name, joints) if taken or joint is None else joint)
    return bare("the file's joints", joints)


def _free(name: str, taken: Sequence[str]) -> str:
    """A name for a joint that is not known: its own, marked so that it is nothing of ours."""
    name, count = f"({name})", 1
    while (label := name if count == 1 else f"{name} {count}") in taken:
        count += 1
    return label


def parts(source: Skeleton, target: Skeleton) -> tuple[Part, ...]:
    """What to take from a file's joints for a wanted skeleton: one part, or two hands.

    Only joints that the wanted skeleton is made of count, so that a crop is drawn about them alone.

    Returns:
        Parts that have at least one joint of `target`, each with the columns that it needs.
    """
    if target.joints == HAND21.joints and any(joint in HANDS for joint in source.joints):
        return tuple(part for side in SIDES if (part := _hand(source, side)).columns)
    needed, names = _needed(target), source.joints
    columns = tuple(i for i, joint in enumerate(names) if joint in needed)
    return (Part("", columns, bare(source.name, [names[i] for i in columns])),) if columns else ()


def _hand(source: Skeleton, side: str) -> Part:
    """One hand of many joints; its wrist may be the arm's."""
    start = f"{side}_hand_"
    names = {joint: joint.removeprefix(start) for joint in source.joints if joint.startswith(start)}
    if names and "wrist" not in names.values() and f"{side}_wrist" in source.joints:
        names[f"{side}_wrist"] = "wrist"
    columns = tuple(source.index(joint) for joint in names)
    return Part(f"{side} hand", columns, bare(f"{source.name}, {side} hand", list(names.values())))


def _needed(target: Skeleton) -> set[str]:
    """Joints of `target` and all that its joints can be interpolated from."""
    needed, fresh = set(target.joints), list(target.joints)
    while fresh:
        for rule in INTERPOLATED.get(fresh.pop(), ()):
            new = [joint for joint in rule if joint not in needed]
            needed.update(new)
            fresh += new
    return needed
