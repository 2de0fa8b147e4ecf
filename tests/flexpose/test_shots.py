from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posenb.flexpose.shots import complete, few_shot, pose_mixup, seen_through
from posenb.world import domains
from posenb.world.poses import recrop


def test_shots_are_stratified_and_seeded():
    pool = domains.get("lab").sample(600, 0)
    guides = few_shot(pool, 2, seed=4)
    assert len(guides) == 30
    assert set(collections.Counter(guides.action).values()) == {2}
    assert torch.equal(few_shot(pool, 2, seed=4).keypoints, guides.keypoints)
    assert not torch.equal(few_shot(pool, 2, seed=5).keypoints, guides.keypoints)
    assert len({tuple(p.flatten().tolist()) for p in guides.keypoints}) == 30


def test_a_class_with_too_few_poses_is_named():
    pool = domains.get("lab").sample(600, 0)
    walking = [i for i, action in enumerate(pool.action) if action == "walk"]
    others = [i for i, action in enumerate(pool.action) if action != "walk"]
    with pytest.raises(ValueError, match=r"\{'walk': 1\}"):
        few_shot(pool[others + walking[:1]], 2)
    with pytest.raises(ValueError, match="at least 1"):
        few_shot(pool, 0)


@given(st.integers(2, 6), st.integers(1, 20), st.sampled_from([0.3, 1.0, 2.0]), st.integers(0, 99))
def test_mixtures_lie_between_two_shots(shots, count, concentration, seed):
    random = torch.Generator().manual_seed(seed)
    poses = torch.rand(shots, 5, 2, dtype=torch.float64, generator=random)
    mixed = pose_mixup(poses, count, random, concentration)
    first, second = torch.combinations(torch.arange(shots)).T
    for pose in mixed:  # distance to the nearest segment between two shots
        along = poses[second] - poses[first]
        share = ((pose - poses[first]) * along).sum((1, 2)) / along.square().sum((1, 2))
        nearest = poses[first] + share.clamp(0, 1)[:, None, None] * along
        assert (pose - nearest).abs().amax((1, 2)).min() < 1e-9


@pytest.mark.parametrize("concentration", [0.4, 1.0])
def test_mixing_shrinks_the_variance_as_stated(concentration):
    random = torch.Generator().manual_seed(0)
    poses = torch.randn(40, 3, 2, generator=random)
    mixed = pose_mixup(poses, 40_000, random, concentration)
    # E[l^2 + (1 - l)^2] for Beta(a, a); that the two poses differ takes a little away.
    share = (concentration + 1) / (2 * concentration + 1)
    pairs = 1 - (1 - share) * 40 / 39
    expected = pairs * poses.var(0, unbiased=False).sum()
    found = mixed.var(0).sum()
    assert abs(found / expected - 1) < 0.03


def test_no_mixtures_are_the_shots():
    poses = torch.rand(3, 5, 2)
    assert torch.equal(pose_mixup(poses, 0, torch.Generator()), poses)


@pytest.mark.parametrize(
    ("shots", "count", "concentration", "reason"),
    [(1, 5, 1.0, "at least 2"), (3, -1, 1.0, "count"), (3, 5, 0.0, "concentration")],
)
def test_bad_mixing_is_refused(shots, count, concentration, reason):
    with pytest.raises(ValueError, match=reason):
        pose_mixup(torch.rand(shots, 5, 2), count, torch.Generator(), concentration)


def hidden(poses, joints):
    visible = torch.ones(len(poses), 17, dtype=torch.bool)
    visible[:, joints] = False
    keypoints = poses.keypoints.where(visible[..., None], 0.0)
    return recrop(dataclasses.replace(poses, keypoints=keypoints, visible=visible))


@pytest.mark.parametrize("joints", [[13], [3, 6], [9, 10], [2, 3], [12, 13, 16]])
def test_missing_joints_are_lent_by_near_poses_and_the_others_stay(joints):
    lab = domains.get("lab")
    truth, donors = recrop(lab.sample(30, 1)), recrop(lab.sample(1000, 2)).keypoints
    some = hidden(truth, joints)
    whole = complete(some, donors, torch.Generator().manual_seed(0))
    assert whole.visible is None and whole.keypoints.isfinite().all()
    seen = [j for j in range(17) if j not in joints]
    mask = some.visible[0]
    torch.testing.assert_close(
        seen_through(whole.keypoints, mask), seen_through(some.keypoints, mask), atol=1e-5, rtol=0
    )  # the joints that were there stay where they were, but for the crop
    guess = donors.mean(0).expand(30, 17, 2)
    error = (whole.keypoints - truth.keypoints)[:, joints].norm(dim=-1).mean()
    assert error < (guess - truth.keypoints)[:, joints].norm(dim=-1).mean()
    extent = whole.keypoints.amax(1) - whole.keypoints.amin(1)
    torch.testing.assert_close(extent.amax(1), torch.full((30,), 0.8))
    assert len(seen) + len(joints) == 17


def test_whole_poses_need_no_donor():
    poses = domains.get("lab").sample(3, 1)
    assert complete(poses, poses.keypoints, torch.Generator()) is poses


def test_two_whole_poses_are_as_far_apart_as_they_were():
    a, b = recrop(domains.get("lab").sample(2, 1)).keypoints
    mask = torch.ones(17, dtype=torch.bool)
    gap = (seen_through(a, mask) - seen_through(b, mask)).norm()
    assert float(gap) == pytest.approx(float((a - b).norm()), abs=1e-5)
