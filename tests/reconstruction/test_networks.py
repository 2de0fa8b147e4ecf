"""Maps to keypoints: against closed forms, slow loops and finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from posenb.reconstruction import KeypointDetector, Maps, soft_argmax
from posenb.reconstruction.losses import supervised_loss
from posenb.reconstruction.networks import (
    DEVIATION,
    confidence,
    expectation,
    gaussians,
    probabilities,
    read,
)
from posenb.world.skeletons import BODY17, HAND21


def test_soft_argmax_of_two_cells() -> None:
    """Odds of 3 to 1 between two cells put the keypoint at a quarter of the way."""
    heat = torch.full((1, 8, 16), -100.0)
    heat[0, 2, 4], heat[0, 6, 12] = math.log(3), 0.0
    first, second = torch.tensor([4.5 / 16, 2.5 / 8]), torch.tensor([12.5 / 16, 6.5 / 8])
    torch.testing.assert_close(soft_argmax(heat)[0], first.lerp(second, 0.25))


def test_soft_argmax_ignores_a_constant_and_flat_maps_are_in_the_middle() -> None:
    heat = torch.randn(3, 5, 12, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft_argmax(heat + 7), soft_argmax(heat))
    torch.testing.assert_close(soft_argmax(0 * heat), torch.full((3, 5, 2), 0.5))


def test_derivative_of_soft_argmax() -> None:
    """d mu / d h_p = h~_p (p - mu), and as finite differences say."""
    generator = torch.Generator().manual_seed(0)
    heat = torch.randn(6, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    place = soft_argmax(heat)
    (found,) = torch.autograd.grad(place[0], heat)
    x = (torch.arange(6, dtype=torch.float64) + 0.5) / 6
    torch.testing.assert_close(found, probabilities(heat) * (x[None] - place[0]))
    assert torch.autograd.gradcheck(soft_argmax, heat)


def test_gaussians_against_a_loop() -> None:
    keypoint = torch.tensor([0.41, 0.67])
    wanted = torch.empty(16, 12)
    for row in range(16):
        for column in range(12):
            dx, dy = (column + 0.5) / 12 - 0.41, (row + 0.5) / 16 - 0.67
            wanted[row, column] = math.exp(-(dx**2 + dy**2) / (2 * DEVIATION**2))
    torch.testing.assert_close(gaussians(keypoint, 16, 12), wanted / wanted.sum())


@pytest.mark.parametrize("cells", [16, 24, 64])
def test_gaussians_are_read_where_they_were_put(cells: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keypoints = 0.15 + 0.7 * torch.rand(50, 17, 2, generator=generator)
    heat = gaussians(keypoints, cells, cells)
    assert (expectation(heat) - keypoints).abs().max() < 2e-3  # an eighth of a pixel of 64
    assert confidence(heat, keypoints).min() > 0.99


def test_maps_of_height_one_do_not_go_with_the_softmax() -> None:
    """Why the heat of Eq. 1 is not taken letter by letter: Eq. 5 would lose the keypoint."""
    keypoint = torch.tensor([0.2, 0.3])
    heat = gaussians(keypoint, 64, 64)
    assert (soft_argmax(heat / heat.max()) - 0.5).abs().max() < 0.01


def test_confidence_falls_with_spread_and_with_a_second_peak() -> None:
    one, other = gaussians(torch.tensor([[0.3, 0.4], [0.7, 0.6]]), 16, 16)
    maps = torch.stack(
        [one, 0.8 * one + 0.2 / 256, (one + other) / 2, torch.full_like(one, 1 / 256)]
    )
    sure, less, two, flat = confidence(maps, expectation(maps)).tolist()
    assert sure > 0.98 > less > 0.3 > 0.1 > two and flat < 0.1


def test_depth_is_read_where_the_heat_is_and_from_the_root() -> None:
    keypoints = torch.full((1, 17, 2), 0.5)
    keypoints[0, 3] = 0.25
    depth = torch.full((1, 17, 16, 16), 2.0)
    depth[0, 3, :8, :8] = -1.0  # wherever joint 3 is not, its map says 2
    found = read(Maps(gaussians(keypoints, 16, 16).clamp_min(1e-30).log(), depth), BODY17)
    wanted = torch.zeros(1, 17)
    wanted[0, 3] = -3
    torch.testing.assert_close(found.depth, wanted, atol=1e-3, rtol=0)


def test_the_loss_of_perfect_maps_is_zero_and_of_others_as_a_loop_says() -> None:
    generator = torch.Generator().manual_seed(0)
    keypoints = 0.2 + 0.6 * torch.rand(2, 17, 2, generator=generator, dtype=torch.float64)
    keypoints[0, 5] = 1.2  # outside: counts nowhere
    depth = torch.randn(2, 17, generator=generator, dtype=torch.float64)
    depth[:, 0] = 0
    wanted = gaussians(keypoints, 12, 12)
    even = depth[..., None, None].expand(-1, -1, 12, 12)
    perfect = supervised_loss(
        Maps(wanted.clamp_min(1e-99).log(), even), keypoints, depth, BODY17, 0.5
    )
    assert perfect.total.abs() < 1e-6

    maps = Maps(*torch.randn(2, 2, 17, 12, 12, generator=generator, dtype=torch.float64))
    found, seen = supervised_loss(maps, keypoints, depth, BODY17, 0.5), read(maps, BODY17)
    heats, depths = [], []
    for n in range(2):
        for k in range(17):
            if (n, k) != (0, 5):
                p, q = wanted[n, k], maps.heat[n, k].exp() / maps.heat[n, k].exp().sum()
                heats.append(float((p * (p.clamp_min(1e-300) / q).log()).sum()))
                depths.append(float((seen.depth[n, k] - depth[n, k]).abs()))
    assert float(found.heat) == pytest.approx(sum(heats) / len(heats))
    assert float(found.depth) == pytest.approx(sum(depths) / len(depths))
    assert float(found.total) == pytest.approx(float(found.heat + 0.5 * found.depth))


def test_joints_that_are_not_visible_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = Maps(*torch.randn(2, 3, 17, 8, 8, generator=generator))
    keypoints, depth = torch.rand(3, 17, 2, generator=generator), torch.zeros(3, 17)
    visible = torch.rand(3, 17, generator=generator) < 0.5
    other = torch.where(visible[..., None], keypoints, 0.1)
    losses = [supervised_loss(maps, k, depth, BODY17, 1.0, visible) for k in (keypoints, other)]
    torch.testing.assert_close(losses[0].total, losses[1].total)
    nothing = supervised_loss(maps, keypoints, depth, BODY17, 1.0, visible & False)
    assert nothing.total == 0


@pytest.mark.parametrize(("skeleton", "size"), [(BODY17, 64), (HAND21, 96)])
def test_the_network_gives_2_k_maps_and_gradients_reach_all_of_it(skeleton, size) -> None:  # type: ignore[no-untyped-def]
    network = KeypointDetector(skeleton, size, (8, 8, 16, 16), seed=1)
    images = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    maps = network.maps(images)
    assert maps.heat.shape == maps.depth.shape == (4, len(skeleton), size // 4, size // 4)
    found = network(images)
    assert found.keypoints.shape == (4, len(skeleton), 2)
    assert found.confidence.shape == found.depth.shape == (4, len(skeleton))
    target = torch.full_like(found.keypoints, 0.3)
    supervised_loss(maps, target, found.depth.detach() + 1, skeleton, 1.0).total.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_weights_follow_from_the_seed_and_the_shipped_size_is_small() -> None:
    first, same, other = (KeypointDetector(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])
    assert 1e6 < sum(value.numel() for value in first.values()) < 3e6


def test_bad_input_is_named() -> None:
    network = KeypointDetector(size=64, widths=(8, 8, 8, 8))
    for shape in ((2, 3, 96, 96), (2, 3, 64, 32), (3, 64, 64), (2, 1, 64, 64)):
        with pytest.raises(ValueError, match=r"reads pictures \(N, 3, 64, 64\), found"):
            network(torch.rand(shape))
    with pytest.raises(ValueError, match="multiple of 16"):
        KeypointDetector(size=50)
    with pytest.raises(ValueError, match="expected 4 widths"):
        KeypointDetector(widths=(8, 8))
    with pytest.raises(ValueError, match="17 keypoints, but HAND21 has 21"):
        read(network.maps(torch.rand(2, 3, 64, 64)), HAND21)
