"""Plausibility: real poses pass, stretched and broken ones do not."""

from __future__ import annotations

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from posenb.measure import plausibility
from posenb.measure.keypoints import joint_triplets
from posenb.world import domains
from posenb.world.skeletons import BODY17

CHAINS = joint_triplets(BODY17.parents)


@pytest.fixture(scope="module")
def real() -> Tensor:
    return domains.get("wild").sample(9000, 0).keypoints


@pytest.fixture(scope="module")
def limits(real: Tensor) -> plausibility.Plausibility:
    return plausibility.learn(real[:4000], real[4000:8000], BODY17.bones, CHAINS)


def test_real_poses_are_plausible(limits: plausibility.Plausibility, real: Tensor) -> None:
    fresh = real[8000:]
    assert limits.bone_violations(fresh).float().mean() < 0.03
    assert limits.joint_violations(fresh).float().mean() < 0.04


def test_a_stretched_bone_is_found(limits: plausibility.Plausibility, real: Tensor) -> None:
    poses = real[8000:8200].clone()
    wrist, elbow = BODY17.index("left_wrist"), BODY17.index("left_elbow")
    poses[:, wrist] += 3 * (poses[:, wrist] - poses[:, elbow])
    longest = limits.longest[BODY17.bones.index((elbow, wrist))]
    long = (poses[:, wrist] - poses[:, elbow]).norm(dim=-1) > longest
    assert long.float().mean() > 0.3
    assert limits.bone_violations(poses)[long].all()


def test_crumpled_bodies_are_found(limits: plausibility.Plausibility, real: Tensor) -> None:
    fresh = real[8000:]
    crumpled = fresh.mean(1, keepdim=True) + 0.3 * (fresh - fresh.mean(1, keepdim=True))
    assert not limits.bone_violations(crumpled).any()
    assert limits.size_violations(crumpled).float().mean() > 0.9
    assert limits.size_violations(fresh).float().mean() < 0.01


def test_a_broken_knee_is_found(limits: plausibility.Plausibility, real: Tensor) -> None:
    """Seen from where it may, a shank that goes on upwards past the hip is no human's."""
    upright = real[8000:]
    upright = upright[upright[:, 3, 1] - upright[:, 1, 1] > 0.3]
    broken = upright.clone()
    broken[:, 3] = broken[:, 2] - 1.3 * (broken[:, 2] - broken[:, 1])
    before, after = (limits.joint_violations(p).float().mean() for p in (upright, broken))
    assert after > before + 0.5


def test_neighbours_are_those_of_scikit_learn(
    limits: plausibility.Plausibility, real: Tensor
) -> None:
    random = torch.Generator().manual_seed(0)
    poses = real[8000:8300] + 0.03 * torch.randn(300, 17, 2, generator=random)
    expected = torch.zeros(300, dtype=torch.bool)
    for (parent, joint, child), reach in zip(CHAINS, limits.reach, strict=True):

        def bones(p: Tensor, a: int = parent, b: int = joint, c: int = child) -> Tensor:
            return torch.cat([p[:, b] - p[:, a], p[:, c] - p[:, b]], 1)

        search = NearestNeighbors(n_neighbors=1).fit(bones(real[:4000]).double())
        distance, _ = search.kneighbors(bones(poses).double())
        expected |= torch.from_numpy(distance[:, 0] > reach)
    assert 0.05 < expected.float().mean() < 0.95
    assert (limits.joint_violations(poses) == expected).float().mean() > 0.995


def test_bad_poses_are_named(limits: plausibility.Plausibility, real: Tensor) -> None:
    broken = real[:5].clone()
    broken[3, 2, 0] = torch.nan
    for ask in (limits.bone_violations, limits.joint_violations):
        with pytest.raises(ValueError, match="pose 3 has a joint that is not finite"):
            ask(broken)
        with pytest.raises(ValueError, match=r"\(N, 17, 2\), found \(5, 16, 2\)"):
            ask(real[:5, :16])
    with pytest.raises(ValueError, match="pose 3"):
        plausibility.learn(real, broken, BODY17.bones, CHAINS)


def test_layouts_are_named(limits: plausibility.Plausibility, real: Tensor) -> None:
    for ask in (limits.bone_violations, limits.size_violations, limits.joint_violations):
        with pytest.raises(ValueError, match=r"reshape\(5, 17, 2\)"):
            ask(real[:5].flatten(1))
        with pytest.raises(ValueError, match=r"\.mT"):
            ask(real[:5].mT)
        with pytest.raises(ValueError, match="ndarray.*as_tensor"):
            ask(real[:5].numpy())
    with pytest.raises(ValueError, match="held_out has shape .*reshape"):
        plausibility.learn(real, real.flatten(1), BODY17.bones, CHAINS)


def test_bad_sets_are_named(real: Tensor) -> None:
    with pytest.raises(ValueError, match="equal joints"):
        plausibility.learn(real, real[:, :16], BODY17.bones, CHAINS)
    with pytest.raises(ValueError, match="expected two sets"):
        plausibility.learn(real[:0], real, BODY17.bones, CHAINS)
