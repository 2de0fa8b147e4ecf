"""W and G: masks, displacement, skips and sizes, against what the equations say."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.reconstruction.bones import (
    bone_maps,
    directed_transforms,
    expand,
    pixel_centres,
    sampling_transforms,
)
from posenb.reconstruction.generation import PAPER, Reconstructor, Widths
from posenb.reconstruction.warping import Hourglass, Warping, WarpingModule
from posenb.world.skeletons import BODY17, HAND21

TINY = Widths((8, 16), (8, 16), 1, 2)


def poses(count: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 0.2 + 0.6 * torch.rand(count, 17, 2, generator=random)


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights as if something had been learned: none is zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return network


def test_masks_sum_to_one_and_the_displacement_is_their_mean() -> None:
    """Eq. 8 with the masks that W gives, one bone after the other."""
    module = shaken(WarpingModule(widths=(8, 16)))
    base, driving = poses(3, 1), poses(3, 2)
    found = module(pictures(3), base, driving)
    assert found.masks.shape == (3, 17, 16, 16) and found.masks.min() >= 0
    torch.testing.assert_close(found.masks.sum(1), torch.ones(3, 16, 16))
    assert found.inpainting.shape == (3, 1, 16, 16)
    assert 0 <= found.inpainting.min() < found.inpainting.max() <= 1
    both = (directed_transforms(pose, BODY17) for pose in (base, driving))
    places = expand(sampling_transforms(*both), 16, 16)
    wanted = found.masks[:, 0, ..., None] * pixel_centres(16, 16, base)
    for bone in range(16):
        wanted = wanted + found.masks[:, 1 + bone, ..., None] * places[:, bone]
    torch.testing.assert_close(found.displacement, wanted, rtol=1e-4, atol=1e-5)


def test_equal_poses_move_nothing_whatever_was_learned() -> None:
    """All J + 1 motions are the identity then; and with C = 1 the base picture comes back."""
    network = shaken(Reconstructor(size=32, widths=TINY))
    images, pose = pictures(2), poses(2)
    warping = network.warping(images, pose, pose)
    still = pixel_centres(16, 16, images).expand(2, -1, -1, -1)
    torch.testing.assert_close(warping.displacement, still, rtol=0, atol=1e-5)
    copied = warping._replace(inpainting=torch.ones_like(warping.inpainting))
    torch.testing.assert_close(network.generation(images, copied), images, rtol=0, atol=1e-4)


def test_the_background_moves_as_told() -> None:
    module = WarpingModule(widths=(8, 16))
    pose = poses(1)
    shift = torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])
    found = module(pictures(1), pose, pose, shift)
    moved = found.displacement - pixel_centres(16, 16, pose)
    torch.testing.assert_close(moved[..., 0], 0.25 * found.masks[:, 0])
    assert moved[..., 1].abs().max() < 1e-6


def test_before_learning_the_masks_follow_the_bones() -> None:
    pose = poses(2)
    found = WarpingModule(widths=(8, 16))
    nn.init.zeros_(found.masks.weight)
    nn.init.zeros_(found.masks.bias)
    masks = found(pictures(2), pose, pose).masks
    maps = bone_maps(pose, BODY17, 16, 16)
    strongest = maps.amax(1) > 0.9
    assert strongest.any()
    assert (masks.argmax(1)[strongest] == 1 + maps.argmax(1)[strongest]).all()
    assert (masks.argmax(1)[maps.amax(1) < 0.1] == 0).all()


def test_a_skip_is_moved_and_mixed_as_the_paper_says() -> None:
    """C * warped + (1 - C) * previous, here of the last level: C = 0 is painted, C = 1 moved."""
    network = shaken(Reconstructor(size=32, widths=TINY))
    images = pictures(1)
    # Everything comes from 4 pixels further right; all 16 x 16 agree, so that scaling changes none.
    places = pixel_centres(16, 16, images)[None] + torch.tensor([8 / 32, 0.0])
    masks = torch.zeros(1, 17, 16, 16)
    copied, painted, half = (
        network.generation(images, Warping(places, torch.full((1, 1, 16, 16), share), masks))
        for share in (1.0, 0.0, 0.5)
    )
    moved = torch.cat([images[..., 4:], images[..., -1:].expand(-1, -1, -1, 4)], -1)
    torch.testing.assert_close(copied, moved, rtol=0, atol=1e-4)
    other = network.generation(
        pictures(1, seed=5), Warping(places, torch.zeros(1, 1, 16, 16), masks)
    )
    torch.testing.assert_close(painted, other)  # nothing of the base picture comes through
    assert (half - moved).abs().mean() < (painted - moved).abs().mean()


def test_people_are_moved_before_anything_is_learned() -> None:
    """With masks from the bones alone: a person who turns and moves, and a still background."""
    base, angle = poses(4, 3), 0.4
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    driving = (base - 0.5) @ turn.T + torch.tensor([0.55, 0.45])
    before, after = (
        bone_maps(pose, BODY17, 64, 64).amax(1, keepdim=True).expand(-1, 3, -1, -1)
        for pose in (base, driving)
    )
    network = Reconstructor()
    with torch.no_grad():
        warping = network.warping(before, base, driving)
        copied = warping._replace(inpainting=torch.ones_like(warping.inpainting))
        rebuilt = network.generation(before, copied)
    there = after > 0.5
    assert (rebuilt - after)[there].abs().mean() < 0.4 * (before - after)[there].abs().mean()


def test_hourglasses_keep_the_size_also_where_it_is_odd() -> None:
    network = Hourglass(5, (8, 16, 24))
    assert network(torch.rand(2, 5, 13, 10)).shape == (2, 8, 13, 10)


def test_gradients_reach_both_poses_the_base_and_all_weights() -> None:
    network = shaken(Reconstructor(size=32, widths=TINY))
    images = pictures(2).requires_grad_()
    base, driving = poses(2, 1).requires_grad_(), poses(2, 2).requires_grad_()
    network(images, base, driving).images.square().mean().backward()
    for leaf in (images, base, driving):
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_gradient_of_a_keypoint_is_that_of_finite_differences() -> None:
    network = shaken(Reconstructor(size=16, widths=TINY)).double()
    images = pictures(1, 16).double()
    smooth = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), 5, 1)
    base, driving = poses(1, 1).double(), poses(1, 2).double().requires_grad_()

    def loss(pose: Tensor) -> Tensor:
        rebuilt = network(smooth, base, pose)
        return rebuilt.warping.displacement.square().mean() + rebuilt.warping.inpainting.mean()

    (gradient,) = torch.autograd.grad(loss(driving), driving)
    joint, step = 5, 1e-6
    for axis in range(2):
        move = torch.zeros_like(driving)
        move[0, joint, axis] = step
        with torch.no_grad():
            slope = (loss(driving + move) - loss(driving - move)) / (2 * step)
        assert float(gradient[0, joint, axis]) == pytest.approx(float(slope), rel=1e-4)


def test_autocast_keeps_places_exact() -> None:
    network, pose = Reconstructor(size=32, widths=TINY), poses(2)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(pictures(2), pose, pose)
    still = pixel_centres(16, 16, pose).expand(2, -1, -1, -1)
    torch.testing.assert_close(found.warping.displacement, still, rtol=0, atol=1e-5)
    assert found.images.dtype == torch.float32


def test_weights_follow_from_the_seed() -> None:
    first, same, other = (
        Reconstructor(size=32, widths=TINY, seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def conv(inputs: int, outputs: int, bias: bool = False) -> int:
    return 9 * inputs * outputs + (outputs if bias else 2 * outputs)  # or a normalisation's two


def counted(bones: int, widths: Widths) -> int:
    """Parameters, level by level."""
    w, g = widths.warping, widths.generation
    total = conv(3 + 4 * bones, w[0]) + conv(w[-1], w[-1])
    total += sum(conv(a, b) + conv(b, a) for a, b in zip(w, w[1:], strict=False))
    total += conv(w[0], 1 + bones, True) + conv(w[0], 1, True)
    total += conv(3, g[0]) + conv(g[0], 3, True) + 2 * widths.residuals * conv(g[-1], g[-1])
    return total + sum(conv(a, b) + conv(b, a) for a, b in zip(g, g[1:], strict=False))


def test_teaching_and_paper_size_have_the_parameters_they_should() -> None:
    def count(*arguments: object) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in Reconstructor(*arguments).parameters())  # type: ignore[arg-type]

    assert count() == counted(16, Widths()) == 261_061
    assert count(BODY17, 256, PAPER) == counted(16, PAPER) == 48_732_373
    assert count(HAND21, 256, PAPER) == counted(20, PAPER)


def test_the_paper_size_takes_the_paper_s_pictures() -> None:
    with torch.device("meta"):
        network = Reconstructor(BODY17, 256, PAPER)
        pose = torch.empty(1, 17, 2)
        warping = network.warping(torch.empty(1, 3, 256, 256), pose, pose)
        assert warping.displacement.shape == (1, 64, 64, 2)
        assert network.generation(torch.empty(1, 3, 256, 256), warping).shape == (1, 3, 256, 256)


def test_bad_input_is_named() -> None:
    network = Reconstructor(size=32, widths=TINY)
    images, pose = pictures(2), poses(2)
    for wrong in (pictures(2, 64), images[:, :1], images[0]):
        with pytest.raises(ValueError, match=r"pictures \(N, 3, 32, 32\) are rebuilt here, found"):
            network(wrong, pose, pose)
    with pytest.raises(ValueError, match=r"BODY17 have base keypoints \(2, 17, 2\), found \(2, 21"):
        network(images, torch.zeros(2, 21, 2), pose)
    with pytest.raises(ValueError, match=r"2 pairs.*driving keypoints \(2, 17, 2\), found \(1, 17"):
        network(images, pose, pose[:1])
    broken = pose.clone()
    broken[1, 3, 0] = math.nan
    with pytest.raises(ValueError, match="driving keypoints of 1 pairs.*the first is pair 1"):
        network(images, pose, broken)
    with pytest.raises(ValueError, match="base picture holds NaN"):
        network(images * math.nan, pose, pose)
    with pytest.raises(ValueError, match="size is a multiple of 8: not 60"):
        Reconstructor(size=60)
    with pytest.raises(ValueError, match="multiples of 8, found 12"):
        Reconstructor(size=32, widths=Widths((8, 12), (8,)))
