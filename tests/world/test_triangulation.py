from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from torch import Tensor

from posenb.world.cameras import Camera, look_at
from posenb.world.triangulation import triangulate

LENS = torch.tensor([-0.05, 0.14, 0.0006, -0.0007, 0.01], dtype=torch.float64)


def ring(count: int, distortion: Tensor | None = LENS) -> Camera:
    """Cameras around the middle, 4 m away and 2 m high."""
    angle = torch.arange(count, dtype=torch.float64) * 2 * torch.pi / count + 0.3
    eye = torch.stack([4 * angle.sin(), torch.full_like(angle, 2.0), 4 * angle.cos()], -1)
    rotation, translation = look_at(eye, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    focal = torch.tensor([1680.0, 1675.0], dtype=torch.float64)
    center = torch.tensor([540.0, 955.0], dtype=torch.float64)
    return Camera(rotation, translation, focal, center, distortion)


def cloud(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    middle = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    return torch.rand(count, 3, generator=generator, dtype=torch.float64) * 1.6 - 0.8 + middle


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), views=st.integers(2, 5), lens=st.booleans())
def test_projected_points_come_back(seed: int, views: int, lens: bool) -> None:
    cameras = ring(5, LENS if lens else None)[:views]  # no two of five face each other
    points = cloud(12, seed).reshape(3, 4, 3)
    keypoints = cameras.project(points.flatten(0, 1)).unflatten(1, (3, 4))
    found = triangulate(cameras, keypoints)
    torch.testing.assert_close(found.points, points, atol=1e-7, rtol=0)
    assert found.error.shape == (views, 3, 4) and found.error.max() < 1e-5


def test_two_views_equal_opencv() -> None:
    cameras, points = ring(3)[:2], cloud(50, 1)
    keypoints, planes, matrices = [], [], []
    for camera in (cameras[0], cameras[1]):
        turn, shift = camera.rotation.numpy(), camera.translation.numpy()
        matrix = np.diag([*camera.focal.tolist(), 1.0])
        matrix[:2, 2] = camera.center.numpy()
        lens = LENS.numpy()
        pixels, _ = cv2.projectPoints(points.numpy(), cv2.Rodrigues(turn)[0], shift, matrix, lens)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-14)
        plane = cv2.undistortPoints(pixels, matrix, lens, None, None, None, criteria)
        keypoints.append(torch.from_numpy(pixels[:, 0]))
        planes.append(plane[:, 0].T)
        matrices.append(np.column_stack([turn, shift]))
    expected = cv2.triangulatePoints(*matrices, *planes)
    found = triangulate(cameras, torch.stack(keypoints))
    torch.testing.assert_close(
        found.points, torch.from_numpy((expected[:3] / expected[3]).T), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("scale", [1e6, 20.0])
def test_noisy_points_equal_scipys_minimum(scale: float) -> None:
    """The same weighted, robust cost, minimised by another hand."""
    cameras, points = ring(4), cloud(8, 2)
    keypoints = cameras.project(points) + 5 * noise((4, 8, 2), 3)
    confidence = torch.rand(4, 8, generator=torch.Generator().manual_seed(4)).double() + 0.2
    found = triangulate(cameras, keypoints, confidence, scale)

    def geman_mcclure(square: np.ndarray) -> np.ndarray:
        """SciPy wants rho, its first and its second derivative at z = (r / scale)^2."""
        return np.stack([square / (1 + square), (1 + square) ** -2, -2 * (1 + square) ** -3])

    for n in range(8):

        def distance(place: np.ndarray, n: int = n) -> np.ndarray:
            pixels = cameras.project(torch.from_numpy(place)[None])[:, 0]
            return ((pixels - keypoints[:, n]).norm(dim=-1)).numpy()

        def cost(place: np.ndarray, n: int = n) -> np.ndarray:
            square = (distance(place) / scale) ** 2
            return np.sqrt(confidence[:, n].numpy() * geman_mcclure(square)[0]) * scale

        best = least_squares(cost, points[n].numpy(), xtol=1e-14, ftol=1e-14, gtol=1e-14)
        reached = (cost(found.points[n].numpy()) ** 2).sum()
        assert reached <= 2 * best.cost * (1 + 1e-6)
        np.testing.assert_allclose(found.points[n], best.x, atol=2e-5)
        np.testing.assert_allclose(found.error[:, n], distance(best.x), atol=0.02)


@pytest.mark.parametrize("views", [3, 4])
def test_one_wrong_view_is_outvoted(views: int) -> None:
    cameras, points = ring(views), cloud(200, 5)
    keypoints = cameras.project(points) + noise((views, 200, 2), 6)
    wrong = torch.randint(views, (200,), generator=torch.Generator().manual_seed(7))
    away = 150 + 400 * torch.rand(200, 1, generator=torch.Generator().manual_seed(8)).double()
    angle = 7 * torch.rand(200, generator=torch.Generator().manual_seed(9)).double()
    shift = torch.stack([angle.cos(), angle.sin()], -1) * away
    keypoints[wrong, torch.arange(200)] += shift
    found = triangulate(cameras, keypoints)
    distance = (found.points - points).norm(dim=-1)
    plain = (triangulate(cameras, keypoints, scale=1e6).points - points).norm(dim=-1)
    assert plain.median() > 0.1
    if views == 4:
        assert distance.quantile(0.95) < 0.02
        told = found.error.argmax(0) == wrong
        assert told.double().mean() > 0.95
    else:  # three views: wherever two rays happen to meet, nobody can tell
        assert distance.median() < 0.02


def test_views_that_did_not_see_a_point_do_not_count() -> None:
    cameras, points = ring(4), cloud(6, 10)
    keypoints = cameras.project(points)
    confidence = torch.ones(4, 6, dtype=torch.float64)
    keypoints[0, 0], confidence[1, 1] = torch.nan, 0  # one view less
    keypoints[1, 1] = 9999.0
    confidence[1:, 2] = 0  # a single view
    confidence[:, 3] = 0  # none
    found = triangulate(cameras, keypoints, confidence)
    good = [0, 1, 4, 5]
    torch.testing.assert_close(found.points[good], points[good], atol=1e-7, rtol=0)
    assert found.points[2:4].isnan().all() and found.error[:, 2:4].isnan().all()
    assert found.error.isnan().nonzero()[:, 1].tolist().count(0) == 1
    assert found.error[0, 0].isnan() and found.error[1, 1].isnan()


def test_confidence_draws_a_point_to_the_surer_view() -> None:
    cameras, points = ring(3), cloud(20, 11)
    keypoints = cameras.project(points) + 10 * noise((3, 20, 2), 12)
    sure = torch.tensor([[10.0], [1.0], [1.0]]).double().expand(3, 20)
    equal, drawn = triangulate(cameras, keypoints), triangulate(cameras, keypoints, sure)
    assert (drawn.error[0] < equal.error[0] + 1e-6).all()


def test_single_precision_and_moving_the_world() -> None:
    cameras, points = ring(4), cloud(30, 13)
    keypoints = cameras.project(points) + noise((4, 30, 2), 14)
    found = triangulate(cameras, keypoints)
    short = triangulate(cameras, keypoints.float())
    assert short.points.dtype == torch.float32
    torch.testing.assert_close(short.points.double(), found.points, atol=1e-5, rtol=0)
    shift = torch.tensor([0.5, -0.2, 3.0], dtype=torch.float64)
    moved = replace(cameras, translation=cameras.translation - cameras.rotation @ shift)
    torch.testing.assert_close(triangulate(moved, keypoints).points, found.points + shift)


def test_mistakes_are_named() -> None:
    cameras, keypoints = ring(3), torch.zeros(3, 5, 2)
    with pytest.raises(ValueError, match="two cameras or more"):
        triangulate(cameras[:1], keypoints[:1])
    with pytest.raises(ValueError, match=r"3 cameras need keypoints \(3, ..., 2\), found"):
        triangulate(cameras, keypoints[:2])
    with pytest.raises(ValueError, match=r"need confidence \(3, 5\), found \(3, 4\)"):
        triangulate(cameras, keypoints, torch.ones(3, 4))
    with pytest.raises(ValueError, match="negative or NaN"):
        triangulate(cameras, keypoints, torch.full((3, 5), -1.0))
    with pytest.raises(ValueError, match="scale must be above 0"):
        triangulate(cameras, keypoints, scale=0)
