"""The prior's networks against slow references: what each equation says, in a loop."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from posenb.prior.losses import discriminator_loss, generator_loss, perceptual_loss, r1_penalty
from posenb.prior.networks import (
    Discriminator,
    EqualConv,
    EqualLinear,
    Generator,
    KeypointRegressor,
    PerceptualFeatures,
    StyledConv,
    VggFeatures,
    batch_deviation,
    channels,
    rerender,
)
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def generator() -> Generator:
    network = Generator(64, seed=3)
    with torch.no_grad():  # noise inputs start at strength 0: give them something to do
        for convolution in network.convolutions:
            convolution.get_parameter("noise_strength").fill_(0.3)
    return network


def test_layers_are_numbered_from_the_coarsest(generator: Generator) -> None:
    sizes = [generator.layer_resolution(layer) for layer in range(1, generator.layers + 1)]
    assert sizes == [4, 8, 8, 16, 16, 32, 32, 64, 64]
    assert generator.layer_resolution(3) == 8  # FlexPose's l = 3
    with pytest.raises(ValueError, match="1 to 9, found 10"):
        generator.layer_resolution(10)


def test_g_is_phi_after_a_after_f(generator: Generator) -> None:
    z = generator.sample_z(3, random())
    styles = generator.affine(generator.mapping(z))
    assert [tuple(style.shape) for style in styles.layers] == [
        (3, width) for width in (128, 128, 128, 128, 64, 64, 32, 32, 16)
    ]
    torch.testing.assert_close(generator(z), generator.synthesis(styles))
    assert generator(z).shape == (3, 3, 64, 64)


@pytest.mark.parametrize("upsample", [False, True])
def test_modulation_equals_one_convolution_an_image(upsample: bool) -> None:
    """StyleGAN2's definition: scale the weights for each image, normalise them, convolve."""
    layer = StyledConv(6, 5, random(), upsample)
    with torch.no_grad():
        layer.bias.normal_(generator=random(2))
    x, style = torch.randn(4, 6, 8, 8, generator=random(3)), torch.randn(4, 6, generator=random(4))
    expected = []
    for image, scale in zip(x, style, strict=True):
        weight = layer.weight * layer.scale * scale[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        out = F.conv2d(image[None], weight, padding=1)
        if upsample:
            out = F.interpolate(out, scale_factor=2, mode="bilinear", align_corners=False)
        expected.append(F.leaky_relu(out + layer.bias[:, None, None], 0.2) * 2**0.5)
    torch.testing.assert_close(layer(x, style, None), torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_equal_layers_scale_in_use() -> None:
    linear = EqualLinear(9, 4, random(), bias=1.0, multiplier=0.01)
    x = torch.randn(7, 9, generator=random(1))
    weight, bias = linear.weight * 0.01 / 3, linear.bias * 0.01
    torch.testing.assert_close(linear(x), x @ weight.T + bias)
    torch.testing.assert_close(linear.bias * 0.01, torch.ones(4))
    assert linear.weight.std().item() == pytest.approx(100, rel=0.5)
    active = EqualConv(2, 3, 3, random())
    image = torch.randn(1, 2, 5, 5, generator=random(2))
    plain = F.conv2d(image, active.weight / 18**0.5, active.bias, padding=1)
    torch.testing.assert_close(active(image), F.leaky_relu(plain, 0.2) * 2**0.5)


def test_noise_is_drawn_from_the_generator_given(generator: Generator) -> None:
    z = generator.sample_z(2, random())
    quiet = generator(z)
    assert torch.equal(quiet, generator(z))
    noisy = generator(z, noise=random(5))
    assert not torch.allclose(quiet, noisy)
    assert torch.equal(noisy, generator(z, noise=random(5)))


def test_truncation_pulls_to_the_mean(generator: Generator) -> None:
    z = generator.sample_z(2, random())
    w = generator.mapping(z)
    torch.testing.assert_close(generator.mapping(z, 0.3), generator.w_mean.lerp(w, 0.3))
    assert torch.equal(generator.mapping(z, 1.0), w)
    collapsed = generator(z, truncation=0.0)
    torch.testing.assert_close(collapsed[0], collapsed[1])


def test_style_mixing_changes_the_layers_asked_for(generator: Generator) -> None:
    first, second = (generator.mapping(generator.sample_z(2, random(s))) for s in (1, 2))
    mixed = generator.affine([second if layer == 2 else first for layer in range(9)])
    own, other = generator.affine(first), generator.affine(second)
    for layer in range(9):
        wanted = other if layer == 2 else own
        assert torch.equal(mixed.layers[layer], wanted.layers[layer])
    with pytest.raises(ValueError, match="one a layer, found 3"):
        generator.affine([first] * 3)


def test_growing_keeps_the_images(generator: Generator) -> None:
    small = Generator(32, seed=1)
    grown = Generator(64, seed=2).grow(small)
    z = small.sample_z(3, random())
    enlarged = F.interpolate(small(z), scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(grown(z), enlarged, atol=1e-5, rtol=0)
    torch.testing.assert_close(grown.trunk(32)(z), small(z))
    learning = {name.split(".")[1] for name, p in grown.named_parameters() if p.requires_grad}
    assert learning == {"4", "7", "8"}  # the last read-out and the layers at 64 pixels


def test_growing_the_discriminator_keeps_its_deep_blocks() -> None:
    small = Discriminator(32, seed=1)
    grown = Discriminator(64, seed=2).grow(small)
    assert torch.equal(grown.last.weight, small.last.weight)
    assert not torch.equal(grown.read.weight[:1], small.read.weight[:1])


def test_seeds_give_the_same_networks() -> None:
    before = torch.random.get_rng_state()
    first, again = Generator(32, seed=7), Generator(32, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)  # no hidden seed is used
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_width_scales_channels() -> None:
    assert channels(64, 0.5) == {4: 64, 8: 64, 16: 32, 32: 16, 64: 8}
    narrow = Generator(16, width=0.25)
    assert [s.shape[1] for s in narrow.affine(torch.zeros(1, 64)).layers] == [32, 32, 32, 32, 16]
    assert Discriminator(16, width=0.25)(narrow(torch.ones(4, 64))).shape == (4, 1)
    with pytest.raises(ValueError, match="found 48"):
        Generator(48)


def test_batch_deviation_is_that_of_groups() -> None:
    x = torch.randn(8, 3, 4, 4, generator=random())
    expected = [g.var(0, unbiased=False).add(1e-8).sqrt().mean() for g in (x[:4], x[4:])]
    torch.testing.assert_close(batch_deviation(x), torch.stack(expected).repeat_interleave(4))
    assert batch_deviation(torch.ones(4, 1, 2, 2)).max() < 1e-3
    with pytest.raises(ValueError, match="multiple of 4, found 6"):
        batch_deviation(torch.ones(6, 1, 2, 2))


def test_trunk_keeps_the_width_and_names_what_it_lacks() -> None:
    for width in (0.08, 0.34, 1.0):
        whole = Generator(16, width=width, seed=0)
        z = whole.sample_z(4, random())
        assert whole.trunk(8)(z).shape == (4, 3, 8, 8)
    with pytest.raises(ValueError, match="16 pixels has no trunk of 32"):
        whole.trunk(32)


def test_discriminator_sees_a_collapsed_batch() -> None:
    network = Discriminator(32, seed=0)
    one = torch.rand(1, 3, 32, 32, generator=random())
    various = torch.cat([one, torch.rand(3, 3, 32, 32, generator=random(1))])
    assert not torch.allclose(network(one.expand(4, -1, -1, -1))[0], network(various)[0])


def test_losses_are_cross_entropies() -> None:
    real, fake = torch.randn(6, 1, generator=random()), torch.randn(6, 1, generator=random(1))
    bce = F.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones(6, 1)) + bce(fake, torch.zeros(6, 1))
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), bce(fake, torch.ones(6, 1)))


def test_r1_is_the_squared_slope() -> None:
    """Against central differences of a small discriminator in double precision."""
    network = Discriminator(8, width=0.1, seed=0).double()
    images = torch.rand(4, 3, 8, 8, generator=random(), dtype=torch.float64)

    def total(x: torch.Tensor) -> torch.Tensor:
        return network(x).sum()

    leaf = images.clone().requires_grad_()
    penalty = r1_penalty(network(leaf), leaf)
    slope = torch.zeros_like(images)
    flat, step = slope.view(-1), 1e-7
    with torch.no_grad():
        for place in range(images.numel()):
            shift = torch.zeros(images.numel(), dtype=torch.float64)
            shift[place] = step
            shift = shift.view_as(images)
            flat[place] = (total(images + shift) - total(images - shift)) / (2 * step)
    expected = slope.square().sum((1, 2, 3)).mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="requires_grad_"):
        r1_penalty(network(images), images)


def test_beta_hands_out_the_expected_place() -> None:
    network = KeypointRegressor(seed=0).eval()
    images = torch.rand(2, 3, 64, 64, generator=random())
    maps, keypoints = network.heat_maps(images), network(images)
    assert maps.shape == (2, 17, 32, 32)
    torch.testing.assert_close(maps.sum((-1, -2)), torch.ones(2, 17))
    for pose in range(2):
        for joint in range(17):
            place = torch.zeros(2)
            for row in range(32):
                for column in range(32):
                    centre = torch.tensor([(column + 0.5) / 32, (row + 0.5) / 32])
                    place += maps[pose, joint, row, column] * centre
            torch.testing.assert_close(keypoints[pose, joint], place, atol=1e-5, rtol=0)


def test_rerendering_is_alpha_after_beta() -> None:
    network = KeypointRegressor(seed=0).eval()
    images = torch.rand(2, 3, 64, 64, generator=random())
    clean, keypoints = rerender(images, network)
    torch.testing.assert_close(keypoints, network(images))
    torch.testing.assert_close(clean, draw_skeletons(keypoints, BODY17, 64))


def test_perceptual_loss_of_equal_images_is_zero_and_symmetric() -> None:
    gamma = PerceptualFeatures(48, seed=0).eval()
    a, b = (torch.rand(3, 3, 64, 64, generator=random(s)) for s in (0, 1))
    assert perceptual_loss(gamma, a, a).abs().max() == 0
    torch.testing.assert_close(perceptual_loss(gamma, a, b), perceptual_loss(gamma, b, a))
    expected = torch.zeros(3)
    for one, two in zip(gamma.features(a), gamma.features(b), strict=True):
        torch.testing.assert_close(one.norm(dim=1), torch.ones_like(one[:, 0]))
        height, width = one.shape[2:]
        expected += (one - two).square().sum((1, 2, 3)) / (height * width)
    torch.testing.assert_close(perceptual_loss(gamma, a, b), expected)


def test_vgg_without_torchvision_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ValueError, match="need torchvision: install it"):
        VggFeatures()


def test_vgg_features_where_torchvision_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a stand-in of VGG-16's shape: four stages, normalised over channels."""
    layers: list[torch.nn.Module] = []
    channel = 3
    for width, convolutions in ((8, 2), (8, 2), (8, 3), (8, 3), (8, 3)):
        for _ in range(convolutions):
            layers += [torch.nn.Conv2d(channel, width, 3, padding=1), torch.nn.ReLU()]
            channel = width
        layers.append(torch.nn.MaxPool2d(2))
    models = types.ModuleType("torchvision.models")
    models.vgg16 = lambda weights: types.SimpleNamespace(  # type: ignore[attr-defined]
        features=torch.nn.Sequential(*layers)
    )
    weights = types.SimpleNamespace(url="scheme://somewhere/vgg16.pth")
    models.VGG16_Weights = types.SimpleNamespace(IMAGENET1K_V1=weights)  # type: ignore[attr-defined]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    with pytest.raises(ValueError, match=r"needs its weights in .*vgg16.pth"):
        VggFeatures()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "vgg16.pth").touch()
    maps = VggFeatures().features(torch.rand(2, 3, 64, 64, generator=random()))
    assert [tuple(m.shape[2:]) for m in maps] == [(64, 64), (32, 32), (16, 16), (8, 8)]
