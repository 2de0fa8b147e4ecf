from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posenb.world.cameras import Camera, around, concatenate, look_at

LENS = torch.tensor([-0.28, 0.09, 0.0012, -0.0008, -0.01], dtype=torch.float64)


def studio(count: int, seed: int, distortion: Tensor | None = None) -> Camera:
    """Cameras on a ring of 4 to 6 m around the origin, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    angle, height, radius, roll = torch.rand(4, count, generator=generator, dtype=torch.float64)
    angle, radius = angle * 2 * torch.pi, radius * 2 + 4
    eye = torch.stack([radius * angle.sin(), height * 3 - 0.5, radius * angle.cos()], -1)
    target = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    rotation, translation = look_at(eye, target, roll=roll - 0.5)
    return Camera(
        rotation,
        translation,
        torch.tensor([1145.0, 1143.0], dtype=torch.float64),
        torch.tensor([512.5, 515.4], dtype=torch.float64),
        distortion,
    )


def body(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 17, 3, generator=generator, dtype=torch.float64) * 2 - 1


def calibration(camera: Camera) -> np.ndarray:
    matrix = np.eye(3)
    matrix[0, 0], matrix[1, 1] = camera.focal.tolist()
    matrix[:2, 2] = camera.center.tolist()
    return matrix


@pytest.mark.parametrize("distortion", [None, LENS])
def test_project_equals_opencv(distortion: Tensor | None) -> None:
    cameras, points = studio(20, 0, distortion), body(20, 1)
    pixels = cameras.project(points)
    for i in range(20):
        rotation = cv2.Rodrigues(cameras.rotation[i].numpy().copy())[0]
        expected, _ = cv2.projectPoints(
            points[i].numpy(),
            rotation,
            cameras.translation[i].numpy(),
            calibration(cameras[i]),
            None if distortion is None else distortion.numpy(),
        )
        torch.testing.assert_close(
            pixels[i], torch.from_numpy(expected[:, 0]), atol=1e-6, rtol=1e-9
        )


def test_undistortion_equals_opencv() -> None:
    eye = torch.eye(3, dtype=torch.float64)
    camera = Camera(
        eye, eye[0] * 0, LENS.new_tensor([1145, 1143]), LENS.new_tensor([512, 515]), LENS
    )
    pixels = (
        torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 1000
    )
    rays = camera.unproject(pixels, torch.ones(50, dtype=torch.float64))
    expected = cv2.undistortPoints(
        pixels.numpy()[:, None],
        calibration(camera),
        LENS.numpy(),
        None,
        None,
        None,
        (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-14),
    )
    torch.testing.assert_close(rays[:, :2], torch.from_numpy(expected[:, 0]), atol=1e-8, rtol=0)
    assert (rays[:, 2] == 1).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), lens=st.floats(-1, 1))
def test_unproject_inverts_project(seed: int, lens: float) -> None:
    cameras, points = studio(3, seed, LENS * lens), body(3, seed + 1)
    depth = cameras.to_camera(points)[..., 2]
    torch.testing.assert_close(
        cameras.unproject(cameras.project(points), depth), points, atol=1e-6, rtol=0
    )


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_turning_world_and_camera_together_changes_no_pixel(seed: int) -> None:
    cameras, points = studio(3, seed, LENS), body(3, seed + 1)
    turn = torch.linalg.qr(body(1, seed + 2)[0, :3])[0]
    turn = turn * turn.det()  # a rotation, whatever the sign that QR chose
    moved = Camera(
        cameras.rotation @ turn.mT,
        cameras.translation,
        cameras.focal,
        cameras.center,
        cameras.distortion,
    )
    torch.testing.assert_close(moved.project(points @ turn.mT), cameras.project(points))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_look_at_centres_the_target_and_keeps_up_upwards(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    eye, target = torch.rand(2, 5, 3, generator=generator, dtype=torch.float64) * 4
    eye[:, 0] += 5
    rotation, translation = look_at(eye, target)
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    camera = Camera(rotation, translation, one, zero)
    up = target + target.new_tensor([0, 0.1, 0])
    pixels = camera.project(torch.stack([target, up], 1))  # (5, 2, 2)
    torch.testing.assert_close(pixels[:, 0], torch.zeros(5, 2, dtype=torch.float64))
    torch.testing.assert_close(pixels[:, 1, 0], torch.zeros(5, dtype=torch.float64))
    assert (pixels[:, 1, 1] < 0).all()  # y points down in the picture
    torch.testing.assert_close(rotation.det(), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand(5, 3, 3))
    torch.testing.assert_close(camera.position, eye)
    distance = camera.to_camera(target.unsqueeze(1))[:, 0, 2]
    torch.testing.assert_close(distance, (target - eye).norm(dim=-1))


def test_cameras_around_stand_where_they_were_told_to() -> None:
    """Distance, azimuth from x towards z and elevation, told again by their positions."""
    aim, distance = torch.tensor([0.5, 0.9, -0.2]), torch.tensor([2.0, 3.0, 4.0])
    azimuth, elevation = torch.tensor([0.3, -2.0, 1.5]), torch.tensor([0.1, -0.2, 0.7])
    camera = around(aim, distance, azimuth, elevation, None, 1100.0, 800.0)
    x, y, z = (camera.position - aim).unbind(-1)
    torch.testing.assert_close(torch.stack([x, y, z]).norm(dim=0), distance)
    torch.testing.assert_close(torch.atan2(z, x), azimuth)
    torch.testing.assert_close(torch.asin(y / distance), elevation)
    torch.testing.assert_close(camera.project(aim.expand(3, 1, 3)), torch.full((3, 1, 2), 400.0))
    assert (camera.focal == 1100).all()


def test_right_is_right_and_roll_turns_the_picture_clockwise() -> None:
    eye, target = torch.tensor([0.0, 0.0, 3.0]), torch.zeros(3)
    right = torch.tensor([[1.0, 0.0, 0.0]])  # seen from +z, x is to the right
    for roll, expected in ((0.0, [1 / 3, 0.0]), (torch.pi / 2, [0.0, 1 / 3])):
        extrinsics = look_at(eye, target, roll=torch.tensor(roll))
        camera = Camera(*extrinsics, torch.ones(2), torch.zeros(2))
        torch.testing.assert_close(camera.project(right), torch.tensor([expected]))


@pytest.mark.parametrize("eye", [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
def test_no_upright_camera_is_an_error(eye: list[float]) -> None:
    with pytest.raises(ValueError, match="no upright camera"):
        look_at(torch.tensor(eye), torch.zeros(3))
    if any(eye):
        rotation, _ = look_at(torch.tensor(eye), torch.zeros(3), up=(0, 0, -1))
        torch.testing.assert_close(rotation[2], torch.tensor([0.0, -1.0, 0.0]))


def test_crop_only_changes_units() -> None:
    cameras, points = studio(4, 5, LENS), body(4, 6)
    corner = torch.tensor([[100.0, 50.0]] * 4, dtype=torch.float64)
    side = torch.tensor([300.0, 400.0, 500.0, 600.0], dtype=torch.float64)
    expected = (cameras.project(points) - corner[:, None]) / side[:, None, None]
    torch.testing.assert_close(cameras.crop(corner, side).project(points), expected)


def test_behind_the_camera_is_mirrored_finite_and_told_by_depth() -> None:
    camera = Camera(torch.eye(3), torch.zeros(3), torch.ones(2), torch.zeros(2))
    ahead = torch.tensor([[0.5, 0.25, 2.0]])
    torch.testing.assert_close(camera.project(-ahead), camera.project(ahead))
    assert camera.to_camera(-ahead)[0, 2] < 0 < camera.to_camera(ahead)[0, 2]
    assert not camera.project(torch.tensor([[1.0, 1.0, 0.0]])).isfinite().any()


def test_projection_is_differentiable() -> None:
    cameras, points = studio(2, 7, LENS), body(2, 8)[:, :3].requires_grad_()
    assert torch.autograd.gradcheck(cameras.project, points)


def test_fields_broadcast_and_dtype_follows() -> None:
    rotation, translation = look_at(torch.rand(5, 3) + 2, torch.zeros(3))
    camera = Camera(rotation, translation, torch.ones(2), torch.zeros(5, 2))
    assert camera.shape == (5,) and len(camera) == 5 and camera.focal.shape == (5, 2)
    assert camera.project(torch.rand(17, 3)).shape == (5, 17, 2)
    assert camera.project(torch.rand(17, 3)).dtype == torch.float32
    grid = Camera(torch.eye(3), torch.zeros(2, 4, 3), torch.ones(2), torch.zeros(2))
    assert grid.project(torch.rand(2, 4, 6, 3)).shape == (2, 4, 6, 2)
    assert grid[1, 2].shape == ()


@pytest.mark.parametrize(
    ("index", "shape"),
    [(1, ()), (slice(1, 3), (2,)), (torch.tensor([3, 0, 3]), (3,)), (torch.arange(5) > 2, (2,))],
)
def test_indexing_picks_the_same_cameras(index: int | slice | Tensor, shape: tuple[int]) -> None:
    cameras, points = studio(5, 9, LENS), body(1, 10)[0]
    assert cameras[index].shape == shape
    torch.testing.assert_close(cameras[index].project(points), cameras.project(points)[index])


def test_concatenate_joins_and_fills_a_missing_lens_with_zeros() -> None:
    ideal, real, points = studio(2, 11), studio(3, 12, LENS), body(5, 13)
    joined = concatenate([ideal, real])
    expected = torch.cat([ideal.project(points[:2]), real.project(points[2:])])
    torch.testing.assert_close(joined.project(points), expected)
    assert concatenate([ideal, ideal]).distortion is None
    with pytest.raises(ValueError, match="no cameras"):
        concatenate([])


def test_moving_keeps_everything() -> None:
    moved = studio(2, 14, LENS).to("meta")
    assert moved.distortion is not None
    assert {moved.rotation.device.type, moved.distortion.device.type} == {"meta"}


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"translation has shape \(4,\), expected \(..., 3\)"):
        Camera(torch.eye(3), torch.zeros(4), torch.ones(2), torch.zeros(2))
    with pytest.raises(ValueError, match="disagree in batch shape"):
        Camera(torch.eye(3), torch.zeros(4, 3), torch.ones(3, 2), torch.zeros(2))
    with pytest.raises(TypeError, match="no length"):
        len(Camera(torch.eye(3), torch.zeros(3), torch.ones(2), torch.zeros(2)))
