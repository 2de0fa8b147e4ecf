from __future__ import annotations

import pytest
import torch

from posenb.world.datasets import joints
from posenb.world.datasets.joints import LAYOUTS, canonical, layout, parts, read, unnamed
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, MPII16, convert

SPELLINGS = {
    "left_wrist": "l_wrist|LWrist|left wrist|Left-Wrist|wrist_l|wristL|wrist.L|lwrist|L_WRIST",
    "right_ankle": "RAnkle|right ankle|Right_Ankle|ankle_right|rightAnkle|r-ankle|R Ank",
    "left_hip": "LHip|hip_left|left_hip|l_hip",
    "pelvis": "Hip|MidHip|root (pelvis)|pelvis|root|mid_hip",
    "head_top": "Head top|top_head|headTop|Head-top",
    "upper_neck": "head_bottom|Upper-neck|upper neck",
    "left_big_toe": "LBigToe|left_big_toe",
    "right_ear": "REar|rear|ear_r",
    "index_dip": "forefinger3|INDEX_FINGER_DIP|index_3",
    "thumb_tip": "thumb4|THUMB_TIP",
    "left_hand_little_tip": "left_pinky_finger4|left_pinky4|left_hand_little_tip",
    "right_hand_wrist": "right_hand_root",
    "wrist": "wrist|WRIST",
}
STRANGERS = [
    "tail",
    "left_front_paw",
    "root_of_tail",
    "grip",
    "L_EarBase",
    "withers",
    "left",
    "5",
    "",
]


@pytest.mark.parametrize(
    ("name", "joint"),
    [(name, joint) for joint, names in SPELLINGS.items() for name in names.split("|")],
)
def test_any_spelling_is_known(name: str, joint: str) -> None:
    assert canonical(name) == joint


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_joint_of_people_is_not_known(name: str) -> None:
    assert canonical(name) is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_in_our_own_words(name: str) -> None:
    source = layout(name)
    assert len(source) == int("".join(filter(str.isdigit, name.removesuffix("B"))))
    if name != "WFLW98":
        assert read(source.joints).joints == source.joints
    sides = [joint.split("_")[0] for joint in source.joints]
    if name not in ("FACE68", "WFLW98", "WHOLEBODY133", "HALPE136"):  # a face has a middle
        assert sides.count("left") == sides.count("right") == len(source.flip_pairs)


def test_layouts_stand_in_the_order_of_their_tools() -> None:
    expected = {  # a few places that the tools' own documentation numbers
        ("BODY_25", 8): "pelvis",
        ("BODY_25", 11): "right_ankle",
        ("BODY_25", 16): "left_eye",
        ("BODY_25", 24): "right_heel",
        ("BODY_25B", 17): "upper_neck",
        ("BODY_25B", 18): "head_top",
        ("BODY_25B", 22): "right_big_toe",
        ("HALPE26", 17): "head_top",
        ("HALPE26", 19): "pelvis",
        ("HALPE26", 21): "right_big_toe",
        ("HALPE26", 24): "left_heel",
        ("MEDIAPIPE33", 5): "right_eye",
        ("MEDIAPIPE33", 16): "right_wrist",
        ("MEDIAPIPE33", 23): "left_hip",
        ("MEDIAPIPE33", 32): "right_toe",
        ("WHOLEBODY133", 19): "left_heel",
        ("WHOLEBODY133", 23): "jaw_0",
        ("WHOLEBODY133", 91): "left_hand_wrist",
        ("WHOLEBODY133", 112): "right_hand_wrist",
        ("HALPE136", 26): "jaw_0",
        ("HALPE136", 94): "left_hand_wrist",
        ("WFLW98", 32): "jaw_16",
        ("WFLW98", 60): "right_eye_0",
        ("WFLW98", 95): "inner_lip_7",
        ("WFLW98", 97): "landmark_97",
    }
    assert {place: layout(place[0]).joints[place[1]] for place in expected} == expected
    with pytest.raises(ValueError, match="unknown layout 'body_24'; known are"):
        layout("body_24")


def test_a_count_of_joints_has_at_most_one_usual_order() -> None:
    assert all(len(order) == count for count, order in joints.BY_COUNT.items())
    assert set(joints.ANNOTATED) <= set(joints.BY_COUNT)
    found = unnamed(98)
    assert found is not None and found.name == "WFLW98" and unnamed(14) is None


def made(names: str, target: object = BODY17) -> dict[str, str]:
    source = read(names.split(","))
    result = convert(torch.rand(len(source), 2), source, target)  # type: ignore[arg-type]
    return dict(zip(target.joints, result.status, strict=True))  # type: ignore[attr-defined]


LIMBS = ",".join(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
FILES = {
    "CrowdPose": LIMBS + ",head,neck",
    "PoseTrack18": "nose,head_bottom,head_top,left_ear,right_ear," + LIMBS,
    "JHMDB": "neck,belly,head," + LIMBS,
    "AIC": LIMBS.replace("_", " ").title() + ",Head top,Neck",
    "MHP": LIMBS.replace("_", "-").title() + ",Pelvis,Thorax,Upper-neck,Head-top",
    "Human3.6M": LIMBS.replace("ankle", "foot") + ",root (pelvis),spine,thorax,neck_base,head",
    "OpenPose": "Nose,Neck,MidHip," + LIMBS.replace("left_", "L").replace("right_", "R"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_files_own_joints_make_a_body(file: str) -> None:
    assert "missing" not in made(FILES[file]).values()
    assert made(FILES[file], MPII16)["right_wrist"] == "exact"


def test_what_a_head_is_depends_on_the_file() -> None:
    assert read(["head", "neck"]).joints == ("head_top", "neck")
    assert read(["head", "belly", "neck"]).joints == ("nose", "spine", "neck")
    assert read(["head", "head_top"]).joints == ("head", "head_top")
    assert read(["left_foot", "left_knee"]).joints == ("left_ankle", "left_knee")
    assert read(["left_foot", "left_ankle"]).joints == ("left_foot", "left_ankle")


def test_a_mapping_names_what_is_not_known() -> None:
    assert read(["snout", "neck"], {"snout": "nose"}).joints == ("nose", "neck")
    # what is mapped wins over what is known, and no joint is there twice
    source = read(["head", "face", "Nose", "nose"], {"face": "Nose", "head": "head"})
    assert source.joints == ("head", "nose", "(Nose)", "(nose)")
    with pytest.raises(
        ValueError, match="mapping names tail, but the file's joints are head, neck"
    ):
        read(["head", "neck"], {"tail": "nose"})


def test_two_hands_of_a_whole_body_are_two_poses() -> None:
    whole = layout("WHOLEBODY133")
    left, right = parts(whole, HAND21)
    assert (left.name, right.name) == ("left hand", "right hand")
    assert left.columns == tuple(range(91, 112)) and right.columns == tuple(range(112, 133))
    assert left.skeleton.joints == right.skeleton.joints == HAND21.joints
    (face,) = parts(whole, FACE68)
    assert face.columns == tuple(range(23, 91))
    (hand,) = parts(layout("HAND21"), HAND21)
    assert hand.columns == tuple(range(21))


def test_a_hand_may_share_the_wrist_of_its_arm() -> None:
    fingers = [j for j in HAND21.joints if j != "wrist"]
    names = ["left_wrist", "right_wrist", *(f"{s}_{j}" for s in ("left", "right") for j in fingers)]
    left, right = parts(read(names), HAND21)
    for part, wrist in ((left, 0), (right, 1)):
        assert set(part.skeleton.joints) == set(HAND21.joints)
        assert part.columns[part.skeleton.index("wrist")] == wrist
    (alone,) = parts(read([name for name in names if "right" not in name]), HAND21)
    assert alone.name == "left hand" and len(alone.columns) == 21


def test_only_joints_that_are_asked_for_are_taken() -> None:
    (body,) = parts(layout("WHOLEBODY133"), COCO17)
    assert set(COCO17.joints) <= set(body.skeleton.joints)
    assert not any("toe" in joint or "hand" in joint for joint in body.skeleton.joints)
    assert parts(layout("FACE68"), COCO17) == ()
