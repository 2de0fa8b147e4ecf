"""Domains: seeded, split by take and subject, within joint limits, and projected as stated."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb.world import domains, motion
from posenb.world.skeletons import BODY17

NAMES = domains.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_poses(name: str) -> None:
    domain = domains.get(name)
    first, again, other = (domain.sample(50, seed) for seed in (0, 0, 1))
    assert torch.equal(first.keypoints, again.keypoints)
    assert first.subject == again.subject and first.action == again.action
    assert not torch.equal(first.keypoints, other.keypoints)


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_subject(name: str) -> None:
    domain = domains.get(name)
    train, test = (set(domain.sample(2000, 0, split).subject) for split in ("train", "test"))
    assert train and test and not train & test


def test_takes_of_the_splits_are_apart() -> None:
    """At least a frame of every recording lies between a train take and the test take."""
    _, _, starts, lengths, _, labels = domains._takes("train")
    _, _, test_starts, test_lengths, _, test_labels = domains._takes("test")
    assert set(labels) == set(test_labels) == set(motion.load_motion().actions)
    assert (lengths >= 4).all() and (test_lengths >= 6).all()
    for start, length in zip(test_starts.tolist(), test_lengths.tolist(), strict=True):
        for other, size in zip(starts.tolist(), lengths.tolist(), strict=True):
            assert other + size < start or other > start + length


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_are_projections_of_the_joints(name: str) -> None:
    domain = dataclasses.replace(domains.get(name), noise=0.0)
    poses = domain.sample(300, 3)
    assert poses.camera is not None and poses.joints3d is not None
    torch.testing.assert_close(poses.camera.project(poses.joints3d), poses.keypoints)
    assert (poses.camera.to_camera(poses.joints3d)[..., 2] > 0.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_people_are_in_the_picture_and_on_the_ground(name: str) -> None:
    poses = domains.get(name).sample(2000, 0)
    inside = ((poses.keypoints > 0) & (poses.keypoints < 1)).all(-1).all(-1)
    assert inside.float().mean() > 0.99
    assert poses.joints3d is not None
    assert poses.joints3d[..., 1].amin(1).min() > -0.05
    assert poses.joints3d[..., 1].amin(1).max() < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_noise_has_the_stated_size(name: str) -> None:
    domain = domains.get(name)
    quiet = dataclasses.replace(domain, noise=0.0).sample(2000, 0).keypoints
    noise = domain.sample(2000, 0).keypoints - quiet
    assert noise.std().item() == pytest.approx(domain.noise, rel=0.03, abs=1e-6)


def test_one_camera_angle_changes_nothing_else() -> None:
    domain = domains.get("wild")
    steep = dataclasses.replace(domain, elevation=(40.0, 40.0))
    before, after = domain.sample(100, 0), steep.sample(100, 0)
    assert before.joints3d is not None and after.joints3d is not None
    torch.testing.assert_close(before.joints3d, after.joints3d)
    assert before.action == after.action
    assert after.camera is not None
    centre = torch.tensor([0.0, 0.9, 0.0])
    outward = after.camera.position - centre
    angle = torch.rad2deg(torch.asin(outward[:, 1] / outward.norm(dim=-1)))
    torch.testing.assert_close(angle, torch.full((100,), 40.0), atol=1e-2, rtol=0)


def test_bone_ratios_scale_the_bones() -> None:
    domain = dataclasses.replace(domains.get("synthetic"), convention=())
    longer = dataclasses.replace(domain, bone_ratios=(("thighs", 1.3),))

    def lengths(recipe: domains.Domain, parent: str, child: str) -> torch.Tensor:
        joints = recipe.sample(200, 0).joints3d
        assert joints is not None
        return (joints[:, BODY17.index(child)] - joints[:, BODY17.index(parent)]).norm(dim=-1)

    for parent, child, factor in (("left_hip", "left_knee", 1.3), ("left_knee", "left_ankle", 1)):
        ratio = lengths(longer, parent, child) / lengths(domain, parent, child)
        torch.testing.assert_close(ratio, torch.full((200,), float(factor)), atol=1e-4, rtol=0)


def test_conventions_move_joints_along_the_line() -> None:
    domain = dataclasses.replace(domains.get("lab"), convention=())
    moved = dataclasses.replace(domain, convention=(("left_hip", "pelvis", -0.5),))
    plain, shifted = domain.sample(50, 0).joints3d, moved.sample(50, 0).joints3d
    assert plain is not None and shifted is not None
    hip, pelvis = BODY17.index("left_hip"), BODY17.index("pelvis")
    expected = plain[:, hip] + 0.5 * (plain[:, hip] - plain[:, pelvis])
    torch.testing.assert_close(shifted[:, hip], expected)
    others = [joint for joint in range(17) if joint != hip]
    torch.testing.assert_close(shifted[:, others], plain[:, others])


def test_jitter_stays_in_the_joint_limits() -> None:
    wild = dataclasses.replace(domains.get("wild"), jitter=2.0, limb_mixing=1.0)
    rotations, _, _ = domains._poses(wild, 250, 2, 50.0, "train", torch.Generator().manual_seed(0))
    low, high = motion.joint_limits()
    vectors = motion.quaternion_to_vector(rotations.flatten(0, 1))
    # A turn by more than pi comes back as the shorter turn about the opposite axis.
    angle = vectors.norm(dim=-1, keepdim=True)
    longer = vectors * (1 - 2 * torch.pi / angle.clamp_min(1e-6))

    def within(turn: torch.Tensor) -> torch.Tensor:
        return ((turn >= low - 1e-3) & (turn <= high + 1e-3)).all(-1)

    assert (within(vectors) | within(longer)).all()
    knee = vectors[:, BODY17.index("left_knee")]
    assert (knee[:, :2].abs() < 1e-5).all() and knee[:, 2].std() > 0.5  # jitter is at work


def test_actions_come_in_the_stated_shares() -> None:
    poses = domains.get("outdoor").sample(20_000, 0)
    total = sum(weight for _, weight in domains.get("outdoor").actions)
    for action, weight in domains.get("outdoor").actions:
        assert poses.action.count(action) / 20_000 == pytest.approx(weight / total, abs=0.015)


def test_facing_the_camera() -> None:
    """With no spread, the pelvis looks into the camera."""
    domain = dataclasses.replace(
        domains.get("wild"), facing=0.0, lean=0.0, area=0.0, actions=(("walk", 1.0),)
    )
    poses = domain.sample(200, 0)
    assert poses.joints3d is not None and poses.camera is not None
    hips = poses.joints3d[:, 4] - poses.joints3d[:, 1]  # right hip -> left hip
    view = poses.camera.position - poses.joints3d[:, 0]
    forward = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).expand_as(hips), -hips)
    cosine = torch.nn.functional.cosine_similarity(forward[:, [0, 2]], view[:, [0, 2]])
    assert cosine.min() > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": (("moonwalk", 1.0),)}, "moonwalk"),
        ({"bone_ratios": (("tail", 1.0),)}, "tail"),
        ({"subjects": 2}, "too few"),
        ({"convention": (("tail", "pelvis", 1.0),)}, "tail"),
    ],
)
def test_bad_recipes_are_named(change: dict[str, object], message: str) -> None:
    domain = dataclasses.replace(domains.get("wild"), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        domain.sample(10, 0, "test")


def test_bad_calls_are_named() -> None:
    with pytest.raises(ValueError, match="crop must be box or root, found 'Root'"):
        dataclasses.replace(domains.get("lab"), crop="Root")  # type: ignore[arg-type]
    for actions in ((), (("walk", 0.0),), (("walk", 1.0), ("run", -1.0))):
        with pytest.raises(ValueError, match="domain lab: actions need weights"):
            dataclasses.replace(domains.get("lab"), actions=actions)
    with pytest.raises(ValueError, match=r"no domain 'coco'.*wild"):
        domains.get("coco")
    with pytest.raises(ValueError, match="at least 1"):
        domains.get("wild").sample(0, 0)
    with pytest.raises(ValueError, match="'validation'"):
        domains.get("wild").sample(5, 0, "validation")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_windows_of_motion_show_one_body_that_moves_on_the_ground(name: str) -> None:
    domain = domains.get(name)
    moving = domain.sample_motion(50, 12, 0)
    assert moving.joints3d.shape == (50, 12, 17, 3) and moving.camera.shape == (50,)
    assert torch.equal(moving.joints3d, domain.sample_motion(50, 12, 0).joints3d)
    assert moving.joints3d[..., 1].amin((1, 2)).max() < 0.3
    shank = (moving.joints3d[:, :, 2] - moving.joints3d[:, :, 3]).norm(dim=-1)
    torch.testing.assert_close(shank, shank[:, :1].expand_as(shank), rtol=1e-4, atol=1e-4)
    step = (moving.joints3d[:, 1:] - moving.joints3d[:, :-1]).norm(dim=-1)
    assert 0.003 < step.mean() < 0.05
    assert not set(moving.subject) & set(domain.sample_motion(50, 1, 0, "test").subject)
    for options in ({"frames": 0}, {"count": 0}, {"fps": 0.0}, {"split": "dev"}):
        with pytest.raises(ValueError, match="must be"):
            domain.sample_motion(**{"count": 2, "frames": 2, "seed": 0, **options})
