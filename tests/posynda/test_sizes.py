"""Heights that limbs tell, and poses brought to a size."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from posenb.course.teach import cards
from posenb.posynda import GaussianDiffusion, MixSTE, adapt, lift, windows
from posenb.posynda.adapt import Adaptation, AdaptTask
from posenb.posynda.sizes import ADULTS, LIMBS, change, height, resize
from posenb.world.motion import KINEMATIC_PARENTS, REST_OFFSETS, forward_kinematics
from posenb.world.skeletons import BODY17, COCO17, FACE68, convert

T = 5


def person(tall: float, frames: int = T) -> torch.Tensor:
    """(1, T, 17, 3): somebody in random poses whose limbs are those of an adult of that height."""
    offsets = REST_OFFSETS.clone()
    for (upper, lower), share in LIMBS.items():
        for side in ("left", "right"):
            end = BODY17.index(f"{side}_{lower}")
            assert BODY17.parents[end] == BODY17.index(f"{side}_{upper}")
            offsets[end] *= share * tall / offsets[end].norm()
    random = torch.Generator().manual_seed(0)
    turns = torch.linalg.qr(torch.randn(1, frames, 17, 3, 3, generator=random)).Q
    return forward_kinematics(turns, offsets[None, None], KINEMATIC_PARENTS)


@pytest.mark.parametrize("tall", [0.9, 1.5, 1.695, 2.1])
def test_limbs_tell_the_height_in_any_pose(tall):
    poses = person(tall)
    assert height(poses).item() == pytest.approx(tall, rel=1e-5)
    other = convert(poses, BODY17, COCO17).keypoints
    assert height(other, COCO17).item() == pytest.approx(tall, rel=1e-5)


def test_shares_are_those_of_a_plausible_body():
    assert 2 * sum(LIMBS.values()) == pytest.approx(1.646)
    legs = LIMBS["hip", "knee"] + LIMBS["knee", "ankle"]
    assert 0.45 < legs < 0.53  # hips stand at about half of a body's height
    assert height(forward_kinematics(
        torch.eye(3).expand(1, 1, 17, 3, 3), REST_OFFSETS[None, None], KINEMATIC_PARENTS
    )).item() == pytest.approx(1.62, abs=0.06)  # fmt: skip  # the recordings' humanoid


@pytest.mark.parametrize(
    "lost", [("left_knee",), ("right_wrist", "left_ankle"), ("nose", "pelvis")]
)
def test_missing_joints_leave_the_other_limbs(lost):
    poses = person(1.7)
    for joint in lost:
        poses[..., BODY17.index(joint), :] = torch.nan
    assert height(poses).item() == pytest.approx(1.7, rel=1e-5)


def test_the_median_frame_speaks_and_only_those_that_count():
    poses = person(1.7)
    poses[:, 1] *= 3  # one wild frame
    assert height(poses).item() == pytest.approx(1.7, rel=1e-5)
    poses[:, 1:4] *= 3
    valid = torch.tensor([[True, False, False, False, True]])
    assert height(poses, valid=valid).item() == pytest.approx(1.7, rel=1e-5)
    assert height(poses).item() > 2


def test_nobody_has_no_height_and_is_left_as_is():
    poses = torch.full((2, T, 17, 3), torch.nan)
    poses[1] = person(1.2)[0]
    found = resize(poses, "adult")
    assert found.height[0].isnan() and found.factor[0] == 1 and found.joints3d[0].isnan().all()
    assert found.height[1].item() == pytest.approx(ADULTS[0], rel=1e-5)
    still = resize(torch.zeros(1, T, 17, 3), 1.7)  # all joints in one point
    assert still.factor.item() == 1 and not still.joints3d.any()


@pytest.mark.parametrize(
    ("tall", "wanted"), [(1.2, ADULTS[0]), (1.6, 1.6), (ADULTS[1], ADULTS[1]), (2.3, ADULTS[1])]
)
def test_adults_are_bounded_and_others_untouched(tall, wanted):
    poses = person(tall)
    found = resize(poses, "adult")
    assert found.height.item() == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(found.joints3d, poses * (wanted / tall))


def test_known_heights_are_met_one_or_each():
    poses = torch.cat([person(1.5), person(2.2)])
    for body in (1.8, torch.tensor(1.8), torch.tensor([1.6, 1.9])):
        found = resize(poses, body)
        torch.testing.assert_close(found.height, torch.as_tensor(body).expand(2))
        torch.testing.assert_close(height(found.joints3d), found.height)


@pytest.mark.parametrize("body", ["child", 0.0, -1.7, 175.0, math.nan, torch.ones(3)])
def test_heights_that_nobody_has_are_refused(body):
    with pytest.raises(ValueError, match="heigh"):
        resize(torch.cat([person(1.7), person(1.7)]), body)


@pytest.mark.parametrize(
    ("shape", "skeleton", "words"),
    [
        ((T, 17, 3), BODY17, r"poses\[None\]"),
        ((1, T, 17, 2), BODY17, "expected"),
        ((1, T, 68, 3), FACE68, "no limbs"),
    ],
)
def test_other_shapes_are_refused(shape, skeleton, words):
    with pytest.raises(ValueError, match=words):
        height(torch.zeros(shape), skeleton)
    with pytest.raises(ValueError, match="valid"):
        height(person(1.7), valid=torch.ones(1, T + 1, dtype=torch.bool))


def test_change_is_that_of_the_same_people():
    poses = torch.cat([person(1.5), person(1.9)])
    assert change(poses, 1.07 * poses) == pytest.approx(1.07, rel=1e-5)


@pytest.fixture(scope="module")
def target():
    return windows.sample(windows.domain("stage"), 8, 0, T)


def small():
    return MixSTE(depth=1, frames=T, width=16, heads=2, seed=1).eval()


@pytest.mark.parametrize("body", ["adult", 1.7])
@pytest.mark.parametrize("aggregate", ["mean", "rays"])
def test_lift_brings_all_hypotheses_to_the_size(target, body, aggregate):
    options = {"hypotheses": 2, "steps": 1, "aggregate": aggregate}
    plain = lift(small(), target.keypoints, target.camera, **options)
    sized = lift(small(), target.keypoints, target.camera, **options, body=body)
    expected = resize(plain.joints3d, body)
    torch.testing.assert_close(sized.joints3d, expected.joints3d)
    factor = expected.factor[:, None, None, None, None]
    torch.testing.assert_close(sized.hypotheses, plain.hypotheses * factor)
    assert not torch.allclose(expected.factor, torch.ones(()), atol=0.01)  # or this tests nothing


@pytest.mark.parametrize("grown", [0.8, 1.0, 1.03, 1.2])
def test_an_adaptation_that_moves_sizes_says_so(target, grown, caplog, monkeypatch):
    source = windows.sample(windows.domain("lab"), 12, 0, T)
    monkeypatch.setattr(AdaptTask, "growth", lambda *_: grown)
    recipe = Adaptation(steps=1, batch=2, hypotheses=0)
    with caplog.at_level(logging.WARNING):
        adapt(
            small(), source, target.keypoints, target.camera, recipe,
            diffusion=GaussianDiffusion(50), progress=False,
        )  # fmt: skip
    said = [r.getMessage() for r in caplog.records if "before the adaptation" in r.getMessage()]
    assert len(said) == (abs(grown - 1) > 0.05)
    if said:
        assert "20 %" in said[0] and ("taller" if grown > 1 else "shorter") in said[0]


def test_growth_compares_lifts_of_the_same_target(target):
    source = windows.sample(windows.domain("lab"), 12, 0, T)
    before, after = small(), small()
    recipe = Adaptation(hypotheses=0)
    diffusion = GaussianDiffusion(50)
    task = AdaptTask(before, source, recipe, 0, diffusion, target.keypoints, target.camera)
    assert task.growth(before, after) == pytest.approx(1.0)
    with torch.no_grad():
        real = after.denoise

    after.denoise = lambda *args: 1.5 * real(*args)  # poses half as large again
    assert 1.2 < task.growth(before, after) < 2.0


def test_the_card_says_what_load_lifter_says():
    card = cards.load("posynda.sizes")
    rows = {(r["lifter"], r["place"], r["world"]): r["metrics"] for r in card["rows"]}

    def mean(lifter, place, world, metric):
        return rows[lifter, place, world][metric]["mean"]

    for place, world in {key[1:] for key in rows}:
        sizes = [mean(lifter, place, world, "size") for lifter in ("mixste", "mixste_stage")]
        assert sizes[1] > sizes[0] + 3  # adapted, it lifts taller, whoever is seen
        for lifter in ("mixste", "mixste_stage"):  # the kindest scale flatters small lifts
            assert mean(lifter, place, world, "scale") > mean(lifter, place, world, "size") + 5
    usual, larger = (
        mean("mixste", "lab", world, "size") for world in ("as it is", "image scale x 1.25")
    )
    assert larger / usual == pytest.approx(1.08, abs=0.01)
    told = {("stage", "as it is"): 3, ("lab", "as it is"): 8, ("lab", "bodies x 0.9"): 17}
    for (place, world), more in told.items():
        size = mean("mixste_stage", place, world, "size")
        assert size - 100 == pytest.approx(more, abs=0.5)
        mended = mean("mixste_stage", place, world, "MPJPE known")
        assert mended < mean("mixste_stage", place, world, "MPJPE") - 5
    home = rows["mixste", "lab", "as it is"]
    assert home["MPJPE known"]["mean"] > home["MPJPE"]["mean"]
