from __future__ import annotations

import numpy as np
import pytest
import torch

from posenb.posynda import windows
from posenb.posynda.augmentation import align, ancestry, jitter
from posenb.posynda.hypotheses import project
from posenb.train import runtime
from posenb.world.skeletons import BODY17

N, T = 6, 5


@pytest.fixture(scope="module")
def source():
    return windows.sample(windows.domain("lab"), N, 0, T)


@pytest.fixture(scope="module")
def target():
    return windows.sample(windows.domain("stage_far"), N, 1, T)


def slow_f(pose, known, focal, center):
    """F of one window, frame by frame and in NumPy, after PoseDA's formula."""
    boxes = [known[t].max(0) - known[t].min(0) for t in range(T)]
    size = np.mean([(w + h) / 2 for w, h in boxes])
    dx, dy = np.mean([(pose[t].max(0) - pose[t].min(0))[:2] for t in range(T)], axis=0)
    z = (focal[0] * dx + focal[1] * dy) / (2 * size)
    keypoints = np.zeros_like(known)
    for t in range(T):
        x, y = z * (known[t, 0] - center) / focal
        for joint, (a, b, c) in enumerate(pose[t]):
            keypoints[t, joint] = focal * np.array([a + x, b + y]) / (c + z) + center
    return keypoints, z


@pytest.mark.parametrize("units", ["pixels", "screen", "plane"])
def test_f_against_a_slow_reference(source, units):
    target = windows.sample(windows.domain("stage_far"), N, 1, T, units=units)
    placed = align(source.joints3d, target.keypoints, target.camera)
    for n in range(N):
        camera = target.camera[n]
        values = source.joints3d[n], target.keypoints[n], camera.focal, camera.center
        expected, z = slow_f(*(value.double().numpy() for value in values))
        np.testing.assert_allclose(placed.keypoints[n].numpy(), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(placed.root[n, :, 2].numpy(), z, rtol=1e-5)


def test_f_gives_the_targets_size_and_place(source, target):
    placed = align(source.joints3d, target.keypoints, target.camera)

    def size(keypoints):
        return (keypoints.amax(2) - keypoints.amin(2)).mean((1, 2))

    assert torch.equal(placed.joints3d, source.joints3d)  # labels stay
    torch.testing.assert_close(
        placed.keypoints[:, :, 0], target.keypoints[:, :, 0], rtol=1e-4, atol=1e-5
    )
    ratio = size(placed.keypoints) / size(target.keypoints)
    assert (ratio - 1).abs().max() < 0.15  # all but perspective
    away = size(source.keypoints) / size(target.keypoints)
    assert (away - 1).abs().mean() > 0.4


def test_f_of_the_pose_itself_finds_its_depth(target):
    exact = project(target.joints3d + target.root[:, :, None], target.camera)
    placed = align(target.joints3d, exact, target.camera)
    ratio = placed.root[..., 2] / target.root[..., 2]
    assert (ratio - 1).abs().max() < 0.1


def test_f_leaves_missing_joints_out_but_needs_the_root(source, target):
    holes = target.keypoints.clone()
    holes[0, 2, 13] = torch.nan
    placed = align(source.joints3d, holes, target.camera)
    assert placed.keypoints.isfinite().all()
    holes[0, 2, 0] = torch.nan
    with pytest.raises(ValueError, match="root joint is missing"):
        align(source.joints3d, holes, target.camera)
    with pytest.raises(ValueError, match="as many source poses"):
        align(source.joints3d[:2], target.keypoints, target.camera)


def test_joints_are_sums_of_bones():
    chain = ancestry(BODY17)
    pose = torch.randn(17, 3, generator=runtime.generator(0))
    bones = torch.stack(
        [pose[j] - (pose[p] if p >= 0 else 0) for j, p in enumerate(BODY17.parents)]
    )
    torch.testing.assert_close(chain @ bones, pose)


def test_plain_augmentation_changes_what_it_says(source):
    options = {"bones": 0.0, "angle": 0.0, "depth": 0.0, "shift": 0.0}

    def run(**changed):
        return jitter(
            source.joints3d,
            source.root,
            source.camera,
            BODY17,
            runtime.generator(0),
            **{**options, **changed},
        )

    def lengths(poses):
        parent, child = (list(ends) for ends in zip(*BODY17.bones, strict=True))
        return (poses[..., child, :] - poses[..., parent, :]).norm(dim=-1)

    same = run()
    clean = project(source.joints3d + source.root[:, :, None], source.camera)
    torch.testing.assert_close(same.keypoints, clean, rtol=1e-4, atol=1e-4)
    ratio = lengths(run(bones=0.1).joints3d) / lengths(source.joints3d)
    assert (ratio - ratio[:, :1]).abs().max() < 1e-3  # the same in every frame
    assert ratio.std() > 0.05
    order = {child: k for k, (_, child) in enumerate(BODY17.bones)}
    for a, b in BODY17.flip_pairs:
        torch.testing.assert_close(ratio[..., order[a]], ratio[..., order[b]], rtol=1e-3, atol=1e-3)
    turned = run(angle=0.3)
    torch.testing.assert_close(
        lengths(turned.joints3d), lengths(source.joints3d), rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(turned.joints3d, source.joints3d, atol=0.05)
    assert torch.equal(run(depth=0.3).joints3d, same.joints3d)
    assert (run(depth=0.3).root[..., 2] / source.root[..., 2]).std() > 0.1
    for placed in (turned, run(depth=0.3), run(shift=0.2)):
        again = project(placed.joints3d + placed.root[:, :, None], source.camera)
        assert torch.equal(placed.keypoints, again)
