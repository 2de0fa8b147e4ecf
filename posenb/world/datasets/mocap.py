"""Motion capture of one's own: BVH, and AMC with its ASF, as joints and as a clip of `motion`.

A film of joints has no camera and is no set of poses in pictures, so it is not among
`datasets.load`'s: `load` gives joints in metres, `clip` the rotations that `world.motion` moves by.
BVH is read here because the kept reader, pybvh 0.9, refuses joints with positions of their own,
which many exporters write; where it reads a file, both agree to 1e-13.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posenb.world import motion
from posenb.world.datasets import joints
from posenb.world.datasets.records import DatasetError, listed, parse_number, read_file
from posenb.world.datasets.sequences import body
from posenb.world.skeletons import BODY17

__all__ = ["Recording", "clip", "load"]

ORIGIN = "BVH files begin with HIERARCHY; AMC files need the .asf of their subject beside them"
UNITS = {  # metres of one unit; of CMU's AMC it is an inch / 0.45
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": 0.0254,
    "inches / 0.45": 0.0254 / 0.45,
}
LEG = 0.83  # metres of thigh and shank of an adult
AMC_RATE = 120.0  # frames a second of CMU's recordings; AMC files do not say

# What rigs call the joint at which a bone begins, without sides; the first that a file has counts.
NAMES: Mapping[str, tuple[str, ...]] = {
    "pelvis": ("hips", "pelvis", "root", "hip"),
    "hip": ("upleg", "thigh", "upperleg", "uplegroll", "femur", "hip", "hipjoint"),
    "knee": ("leg", "shin", "calf", "lowleg", "lowerleg", "tibia", "knee"),
    "ankle": ("foot", "ankle"),
    "shoulder": ("arm", "uparm", "upperarm", "shldr", "humerus", "shoulder"),
    "elbow": ("forearm", "lowarm", "lowerarm", "radius", "elbow"),
    "wrist": ("hand", "wrist"),
    "neck": ("neck", "neck01", "neck1", "lowerneck"),
    "head": ("head",),
}
SIDED = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
BONE_ENDS = {  # of AMC's bones, the joint at which each ends
    **{f"{side[0]}{bone}": f"{side}_{joint}" for side in ("left", "right") for bone, joint in (
        ("hipjoint", "hip"), ("femur", "knee"), ("tibia", "ankle"), ("clavicle", "shoulder"),
        ("humerus", "elbow"), ("radius", "wrist"))},
    **{"root": "pelvis", "thorax": "neck", "head": "head_top"},
}  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Recording:
    """Joints of one person.

    Attributes:
        name: of the file, without its ending.
        fps: frames a second.
        joints3d: metres, y up, BODY17, (F, 17, 3), 0 where not `valid`. Pelvis, neck and limbs are
            the file's own, and the spine if a joint is near the middle of the trunk; head top and
            nose are made of the head.
        valid: (F, 17) bool.
    """

    name: str
    fps: float
    joints3d: Tensor
    valid: Tensor

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.joints3d)


@dataclass
class _Joint:
    """A joint of a BVH file."""

    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...] = ()


def load(
    path: str | Path,
    skeleton: str | Path | None = None,
    fps: float | None = None,
    unit: float | None = None,
) -> Recording:
    """The joints of a BVH or AMC file.

    Args:
        path: a .bvh file, or a .amc file.
        skeleton: the .asf file of an .amc; None takes the only one in its folder.
        fps: frames a second of an .amc, which does not say; None: 120, as CMU's are. A BVH says.
        unit: metres of one unit of length; None takes of metres, centimetres, millimetres, inches
            and CMU's unit the one in which the legs are nearest to an adult's.

    Raises:
        ValueError: if an argument is out of range.
        DatasetError: if a file is missing, damaged, or names no body that is known.
    """
    path = Path(path).expanduser()
    for name, value in (("fps", fps), ("unit", unit)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}, expected a number above 0")
    content = read_file(path, ORIGIN).decode("utf-8-sig", errors="replace")
    if content.lstrip()[:9].upper() == "HIERARCHY":
        places, rate = _bvh(path, content)
    else:
        places, rate = _amc(path, content, skeleton), fps or AMC_RATE
    names, found = tuple(places), torch.from_numpy(np.stack(list(places.values()), 1))
    found = _upright(found, names) * (unit or _unit(path, found, names))  # (F, J, 3) metres
    source = joints.bare(path.name, names)
    made, masked = body(path, "motion", found, source)
    if masked:
        log.warning("%s: %d joints are no body's and masked", path, masked)
    valid = made.isfinite().all(-1)  # (F, 17)
    known = made.where(valid[..., None], 0.0).float()
    return Recording(path.stem, rate, known, valid)


def clip(recording: Recording, action: str = "unknown") -> motion.Clip:
    """A recording moved onto the skeleton of `world.motion`, whose bones have their own lengths.

    Pelvis and chest turn as hips and shoulders do, limbs and head point where they point; knees and
    elbows bend in the plane of their two bones. Hands and feet, which BODY17 does not have, keep
    still. The root is scaled by the length of the legs, so that feet do not slide.

    Args:
        recording: from `load`.
        action: label.

    Raises:
        ValueError: if a joint is not valid in some frame.
    """
    if not recording.valid.all():
        frame = int((~recording.valid).any(1).nonzero()[0])
        raise ValueError(f"{recording.name}: frame {frame} lacks joints: cut it out first")
    points = {name: recording.joints3d[:, i].double() for i, name in enumerate(BODY17.joints)}
    world: dict[str, Tensor] = {}  # rotation of each joint, (F, 3, 3)

    def between(start: str, end: str) -> Tensor:
        return points[end] - points[start]

    world["pelvis"] = _frame(between("pelvis", "spine"), between("left_hip", "right_hip"))
    world["spine"] = _frame(between("spine", "neck"), between("left_shoulder", "right_shoulder"))
    world["neck"] = _frame(between("neck", "head_top"), world["spine"][..., 2])
    for side in ("left", "right"):
        for joint, middle, end, parent in (
            ("hip", "knee", "ankle", "pelvis"),
            ("shoulder", "elbow", "wrist", "spine"),
        ):
            upper = between(f"{side}_{joint}", f"{side}_{middle}")
            lower = between(f"{side}_{middle}", f"{side}_{end}")
            hinge = _hinge(upper, lower, world[parent][..., 2])
            world[f"{side}_{joint}"] = _frame(-upper, hinge)
            world[f"{side}_{middle}"] = _frame(-lower, hinge)
    rotations = torch.zeros(len(recording), len(BODY17), 4, dtype=torch.float64)
    rotations[..., 0] = 1
    for place, parent_at in enumerate(motion.KINEMATIC_PARENTS):
        name = BODY17.joints[place]
        if name in world:
            own = world[name]
            above = world[BODY17.joints[parent_at]].mT if parent_at >= 0 else torch.eye(3).to(own)
            rotations[:, place] = _quaternion(above @ own)
    legs = _legs(recording.joints3d.double(), BODY17.joints)
    ours = float(motion.REST_OFFSETS[[2, 3]].norm(dim=-1).sum())
    return motion.Clip(
        recording.name,
        action,
        recording.fps,
        rotations.float(),
        (points["pelvis"] * (ours / legs)).float(),
    )


# ---- BVH ----------------------------------------------------------------------------------------


def _bvh(path: Path, content: str) -> tuple[dict[str, np.ndarray], float]:
    """Places (F, 3) of the body's joints, in the file's units, and frames a second."""
    parted = re.split(r"(?im)^\s*MOTION\s*$", content, maxsplit=1)
    if len(parted) < 2:
        raise DatasetError(path, "MOTION", f"is not there: the file is cut off. {ORIGIN}")
    head, tail = parted
    found = _hierarchy(path, head.split())
    numbers = re.match(r"\s*Frames:\s*(\d+)\s*Frame\s*Time:\s*(\S+)", tail, re.IGNORECASE)
    seconds = parse_number(path, "Frame Time", numbers[2]) if numbers else math.nan
    if numbers is None or not 0 < seconds < 10:
        raise DatasetError(path, "MOTION", "expected 'Frames: N' and 'Frame Time: seconds'")
    width = sum(len(joint.channels) for joint in found)
    values = [parse_number(path, "motion", word) for word in tail[numbers.end() :].split()]
    count = len(values) // width if width else 0
    if not count:
        reason = f"expected rows of {width} numbers, found {len(values)} numbers"
        raise DatasetError(path, "motion", reason)
    if count != int(numbers[1]) or len(values) % width:
        log.warning("%s: %s frames promised, %d whole ones found", path, numbers[1], count)
    rows = np.array(values[: count * width]).reshape(count, width)
    return _named(path, found, _walk(found, rows)), 1 / seconds


def _hierarchy(path: Path, words: Sequence[str]) -> list[_Joint]:
    """Joints and end sites, parents first."""
    found: list[_Joint] = []
    stack: list[int] = []
    at, opened = 1, False
    try:
        while at < len(words):
            word = words[at].upper()
            if word in ("ROOT", "JOINT", "END"):
                start = at + 1
                while words[at] != "{":  # names may hold spaces
                    at += 1
                name = " ".join(words[start:at])
                parent = stack[-1] if stack else -1
                name = f"{found[parent].name} end" if word == "END" and found else name
                stack.append(len(found))
                found.append(_Joint(name, parent, np.zeros(3)))
                opened = True
            elif word == "OFFSET":
                offset = [
                    parse_number(path, found[stack[-1]].name, w) for w in words[at + 1 : at + 4]
                ]
                found[stack[-1]].offset = np.array(offset).reshape(3)
                at += 3
            elif word == "CHANNELS":
                count = int(words[at + 1])
                channels = tuple(w.lower() for w in words[at + 2 : at + 2 + count])
                if len(channels) < count or not all(map(CHANNEL.fullmatch, channels)):
                    raise ValueError(f"channels {listed(channels)}")
                found[stack[-1]].channels = channels
                at += 1 + count
            elif word == "}":
                stack.pop()
            else:
                raise ValueError(f"the word {words[at][:40]!r}")
            at += 1
        if stack or not opened:
            raise ValueError("an open bracket")
    except (ValueError, IndexError) as error:
        reason = f"is no tree of joints with OFFSET and CHANNELS, or is cut off ({error})"
        raise DatasetError(path, "HIERARCHY", reason) from error
    return found


CHANNEL = re.compile(r"[xyz](position|rotation)")


def _walk(found: Sequence[_Joint], rows: np.ndarray) -> np.ndarray:
    """Places of all joints, (F, J, 3): each turns by its channels, in their order.

    Positions replace a joint's offset; many exporters write them for every joint.
    """
    places, turns = [], []
    at = 0
    for joint in found:
        offset = np.tile(joint.offset, (len(rows), 1))  # (F, 3)
        turn = np.tile(np.eye(3), (len(rows), 1, 1))  # (F, 3, 3)
        for channel in joint.channels:
            axis, column = "xyz".index(channel[0]), rows[:, at]
            at += 1
            if channel.endswith("position"):
                offset[:, axis] = column
            else:
                turn = turn @ _about(axis, np.radians(column))
        if joint.parent < 0:
            places.append(offset)
            turns.append(turn)
        else:
            above = turns[joint.parent]
            places.append(places[joint.parent] + np.einsum("fij,fj->fi", above, offset))
            turns.append(above @ turn)
    return np.stack(places, 1)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotations (F, 3, 3) about an axis by angles (F,)."""
    made = np.tile(np.eye(3), (len(angle), 1, 1))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    made[:, a, a] = made[:, b, b] = np.cos(angle)
    made[:, b, a] = np.sin(angle)
    made[:, a, b] = -made[:, b, a]
    return made


def _named(path: Path, found: Sequence[_Joint], places: np.ndarray) -> dict[str, np.ndarray]:
    """The body's joints, by the names that rigs give them."""
    plain: dict[str, int] = {}
    for place, joint in enumerate(found):
        side, name = _side(joint.name)
        plain.setdefault(f"{side}{name}", place)
    chosen: dict[str, int] = {}
    for joint_name, options in NAMES.items():
        for side in ("left_", "right_") if joint_name in SIDED else ("",):
            at = next((plain[side + option] for option in options if side + option in plain), None)
            if at is not None:
                chosen[side + joint_name] = at
    wanted = {"pelvis", "neck", "head"} | {f"{s}_{j}" for s in ("left", "right") for j in SIDED}
    if missing := sorted(wanted - chosen.keys()):
        names = listed([joint.name for joint in found], 20)
        reason = f"no joint is known as {listed(missing)}; the file's joints: {names}"
        raise DatasetError(path, "HIERARCHY", reason)
    made = {name: places[:, at] for name, at in chosen.items() if name != "head"}
    head = chosen["head"]
    top = next((i for i, joint in enumerate(found) if joint.parent == head), None)
    middle = _middle(found, chosen["neck"], chosen["pelvis"])
    if middle is not None:
        made["spine"] = places[:, middle]
    neck = places[:, chosen["neck"]]
    length = np.linalg.norm(places[:, head] - neck, axis=-1).mean()
    reach = 0.0 if top is None else np.linalg.norm(places[:, top] - places[:, head], axis=-1).mean()
    made["head_top"] = (
        places[:, top] if top is not None and reach > 0.3 * length else 2 * places[:, head] - neck
    )
    return made


def _middle(found: Sequence[_Joint], neck: int, pelvis: int) -> int | None:
    """The joint of the trunk that is nearest to half of the way from pelvis to neck, if any is."""
    chain, at = [neck], found[neck].parent
    while at >= 0 and at != pelvis:
        chain.append(at)
        at = found[at].parent
    lengths = np.cumsum([np.linalg.norm(found[joint].offset) for joint in reversed(chain)])
    shares = lengths / max(lengths[-1], 1e-9)  # of the way that a joint is up
    best = int(np.abs(shares - 0.5).argmin())
    return chain[::-1][best] if 0.3 <= shares[best] <= 0.7 else None


def _side(name: str) -> tuple[str, str]:
    """Side ("left_", "right_" or "") and the rest of a rig's name, without its prefix."""
    text = re.split(r"[:|]", name)[-1]
    text = re.sub(r"(?i)^(mixamorig\d*|character\d*|bip\d*|def|jnt|b)[ _.-]+", "", text)
    text = re.sub(r"(?i)^mixamorig\d*", "", text)
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", text)
    words = [word.lower() for word in words]
    for mark, side in (("left", "left_"), ("right", "right_"), ("l", "left_"), ("r", "right_")):
        if mark in words:
            words.remove(mark)
            return side, "".join(words)
    joined = "".join(words)
    for mark, side in (("left", "left_"), ("right", "right_"), ("l", "left_"), ("r", "right_")):
        rest = joined.removeprefix(mark)
        if rest != joined and any(rest in options for options in NAMES.values()):
            return side, rest
    return "", joined


# ---- AMC ----------------------------------------------------------------------------------------


def _amc(path: Path, content: str, skeleton: str | Path | None) -> dict[str, np.ndarray]:
    """Places (F, 3) of the ends of bones that are joints of the body, in the file's units."""
    bones, degrees = _asf(_asf_path(path, skeleton))
    frames = list(_amc_frames(path, content))
    if not frames:
        raise DatasetError(path, "frames", f"found none. {ORIGIN}")
    factor = 1.0 if not degrees else math.pi / 180
    places: dict[str, np.ndarray] = {}
    turns: dict[str, np.ndarray] = {}
    for name, (parent, offset, axis, freedom) in bones.items():
        rows = np.zeros((len(frames), len(freedom)))
        for number, frame in enumerate(frames):
            values = frame.get(name, [] if freedom else None)
            if values is not None and len(values) not in (0, len(freedom)):
                reason = f"expected {len(freedom)} numbers, found {len(values)}"
                raise DatasetError(path, f"frame {number + 1}, {name}", reason)
            rows[number] = values or [math.nan if parent is None else 0.0] * len(freedom)
        turn, shift = np.tile(np.eye(3), (len(frames), 1, 1)), np.zeros((len(frames), 3))
        for channel, column in zip(freedom, rows.T, strict=True):
            kind, along = channel[0], "xyz".find(channel[1:])
            if kind == "t" and along >= 0:
                shift[:, along] = column
            elif kind == "r" and along >= 0:  # x first, so it stands rightmost
                turn = _about(along, factor * column) @ turn
        basis = np.eye(3)
        for along, angle in enumerate(axis):
            basis = _about(along, np.array([factor * angle]))[0] @ basis
        turn = basis @ turn @ basis.T
        if parent is None:
            places[name], turns[name] = shift, turn
        else:
            turns[name] = turns[parent] @ turn
            places[name] = places[parent] + turns[name] @ offset
    if missing := [bone for bone in BONE_ENDS if bone not in places]:
        reason = f"has no bones {listed(missing)}; found {listed(places, 12)}"
        raise DatasetError(path, "skeleton", reason)
    return {joint: places[bone] for bone, joint in BONE_ENDS.items()}


def _asf_path(path: Path, skeleton: str | Path | None) -> Path:
    if skeleton is not None:
        return Path(skeleton).expanduser()
    found = sorted(f for f in path.parent.iterdir() if f.suffix.lower() == ".asf")
    if len(found) > 1:  # 07_01.amc belongs to 07.asf
        found = [file for file in found if path.stem.startswith(f"{file.stem}_")] or found
    if len(found) != 1:
        reason = f"found {len(found)} .asf files beside it: give its skeleton's. {ORIGIN}"
        raise DatasetError(path, "skeleton", reason)
    return found[0]


Bones = dict[str, tuple[str | None, np.ndarray, list[float], list[str]]]


def _asf(path: Path) -> tuple[Bones, bool]:
    """Bones (parent, vector to the end, axis, degrees of freedom), parents first; if in degrees."""
    text = read_file(path, ORIGIN).decode("utf-8-sig", errors="replace")
    sections = dict(re.findall(r"(?m)^:(\w+)\b(.*?)(?=^:|\Z)", text, re.DOTALL | re.MULTILINE))
    order = re.search(r"(?i)order\s+(.*)", sections.get("root", ""))
    if order is None or "bonedata" not in sections or "hierarchy" not in sections:
        raise DatasetError(path, "file", f"is no ASF, or is cut off. {ORIGIN}")
    root_axis = re.search(r"(?i)orientation\s+(.*)", sections["root"])
    numbers = [parse_number(path, "root", w) for w in (root_axis[1].split() if root_axis else [])][
        :3
    ]
    data: Bones = {"root": (None, np.zeros(3), numbers, order[1].lower().split())}
    for block in re.findall(r"(?is)\bbegin\b(.*?)\bend\b", sections["bonedata"]):
        fields = dict(re.findall(r"(?m)^\s*(\w+)\s+(.*?)\s*$", block))
        name = fields.get("name", "")
        direction = [parse_number(path, name, w) for w in fields.get("direction", "").split()]
        length = parse_number(path, name, fields.get("length", "nan"))
        axis = [parse_number(path, name, w) for w in fields.get("axis", "").split()[:3]]
        if not name or len(direction) != 3 or not math.isfinite(length):
            raise DatasetError(path, f"bone {name or '?'}", "needs name, direction and length")
        freedom = fields.get("dof", "").lower().split()
        data[name] = (None, np.array(direction) * length, axis, freedom)
    ordered: Bones = {"root": data["root"]}
    for line in sections["hierarchy"].splitlines():
        parent, *children = line.split() or [""]
        for child in children if parent in ordered else ():
            if child in data and child not in ordered:
                ordered[child] = (parent, *data[child][1:])
    return ordered, not re.search(r"(?i)angle\s+rad", sections.get("units", ""))


def _amc_frames(path: Path, content: str) -> Iterator[dict[str, list[float]]]:
    """Each frame's numbers by bone."""
    frame: dict[str, list[float]] | None = None
    for line in content.splitlines():
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdecimal():
            if frame is not None:
                yield frame
            frame = {}
        elif frame is None:
            raise DatasetError(path, "file", f"is neither BVH nor AMC. {ORIGIN}")
        else:
            frame[words[0]] = [parse_number(path, words[0][:40], word) for word in words[1:]]
    if frame is not None:
        yield frame


# ---- bodies -------------------------------------------------------------------------------------


def _legs(places: Tensor, names: Sequence[str]) -> float:
    """Median length of thigh and shank, both sides."""
    ends = {name: places[:, names.index(name)] for name in names}
    both = [
        (ends[f"{s}_hip"] - ends[f"{s}_knee"]).norm(dim=-1)
        + (ends[f"{s}_knee"] - ends[f"{s}_ankle"]).norm(dim=-1)
        for s in ("left", "right")
    ]
    return float(torch.cat(both).nanmedian())


def _unit(path: Path, places: Tensor, names: Sequence[str]) -> float:
    """Metres of one unit: the one in which legs are nearest to an adult's."""
    length = _legs(places, names)
    if not 0 < length < math.inf:
        raise DatasetError(path, "motion", "no frame has legs with a length")
    name = min(UNITS, key=lambda unit: abs(math.log(UNITS[unit] * length / LEG)))
    off = UNITS[name] * length / LEG
    say = log.info if 1 / 1.3 < off < 1.3 else log.warning
    say("%s: taken for %s: legs of %.2f m; unit=... says otherwise", path, name, off * LEG)
    return UNITS[name]


def _upright(places: Tensor, names: Sequence[str]) -> Tensor:
    """Y up: if the body stands along z in most frames, as Blender writes it, it is turned."""
    feet = (places[:, names.index("left_ankle")] + places[:, names.index("right_ankle")]) / 2
    x, y, z = (places[:, names.index("neck")] - feet).nanmedian(0).values.tolist()
    if abs(z) > 2 * max(abs(x), abs(y)):
        turned: Tensor = torch.stack([places[..., 0], places[..., 2], -places[..., 1]], -1)
        return turned if z > 0 else -turned * turned.new_tensor([-1.0, 1.0, 1.0])
    return places


def _frame(up: Tensor, right: Tensor) -> Tensor:
    """Rotations (F, 3, 3) whose y axis is `up` and whose z axis is `right`, as near as can be."""
    y = torch.nn.functional.normalize(up, dim=-1)
    z = right - (right * y).sum(-1, keepdim=True) * y
    z = torch.nn.functional.normalize(z, dim=-1)
    return torch.stack([torch.linalg.cross(y, z), y, z], -1)


def _hinge(upper: Tensor, lower: Tensor, side: Tensor) -> Tensor:
    """Axis (F, 3) about which a limb bends; a straight one has the body's own side."""
    axis = torch.linalg.cross(upper, lower)
    share = axis.norm(dim=-1, keepdim=True) / (
        upper.norm(dim=-1, keepdim=True) * lower.norm(dim=-1, keepdim=True)
    ).clamp_min(1e-9)
    axis = torch.where((axis * side).sum(-1, keepdim=True) < 0, -axis, axis)
    return torch.where(share > 0.05, axis, side)


def _quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternions (w, x, y, z), (F, 4), of rotations (F, 3, 3): the largest part first."""
    m = {(i, j): matrix[:, i, j] for i in range(3) for j in range(3)}
    x, y, z = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    rows = [(1 + trace, x, y, z)]  # each is 4 q times one part of the quaternion q
    rows.append((x, 1 + 2 * m[0, 0] - trace, xy, xz))
    rows.append((y, xy, 1 + 2 * m[1, 1] - trace, yz))
    rows.append((z, xz, yz, 1 + 2 * m[2, 2] - trace))
    options = torch.stack([torch.stack(row, -1) for row in rows], 1)  # (F, 4, 4)
    best = options.diagonal(dim1=1, dim2=2).argmax(-1)  # (F,)
    chosen = options[torch.arange(len(matrix)), best]
    return torch.nn.functional.normalize(chosen, dim=-1)
