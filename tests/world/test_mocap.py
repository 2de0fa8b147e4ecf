"""BVH and AMC against a slow walk and against the recordings that the package holds."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from posenb.world import motion
from posenb.world.datasets import DatasetError, mocap
from posenb.world.skeletons import BODY17

LIMBS = [j for j, n in enumerate(BODY17.joints) if n not in ("spine", "nose")]
RIGS = {  # names of a rig for hip, knee, ankle, shoulder, elbow, wrist; pelvis, neck, head
    "CMU": (
        *("{}UpLeg", "{}Leg", "{}Foot", "{}Arm", "{}ForeArm", "{}Hand"),
        "Hips",
        "Neck",
        "Head",
    ),
    "Mixamo": (
        *("mixamorig:{}UpLeg", "mixamorig:{}Leg", "mixamorig:{}Foot", "mixamorig:{}Arm"),
        *("mixamorig:{}ForeArm", "mixamorig:{}Hand"),
        *("mixamorig:Hips", "mixamorig:Neck", "mixamorig:Head"),
    ),
    "SMPL": (
        *("{}_hip", "{}_knee", "{}_ankle", "{}_shoulder", "{}_elbow", "{}_wrist"),
        *("pelvis", "neck", "head"),
    ),
    "Blender": (
        *("thigh.{0[0]}", "shin.{0[0]}", "foot.{0[0]}", "upper_arm.{0[0]}", "forearm.{0[0]}"),
        *("hand.{0[0]}", "hips", "neck", "head"),
    ),
}


def bvh(
    clip: motion.Clip,
    rig: str = "CMU",
    order: str = "zxy",
    scale: float = 100.0,
    positions: bool = False,
    z_up: bool = False,
) -> str:
    """A clip of the package as BVH; wrists, ankles and the head have end sites."""
    names = dict(zip(BODY17.joints, [""] * 17, strict=True))
    hip, knee, ankle, shoulder, elbow, wrist, pelvis, neck, head = RIGS[rig]
    for side in ("left", "right"):
        word = {"CMU": side.title(), "Mixamo": side.title(), "Blender": side[0].upper()}
        for joint, name in zip(
            ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"),
            (hip, knee, ankle, shoulder, elbow, wrist),
            strict=True,
        ):
            names[f"{side}_{joint}"] = name.format(word.get(rig, side))
    names |= {"pelvis": pelvis, "neck": neck, "spine": "Chest"}
    offsets = scale * motion.REST_OFFSETS.double().numpy()
    children = {p: [j for j, q in enumerate(motion.KINEMATIC_PARENTS) if q == p] for p in range(17)}
    lines, columns = ["HIERARCHY"], list[np.ndarray]()

    def euler(joint: int) -> np.ndarray:
        q = clip.rotations[:, joint].double().numpy()[:, [1, 2, 3, 0]]
        turn = Rotation.from_quat(q)
        if joint == 0 and z_up:
            turn = Rotation.from_euler("x", 90, degrees=True) * turn
        return np.asarray(turn.as_euler(order.upper(), degrees=True))

    def visit(joint: int, kind: str) -> None:
        if joint in (9, 10):
            return
        place = scale * clip.root.double().numpy()
        if z_up:
            place = Rotation.from_euler("x", 90, degrees=True).apply(place)
        lines.append(f"{kind} {names[BODY17.joints[joint]]}\n{{")
        lines.append("OFFSET " + " ".join(map(str, offsets[joint])))
        turns = " ".join(f"{axis.upper()}rotation" for axis in order)
        if joint == 0 or positions:
            lines.append(f"CHANNELS 6 Xposition Yposition Zposition {turns}")
            columns.append(place if joint == 0 else np.tile(offsets[joint], (len(clip), 1)))
        else:
            lines.append(f"CHANNELS 3 {turns}")
        columns.append(euler(joint))
        for child in children[joint]:
            visit(child, "JOINT")
        if joint == 8:  # the head, whose end is the top of it
            lines.append(f"JOINT {head}\n{{\nOFFSET 0 {0.1 * scale} 0\nCHANNELS 3 {turns}")
            columns.append(np.zeros((len(clip), 3)))
            lines.append(f"End Site\n{{\nOFFSET 0 {0.18 * scale} 0\n}}\n}}")
        elif not children[joint]:
            lines.append(f"End Site\n{{\nOFFSET 0 {-0.05 * scale} 0\n}}")
        lines.append("}")

    visit(0, "ROOT")
    rows = np.concatenate(columns, 1)
    lines += ["MOTION", f"Frames: {len(clip)}", f"Frame Time: {1 / clip.fps:.7f}"]
    lines += [" ".join(f"{value:.5f}" for value in row) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def walk() -> motion.Clip:
    return motion.load_motion().clip("humanoid3d_cartwheel")


def same(found: torch.Tensor, clip: motion.Clip, atol: float = 2e-3) -> None:
    torch.testing.assert_close(found[:, LIMBS], clip.joints()[:, LIMBS], atol=atol, rtol=0)


@pytest.mark.parametrize("rig", list(RIGS))
def test_rigs_of_many_names(tmp_path: Path, walk: motion.Clip, rig: str) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh(walk, rig))
    found = mocap.load(path)
    assert found.valid.all() and math.isclose(found.fps, walk.fps, rel_tol=1e-4)
    same(found.joints3d, walk)


@pytest.mark.parametrize("order", ["zxy", "xyz", "yxz", "zyx"])
@pytest.mark.parametrize("positions", [False, True])
def test_channels_in_any_order(
    tmp_path: Path, walk: motion.Clip, order: str, positions: bool
) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh(walk, order=order, positions=positions))
    same(mocap.load(path).joints3d, walk)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0, 1 / 0.0254, 0.45 / 0.0254])
def test_units_are_known_by_the_legs(tmp_path: Path, walk: motion.Clip, scale: float) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh(walk, scale=scale))
    same(mocap.load(path).joints3d, walk)
    half = mocap.load(path, unit=0.5 / scale).joints3d
    torch.testing.assert_close(2 * half[:, LIMBS], walk.joints()[:, LIMBS], atol=2e-3, rtol=0)


def test_z_up_is_turned(tmp_path: Path) -> None:
    clip = motion.load_motion().clip("humanoid3d_walk")
    path = tmp_path / "a.bvh"
    path.write_text(bvh(clip, z_up=True))
    same(mocap.load(path).joints3d, clip)


def test_words_in_any_layout(tmp_path: Path, walk: motion.Clip) -> None:
    text = bvh(walk).replace("\n", "\r\n").replace("{", "\t{ ").replace("Frame Time", "Frame  Time")
    path = tmp_path / "a.bvh"
    path.write_bytes(text.encode())
    same(mocap.load(path).joints3d, walk)


@pytest.mark.parametrize("name", ["humanoid3d_walk", "humanoid3d_kick", "humanoid3d_dance_a"])
def test_a_clip_moves_as_the_recording(tmp_path: Path, name: str) -> None:
    source = motion.load_motion().clip(name)
    path = tmp_path / f"{name}.bvh"
    path.write_text(bvh(source))
    made = mocap.clip(mocap.load(path), "own")
    assert made.name == name and made.action == "own" and len(made) == len(source)
    torch.testing.assert_close(made.rotations.norm(dim=-1), torch.ones(len(made), 17))
    same(made.joints(), source, atol=5e-3)


def test_a_clip_of_another_body_keeps_its_directions(tmp_path: Path, walk: motion.Clip) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh(walk, scale=80))
    recording = mocap.load(path, unit=0.01)
    torch.testing.assert_close(
        mocap.clip(recording).joints()[:, LIMBS], walk.joints()[:, LIMBS], atol=5e-3, rtol=0
    )
    lost = mocap.Recording("a", 30.0, recording.joints3d, recording.valid.clone())
    lost.valid[3, 5] = False
    with pytest.raises(ValueError, match="frame 3"):
        mocap.clip(lost)


ASF = """# AST/ASF file
:version 1.10
:name a
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   none
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
"""
BONES = {  # parent, direction, length in metres, axis, degrees of freedom
    **{f"{s}hipjoint": ("root", (0, 0, z), 0.085, (0, 0, 0), "")
       for s, z in (("l", -1), ("r", 1))},
    **{f"{s}femur": (f"{s}hipjoint", (0, -1, 0), 0.42, (10, 0, 20), "rx ry rz") for s in "lr"},
    **{f"{s}tibia": (f"{s}femur", (0, -1, 0), 0.41, (0, 0, 20), "rx") for s in "lr"},
    "thorax": ("root", (0, 1, 0), 0.46, (0, 0, 0), "rx ry rz"),
    "head": ("thorax", (0, 1, 0), 0.28, (0, 0, 0), "rx ry rz"),
    **{f"{s}clavicle": ("thorax", (0, 0, z), 0.183, (0, 0, 0), "ry rz")
       for s, z in (("l", -1), ("r", 1))},
    **{f"{s}humerus": (f"{s}clavicle", (0, -1, 0), 0.275, (0, 30, 90), "rx ry rz") for s in "lr"},
    **{f"{s}radius": (f"{s}humerus", (0, -1, 0), 0.259, (0, 0, 90), "rx") for s in "lr"},
}  # fmt: skip


def amc(folder: Path, frames: int = 6) -> dict[str, np.ndarray]:
    """An ASF and an AMC of random turns; the ends of bones by SciPy, metres (F, 3)."""
    scale, draw = 0.45 / 0.0254, random.Random(0)
    text = ASF
    for number, (name, (_, direction, length, axis, freedom)) in enumerate(BONES.items(), 1):
        text += f"  begin\n     id {number}\n     name {name}\n     direction "
        text += " ".join(map(str, direction)) + f"\n     length {length * scale}\n"
        text += "     axis " + " ".join(map(str, axis)) + " XYZ\n"
        text += f"    dof {freedom}\n    limits (-1 1)\n" if freedom else ""
        text += "  end\n"
    text += ":hierarchy\n  begin\n"
    for parent in dict.fromkeys(bone[0] for bone in BONES.values()):
        children = [name for name, bone in BONES.items() if bone[0] == parent]
        text += f"    {parent} {' '.join(children)}\n"
    (folder / "07.asf").write_text(text + "  end\n")
    rows, ends = ["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES"], {n: [] for n in ("root", *BONES)}
    for frame in range(1, frames + 1):
        place = np.array([frame, 17.0, 0.5])
        turns = [draw.uniform(-20, 20) for _ in range(3)]
        rows += [str(frame), "root " + " ".join(map(str, [*place, *turns]))]
        world = {"root": Rotation.from_euler("xyz", turns, degrees=True)}
        at = {"root": place / scale}
        for name, (parent, direction, length, axis, freedom) in BONES.items():
            angles = {"rx": 0.0, "ry": 0.0, "rz": 0.0}
            angles |= {key: draw.uniform(-50, 50) for key in freedom.split()}
            if freedom:
                rows.append(f"{name} " + " ".join(str(angles[key]) for key in freedom.split()))
            basis = Rotation.from_euler("xyz", axis, degrees=True)
            turn = Rotation.from_euler("xyz", list(angles.values()), degrees=True)
            world[name] = world[parent] * basis * turn * basis.inv()
            at[name] = at[parent] + length * world[name].apply(direction)
        for name, value in at.items():
            ends[name].append(value)
    (folder / "07_01.amc").write_text("\n".join(rows) + "\n")
    return {name: np.stack(value) for name, value in ends.items()}


def test_amc_with_its_skeleton(tmp_path: Path) -> None:
    ends = amc(tmp_path)
    found = mocap.load(tmp_path / "07_01.amc")
    assert found.fps == 120 and len(found) == 6
    for bone, joint in mocap.BONE_ENDS.items():
        made = found.joints3d[:, BODY17.index(joint)]
        torch.testing.assert_close(made, torch.from_numpy(ends[bone]).float(), atol=1e-3, rtol=0)
    assert mocap.load(tmp_path / "07_01.amc", tmp_path / "07.asf", fps=60).fps == 60
    (tmp_path / "08.asf").write_text(ASF)
    assert len(mocap.load(tmp_path / "07_01.amc")) == 6
    (tmp_path / "07.asf").rename(tmp_path / "09.asf")
    with pytest.raises(DatasetError, match=r"2 \.asf"):
        mocap.load(tmp_path / "07_01.amc")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:900],
        lambda text: text.replace("MOTION", ""),
        lambda text: text.replace("Frame Time: 0", "Frame Time: -1"),
        lambda text: text.replace("LeftUpLeg", "Tail"),
        lambda text: text.replace("CHANNELS 3 Z", "CHANNELS 3 W"),
        lambda text: text.replace("OFFSET", "OFFSET one", 1),
        lambda text: text.replace("}", "", 1),
        lambda text: text.replace("}", "} }", 1),
        lambda text: text[: text.index("Frame Time")] + "Frame Time: .01\n",
        lambda text: text.split("MOTION")[0] + "MOTION\nFrames: 1\nFrame Time: .01\n1 2 three\n",
        lambda text: "HIERARCHY\nMOTION\n",
        lambda text: "hello",
        lambda text: "",
    ],
)
def test_damaged_files(tmp_path: Path, walk: motion.Clip, change: object) -> None:
    path = tmp_path / "a.bvh"
    assert callable(change)
    path.write_text(change(bvh(walk)))
    with pytest.raises(DatasetError) as caught:
        mocap.load(path)
    assert len(caught.value.reason) <= 500


def test_rows_that_are_missing_and_numbers_that_are_none(
    tmp_path: Path, walk: motion.Clip, caplog: pytest.LogCaptureFixture
) -> None:
    lines = bvh(walk).splitlines()
    path = tmp_path / "a.bvh"
    path.write_text("\n".join(lines[:-10]))
    assert len(mocap.load(path)) == len(walk) - 10
    assert "promised" in caplog.text
    first = lines.index(next(line for line in lines if line.startswith("Frame Time"))) + 1
    lines[first + 4] = "nan " + lines[first + 4].split(" ", 1)[1]
    path.write_text("\n".join(lines))
    found = mocap.load(path)
    assert not found.valid[4].any() and found.valid[5].all()
