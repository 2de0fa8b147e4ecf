from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posenb.world import skeletons
from posenb.world.skeletons import (
    BODY17,
    COCO17,
    DHP17,
    DHP28,
    FACE68,
    HAND21,
    LSP14,
    MPII16,
    OPENPOSE18,
    SMPL24,
)

ALL = [skeletons.get(name) for name in skeletons.names()]
BODIES = [BODY17, COCO17, MPII16, LSP14, DHP28, DHP17, SMPL24, OPENPOSE18]
by_name = pytest.mark.parametrize("skeleton", ALL, ids=lambda s: s.name)


def points(skeleton: skeletons.Skeleton, seed: int, dimensions: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(4, len(skeleton), dimensions, generator=generator)


@by_name
def test_counts_and_order(skeleton: skeletons.Skeleton) -> None:
    assert len(skeleton) == int("".join(filter(str.isdigit, skeleton.name)))
    roots = skeleton.parents.count(-1)
    assert len(skeleton.bones) == len(skeleton.colors) == len(skeleton) - roots
    assert roots == (8 if skeleton is FACE68 else 1)
    assert skeletons.get(skeleton.name.lower()) is skeleton
    assert all(skeleton.joints[skeleton.index(joint)] == joint for joint in skeleton.joints)


def test_faces_have_thinner_lines_than_all_others() -> None:
    assert {s.name: s.thickness for s in ALL if s is not FACE68} == dict.fromkeys(
        [s.name for s in ALL if s is not FACE68], 0.05
    )
    assert FACE68.thickness == 0.025


def test_official_orders() -> None:
    assert BODY17.joints[0] == "pelvis" and BODY17.joints[10] == "head_top"
    assert COCO17.joints[5] == "left_shoulder" and COCO17.joints[16] == "right_ankle"
    assert MPII16.joints[6:10] == ("pelvis", "thorax", "upper_neck", "head_top")
    assert LSP14.joints[12:] == ("neck", "head_top")
    assert DHP17.joints[14] == "pelvis" and DHP17.parents[14] == -1
    assert SMPL24.joints[12] == "neck" and SMPL24.joints[20:22] == ("left_wrist", "right_wrist")
    assert OPENPOSE18.joints[2] == "right_shoulder" and OPENPOSE18.joints[13] == "left_ankle"
    # the parents printed in MPI-INF-3DHP's mpii_get_joint_set.m, from 1, the root its own parent
    published = "3 1 4 5 5 2 6 7 6 9 10 11 12 6 14 15 16 17 5 19 20 21 22 5 24 25 26 27"
    expected = [int(parent) - 1 for parent in published.split()]
    expected[4] = -1
    assert list(DHP28.parents) == expected
    # and its 17 "relevant" joints among the 28
    relevant = [8, 6, 15, 16, 17, 10, 11, 12, 24, 25, 26, 19, 20, 21, 5, 4, 7]
    assert DHP17.joints == tuple(DHP28.joints[joint - 1] for joint in relevant)
    assert HAND21.joints[4::4] == ("thumb_tip", "index_tip", "middle_tip", "ring_tip", "little_tip")


@by_name
def test_every_bone_has_its_own_bright_colour(skeleton: skeletons.Skeleton) -> None:
    assert len(set(skeleton.colors)) == len(skeleton.colors)
    colors = torch.tensor(skeleton.colors)
    assert colors.min() >= 0 and colors.max() <= 1
    assert colors.amax(-1).min() >= 0.6  # seen on black
    assert (1 - colors).amax(-1).min() >= 0.25  # seen on white


def test_body_colours_are_far_apart_and_follow_the_sides() -> None:
    for skeleton, least in [(BODY17, 0.25), (COCO17, 0.2), (MPII16, 0.25), (DHP28, 0.15)]:
        colors = torch.tensor(skeleton.colors)
        assert torch.pdist(colors).min() >= least, skeleton.name
    for skeleton in BODIES:
        for (_, child), (red, _, blue) in zip(skeleton.bones, skeleton.colors, strict=True):
            joint = skeleton.joints[child]
            assert not joint.startswith("left_") or red > blue, joint
            assert not joint.startswith("right_") or blue > red, joint


def test_a_bone_has_one_colour_in_all_skeletons() -> None:
    seen: dict[str, tuple[float, float, float]] = {}
    for skeleton in ALL:
        for (_, child), color in zip(skeleton.bones, skeleton.colors, strict=True):
            assert seen.setdefault(skeleton.joints[child], color) == color


@by_name
def test_flip_pairs_join_left_with_right(skeleton: skeletons.Skeleton) -> None:
    order = skeleton.flip_order
    assert [order[order[joint]] for joint in range(len(skeleton))] == list(range(len(skeleton)))
    for one, other in skeleton.flip_pairs:
        pair = {skeleton.joints[one], skeleton.joints[other]}
        if skeleton in BODIES:
            assert len({joint.removeprefix("left_").removeprefix("right_") for joint in pair}) == 1
            assert {joint.split("_")[0] for joint in pair} == {"left", "right"}
    if skeleton in BODIES:  # the tree is symmetric
        for joint, parent in enumerate(skeleton.parents):
            mirrored = skeleton.parents[order[joint]]
            assert mirrored == (order[parent] if parent >= 0 else -1)


def test_face_flips_onto_itself() -> None:
    # iBUG's published mirror, as the 68 indices from 1
    published = list(range(17, 0, -1)) + list(range(27, 17, -1)) + [28, 29, 30, 31]
    published += [36, 35, 34, 33, 32, 46, 45, 44, 43, 48, 47, 40, 39, 38, 37, 42, 41]
    published += [55, 54, 53, 52, 51, 50, 49, 60, 59, 58, 57, 56, 65, 64, 63, 62, 61, 68, 67, 66]
    assert [joint + 1 for joint in FACE68.flip_order] == published


@settings(deadline=None, max_examples=30)
@given(which=st.sampled_from(ALL), seed=st.integers(0, 10_000))
def test_flip_twice_is_identity(which: skeletons.Skeleton, seed: int) -> None:
    keypoints = points(which, seed)
    flipped = skeletons.flip(keypoints, which)
    torch.testing.assert_close(skeletons.flip(flipped, which), keypoints, atol=1e-7, rtol=0)
    for one, other in which.flip_pairs:
        torch.testing.assert_close(flipped[:, one, 0], 1 - keypoints[:, other, 0])
        assert torch.equal(flipped[:, one, 1], keypoints[:, other, 1])


@settings(deadline=None, max_examples=30)
@given(which=st.sampled_from(ALL), seed=st.integers(0, 10_000), dimensions=st.integers(1, 4))
def test_convert_to_itself_is_identity(
    which: skeletons.Skeleton, seed: int, dimensions: int
) -> None:
    keypoints = points(which, seed, dimensions)
    converted = skeletons.convert(keypoints, which, which)
    assert torch.equal(converted.keypoints, keypoints)
    assert set(converted.status) == {"exact"}


@settings(deadline=None, max_examples=40)
@given(source=st.sampled_from(BODIES), target=st.sampled_from(BODIES), seed=st.integers(0, 10_000))
def test_convert_says_what_it_does_and_commutes_with_flips_and_shifts(
    source: skeletons.Skeleton, target: skeletons.Skeleton, seed: int
) -> None:
    keypoints = points(source, seed).double()
    converted = skeletons.convert(keypoints, source, target)
    for joint, status in enumerate(converted.status):
        found, name = converted.keypoints[:, joint], target.joints[joint]
        assert (status == "exact") == (name in source.joints)
        if status == "exact":
            assert torch.equal(found, keypoints[:, source.index(name)])
        assert found.isnan().all() == (status == "missing") == found.isnan().any()
    flipped = skeletons.convert(skeletons.flip(keypoints, source), source, target).keypoints
    expected = skeletons.flip(converted.keypoints, target)
    torch.testing.assert_close(flipped, expected, equal_nan=True)
    shifted = skeletons.convert(keypoints + 3, source, target).keypoints
    torch.testing.assert_close(shifted, converted.keypoints + 3, equal_nan=True)


def test_body_to_coco_and_back() -> None:
    keypoints = points(BODY17, 0)
    coco = skeletons.convert(keypoints, BODY17, COCO17)
    missing = {j for j, s in zip(COCO17.joints, coco.status, strict=True) if s == "missing"}
    assert missing == {"left_eye", "right_eye", "left_ear", "right_ear"}
    back = skeletons.convert(coco.keypoints, COCO17, BODY17)
    made = dict(zip(BODY17.joints, back.status, strict=True))
    assert {joint for joint, status in made.items() if status == "interpolated"} == {
        "pelvis",
        "spine",
        "neck",
        "head_top",
    }
    assert "missing" not in made.values()

    def at(joint: str) -> torch.Tensor:
        return keypoints[:, BODY17.index(joint)]

    neck = (at("left_shoulder") + at("right_shoulder")) / 2
    pelvis = (at("left_hip") + at("right_hip")) / 2
    for joint, expected in [
        ("neck", neck),
        ("pelvis", pelvis),
        ("spine", (neck + pelvis) / 2),
        ("head_top", 2 * at("nose") - neck),
        ("left_knee", at("left_knee")),
    ]:
        torch.testing.assert_close(back.keypoints[:, BODY17.index(joint)], expected)


def test_mpii_rules() -> None:
    keypoints = points(MPII16, 1)
    thorax, head_top = keypoints[:, 7], keypoints[:, 9]
    body = skeletons.convert(keypoints, MPII16, BODY17).keypoints
    torch.testing.assert_close(body[:, BODY17.index("neck")], thorax)
    torch.testing.assert_close(body[:, BODY17.index("nose")], (thorax + head_top) / 2)
    upper = skeletons.convert(points(LSP14, 2), LSP14, MPII16).keypoints[:, 8]
    torch.testing.assert_close(upper, points(LSP14, 2)[:, 12] * 2 / 3 + points(LSP14, 2)[:, 13] / 3)


def test_nan_spreads_only_to_what_is_made_of_it() -> None:
    keypoints = points(COCO17, 3)
    keypoints[0, COCO17.index("left_hip")] = torch.nan
    body = skeletons.convert(keypoints, COCO17, BODY17).keypoints
    lost = {BODY17.joints[i] for i in body[0].isnan().any(-1).nonzero().flatten().tolist()}
    assert lost == {"left_hip", "pelvis", "spine"}
    assert not body[1:].isnan().any()


def test_head_top_is_made_of_what_each_pose_has() -> None:
    keypoints = points(COCO17, 5)
    nose, left, right = keypoints[:, 0], keypoints[:, 3].clone(), keypoints[:, 4].clone()
    neck = keypoints[:, 5:7].mean(1)
    keypoints[1, 3] = keypoints[2, 4] = keypoints[3, 3:5] = torch.nan  # no left, no right, no ear
    expected = torch.stack(
        [
            neck[0] + 1.6 * ((left + right)[0] / 2 - neck[0]),
            neck[1] + 1.6 * (right[1] - neck[1]),
            neck[2] + 1.6 * (left[2] - neck[2]),
            2 * nose[3] - neck[3],
        ]
    )
    converted = skeletons.convert(keypoints, COCO17, BODY17).keypoints
    torch.testing.assert_close(converted[:, BODY17.index("head_top")], expected)


def test_convert_is_differentiable() -> None:
    keypoints = points(COCO17, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda k: skeletons.convert(k, COCO17, BODY17).keypoints, keypoints
    )


@pytest.mark.parametrize("function", ["convert", "flip"])
def test_a_wrong_joint_count_names_both(function: str) -> None:
    wrong = torch.rand(2, 16, 2)
    with pytest.raises(ValueError, match=r"found 16 joints .* BODY17 has 17"):
        if function == "flip":
            skeletons.flip(wrong, BODY17)
        else:
            skeletons.convert(wrong, BODY17, COCO17)
    with pytest.raises(ValueError, match="found no joints"):
        skeletons.flip(torch.rand(2), BODY17)
    with pytest.raises(ValueError, match="found 3 coordinates"):
        skeletons.flip(torch.rand(2, 17, 3), BODY17)


def test_unknown_names_say_what_is_known() -> None:
    with pytest.raises(ValueError, match=r"'body18'.*BODY17, COCO17"):
        skeletons.get("body18")
    with pytest.raises(ValueError, match="COCO17 has no joint 'pelvis'"):
        COCO17.index("pelvis")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": ("pelvis",) * 17}, "occurs twice"),
        ({"parents": BODY17.parents[:-1]}, "needs 17 parents"),
        ({"parents": (16, *BODY17.parents[1:])}, "own ancestor"),
        ({"parents": (99, *BODY17.parents[1:])}, "needs 17 parents"),
        ({"flip_pairs": ((1, 4), (4, 2))}, "flip partners"),
        ({"colors": BODY17.colors[:-1]}, "15 colors for 16 bones"),
        ({"thickness": 0.0}, "thickness must be above 0"),
    ],
)
def test_a_skeleton_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BODY17, **change)


def test_every_pair_of_bodies_converts() -> None:
    for source, target in itertools.product(BODIES, BODIES):
        shape = skeletons.convert(torch.rand(2, 3, len(source), 3), source, target).keypoints.shape
        assert shape == (2, 3, len(target), 3)
