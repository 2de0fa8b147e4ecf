from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from posenb.posynda import hypotheses as many
from posenb.posynda import windows
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17

N, H, T, J = 3, 4, 5, 17


@pytest.fixture(scope="module")
def moving():
    return windows.sample(windows.domain("stage"), N, 0, T)


@pytest.fixture(scope="module")
def guesses(moving):
    noise = torch.randn(N, H, T, J, 3, generator=torch.Generator().manual_seed(0))
    noise[..., 0, :] = 0
    return moving.joints3d[:, None] + 0.05 * noise


def residuals(place, pose, known, focal, center):
    """Errors (J, 2) of one pose at one place, in NumPy."""
    moved = pose + place
    return moved[:, :2] / moved[:, 2:] * focal + center - known


def each(moving, guesses):
    """Pose, keypoints, focal length and centre of every frame of every hypothesis, in NumPy."""
    for n, h, f in itertools.product(range(N), range(H), range(T)):
        camera = moving.camera[n]
        values = guesses[n, h, f], moving.keypoints[n, f], camera.focal, camera.center
        yield (n, h, f), [value.double().numpy() for value in values]


def test_projection_is_the_cameras(moving):
    still = Camera(torch.eye(3), torch.zeros(3), moving.camera.focal, moving.camera.center)
    placed = moving.joints3d + moving.root[:, :, None]
    expected = still.project(placed.flatten(1, 2)).unflatten(1, (T, J))
    torch.testing.assert_close(many.project(placed, moving.camera), expected)
    one = many.project(placed, moving.camera[0])
    torch.testing.assert_close(one[0], expected[0])


def test_a_true_pose_is_put_where_it_was(moving):
    exact = many.project(moving.joints3d + moving.root[:, :, None], moving.camera)
    for steps in (0, 3):
        found = many.estimate_root(moving.joints3d[:, None], exact, moving.camera, steps)
        torch.testing.assert_close(found[:, 0], moving.root, rtol=1e-3, atol=1e-3)


def test_the_closed_place_is_the_linear_least_squares_of_numpy(moving, guesses):
    found = many.estimate_root(guesses.double(), moving.keypoints.double(), moving.camera, 0)
    for place, (pose, known, focal, center) in each(moving, guesses):
        u = (known - center) / focal
        rows = np.concatenate(
            [
                np.stack([np.ones(J), np.zeros(J), -u[:, 0]], 1),
                np.stack([np.zeros(J), np.ones(J), -u[:, 1]], 1),
            ]
        )
        wanted = np.concatenate([u[:, k] * pose[:, 2] - pose[:, k] for k in (0, 1)])
        expected = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        np.testing.assert_allclose(found[place].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("huber", [None, 0.01])
def test_the_refined_place_is_the_least_squares_of_scipy(moving, guesses, huber):
    keypoints = moving.keypoints.double().clone()
    keypoints[:, :, 3] += 0.2  # one joint was found elsewhere
    found = many.estimate_root(guesses.double(), keypoints, moving.camera, 30, huber)
    for place, (pose, _, focal, center) in each(moving, guesses):
        known = keypoints[place[0], place[2]].numpy()

        def whole(t, pose=pose, known=known, focal=focal, center=center):
            error = residuals(t, pose, known, focal, center)
            if huber is None:
                return error.ravel()
            size = np.linalg.norm(error, axis=1)
            cost = np.where(size > huber, huber * (2 * size - huber), size**2)
            return np.sqrt(cost)

        expected = least_squares(whole, found[place].numpy() + 0.05, xtol=1e-12, ftol=1e-12)
        assert (whole(found[place].numpy()) ** 2).sum() <= 2 * expected.cost * (1 + 1e-4)
        np.testing.assert_allclose(found[place].numpy(), expected.x, rtol=2e-2, atol=2e-3)


def test_a_robust_place_bears_a_wrong_joint(moving):
    exact = many.project(moving.joints3d + moving.root[:, :, None], moving.camera)
    exact[:, :, 3] += 0.2
    errors = [
        (
            many.estimate_root(moving.joints3d[:, None], exact, moving.camera, 20, huber)[:, 0]
            - moving.root
        )
        .norm(dim=-1)
        .mean()
        for huber in (None, 0.01)
    ]
    assert errors[1] < 0.1 * errors[0]


def test_missing_joints_count_nowhere(moving, guesses):
    holes = moving.keypoints.clone()
    holes[0, 1, [2, 7]] = torch.nan
    kept = [j for j in range(J) if j not in (2, 7)]
    found = many.estimate_root(guesses, holes, moving.camera)
    fewer = many.estimate_root(guesses[..., kept, :], holes[..., kept, :], moving.camera)
    torch.testing.assert_close(found[0, :, 1], fewer[0, :, 1])
    error = many.reprojection_error(guesses, holes, moving.camera)
    assert error.isfinite().all() and not error[0, :, 1, [2, 7]].any()


@pytest.mark.parametrize(
    ("lost", "held"), [([1], [0]), ([0, 1], [2, 2]), ([1, 2, 3], [0, 0, 4]), ([2, 4], [1, 3])]
)
@pytest.mark.parametrize("left", [0, 1])  # joints that such a frame still shows
def test_a_lost_frame_counts_nowhere_and_has_the_place_of_the_nearest(
    moving, guesses, lost, held, left
):
    holes = moving.keypoints.clone()
    holes[1, lost, left:] = torch.nan
    whole = many.estimate_root(guesses, moving.keypoints, moving.camera)
    found = many.estimate_root(guesses, holes, moving.camera)
    torch.testing.assert_close(found[1][:, lost], whole[1][:, held])
    rest = [f for f in range(T) if f not in lost]
    torch.testing.assert_close(found[1][:, rest], whole[1][:, rest])
    assert torch.equal(found[[0, 2]], whole[[0, 2]])
    assert not many.locatable(holes)[1, lost].any() and many.locatable(holes)[1, rest].all()
    assert not many.reprojection_error(guesses, holes, moving.camera)[1][:, lost].any()
    poses = guesses[:, 0]
    torch.testing.assert_close(many.onto_rays(poses, holes, moving.camera)[1, lost], poses[1, lost])
    for how in many.AGGREGATES:
        assert many.combine(guesses, holes, moving.camera, how).isfinite().all(), how


def test_a_window_without_anybody_is_at_the_camera(moving, guesses):
    holes = moving.keypoints.clone()
    holes[2] = torch.nan
    assert not many.estimate_root(guesses, holes, moving.camera)[2].any()
    for how in many.AGGREGATES:
        assert many.combine(guesses, holes, moving.camera, how).isfinite().all(), how


@pytest.mark.parametrize("by", ["pose", "joint"])
def test_best_by_reprojection_against_a_slow_loop(moving, guesses, by):
    """Eq. 4 and 5, and D3DP's joint by joint."""
    found = many.combine(guesses, moving.keypoints, moving.camera, by)
    roots = many.estimate_root(guesses, moving.keypoints, moving.camera)
    errors = np.zeros((N, H, T, J))
    for place, (pose, known, focal, center) in each(moving, guesses):
        error = residuals(roots[place].double().numpy(), pose, known, focal, center)
        errors[place] = np.linalg.norm(error, axis=1)
    for n, f in itertools.product(range(N), range(T)):
        if by == "pose":
            best = np.argmin([np.linalg.norm(errors[n, h, f]) for h in range(H)])
            expected = guesses[n, best, f]
        else:
            best = errors[n, :, f].argmin(0)  # (J,)
            expected = torch.stack([guesses[n, h, f, j] for j, h in enumerate(best)])
        torch.testing.assert_close(found[n, f], expected)


def test_poses_on_the_rays_keep_their_depth_and_project_to_the_keypoints(moving, guesses):
    poses, keypoints = guesses[:, 0], moving.keypoints.clone()
    keypoints[0, 1, 4] = torch.nan
    found = many.onto_rays(poses, keypoints, moving.camera)
    torch.testing.assert_close(found[..., 2], poses[..., 2], rtol=1e-4, atol=1e-5)
    place = many.estimate_root(poses[:, None], keypoints, moving.camera)[:, 0]
    plane = (keypoints - moving.camera.center[:, None, None]) / moving.camera.focal[:, None, None]
    moved = torch.cat([plane[:, :, 0] * place[..., 2:], place[..., 2:]], -1)  # the root, on its ray
    again = many.project(found + moved[:, :, None], moving.camera)
    seen = ~keypoints.isnan()
    torch.testing.assert_close(again[seen], keypoints[seen], rtol=1e-4, atol=1e-5)
    expected = poses[0, 1, 4] + place[0, 1] - moved[0, 1]  # a missing joint stays where it was
    torch.testing.assert_close(found[0, 1, 4], expected, rtol=1e-4, atol=1e-5)
    exact = many.project(moving.joints3d + moving.root[:, :, None], moving.camera)
    same = many.onto_rays(moving.joints3d, exact, moving.camera)
    torch.testing.assert_close(same, moving.joints3d, rtol=1e-3, atol=1e-3)


def test_a_pose_that_no_place_before_the_camera_explains_is_left_alone(moving, guesses):
    """Its mirror image would lie behind the camera; on rays at no depth it would be flat."""
    poses, keypoints = guesses[:, 0], moving.keypoints.clone()
    middle = keypoints[1].mean(1, keepdim=True)
    keypoints[1] = 2 * middle - keypoints[1]  # turned by half a circle: a picture from behind
    root = many.estimate_root(poses[:, None], keypoints, moving.camera)[:, 0]
    behind = root[..., 2] < 0
    assert behind[1].all() and not behind[0].any()
    found = many.onto_rays(poses, keypoints, moving.camera)
    torch.testing.assert_close(found[behind], poses[behind], rtol=1e-4, atol=1e-5)
    assert ((found - poses)[~behind].norm(dim=-1).amax(-1) > 1e-3).all()


def test_more_steps_never_explain_less(moving, guesses):
    errors = [
        many.reprojection_error(
            guesses,
            moving.keypoints,
            moving.camera,
            many.estimate_root(guesses, moving.keypoints, moving.camera, steps),
        )
        .square()
        .sum(-1)
        for steps in range(6)
    ]
    for more, fewer in zip(errors[1:], errors, strict=False):
        assert (more <= fewer * (1 + 1e-5)).all()


def test_oracles_are_bounds(moving, guesses):
    def error(poses):
        return (poses - moving.joints3d).norm(dim=-1).mean()

    whole, joints = (many.oracle(guesses, moving.joints3d, by) for by in ("pose", "joint"))
    assert error(joints) < error(whole)
    for how in ("pose", "plausible"):
        assert error(whole) <= error(many.combine(guesses, moving.keypoints, moving.camera, how))
    best = [(guesses[0, h, 0] - moving.joints3d[0, 0]).norm(dim=-1).mean() for h in range(H)]
    assert torch.equal(whole[0, 0], guesses[0, int(np.argmin(best)), 0])


def test_a_body_that_stretches_or_trembles_is_implausible(moving):
    good = moving.joints3d[:, None].repeat(1, 3, 1, 1, 1)
    stretched, trembling = good[:, 1:2].clone(), good[:, 2:].clone()
    stretched[..., 13, :] *= 1.2  # one arm
    trembling[:, :, ::2] += 0.02
    trembling[..., 0, :] = 0
    odd = torch.cat([good[:, :1], stretched, trembling], 1)
    score = many.implausibility(odd, moving.keypoints, moving.camera, BODY17)
    assert score.shape == (N, 3)
    assert (score[:, 1:] > score[:, :1] + 0.001).all()
    chosen = many.combine(odd, moving.keypoints, moving.camera, "plausible")
    assert torch.equal(chosen, odd[:, 0])
    half = many.combine(odd, moving.keypoints, moving.camera, "mean_of_best")
    assert (half - odd[:, 0]).norm(dim=-1).mean() < (odd.mean(1) - odd[:, 0]).norm(dim=-1).mean()


def test_implausibility_against_a_slow_loop(moving, guesses):
    found = many.implausibility(guesses, moving.keypoints, moving.camera)
    roots = many.estimate_root(guesses, moving.keypoints, moving.camera)
    pose = guesses.double().numpy()
    for n in range(N):
        length = {
            b: np.linalg.norm(pose[n, :, :, b[1]] - pose[n, :, :, b[0]], axis=-1)
            for b in BODY17.bones
        }
        usual = {b: np.sort(value.ravel())[(value.size - 1) // 2] for b, value in length.items()}
        by_child = {b[1]: value for b, value in length.items()}
        for h in range(H):
            bones = np.mean([np.abs(length[b][h] - usual[b]) for b in BODY17.bones])
            sides = np.mean([np.abs(by_child[a][h] - by_child[b][h]) for a, b in BODY17.flip_pairs])
            jumps = np.mean(
                [
                    np.linalg.norm(
                        pose[n, h, f] - (pose[n, h, f - 1] + pose[n, h, f + 1]) / 2, axis=-1
                    )
                    for f in range(1, T - 1)
                ]
            )
            image = []
            for f in range(T):
                focal, center = moving.camera[n].focal.numpy(), moving.camera[n].center.numpy()
                place, known = roots[n, h, f].numpy(), moving.keypoints[n, f].numpy()
                error = residuals(place, pose[n, h, f], known, focal, center)
                image.append(np.linalg.norm(error, axis=1).mean() * place[2] / focal.mean())
            expected = bones + sides + jumps + np.mean(image)
            assert float(found[n, h]) == pytest.approx(expected, rel=1e-4)


def test_a_camera_must_say_what_is_needed(moving, guesses):
    with pytest.raises(ValueError, match="needs the camera's focal length"):
        many.combine(guesses, moving.keypoints, None, "pose")
    with pytest.raises(ValueError, match="3 windows"):
        many.combine(guesses, moving.keypoints, moving.camera[:2], "pose")
    bent = Camera(
        torch.eye(3), torch.zeros(3), torch.ones(2), torch.zeros(2), torch.full((5,), 0.1)
    )
    with pytest.raises(ValueError, match="lens distorts"):
        many.combine(guesses, moving.keypoints, bent, "pose")
    with pytest.raises(ValueError, match="aggregate must be one of"):
        many.combine(guesses, moving.keypoints, moving.camera, "median")
    with pytest.raises(ValueError, match=r"expected \(3, 5, 17, 2\)"):
        many.combine(guesses, moving.keypoints[:, :4], moving.camera, "pose")
