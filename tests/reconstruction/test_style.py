"""Style: AdaIN against NumPy, and a network that learns, comes back, and moves nobody."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from posenb import __main__ as command_line
from posenb.experiments.reconstruction import shipping
from posenb.reconstruction import KeypointDetector, load_detector
from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.style import StyleNetwork, adain, moments, style_losses, without_style
from posenb.reconstruction.style_training import StyleRecipe, StyleTask, train_style
from posenb.reconstruction.weights import load_style
from posenb.train import checkpoints, loop

CPU = torch.device("cpu")
TINY = StyleRecipe(images=8 * 60, size=32, seed=3)


def pictures(count: int, seed: int, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def detector() -> KeypointDetector:
    return KeypointDetector(size=32, widths=(16, 16, 32, 32)).eval()


@given(seed=st.integers(0, 2**31), strength=st.floats(0, 1))
def test_adain_is_equation_8(seed: int, strength: float) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(2, 3, (2, 5, 4, 6)), random.normal(-1, 0.5, (2, 5, 3, 7))
    wanted = np.empty_like(x)
    for picture in range(2):
        for channel in range(5):
            one, other = x[picture, channel], y[picture, channel]
            styled = other.std() * (one - one.mean()) / one.std() + other.mean()
            wanted[picture, channel] = (1 - strength) * one + strength * styled
    found = adain(torch.from_numpy(x), torch.from_numpy(y), strength)
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-4)  # a hundred-thousandth in sigma


def test_each_picture_may_have_its_own_strength() -> None:
    x, y = pictures(3, 0), pictures(3, 1)
    found = adain(x, y, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(found[0], x[0])
    torch.testing.assert_close(found[1], adain(x, y, 0.5)[1])
    torch.testing.assert_close(moments(found[2:])[0], moments(y[2:])[0])
    torch.testing.assert_close(moments(found[2:])[1], moments(y[2:])[1], atol=1e-4, rtol=0)


def test_a_flat_channel_has_a_gradient() -> None:
    flat = torch.ones(1, 2, 4, 4, requires_grad=True)
    adain(flat, pictures(1, 0)[:, :2]).square().sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all()


def test_style_is_what_without_style_takes_away() -> None:
    x = pictures(2, 0)
    recoloured = 0.3 * x + torch.tensor([0.1, 0.2, 0.5])[:, None, None]
    torch.testing.assert_close(without_style(recoloured), without_style(x), atol=2e-3, rtol=0)


def test_losses_are_zero_where_nothing_is_wrong() -> None:
    judge = PerceptualFeatures.of_detector(detector(), 3)
    x, y = pictures(4, 0, 32), pictures(4, 1, 32)
    still = style_losses(x, x, y, torch.zeros(4), judge)
    assert still["still"] == still["style"] == still["content"] == 0
    same = style_losses(x, x, x, torch.ones(4), judge)
    assert same["still"] == 0 and same["style"] < 1e-9 and same["content"] < 1e-9
    swapped = style_losses(y, x, y, torch.ones(4), judge)
    assert swapped["style"] < 1e-9 and swapped["content"] > 0.5
    half = style_losses(y, x, y, torch.tensor([1.0, 0.0, 0.0, 0.0]), judge)
    torch.testing.assert_close(half["still"], (y - x)[1:].abs().mean())


def trained(seed: int) -> StyleNetwork:
    """A network whose head adds something."""
    network = StyleNetwork(seed=seed)
    with torch.no_grad():
        network.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(seed))
    return network


def test_the_network_takes_any_size_and_strength_0_ignores_the_style() -> None:
    network, content = trained(1), pictures(2, 0, 24)
    one, other = (network.stylise(content, pictures(2, seed, 32), 0.0) for seed in (1, 2))
    assert one.shape == content.shape and not one.requires_grad
    torch.testing.assert_close(one, other)
    assert (one - content).abs().mean() > 1e-3
    styled = network.stylise(content, pictures(2, 1, 32))
    assert (styled - one).abs().max() > 1e-3
    assert styled.min() >= 0 and styled.max() <= 1
    several = network.stylise(content, pictures(2, 1, 32), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(several, torch.stack([one[0], styled[1]]))


def test_before_training_only_colours_change() -> None:
    content, style = 0.3 + 0.4 * pictures(2, 0), 0.4 + 0.2 * pictures(2, 1)
    for seed, strength in ((0, 0.0), (1, 0.4)):
        made = StyleNetwork(seed=seed).stylise(content, style, strength)
        torch.testing.assert_close(made, adain(content, style, strength))
    first, second = (StyleNetwork(seed=seed).encode(content)[-1] for seed in (0, 1))
    assert (first - second).abs().max() > 0.1


def test_what_cannot_be_restyled_is_named() -> None:
    network = StyleNetwork()
    with pytest.raises(ValueError, match=r"multiples of 4, found \(1, 3, 18, 18\)"):
        network(pictures(1, 0, 18), pictures(1, 0, 18))
    with pytest.raises(ValueError, match=r"\(2, 16\).*\(3, 16\)"):
        network(pictures(2, 0), pictures(3, 0))
    with pytest.raises(ValueError, match="show different things"):
        StyleRecipe(target="hands_real")
    with pytest.raises(ValueError, match="found 'moon'"):
        StyleRecipe(target="moon")
    with pytest.raises(ValueError, match="batch must be even"):
        StyleRecipe(batch=5)
    with pytest.raises(ValueError, match="train style --source wild --target lab"):
        load_style("wild")


def patches(seed: int) -> torch.Tensor:
    """Pictures without details."""
    coarse = torch.rand(8, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.6 * F.interpolate(coarse, (32, 32), mode="bilinear")


@pytest.mark.slow
def test_training_takes_the_texture_of_a_style_and_leaves_that_of_the_content() -> None:
    stripes = 0.15 * (2 * (torch.arange(32) % 4 < 2).float() - 1)
    source, target = patches(0), patches(1) + stripes
    recipe = replace(TINY, images=8 * 40, learning_rate=5e-3)
    task = StyleTask(recipe, load_detector(), CPU)
    task.pool = lambda number: (source, target)
    before = checkpoints.state_hash(task.judge.state_dict())
    _, style = loop.fit(task, recipe.steps, progress=False, log_every=10).series("style")
    assert style[-1] < 0.8 * style[0]
    assert checkpoints.state_hash(task.judge.state_dict()) == before
    striped = lambda x: float((x * stripes.sign()).mean())  # noqa: E731
    plain = task.network.stylise(target, source)
    assert striped(target) > 0.14 and striped(plain) < 0.5 * striped(adain(target, source))


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_bits_and_weights_come_back(tmp_path: Path) -> None:
    recipe = replace(TINY, images=8 * 4)
    task, history = train_style(recipe, detector(), tmp_path / "whole", device=CPU, progress=False)
    parts = StyleTask(recipe, detector(), CPU)
    file = tmp_path / "parts" / "style-synthetic-lab-3.pt"
    loop.fit(parts, 2, checkpoint=file, progress=False, identity=asdict(recipe))
    again, _ = train_style(recipe, detector(), tmp_path / "parts", device=CPU, progress=False)
    assert checkpoints.state_hash(again.state_dict()) == checkpoints.state_hash(task.state_dict())

    home = tmp_path / "home"
    shipping.ship_style(task, history, home)
    network = load_style(folder=home)
    x, y = pictures(2, 0), pictures(2, 1)
    torch.testing.assert_close(network.stylise(x, y), task.network.stylise(x, y), atol=5e-3, rtol=0)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    record = checkpoints.load_provenance("style_synthetic_lab", home)
    options = command_line._parser().parse_args(record["command"].split()[3:])
    asked = asdict(command_line.style_recipe(options))
    assert {n for n in asked if asked[n] != record["configuration"][n]} == {"size"}


def test_the_command_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StyleTask, "step", lambda self, step: {"style": 1.0})
    words = ["train", "style", "--target", "lab", "--images", "16", "--no-ship", "--threads", "1"]
    assert command_line.main([*words, "--folder", str(tmp_path)]) == 0
    assert checkpoints.load_checkpoint(tmp_path / "style-synthetic-lab-0.pt")["step"] == 2
