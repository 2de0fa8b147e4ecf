from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from posenb.posynda import windows
from posenb.posynda.augmentation import align, ancestry, jitter, lifted_places, put, total_length
from posenb.posynda.hypotheses import estimate_root, project
from posenb.train import runtime
from posenb.world.skeletons import BODY17, HAND21

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


@pytest.fixture(scope="module", params=["screen", "pixels", "plane"])
def steady(request):
    """Windows without noise, whose people stay at one depth; and the length of their bones."""
    some = windows.sample(windows.domain("stage"), N, 2, T, units=request.param)
    root = some.root.double()
    root = root / root[..., 2:] * root[..., 2:].mean(1, keepdim=True)
    some = replace(some, joints3d=some.joints3d.double(), root=root)
    exact = project(some.joints3d + root[:, :, None], some.camera)
    return replace(some, keypoints=exact)


def length_of(some):
    """What `lifted_places` gets where everybody is as long as the first."""
    return float(total_length(some.joints3d[0], BODY17).mean())


def alike(some):
    """Windows one by one, each with the length of its own person."""
    return [some[n : n + 1] for n in range(len(some))]


def places(some, lifted=None, keypoints=None, length=None):
    lifted = some.joints3d if lifted is None else lifted
    keypoints = some.keypoints if keypoints is None else keypoints
    length = length_of(some) if length is None else length
    return lifted_places(lifted, keypoints, some.camera, BODY17, length)


def test_put_sees_poses_where_they_are(steady):
    """As the camera itself projects, frame by frame."""
    placed = put(steady.joints3d, steady.root, steady.camera)
    still = replace(
        steady.camera,
        rotation=torch.eye(3).expand(N, 3, 3),
        translation=torch.zeros(N, 3),
    )
    for t in range(T):
        points = (steady.joints3d + steady.root[:, :, None])[:, t].float()
        torch.testing.assert_close(
            placed.keypoints[:, t].float(), still.project(points), rtol=1e-4, atol=1e-4
        )
    assert placed.joints3d is steady.joints3d and placed.root is steady.root


@pytest.mark.parametrize("skeleton", [BODY17, HAND21])
def test_total_length_against_a_slow_loop(skeleton):
    poses = torch.randn(2, 3, len(skeleton), 3, generator=runtime.generator(0))
    found = total_length(poses, skeleton)
    assert found.shape == (2, 3)
    for n in range(2):
        for t in range(3):
            expected = 0.0
            for joint, parent in enumerate(skeleton.parents):
                if parent >= 0:
                    gap = poses[n, t, joint] - poses[n, t, parent]
                    expected += float(gap.square().sum().sqrt())
            assert float(found[n, t]) == pytest.approx(expected, rel=1e-5)


def test_true_poses_are_found_where_they_are(steady):
    for some in alike(steady):
        found = places(some)
        torch.testing.assert_close(found, some.root, rtol=1e-5, atol=1e-5)
        assert (found[..., 2].std(1) < 1e-9).all()  # one depth a window


def test_a_window_has_one_depth_on_the_lines_of_sight(source):
    """People who walk to or from the camera: the mean depth, and the place in the picture stays."""
    moving = replace(source, joints3d=source.joints3d.double(), root=source.root.double())
    keypoints = project(moving.joints3d + moving.root[:, :, None], moving.camera)
    for some in alike(replace(moving, keypoints=keypoints)):
        found = places(some)
        mean = some.root[..., 2:].mean(1, keepdim=True)
        expected = some.root / some.root[..., 2:] * mean
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [0.5, 0.9, 1.3])
def test_dwarfs_near_by_are_people_farther_off(steady, size):
    for some in alike(steady):
        shrunk = size * some.joints3d
        near = estimate_root(shrunk[:, None], some.keypoints, some.camera)[:, 0]
        torch.testing.assert_close(near, size * some.root, rtol=1e-4, atol=1e-4)
        found = places(some, shrunk, length=length_of(some))
        torch.testing.assert_close(found, some.root, rtol=1e-4, atol=1e-4)


def test_everybody_gets_the_one_length(steady):
    """Who is longer than that is seen as farther off than it is, by as much."""
    length = length_of(steady)
    share = length / total_length(steady.joints3d, BODY17).mean(1)
    found = places(steady, length=length)
    expected = share[:, None, None] * steady.root
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("joints", [[13], [0], [0, 1, 4, 7], [0, *range(3, 17)]])
def test_missing_joints_move_nobody(steady, joints):
    """Not even the root, or all but two: what is there is exact."""
    for some in alike(steady):
        keypoints = some.keypoints.clone()
        keypoints[:, 1:3, joints] = torch.nan
        found = places(some, keypoints=keypoints)
        torch.testing.assert_close(found, some.root, rtol=1e-4, atol=1e-4)
    keypoints = steady.keypoints.clone()
    keypoints[0, 1, 1:] = torch.nan  # where too little is seen, that of the frame before
    found = places(steady, keypoints=keypoints)
    expected = steady.root.clone()
    sight = expected[0, 0] / expected[0, 0, 2]
    expected[0, 1] = sight * expected[0, 1, 2]
    torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=1e-3)
    keypoints[0] = torch.nan
    with pytest.raises(ValueError, match="shows nobody"):
        places(steady, keypoints=keypoints)


def test_nobody_comes_nearer_than_a_metre_and_all_stay_on_their_line_of_sight(steady):
    length = length_of(steady)
    whole, tiny = (places(steady, length=value) for value in (length, length / 100))
    torch.testing.assert_close(tiny, whole / whole[..., 2:], rtol=1e-6, atol=1e-9)
    assert (tiny[..., 2] == 1).all()
    assert put(steady.joints3d, tiny, steady.camera).keypoints.isfinite().all()


def test_poses_that_explain_nothing_do_no_harm(steady):
    """A pose turned about leaves its root behind the camera: others say how far it is."""
    turned = steady.joints3d.clone()
    turned[1, 2] = -turned[1, 2]  # one frame
    turned[4] = -turned[4]  # a whole window
    behind = estimate_root(turned[:, None], steady.keypoints, steady.camera)[:, 0, :, 2]
    assert (behind[1, 2] < 0.1) and (behind[4] < 0.1).all()
    whole, found = places(steady), places(steady, turned)
    good = [0, 2, 3, 5]
    assert torch.equal(found[good], whole[good])
    kept = [t for t in range(T) if t != 2]
    torch.testing.assert_close(found[1, kept], whole[1, kept], rtol=1e-4, atol=1e-4)
    assert torch.equal(found[4, :, 2], found[[0, 1, 2, 3, 5], 0, 2].median().expand(T))
    torch.testing.assert_close(found[1, :, 2], whole[1, :, 2], rtol=1e-4, atol=1e-4)
    away = found / found[..., 2:] - steady.root / steady.root[..., 2:]
    assert away.norm(dim=-1).max() < 0.2  # metres a metre: within the body
    nobody = places(steady, -steady.joints3d)
    assert nobody.isfinite().all() and (nobody[..., 2] == 1).all()
