"""Recordings on the body: limbs point where the recordings' point, feet are on the floor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posenb.world import motion
from posenb.world.body import Body, load_body
from posenb.world.retarget import on_floor, retarget, retarget_clip
from posenb.world.skeletons import BODY17

CLIPS = [clip.name for clip in motion.load_motion().clips]


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def direction(joints: Tensor, start: str, stop: str) -> Tensor:
    bone = joints[..., BODY17.index(stop), :] - joints[..., BODY17.index(start), :]
    return torch.nn.functional.normalize(bone, dim=-1)


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between directions; exact for small angles too."""
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1)))


def clip_person(body: Body, name: str) -> tuple[motion.Clip, Tensor]:
    shape, _ = body.people(len(CLIPS), torch.Generator().manual_seed(1))
    return motion.load_motion().clip(name), shape[CLIPS.index(name)]


@pytest.mark.parametrize("name", CLIPS)
def test_limbs_point_where_the_recordings_point(body: Body, name: str) -> None:
    clip, shape = clip_person(body, name)
    rotations, root = retarget_clip(body, clip, shape)
    found, recorded = body.keypoints("BODY17", shape, rotations, root), clip.joints()
    for side in ("left", "right"):
        for start, stop in (("hip", "knee"), ("knee", "ankle"),
                            ("shoulder", "elbow"), ("elbow", "wrist")):  # fmt: skip
            bone = f"{side}_{start}", f"{side}_{stop}"
            assert angle(direction(found, *bone), direction(recorded, *bone)).max() < 1
    for start, stop, usual, most in (
        ("right_hip", "left_hip", 1, 2),
        ("right_shoulder", "left_shoulder", 1, 2),
        ("pelvis", "neck", 8, 12),  # the trunk bends in five joints instead of one
        ("neck", "head_top", 16, 24),  # and the neck in two, higher up
    ):
        off = angle(direction(found, start, stop), direction(recorded, start, stop))
        assert off.mean() < usual and off.max() < most, (start, stop, off.mean(), off.max())


@pytest.mark.parametrize("name", CLIPS)
def test_nobody_sinks_or_floats(body: Body, name: str) -> None:
    clip, shape = clip_person(body, name)
    rotations, root = retarget_clip(body, clip, shape)
    assert rotations.shape == (len(clip), len(body.bones), 3, 3) and root.shape == (len(clip), 3)
    eye = torch.eye(3).expand_as(rotations)
    torch.testing.assert_close(rotations @ rotations.mT, eye, atol=1e-5, rtol=0)
    skin = body.skin[body.layer == body.layers.index("skin")]
    transforms, _ = body.transforms(shape, rotations, root)
    lowest = skin.move(transforms, shape)[..., 1].amin(-1)
    assert lowest.min() > -0.02
    in_air = lowest > 0.02
    jumps = {"backflip", "jump", "spin", "spinkick", "dance_b"}
    assert in_air.any() == (clip.action in jumps)
    assert not in_air.all()
    fastest = root.diff(dim=0).norm(dim=-1).max() * clip.fps
    recorded = clip.root.diff(dim=0).norm(dim=-1).max() * clip.fps
    assert fastest < recorded + 2  # metres a second: putting feet on the floor does not jerk


def test_a_mirrored_pose_gives_a_mirrored_body(body: Body) -> None:
    clip = motion.load_motion().clip("humanoid3d_kick")
    root, shape = torch.zeros(len(clip), 3), torch.zeros(len(body.skin.shape))

    def joints(quaternions: Tensor) -> Tensor:
        turns = retarget(body, motion.quaternion_to_matrix(quaternions))
        return body.keypoints("BODY17", shape, turns, root)

    expected = joints(clip.rotations)[:, BODY17.flip_order] * torch.tensor([1.0, 1.0, -1.0])
    found = joints(motion.mirror(clip.rotations))
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_standing_still_is_standing_still(body: Body) -> None:
    shape, _ = body.people(6, torch.Generator().manual_seed(0))
    turns = retarget(body, torch.eye(3).expand(6, 17, 3, 3), shape)
    root = on_floor(body, shape, turns, torch.tensor([1.0, 5.0, 2.0]))
    assert root.shape == (6, 3)
    torch.testing.assert_close(root[:, 0::2], torch.tensor([[1.0, 2.0]]).expand(6, 2))
    joints = body.keypoints("BODY17", shape, turns, root)
    down = torch.tensor([0.0, -1.0, 0.0])
    for start, stop in (("left_hip", "left_knee"), ("right_shoulder", "right_elbow")):
        assert angle(direction(joints, start, stop), down).max() < 0.5
    ankles = joints[:, [BODY17.index("left_ankle"), BODY17.index("right_ankle")], 1]
    assert ankles.min() > 0.04 and ankles.max() < 0.12


def test_poses_have_any_batch_shape_and_gradients(body: Body) -> None:
    clip = motion.load_motion().clip("humanoid3d_run")
    rotations = motion.quaternion_to_matrix(clip.rotations)[:6].reshape(2, 3, 17, 3, 3)
    turns = retarget(body, rotations, torch.zeros(2, 1, 16))  # 16 numbers a shape
    assert turns.shape == (2, 3, len(body.bones), 3, 3)
    torch.testing.assert_close(turns[1, 2], retarget(body, rotations[1, 2]), atol=1e-5, rtol=0)
    still = torch.eye(3).repeat(17, 1, 1).requires_grad_()  # where an angle has no derivative
    retarget(body, still).square().sum().backward()
    assert still.grad is not None and still.grad.isfinite().all()


def test_wrong_shapes_are_named(body: Body) -> None:
    with pytest.raises(ValueError, match=r"rotations: found .*\(52, 3, 3\), expected .*17, 3, 3"):
        retarget(body, body.identity())
    with pytest.raises(ValueError, match=r"shape: found the shape \(3,\), expected \(\.\.\., 16\)"):
        retarget(body, torch.eye(3).expand(17, 3, 3), torch.zeros(3))
    clip = motion.load_motion().clip("humanoid3d_run")
    with pytest.raises(ValueError, match=r"found \(2, 16\), expected one person's 16 numbers"):
        retarget_clip(body, clip, torch.zeros(2, 16))
