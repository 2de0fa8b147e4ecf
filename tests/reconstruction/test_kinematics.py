"""Kinematic correction: against a slow walk, and what must hold for any pose."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from posenb.reconstruction import bone_scale
from posenb.reconstruction.kinematics import KinematicRanges, correct, measure, source_ranges
from posenb.world import domains
from posenb.world.filming import find
from posenb.world.hands import HandDomain
from posenb.world.rendering import render
from posenb.world.skeletons import BODY17, FACE68, HAND21, Skeleton

SEEDS = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def people() -> torch.Tensor:
    joints = domains.get("synthetic").sample(300, 0).joints3d
    assert joints is not None
    return joints.double()


@pytest.fixture(scope="module")
def hands() -> tuple[torch.Tensor, torch.Tensor]:
    """Joints, and which are left hands."""
    domain = find("hands_rendered")
    assert isinstance(domain, HandDomain)
    left = domain.scenes(200, 0, "train").left
    return render("hands_rendered", 200, 0, 16).joints3d.double(), left


@pytest.fixture(scope="module")
def ranges(people: torch.Tensor) -> KinematicRanges:
    return measure(people, BODY17)


def noisy(joints: torch.Tensor, seed: int, size: float = 0.2) -> torch.Tensor:
    noise = torch.randn(joints.shape, generator=torch.Generator().manual_seed(seed))
    return joints + size * noise.to(joints)


def align(u: np.ndarray, v: np.ndarray) -> Rotation:
    """The least rotation of one direction to another, as a rotation vector."""
    axis = np.cross(u, v)
    length = np.linalg.norm(axis)
    angle = math.atan2(length, u @ v)
    return Rotation.from_rotvec(axis / max(length, 1e-12) * angle)


def nearest(turn: float, low: float, high: float) -> float:
    if low <= turn <= high:
        return turn
    around = lambda end: abs(math.remainder(turn - end, 2 * math.pi))  # noqa: E731
    return low if around(low) < around(high) else high


def registered(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """The best similarity, the rotation by SciPy."""
    a, b = moving - moving.mean(0), fixed - fixed.mean(0)
    turn, _ = Rotation.align_vectors(b, a)
    a = turn.apply(a)
    return (a * b).sum() / (a * a).sum() * a + fixed.mean(0)


def slow(joints: np.ndarray, ranges: KinematicRanges, skeleton: Skeleton) -> np.ndarray:
    """`correct` of one pose (K, 3), bone by bone, children before cousins."""
    bones = list(skeleton.bones)
    length = np.array([np.linalg.norm(joints[c] - joints[p]) for p, c in bones])
    low, high = ranges.lengths.numpy().T
    scale = brentq(
        lambda s: (np.clip(length / s, low, high) ** 2).mean() - 1,
        (length / high).min(),
        (length / low).max(),
        xtol=1e-14,
    )
    length = scale * np.clip(length / scale, low, high)
    x, side = (joints[bones[b][1]] - joints[bones[b][0]] for b in ranges.spanning)
    x = x / np.linalg.norm(x)
    side = side - (side @ x) * x
    y = side / np.linalg.norm(side)
    new = {skeleton.parents.index(-1): joints[skeleton.parents.index(-1)]}

    def walk(parent: int, frame: Rotation) -> None:
        for number, (above, child) in enumerate(bones):
            if above != parent:
                continue
            aim = joints[child] - new[parent]
            a, b, c = ranges.axes[number].numpy() @ frame.inv().apply(aim)
            turn = nearest(math.atan2(b, a), *ranges.angles[number, 0].tolist())
            lean = float(
                np.clip(math.atan2(c, math.hypot(a, b)), *ranges.angles[number, 1].tolist())
            )
            inner = [math.cos(lean) * math.cos(turn), math.cos(lean) * math.sin(turn)]
            world = frame.apply(np.array([*inner, math.sin(lean)]) @ ranges.axes[number].numpy())
            new[child] = new[parent] + length[number] * world
            walk(child, align(frame.apply([1.0, 0, 0]), world) * frame)

    walk(skeleton.parents.index(-1), Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], 1)))
    return registered(np.stack([new[joint] for joint in range(len(skeleton))]), joints)


def test_correction_is_the_slow_walk(people: torch.Tensor, ranges: KinematicRanges) -> None:
    poses = noisy(people[:25], 0, 0.1)
    wanted = np.stack([slow(pose, ranges, BODY17) for pose in poses.numpy()])
    found = correct(poses, ranges, BODY17)
    torch.testing.assert_close(found, torch.from_numpy(wanted), atol=1e-6, rtol=0)
    assert (found - poses).norm(dim=-1).mean() > 0.05  # not all were feasible


@pytest.mark.slow
def test_correction_of_hands_is_the_slow_walk_of_the_nearer_side(
    hands: tuple[torch.Tensor, torch.Tensor],
) -> None:
    joints, left = hands
    either = measure(joints, HAND21, mirrored=left)
    one_side = replace(either, either_side=False)
    mirror = np.array([-1.0, 1, 1])
    poses = noisy(joints[:20], 1, 0.005)
    for pose, found in zip(poses.numpy(), correct(poses, either, HAND21).numpy(), strict=True):
        both = slow(pose, one_side, HAND21), mirror * slow(mirror * pose, one_side, HAND21)
        wanted = min(both, key=lambda p: ((p - pose) ** 2).sum())
        np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_measured_poses_are_left_alone(people: torch.Tensor) -> None:
    every = measure(people, BODY17, share=1.0)
    torch.testing.assert_close(correct(people, every, BODY17), people, atol=1e-9, rtol=0)
    single = correct(people.float(), every, BODY17)
    torch.testing.assert_close(single, people.float(), atol=1e-4, rtol=0)


@given(seed=SEEDS, size=st.floats(0, 1))
@settings(max_examples=20)
def test_corrected_poses_are_feasible_and_stay(
    people: torch.Tensor, ranges: KinematicRanges, seed: int, size: float
) -> None:
    once = correct(noisy(people[:20], seed, size), ranges, BODY17)
    ratios = BODY17.bone_lengths(once) / bone_scale(once, BODY17)[:, None]
    assert (ratios >= ranges.lengths[:, 0] - 1e-6).all()
    assert (ratios <= ranges.lengths[:, 1] + 1e-6).all()
    torch.testing.assert_close(correct(once, ranges, BODY17), once, atol=1e-5, rtol=0)


@given(seed=SEEDS, size=st.floats(0.1, 10))
@settings(max_examples=20)
def test_correction_knows_no_frame_and_no_unit(
    people: torch.Tensor, ranges: KinematicRanges, seed: int, size: float
) -> None:
    poses = noisy(people[:10], 3, 0.05)
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
    moved = size * poses @ turn.mT + 3.0
    wanted = size * correct(poses, ranges, BODY17) @ turn.mT + 3.0
    torch.testing.assert_close(correct(moved, ranges, BODY17), wanted, atol=1e-5 * size, rtol=0)


def test_ranges_of_all_hold_all_and_those_of_a_share_hold_it(people: torch.Tensor) -> None:
    ratios = BODY17.bone_lengths(people) / bone_scale(people, BODY17)[:, None]
    every, most = (measure(people, BODY17, share) for share in (1.0, 0.8))
    torch.testing.assert_close(every.lengths[:, 0], ratios.amin(0))
    torch.testing.assert_close(every.lengths[:, 1], ratios.amax(0))
    inside = (ratios >= most.lengths[:, 0]) & (ratios <= most.lengths[:, 1])
    assert ((inside.double().mean(0) - 0.8).abs() < 0.02).all()
    eye = torch.eye(3, dtype=people.dtype).expand(16, 3, 3)
    torch.testing.assert_close(every.axes @ every.axes.mT, eye)
    torch.testing.assert_close(torch.linalg.det(every.axes), eye[:, 0, 0])


def test_a_bone_that_is_too_long_is_shortened_in_its_direction(
    people: torch.Tensor, ranges: KinematicRanges
) -> None:
    feasible = correct(people[:50], ranges, BODY17)
    elbow, wrist = BODY17.index("left_elbow"), BODY17.index("left_wrist")
    broken = feasible.clone()
    broken[:, wrist] += feasible[:, wrist] - feasible[:, elbow]  # a forearm twice as long
    found = correct(broken, ranges, BODY17)
    bone = BODY17.bones.index((elbow, wrist))
    ratio = BODY17.bone_lengths(found)[:, bone] / bone_scale(found, BODY17)
    torch.testing.assert_close(ratio, ranges.lengths[bone, 1].expand(50), atol=1e-6, rtol=0)
    off = (found - feasible).norm(dim=-1)
    assert (off[:, wrist] < 0.6 * (broken - feasible)[:, wrist].norm(dim=-1)).all()


def test_a_knee_does_not_bend_forwards(people: torch.Tensor) -> None:
    ranges = measure(people, BODY17, share=1.0)
    hip, knee, ankle = (BODY17.index(f"left_{name}") for name in ("hip", "knee", "ankle"))
    thigh = people[:, knee] - people[:, hip]
    shank = people[:, ankle] - people[:, knee]
    along = (shank * thigh).sum(-1, keepdim=True) / thigh.square().sum(-1, keepdim=True) * thigh
    bent = (shank - along).norm(dim=-1) / shank.norm(dim=-1) > 0.8  # by more than 53 degrees
    assert bent.sum() > 20
    forwards = people.clone()
    forwards[:, ankle] = people[:, knee] + 2 * along - shank  # the same angle, the other way
    moved = (correct(forwards, ranges, BODY17) - forwards)[bent, ankle].norm(dim=-1)
    still = (correct(people, ranges, BODY17) - people)[bent, ankle].norm(dim=-1)
    assert moved.median() > 0.1 and still.max() < 1e-6  # metres


@pytest.mark.slow
def test_a_hand_may_be_the_other_one_and_a_body_is_not_mirrored(
    people: torch.Tensor, hands: tuple[torch.Tensor, torch.Tensor], ranges: KinematicRanges
) -> None:
    joints, left = hands
    every = measure(joints, HAND21, share=1.0, mirrored=left)
    torch.testing.assert_close(correct(joints, every, HAND21), joints, atol=1e-9, rtol=0)
    either = measure(joints[:150], HAND21, mirrored=left[:150])
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    poses = noisy(joints[150:], 2, 0.003)
    torch.testing.assert_close(
        correct(mirror * poses, either, HAND21), mirror * correct(poses, either, HAND21)
    )
    moved = lambda p: (correct(p, ranges, BODY17) - p).norm(dim=-1).mean()  # noqa: E731
    assert moved(mirror * people) > 5 * moved(people)


def test_a_bone_of_no_length_gets_some(people: torch.Tensor, ranges: KinematicRanges) -> None:
    poses = people[:5].clone()
    poses[:, BODY17.index("left_wrist")] = poses[:, BODY17.index("left_elbow")]
    poses[:, BODY17.index("spine")] = poses[:, BODY17.index("pelvis")]
    found = correct(poses.requires_grad_(), ranges, BODY17)
    assert found.isfinite().all() and not found.requires_grad
    assert (BODY17.bone_lengths(found) > 0.05).all()


@pytest.mark.slow
def test_ranges_of_a_domain_are_those_of_its_people() -> None:
    assert not source_ranges("synthetic", BODY17, 20).either_side
    found = source_ranges("hands_rendered", HAND21, 40, seed=2)
    joints = render("hands_rendered", 40, 2, 16).joints3d
    domain = find("hands_rendered")
    assert isinstance(domain, HandDomain)
    left = domain.scenes(40, 2, "train").left
    wanted = measure(joints, HAND21, mirrored=left)
    assert found.either_side and 5 < left.sum() < 35
    torch.testing.assert_close(found.lengths, wanted.lengths)
    torch.testing.assert_close(found.angles, wanted.angles)


def test_what_is_no_pose_is_named(people: torch.Tensor, ranges: KinematicRanges) -> None:
    broken = people[:4].clone()
    broken[2, 5, 1] = torch.nan
    with pytest.raises(ValueError, match="pose 2 has joints that are not finite"):
        correct(broken, ranges, BODY17)
    with pytest.raises(ValueError, match="pose 0 .* all in one place"):
        correct(torch.ones(1, 17, 3), ranges, BODY17)
    with pytest.raises(ValueError, match="17 joints.*HAND21 has 21"):
        correct(people, ranges, HAND21)
    with pytest.raises(ValueError, match="ranges of 16 bones, but HAND21 has 20"):
        correct(torch.randn(1, 21, 3), ranges, HAND21)
    with pytest.raises(ValueError, match="8 roots"):
        measure(torch.randn(2, 68, 3), FACE68)
    with pytest.raises(ValueError, match="share"):
        measure(people, BODY17, share=0.0)
    with pytest.raises(ValueError, match="no body has bones"):
        replace(ranges, lengths=0.5 * ranges.lengths)
    with pytest.raises(ValueError, match="above 0"):
        replace(ranges, lengths=ranges.lengths - 1)
