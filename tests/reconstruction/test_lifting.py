"""2.5D to 3D: exact where nothing is noisy, for any camera."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from posenb.reconstruction import bone_scale, lift, root_depth
from posenb.world import domains
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17, HAND21


def projected(distortion: bool = False) -> tuple[torch.Tensor, Camera, torch.Tensor, torch.Tensor]:
    """Joints of `stage`, their cameras (turned to a float32's precision), and their 2.5D."""
    poses = domains.get("stage").sample(60, 0)
    assert poses.joints3d is not None and poses.camera is not None
    joints = poses.joints3d.double()
    fields = ("rotation", "translation", "focal", "center")
    camera = Camera(*(getattr(poses.camera, name).double() for name in fields))
    if distortion:
        lens = torch.tensor([-0.1, 0.03, 0.001, -0.002, 0.0], dtype=torch.float64)
        camera = dataclasses.replace(camera, distortion=lens)
    far = camera.to_camera(joints)[..., 2]
    return joints, camera, camera.project(joints), far


@pytest.mark.parametrize("distortion", [False, True])
def test_lifting_is_exact_on_projected_points(distortion: bool) -> None:
    joints, camera, keypoints, far = projected(distortion)
    scale = bone_scale(joints, BODY17)
    depth = (far - far[:, :1]) / scale[:, None]
    found = lift(keypoints, depth, camera, scale, BODY17)
    torch.testing.assert_close(found, joints, atol=1e-5, rtol=0)
    known = lift(keypoints, depth, camera, scale, BODY17, root=far[:, 0])
    torch.testing.assert_close(known, joints, atol=1e-5, rtol=0)


def test_a_person_twice_as_large_is_twice_as_far() -> None:
    joints, camera, keypoints, far = projected()
    scale = bone_scale(joints, BODY17)
    depth = (far - far[:, :1]) / scale[:, None]
    large = lift(keypoints, depth, camera, 2 * scale, BODY17)
    twice = 2 * camera.to_camera(joints)
    torch.testing.assert_close(camera.to_camera(large), twice, atol=1e-5, rtol=0)


def test_bone_scale_is_the_root_mean_square_length() -> None:
    joints = domains.get("lab").sample(5, 0).joints3d
    assert joints is not None
    squares = [(joints[:, c] - joints[:, p]).square().sum(-1) for p, c in BODY17.bones]
    torch.testing.assert_close(bone_scale(joints, BODY17), torch.stack(squares).mean(0).sqrt())


def test_depths_that_cannot_be_give_a_finite_root() -> None:
    """Bones longer in depth alone than bones may be: no solution, the nearest is taken."""
    _, _, keypoints, _ = projected()
    rays = torch.cat([keypoints - 0.5, torch.ones_like(keypoints[..., :1])], -1)
    noise = torch.randn(60, 17, generator=torch.Generator().manual_seed(0)).double()
    assert root_depth(rays, 5 * noise, BODY17).isfinite().all()


def test_gradients_of_lifting() -> None:
    joints, camera, keypoints, far = projected()
    scale = bone_scale(joints, BODY17)[:2]
    depth = ((far - far[:, :1])[:2] / scale[:, None]).requires_grad_(True)
    places = keypoints[:2].clone().requires_grad_(True)

    def lifted(k: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return lift(k, d, camera[:2], scale, BODY17)

    assert torch.autograd.gradcheck(lifted, (places, depth))


def test_bad_input_is_named() -> None:
    joints, camera, keypoints, far = projected()
    with pytest.raises(ValueError, match="17 joints .* but HAND21 has 21"):
        lift(keypoints, far, camera, 0.3, HAND21)
    with pytest.raises(ValueError, match="17 joints .* but HAND21"):
        bone_scale(joints, HAND21)
    with pytest.raises(ValueError, match="above 0 metres, found -1"):
        lift(keypoints, far, camera, -1.0, BODY17)
