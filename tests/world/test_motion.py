"""Motion: the asset is what pybullet ships, and kinematics are what SciPy says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from posenb import assets
from posenb.build import motion as build
from posenb.world import motion
from posenb.world.skeletons import BODY17


def rotations(seed: int, *shape: int) -> Tensor:
    random = np.random.default_rng(seed)
    matrices = Rotation.random(int(np.prod(shape)), random).as_matrix()
    return torch.from_numpy(matrices).reshape(*shape, 3, 3)


def test_the_asset_holds_twenty_recordings() -> None:
    clips = motion.load_motion().clips
    assert len(clips) == 20
    assert sum(len(clip) for clip in clips) == 1810
    assert sum(clip.name.startswith("humanoid3d_") for clip in clips) == 15
    assert 40 < sum(len(clip) / clip.fps for clip in clips) < 41
    assert len(motion.load_motion().actions) == 16
    for clip in clips:
        torch.testing.assert_close(clip.rotations.norm(dim=-1), torch.ones(len(clip), 17))


def test_bones_keep_their_lengths_in_every_frame() -> None:
    parents = torch.tensor(motion.KINEMATIC_PARENTS)
    expected = motion.REST_OFFSETS[1:].norm(dim=-1)
    for clip in motion.load_motion().clips:
        joints = clip.joints()
        lengths = (joints[:, 1:] - joints[:, parents[1:]]).norm(dim=-1)
        torch.testing.assert_close(lengths, expected.expand_as(lengths), atol=1e-5, rtol=0)


def test_walkers_walk_upright_with_feet_near_the_ground() -> None:
    joints = motion.load_motion().clip("humanoid3d_walk").joints()
    head, pelvis = BODY17.index("head_top"), BODY17.index("pelvis")
    ankles = joints[:, [BODY17.index("left_ankle"), BODY17.index("right_ankle")], 1]
    assert (joints[:, head, 1] - joints[:, pelvis, 1] > 0.5).all()
    assert ankles.amin(1).abs().max() < 0.15
    assert ankles.amax() < 0.6
    right, left = joints[:, BODY17.index("right_hip")], joints[:, BODY17.index("left_hip")]
    assert ((right - left)[:, 2] > 0.1).all()  # looking along +x, the right side is at +z


def test_knees_bend_backwards() -> None:
    """With the thigh vertical, a bent knee carries the ankle behind it."""
    clip = motion.load_motion().clip("humanoid3d_run")
    knee = motion.quaternion_to_vector(clip.rotations[:, BODY17.index("right_knee")])
    assert knee[:, :2].abs().max() < 1e-5  # a hinge about z
    assert knee[:, 2].min() < -1 and knee[:, 2].max() < 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_forward_kinematics_equals_a_slow_loop(seed: int) -> None:
    local = rotations(seed, 3, 17)
    offsets = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 17, 3)))
    joints = motion.forward_kinematics(local, offsets, motion.KINEMATIC_PARENTS)
    for pose in range(3):
        frames: list[np.ndarray] = []
        for joint, parent in enumerate(motion.KINEMATIC_PARENTS):
            transform = np.eye(4)
            transform[:3, :3] = local[pose, joint].numpy()
            transform[:3, 3] = offsets[pose, joint].numpy()
            frames.append(transform if parent < 0 else frames[parent] @ transform)
            np.testing.assert_allclose(joints[pose, joint], frames[-1][:3, 3], atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_turning_the_root_turns_all_joints(seed: int) -> None:
    local, turn = rotations(seed, 17), rotations(seed + 1, 1)[0]
    offsets = motion.REST_OFFSETS.double()
    turned = local.clone()
    turned[0] = turn @ local[0]
    before = motion.forward_kinematics(local, offsets, motion.KINEMATIC_PARENTS)
    after = motion.forward_kinematics(turned, offsets, motion.KINEMATIC_PARENTS)
    torch.testing.assert_close(after, before @ turn.T)


def test_kinematics_have_gradients() -> None:
    vectors = torch.randn(17, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors.requires_grad_()

    def joints(v: Tensor) -> Tensor:
        matrices = motion.quaternion_to_matrix(motion.vector_to_quaternion(v))
        return motion.forward_kinematics(
            matrices, motion.REST_OFFSETS.double(), motion.KINEMATIC_PARENTS
        )

    assert torch.autograd.gradcheck(joints, vectors)


@pytest.mark.parametrize("seed", range(3))
def test_conversions_agree_with_scipy(seed: int) -> None:
    reference = Rotation.random(200, np.random.default_rng(seed))
    quaternion = torch.from_numpy(reference.as_quat()[:, [3, 0, 1, 2]])  # SciPy has w last
    matrix = motion.quaternion_to_matrix(quaternion)
    torch.testing.assert_close(matrix, torch.from_numpy(reference.as_matrix()))
    vector = motion.quaternion_to_vector(quaternion)
    torch.testing.assert_close(vector, torch.from_numpy(reference.as_rotvec()))
    back = motion.vector_to_quaternion(vector)
    torch.testing.assert_close(motion.quaternion_to_matrix(back), matrix)


def test_no_rotation_is_no_rotation() -> None:
    quaternion = motion.vector_to_quaternion(torch.zeros(1, 3))
    torch.testing.assert_close(quaternion, torch.tensor([[1.0, 0, 0, 0]]))
    torch.testing.assert_close(motion.quaternion_to_vector(quaternion), torch.zeros(1, 3))


def test_mirror_swaps_sides_and_twice_is_identity() -> None:
    clip = motion.load_motion().clip("humanoid3d_kick")
    again = motion.mirror(motion.mirror(clip.rotations))
    torch.testing.assert_close(again, clip.rotations)
    offsets, parents = motion.REST_OFFSETS, motion.KINEMATIC_PARENTS

    def joints(quaternions: Tensor) -> Tensor:
        matrices = motion.quaternion_to_matrix(quaternions)
        return motion.forward_kinematics(matrices, offsets, parents)

    expected = joints(clip.rotations)[:, BODY17.flip_order] * torch.tensor([1.0, 1.0, -1.0])
    torch.testing.assert_close(joints(motion.mirror(clip.rotations)), expected)


def test_interpolation_passes_through_the_frames() -> None:
    clip = motion.load_motion().clip("humanoid3d_jump")
    whole = motion.interpolate(clip.rotations, torch.arange(len(clip)).float())
    matrices = motion.quaternion_to_matrix
    torch.testing.assert_close(matrices(whole), matrices(clip.rotations), atol=1e-5, rtol=0)
    half = motion.interpolate(clip.rotations, torch.tensor([10.5]))
    ends = clip.rotations[10:12]
    middle = matrices(ends).sum(0) / 2
    torch.testing.assert_close(matrices(half)[0], middle, atol=0.02, rtol=0)


def test_places_between_frames_lie_on_straight_lines() -> None:
    path = motion.load_motion().clip("humanoid3d_walk").root
    at = torch.tensor([[0.0, 3.25], [7.5, len(path) - 1.0]])
    expected = [
        [np.interp(t, np.arange(len(path)), path[:, c].numpy()) for c in range(3)]
        for t in at.flatten().tolist()
    ]
    found = motion.between_frames(path, at).flatten(0, 1)
    torch.testing.assert_close(found, torch.tensor(np.array(expected), dtype=path.dtype))
    mirrored = motion.between_frames(motion.mirror_path(path), at).flatten(0, 1)
    torch.testing.assert_close(mirrored, found * torch.tensor([1.0, 1.0, -1.0]))


def test_joint_limits_hold_all_recorded_poses() -> None:
    low, high = motion.joint_limits()
    for clip in motion.load_motion().clips:
        vectors = motion.quaternion_to_vector(clip.rotations)
        assert ((vectors >= low) & (vectors <= high)).all()
    knee = BODY17.index("left_knee")
    assert high[knee, 2] < 0.6 and low[knee, 2] < -2.4


def test_an_unknown_clip_is_named() -> None:
    with pytest.raises(ValueError, match=r"no clip 'moonwalk'.*humanoid3d_walk"):
        motion.load_motion().clip("moonwalk")


def test_an_altered_asset_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = assets.path(motion.ASSET).read_bytes()
    manifest = (assets.FOLDER / "manifest.json").read_bytes()
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    assets.write_atomically(tmp_path / "manifest.json", manifest)
    assets.write_atomically(tmp_path / motion.ASSET, data[:-1] + bytes([data[-1] ^ 1]))
    motion.load_motion.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"humanoid\.npz is altered: expected sha256"):
            motion.load_motion()
    finally:
        motion.load_motion.cache_clear()


def test_wrong_joint_counts_and_orders_are_named() -> None:
    with pytest.raises(ValueError, match="17 parents need"):
        motion.forward_kinematics(torch.eye(3).expand(16, 3, 3), torch.zeros(16, 3), range(-1, 16))
    with pytest.raises(ValueError, match="comes before its parent"):
        motion.forward_kinematics(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3), (1, -1))


def test_damaged_recordings_are_named(tmp_path: Path) -> None:
    file = tmp_path / "humanoid3d_0.txt"
    still = ", ".join(["0.1"] + ["0"] * 43)
    for frames, why in (
        ('{"Frames": [[0, 1]]}', "44 numbers, found shape"),
        ('{"Frames": [[0, 1], [2]]}', r"humanoid3d_0.txt: expected JSON with lists"),
        ('{"Loop": "wrap"}', "in 'Frames'"),
        ("not JSON", r"humanoid3d_0.txt: expected JSON"),
        (f'{{"Frames": [[{still}]]}}', "two frames or more"),
        (f'{{"Frames": [[{still}], [{still}]]}}', "rotation has length 0"),
    ):
        file.write_text(frames)
        with pytest.raises(ValueError, match=why):
            build._read_source(file)


def test_other_recordings_do_not_replace_the_asset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, source = tmp_path / "assets", tmp_path / "source"
    monkeypatch.setattr(assets, "FOLDER", home)
    assets.ship({"motion/humanoid.npz": b"as it was"})
    with pytest.raises(ValueError, match=r"source has no humanoid3d_backflip\.txt: expected"):
        build.build(source)
    listed = json.loads((Path(assets.__file__).parent / "sources.json").read_bytes())["motion"]
    frame = json.dumps([0.1, 0, 1, 0] + [1, 0, 0, 0] * 10)
    for name in listed:
        if "*" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(f'{{"Frames": [{frame}, {frame}]}}')  # it can be read
    with pytest.raises(ValueError, match=r"has other bytes in humanoid3d_backflip\.txt.*nothing"):
        build.build(source)
    assert assets.path("motion/humanoid.npz").read_bytes() == b"as it was"


@pytest.mark.skipif(
    importlib.util.find_spec("pybullet_data") is None, reason="pybullet is not installed"
)
def test_the_asset_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = assets.manifest()["motion/humanoid.npz"]
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    build.build()
    assert assets.manifest()["motion/humanoid.npz"] == expected
