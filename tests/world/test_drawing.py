"""Drawing: equal to the plain formula, differentiable, and clear about bad keypoints."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posenb.world import domains, faces
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17, COCO17, FACE68, HAND21, Skeleton


def reference(keypoints: Tensor, skeleton: Skeleton, size: int, thickness: float) -> Tensor:
    """Every pixel against every bone, bones painted in order: the definition, in full."""
    ticks = torch.arange(size, dtype=keypoints.dtype) + 0.5
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    pixel = torch.stack([x, y], -1)  # (S, S, 2)
    image = keypoints.new_zeros(len(keypoints), 3, size, size)
    for (parent, child), color in zip(skeleton.bones, skeleton.colors, strict=True):
        a, b = (keypoints[:, j, None, None] * size for j in (parent, child))  # (N, 1, 1, 2)
        bone = b - a
        share = ((pixel - a) * bone).sum(-1) / bone.square().sum(-1).clamp_min(1e-8)
        distance = (pixel - a - share.clamp(0, 1)[..., None] * bone).norm(dim=-1)
        cover = (thickness * size / 2 + 0.5 - distance).clamp(0, 1)[:, None]
        image = image * (1 - cover) + cover * keypoints.new_tensor(color)[:, None, None]
    return image


@pytest.mark.parametrize("size", [7, 32, 64, 97])
@pytest.mark.parametrize("thickness", [0.02, 0.05, 0.2])
def test_equals_the_definition(size: int, thickness: float) -> None:
    keypoints = domains.get("stage").sample(40, 0).keypoints
    image = draw_skeletons(keypoints, BODY17, size, thickness)
    torch.testing.assert_close(
        image, reference(keypoints, BODY17, size, thickness), atol=2e-4, rtol=0
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([COCO17, HAND21, FACE68, BODY17]))
def test_equals_the_definition_anywhere(seed: int, skeleton: Skeleton) -> None:
    """Joints far outside, on pixel borders, and on top of each other are no exception."""
    random = torch.Generator().manual_seed(seed)
    keypoints = 3 * torch.rand(5, len(skeleton), 2, generator=random, dtype=torch.float64) - 1
    keypoints[0] = (keypoints[0] * 8).round() / 8
    keypoints[1] = 0.5
    image = draw_skeletons(keypoints, skeleton, 24)
    expected = reference(keypoints, skeleton, 24, skeleton.thickness)
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


def test_many_images_are_drawn_as_one_by_one() -> None:
    keypoints = domains.get("wild").sample(600, 0).keypoints
    together = draw_skeletons(keypoints, BODY17, 32)
    alone = torch.cat([draw_skeletons(k[None], BODY17, 32) for k in keypoints[::97]])
    torch.testing.assert_close(together[::97], alone)


def test_gradients_are_right() -> None:
    """Against finite differences, of a smooth function of the image."""
    random = torch.Generator().manual_seed(0)
    keypoints = torch.rand(2, 17, 2, generator=random, dtype=torch.float64)
    weight = torch.rand(2, 3, 16, 16, generator=random, dtype=torch.float64)
    keypoints.requires_grad_()

    def score(k: Tensor) -> Tensor:
        return (draw_skeletons(k, BODY17, 16) * weight).sum()

    (gradient,) = torch.autograd.grad(score(keypoints), keypoints)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    direction = torch.randn(keypoints.shape, generator=random, dtype=torch.float64)
    # The ramp has corners: a step so short that hardly any pixel passes one.
    step = 1e-9
    with torch.no_grad():
        numeric = (score(keypoints + step * direction) - score(keypoints - step * direction)) / (
            2 * step
        )
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-4)


def test_a_keypoint_can_be_found_by_descent() -> None:
    keypoints = domains.get("wild").sample(1, 0).keypoints
    target = draw_skeletons(keypoints, BODY17, 64, thickness=0.2)
    moved = keypoints.clone()
    wrist = BODY17.index("left_wrist")
    moved[0, wrist] += torch.tensor([0.04, -0.03])
    before = (moved - keypoints).norm().item()
    moved.requires_grad_()
    optimizer = torch.optim.Adam([moved], 2e-3)
    for _ in range(120):
        loss = (draw_skeletons(moved, BODY17, 64, thickness=0.2) - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (moved - keypoints).norm().item() < 0.3 * before


def test_a_straight_bone_is_where_it_should_be() -> None:
    pair = Skeleton("PAIR", ("a", "b"), (-1, 0), (), ((1.0, 0.5, 0.0),))
    keypoints = torch.tensor([[[0.25, 0.5], [0.75, 0.5]]])
    image = draw_skeletons(keypoints, pair, 16, thickness=2 / 16)
    expected = torch.zeros(16, 16)
    expected[7:9, 4:12] = 1  # rows 7 and 8 lie half a pixel from the line: wholly covered
    torch.testing.assert_close(image[0, 0, :, 5:11], expected[:, 5:11])
    torch.testing.assert_close(image[0, 1], image[0, 0] / 2)
    assert image[0, 2].abs().max() == 0


def test_a_skeleton_says_how_thick_it_is() -> None:
    keypoints = domains.get("wild").sample(20, 0).keypoints
    own = draw_skeletons(keypoints, BODY17, 48)
    assert torch.equal(own, draw_skeletons(keypoints, BODY17, 48, 0.05))
    thin = dataclasses.replace(BODY17, thickness=0.02)
    assert torch.equal(draw_skeletons(keypoints, thin, 48, 0.05), own)
    thinner = draw_skeletons(keypoints, thin, 48)
    assert torch.equal(thinner, draw_skeletons(keypoints, BODY17, 48, 0.02))
    assert thinner.sum() < 0.7 * own.sum()


def test_an_open_eye_is_open_at_64_pixels() -> None:
    """Between the lids of a thin-lined face there is black."""
    face = dataclasses.replace(
        faces.get("faces_video"), expressions=(("neutral", 1.0),), noise=0.0,
        yaw=(0.0, 0.0), pitch=(0.0, 0.0), roll=(0.0, 0.0), subject_spread=0.0,
    ).sample(20, 0)  # fmt: skip
    image = draw_skeletons(face.keypoints, FACE68, 64).amax(1)  # (20, 64, 64)
    for eye in (slice(36, 42), slice(42, 48)):
        x, y = (64 * face.keypoints[:, eye].mean(1)).long().T
        rows = torch.stack([image[torch.arange(20), y + step, x] for step in range(-4, 5)])
        assert rows[3:6].amin(0).max() < 0.6 * rows.amax(0).min()


def test_mirrored_keypoints_give_mirrored_images() -> None:
    keypoints = domains.get("wild").sample(20, 0).keypoints
    mirrored = torch.stack([1 - keypoints[..., 0], keypoints[..., 1]], -1)
    image = draw_skeletons(keypoints, BODY17, 48)
    torch.testing.assert_close(
        draw_skeletons(mirrored, BODY17, 48).flip(-1), image, atol=1e-4, rtol=0
    )


def test_invisible_joints_take_their_bones_along() -> None:
    keypoints = domains.get("wild").sample(1, 0).keypoints
    visible = torch.ones(1, 17, dtype=torch.bool)
    visible[:, 1:] = False
    keypoints[:, 1:] = torch.nan
    assert draw_skeletons(keypoints, BODY17, 32, visible=visible).abs().max() == 0


def test_no_poses_give_no_images() -> None:
    assert draw_skeletons(torch.zeros(0, 17, 2), BODY17, 32).shape == (0, 3, 32, 32)


def test_bad_keypoints_are_named() -> None:
    keypoints = torch.full((3, 17, 2), 0.5)
    keypoints[2, 3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"1 keypoints are not finite.*right_ankle of pose 2"):
        draw_skeletons(keypoints, BODY17, 32)
    with pytest.raises(ValueError, match=r"BODY17 has 17 joints.*\(3, 16, 2\)"):
        draw_skeletons(keypoints[:, :16], BODY17, 32)
    with pytest.raises(ValueError, match="size must be at least 1"):
        draw_skeletons(torch.full((1, 17, 2), 0.5), BODY17, 0)
