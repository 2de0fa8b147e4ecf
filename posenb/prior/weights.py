"""The shipped networks of this chapter, loaded and checked, and poses drawn from them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from posenb import assets
from posenb.prior.networks import (
    Discriminator,
    Generator,
    KeypointRegressor,
    PerceptualFeatures,
    VggFeatures,
)
from posenb.prior.training import FEATURE_OUTPUTS
from posenb.train import checkpoints, runtime

Network = TypeVar("Network", bound=nn.Module)


def generators() -> tuple[str, ...]:
    """Names of the shipped generators, `wild` first."""
    ends = "_discriminator_64.safetensors"
    found = {
        name.removeprefix("weights/prior_").removesuffix(ends)
        for name in assets.manifest()
        if name.startswith("weights/prior_") and name.endswith(ends)
    }
    return tuple(sorted(found, key=lambda name: (name != "wild", name)))


def load_generator(name: str = "wild", device: torch.device | None = None) -> Generator:
    """A shipped StyleGAN g = phi . A . f at 64 pixels, the moving average of its training.

    Args:
        name: one of `generators()`: the domain whose poses it was trained on.
        device: where to put it; default CPU.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    _check(name)
    return _load(Generator(64), f"prior_{name}", device)


def load_discriminator(name: str = "wild", device: torch.device | None = None) -> Discriminator:
    """The discriminator of 64 pixels that a shipped generator was trained with.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    _check(name)
    return _load(Discriminator(64), f"prior_{name}_discriminator_64", device)


def load_regressor(device: torch.device | None = None) -> KeypointRegressor:
    """beta: reads keypoints from skeleton images of 64 pixels (FlexPose, Sec. 3.4)."""
    return _load(KeypointRegressor(), "prior_regressor", device)


def perceptual_features(
    name: str = "posenb", device: torch.device | None = None
) -> PerceptualFeatures | VggFeatures:
    """Gamma of FlexPose, Eq. 5.

    Args:
        name: `posenb`, trained by us on skeleton images, or `vgg`, VGG-16 trained on photographs,
            which needs torchvision and its weights on this machine.
        device: where to put it; default CPU.

    Raises:
        ValueError: for another name, or if torchvision or its weights are not there.
    """
    if name == "posenb":
        return _load(PerceptualFeatures(FEATURE_OUTPUTS), "prior_features", device)
    if name == "vgg":
        return VggFeatures().to(device or "cpu").eval().requires_grad_(False)
    raise ValueError(f"expected 'posenb' or 'vgg', found {name!r}")


@torch.no_grad()
def sample(
    generator: Generator,
    regressor: KeypointRegressor,
    count: int,
    seed: int,
    truncation: float = 1.0,
    batch: int = 256,
    progress: bool = False,
) -> Tensor:
    """Poses drawn from a generator and read by beta (FlexPose, Sec. 3.4).

    Args:
        generator: g.
        regressor: beta, on the same device.
        count: number of poses N.
        seed: of the latent codes; noise inputs are off.
        truncation: psi.
        batch: images made at once.
        progress: show a bar.

    Returns:
        Keypoints (N, J, 2) in [0, 1], on the device of the generator.

    Raises:
        ValueError: for a count or batch below 1.
    """
    if min(count, batch) < 1:
        raise ValueError(f"count and batch must be at least 1, found {count} and {batch}")
    device = next(generator.parameters()).device
    random = runtime.generator(seed, device)
    parts: list[Tensor] = []
    with runtime.Progress(count, "sampling poses", enabled=progress) as bar:
        for first in range(0, count, batch):
            z = generator.sample_z(min(batch, count - first), random)
            parts.append(regressor(generator(z, truncation)))  # (batch, J, 2)
            bar.update(first + len(z))
    return torch.cat(parts)


def _check(name: str) -> None:
    if name not in generators():
        raise ValueError(f"there is no generator {name!r}; there are: {', '.join(generators())}")


def _load(network: Network, asset: str, device: torch.device | None) -> Network:
    network.load_state_dict(checkpoints.load_weights(asset))
    return network.to(device or torch.device("cpu")).eval().requires_grad_(False)
