"""Bone maps and transforms: against slow loops, closed forms of a bar, and NumPy's SVD."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from posenb.reconstruction.bones import (
    SHORTEST,
    THICKNESS,
    bone_ends,
    bone_maps,
    directed_transforms,
    expand,
    middles,
    missing,
    moments,
    pixel_centres,
    sampling_transforms,
    svd_transforms,
)
from posenb.world.skeletons import BODY17, HAND21, Skeleton

BAR = Skeleton("bar", ("tail", "head"), (-1, 0), (), ((1.0, 0.0, 0.0),))
ANGLES = st.floats(-3.1, 3.1)
LENGTHS = st.floats(0.2, 0.8)


def bar(angle: float, length: float, x: float = 0.0, y: float = 0.0) -> Tensor:
    """Keypoints (1, 2, 2) in [0, 1] of a bar of a length in [-1, 1], about a place there."""
    half = length / 2 * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    middle = torch.tensor([x, y], dtype=torch.float64)
    return ((torch.stack([middle - half, middle + half]) + 1) / 2)[None]


def turn(angle: float) -> Tensor:
    return torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )


def variances(length: float, sigma: float) -> tuple[float, float]:
    """Of exp(-d^2 / sigma^2) around a segment, by hand: a straight part and two half discs."""
    straight, caps = sigma * math.sqrt(math.pi) * length, math.pi * sigma**2
    along = (
        straight * length**2 / 12
        + caps * length**2 / 4
        + length * sigma**3 * math.sqrt(math.pi)
        + math.pi * sigma**4 / 2
    )
    return along / (straight + caps), sigma**2 / 2


def apply(matrix: Tensor, places: Tensor) -> Tensor:
    """Affine maps (..., 2, 3) of places (..., P, 2)."""
    return places @ matrix[..., :2].mT + matrix[..., None, :, 2]


def poses(count: int, skeleton: Skeleton = BODY17, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 0.2 + 0.6 * torch.rand(count, len(skeleton), 2, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("squared", [True, False])
def test_bone_maps_are_as_a_loop_says(squared: bool) -> None:
    keypoints, sigma = poses(1, HAND21), 0.2
    maps = bone_maps(keypoints, HAND21, 6, 9, sigma, squared)
    assert maps.shape == (1, len(HAND21.bones), 6, 9)
    for number, (parent, child) in enumerate(HAND21.bones):
        a, b = (2 * keypoints[0, joint].numpy() - 1 for joint in (parent, child))
        points = a + np.linspace(0, 1, 4001)[:, None] * (b - a)  # the bone, point by point
        for row in range(6):
            for column in range(9):
                pixel = np.array([(2 * column + 1) / 9 - 1, (2 * row + 1) / 6 - 1])
                distance = float(np.linalg.norm(points - pixel, axis=1).min())
                wanted = math.exp(-(distance**2 if squared else distance) / sigma**2)
                assert float(maps[0, number, row, column]) == pytest.approx(wanted, abs=2e-3)


def test_moments_are_as_a_loop_says_and_as_printed_they_grow_with_the_map() -> None:
    keypoints = poses(1, BAR)
    maps, middle = bone_maps(keypoints, BAR, 7, 5, 0.3), middles(keypoints, BAR)
    total, mass = np.zeros((2, 2)), 0.0
    for row in range(7):
        for column in range(5):
            pixel = np.array([(2 * column + 1) / 5 - 1, (2 * row + 1) / 7 - 1])
            away, weight = pixel - middle[0, 0].numpy(), float(maps[0, 0, row, column])
            total, mass = total + weight * np.outer(away, away), mass + weight
    np.testing.assert_allclose(moments(maps, middle)[0, 0], total / mass)
    np.testing.assert_allclose(moments(maps, middle, unit_mass=False)[0, 0], total)


@given(angle=ANGLES, length=LENGTHS)
def test_moments_of_a_bar_have_a_closed_form(angle: float, length: float) -> None:
    keypoints = bar(angle, length)
    moment = moments(bone_maps(keypoints, BAR, 64, 64), middles(keypoints, BAR))[0, 0]
    along, across = variances(length, THICKNESS)
    wanted = turn(angle) @ torch.diag(torch.tensor([along, across]).double()) @ turn(angle).T
    torch.testing.assert_close(moment, wanted, rtol=1e-3, atol=1e-5)


def test_transforms_by_svd_are_those_of_numpy_up_to_the_sign_of_each_axis() -> None:
    keypoints = poses(5)
    maps, middle = bone_maps(keypoints, BODY17, 48, 48), middles(keypoints, BODY17)
    found = svd_transforms(maps, middle)
    u, s, _ = np.linalg.svd(moments(maps, middle).numpy())
    wanted = torch.from_numpy(u * np.sqrt(s)[..., None, :])  # (N, J, 2, 2)
    sign = (found[..., :2] * wanted).sum(-2, keepdim=True).sign()
    torch.testing.assert_close(found[..., :2], sign * wanted, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found[..., 2], middle)
    assert (torch.linalg.det(found[..., :2]) > 0).all()  # no reflections


@given(angle=ANGLES, length=LENGTHS)
def test_directed_transforms_are_those_of_the_svd_but_for_sign_and_round_caps(
    angle: float, length: float
) -> None:
    keypoints = bar(angle, length, 0.1, -0.05)
    directed = directed_transforms(keypoints, BAR)[0, 0]
    svd = svd_transforms(bone_maps(keypoints, BAR, 128, 128), middles(keypoints, BAR))[0, 0]
    caps = math.sqrt(variances(length, THICKNESS)[0] / (length**2 / 12 + THICKNESS**2 / 2))
    assert caps > 1
    sign = torch.sign((directed[:, 0] * svd[:, 0]).sum())
    torch.testing.assert_close(svd[:, 0], sign * caps * directed[:, 0], rtol=2e-3, atol=2e-4)
    torch.testing.assert_close(svd[:, 1], sign * directed[:, 1], rtol=2e-3, atol=2e-4)
    torch.testing.assert_close(svd[:, 2], directed[:, 2])


@pytest.mark.parametrize("way", ["directed", "svd"])
def test_the_transform_of_a_rotating_stretching_bar_is_known(way: str) -> None:
    """From (angle .3, length .5) to (angle .9, length .8), small enough a turn for both ways.

    Driving places go to base places: back by the turn, shorter along the bar, moved.
    """
    base, driving = bar(0.3, 0.5, -0.2, 0.1), bar(0.9, 0.8, 0.15, -0.1)
    if way == "directed":
        both = [directed_transforms(pose, BAR) for pose in (base, driving)]
        along = [length**2 / 12 + THICKNESS**2 / 2 for length in (0.5, 0.8)]
    else:
        both = [
            svd_transforms(bone_maps(pose, BAR, 160, 160), middles(pose, BAR))
            for pose in (base, driving)
        ]
        along = [variances(length, THICKNESS)[0] for length in (0.5, 0.8)]
    found = sampling_transforms(*both)[0, 0]
    shrink = torch.diag(torch.tensor([math.sqrt(along[0] / along[1]), 1.0]).double())
    linear = turn(0.3) @ shrink @ turn(0.9).T
    offset = torch.tensor([-0.2, 0.1]).double() - linear @ torch.tensor([0.15, -0.1]).double()
    torch.testing.assert_close(found[:, :2], linear, rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(found[:, 2], offset, rtol=2e-3, atol=1e-3)


def test_a_picture_warped_by_it_shows_the_driving_bar() -> None:
    """The direction of Eq. 8: sampling the base bar at D draws the driving bar, not a third one."""
    base, driving = bar(0.2, 0.6, -0.2), bar(1.2, 0.6, 0.2, 0.1)
    before, after = (bone_maps(pose, BAR, 96, 96) for pose in (base, driving))
    first, second = (directed_transforms(pose, BAR) for pose in (base, driving))

    def warped(transforms: Tensor) -> Tensor:
        places = expand(transforms, 96, 96)[:, 0]
        return torch.nn.functional.grid_sample(before, places, align_corners=False)

    right = (warped(sampling_transforms(first, second)) - after).abs().mean()
    as_printed = (warped(sampling_transforms(second, first)) - after).abs().mean()
    nothing = (before - after).abs().mean()
    assert right < 0.02 * nothing
    assert as_printed > 0.8 * nothing


def test_the_svd_turns_a_bar_about_where_it_passes_the_vertical() -> None:
    """The 180-degree trap: 20 degrees become 200."""
    poses_ = [bar(math.radians(degrees), 0.6) for degrees in (80, 100)]
    by_svd = [svd_transforms(bone_maps(p, BAR, 64, 64), middles(p, BAR)) for p in poses_]
    directed = [directed_transforms(p, BAR) for p in poses_]
    for both, wanted in ((by_svd, 160), (directed, -20)):
        linear = sampling_transforms(*both)[0, 0, :, :2]
        angle = math.degrees(float(torch.atan2(linear[1, 0], linear[0, 0])))
        assert angle == pytest.approx(wanted, abs=1)


def test_ends_of_bones_go_to_ends() -> None:
    """Exactly where bones are as long as before, and for thin bones of any length."""
    base, driving = poses(4, seed=1), poses(4, seed=2)
    wanted = torch.stack(bone_ends(base, BODY17), -2)  # (N, J, 2, 2)
    ends = torch.stack(bone_ends(driving, BODY17), -2)
    thin = sampling_transforms(
        *(directed_transforms(pose, BODY17, 1e-6) for pose in (base, driving))
    )
    torch.testing.assert_close(apply(thin, ends), wanted, rtol=0, atol=1e-6)
    turned = (base - 0.5) @ turn(2.0).T + 0.55
    alike = sampling_transforms(*(directed_transforms(pose, BODY17) for pose in (base, turned)))
    ends = torch.stack(bone_ends(turned, BODY17), -2)
    torch.testing.assert_close(apply(alike, ends), wanted, rtol=0, atol=1e-9)


@given(angle=ANGLES, x=st.floats(-0.2, 0.2), y=st.floats(-0.2, 0.2))
def test_directed_transforms_turn_and_move_with_the_person(
    angle: float, x: float, y: float
) -> None:
    keypoints, move = poses(2), torch.tensor([x, y], dtype=torch.float64)
    moved = (keypoints - 0.5) @ turn(angle).T + 0.5 + move
    before, after = (directed_transforms(pose, BODY17) for pose in (keypoints, moved))
    torch.testing.assert_close(after[..., :2], turn(angle) @ before[..., :2])
    torch.testing.assert_close(after[..., 2], before[..., 2] @ turn(angle).T + 2 * move)


@given(angle=ANGLES, x=st.floats(-0.2, 0.2), y=st.floats(-0.2, 0.2))
def test_every_bone_samples_by_the_motion_of_a_rigid_person(
    angle: float, x: float, y: float
) -> None:
    keypoints, move = poses(2), torch.tensor([x, y], dtype=torch.float64)
    driving = (keypoints - 0.5) @ turn(angle).T + 0.5 + move
    both = (directed_transforms(pose, BODY17) for pose in (keypoints, driving))
    places = expand(sampling_transforms(*both), 5, 7)
    pixels = pixel_centres(5, 7, keypoints)
    wanted = (pixels - 2 * move) @ turn(angle)  # back: less the move, then turned the other way
    torch.testing.assert_close(places, wanted.expand_as(places), rtol=0, atol=1e-9)


def test_maps_turn_with_the_person() -> None:
    """A quarter turn of the person is one of the maps."""
    keypoints = poses(2)
    turned = (keypoints - 0.5) @ turn(math.pi / 2).T + 0.5
    before, after = (bone_maps(pose, BODY17, 24, 24) for pose in (keypoints, turned))
    torch.testing.assert_close(after, before.rot90(-1, (-2, -1)))


def test_expand_is_as_a_loop_says() -> None:
    matrix = torch.randn(2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    places = expand(matrix, 4, 5)
    assert places.shape == (2, 3, 4, 5, 2)
    for row in range(4):
        for column in range(5):
            pixel = torch.tensor([(2 * column + 1) / 5 - 1, (2 * row + 1) / 4 - 1, 1.0])
            torch.testing.assert_close(places[:, :, row, column], matrix @ pixel)
    identity = torch.eye(2, 3)
    torch.testing.assert_close(expand(identity, 4, 5), pixel_centres(4, 5, identity))
    theirs = torch.nn.functional.affine_grid(identity[None], [1, 1, 4, 5], align_corners=False)
    torch.testing.assert_close(expand(identity, 4, 5), theirs[0])


def test_gradients_are_those_of_finite_differences() -> None:
    keypoints = poses(1, BAR).requires_grad_()

    def all_of_it(pose: Tensor) -> Tensor:
        maps = bone_maps(pose, BAR, 8, 8, 0.3)
        svd = svd_transforms(maps, middles(pose, BAR))
        return sampling_transforms(svd, directed_transforms(pose, BAR, 0.3))

    assert torch.autograd.gradcheck(all_of_it, keypoints)
    for squared in (True, False):
        assert torch.autograd.gradcheck(
            lambda pose: bone_maps(pose, BAR, 4, 4, 0.5, squared),  # noqa: B023
            keypoints,
        )


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-4, SHORTEST * 0.6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bone_without_length_has_finite_values_and_gradients(
    length: float, dtype: torch.dtype
) -> None:
    base = bar(0.4, length).to(dtype).requires_grad_()
    driving = bar(1.4, length).to(dtype).requires_grad_()
    transforms = sampling_transforms(*(directed_transforms(p, BAR) for p in (base, driving)))
    maps = [bone_maps(p, BAR, 16, 16, squared=s) for p in (base, driving) for s in (True, False)]
    loss = expand(transforms, 16, 16).square().sum() + sum(m.sum() for m in maps)
    for gradient in torch.autograd.grad(loss, (base, driving)):
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e4
    assert transforms.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_singular_values_have_a_finite_gradient(dtype: torch.dtype) -> None:
    """Where that of torch's own SVD is not: a round spot has no axis."""
    pixels = pixel_centres(9, 9, torch.zeros((), dtype=dtype))
    spot = torch.exp(-pixels.square().sum(-1) / 0.1)[None, None].requires_grad_()
    middle = torch.zeros(1, 1, 2, dtype=dtype)
    found = svd_transforms(spot, middle)
    weight = torch.arange(6, dtype=dtype).view(2, 3)
    (gradient,) = torch.autograd.grad((found * weight).sum(), spot)
    assert gradient.isfinite().all() and gradient.abs().max() > 0

    moment = torch.eye(2, dtype=dtype).requires_grad_()
    u, s, _ = torch.linalg.svd(moment)
    (theirs,) = torch.autograd.grad((u * s.sqrt() * weight[:, :2]).sum(), moment)
    assert not theirs.isfinite().all()


def test_who_is_missing_is_named() -> None:
    keypoints = poses(6).float()
    keypoints[1] += 5  # outside
    keypoints[2] = 0.5  # one place
    keypoints[3, 4] = math.nan
    keypoints[4, 1:] += 5  # the pelvis alone is inside; its bones reach in
    keypoints[5, :8] += 5  # half of the person
    assert missing(keypoints, BODY17).tolist() == [False, True, True, True, False, False]


def test_bad_input_is_named() -> None:
    far = bar(0.3, 0.4, 9.0)
    with pytest.raises(ValueError, match=r"bone 0 of picture 0.*`missing` says which"):
        moments(bone_maps(far, BAR, 8, 8), middles(far, BAR))
    with pytest.raises(ValueError, match="21 joints.*BODY17 has 17"):
        bone_maps(poses(1, HAND21), BODY17, 8, 8)
    with pytest.raises(ValueError, match=r"keypoints must be \(\.\.\., K, 2\)"):
        bone_ends(torch.zeros(1, 17, 3), BODY17)
    for function in (
        lambda: bone_maps(far, BAR, 8, 8, 0.0),
        lambda: directed_transforms(far, BAR, -1),
    ):
        with pytest.raises(ValueError, match="thickness of a bone is above 0"):
            function()
