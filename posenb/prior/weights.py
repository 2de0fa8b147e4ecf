"""The shipped networks of this chapter, loaded and checked, and poses drawn from them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

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
from posenb.train import checkpoints, runtime
from posenb.world.skeletons import BODY17, FACE68, Skeleton

Network = TypeVar("Network", bound=nn.Module)


def generators(skeleton: Skeleton | None = BODY17) -> tuple[str, ...]:
    """Names of the shipped generators of a skeleton, or of all of them for None; `wild` first."""
    wanted = [name for name in _listed() if skeleton is None or skeleton_of(name) == skeleton]
    return tuple(sorted(wanted, key=lambda name: (name != "wild", name)))


def find_generator(name: str | Path) -> tuple[str, Path | None]:
    """What a generator's files are called, and in which folder they are; None if shipped.

    Args:
        name: one of `generators(None)`, or the folder of a prior trained on a data file
            (`python -m posenb train prior --domain coco:PATH`). A shipped one goes first.

    Raises:
        ValueError: if there is neither, or the training has not ended.
    """
    shipped, folder = generators(None), Path(os.path.expanduser(name))
    if name in shipped:
        return str(name), None
    own = _listed(folder)
    if len(own) == 1:
        return own.pop(), folder
    raise ValueError(
        f"there is no generator {str(name)!r}; there are: {', '.join(shipped)}, and the folders in "
        "which `python -m posenb train prior --domain coco:PATH` has ended"
    )


def provenance(name: str | Path) -> dict[str, Any]:
    """How a generator was made (see `checkpoints.save_weights`); name as in `find_generator`.

    Raises:
        ValueError: if there is no generator of that name, or the file beside it is altered.
    """
    found, folder = find_generator(name)
    return checkpoints.load_provenance(f"prior_{found}", folder)


def skeleton_of(name: str | Path) -> Skeleton:
    """The skeleton that a generator paints, by the sources it was trained on.

    Raises:
        ValueError: if there is no generator of that name, or the file beside it is altered.
    """
    sources = provenance(name)["configuration"].get("sources")
    if not isinstance(sources, list) or not sources or not isinstance(sources[0], str):
        raise ValueError(
            f"the JSON beside generator {str(name)!r} lists no sources: restore it, or make the "
            "generator again with the command in it"
        )
    # poses of data files become BODY17
    return FACE68 if sources[0].startswith("faces_") else BODY17


def load_generator(name: str | Path = "wild", device: torch.device | None = None) -> Generator:
    """A trained StyleGAN g = phi . A . f at 64 pixels, the moving average of its training.

    Args:
        name: one of `generators(None)`, the domain whose poses it was trained on, or the folder of
            a prior trained on a data file; see `find_generator`.
        device: where to put it; default CPU.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    found, folder = find_generator(name)
    generator = _load(lambda *_: Generator(64), f"prior_{found}", device, folder)
    generator.name = str(name)
    return generator


def load_discriminator(
    name: str | Path = "wild", device: torch.device | None = None
) -> Discriminator:
    """The discriminator of 64 pixels that a generator was trained with; name as of that.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    found, folder = find_generator(name)
    return _load(lambda *_: Discriminator(64), f"prior_{found}_discriminator_64", device, folder)


def load_regressor(
    device: torch.device | None = None, skeleton: Skeleton = BODY17
) -> KeypointRegressor:
    """beta: reads keypoints from skeleton images of 64 pixels (FlexPose, Sec. 3.4).

    Args:
        device: where to put it; default CPU.
        skeleton: what it reads.

    Raises:
        ValueError: if there is none for that skeleton, or its file is altered.
    """
    asset = _reader("regressor", skeleton)
    return _load(lambda *_: KeypointRegressor(len(skeleton)), asset, device)


def perceptual_features(
    name: str = "posenb", device: torch.device | None = None, skeleton: Skeleton = BODY17
) -> PerceptualFeatures | VggFeatures:
    """Gamma of FlexPose, Eq. 5.

    Args:
        name: `posenb`, trained by us on skeleton images, or `vgg`, VGG-16 trained on photographs,
            which needs torchvision and its weights on this machine.
        device: where to put it; default CPU.
        skeleton: whose images it compares; `vgg` takes any.

    Raises:
        ValueError: for another name, if ours is not there for that skeleton, or if torchvision or
            its weights are not there.
    """
    if name == "posenb":
        asset = _reader("features", skeleton)
        return _load(lambda _, state: PerceptualFeatures(len(state["head.bias"])), asset, device)
    if name == "vgg":
        return VggFeatures().to(device or "cpu").eval().requires_grad_(False)
    raise ValueError(f"expected 'posenb' or 'vgg', found {name!r}")


def reader_asset(name: str, skeleton: Skeleton) -> str:
    """Name of the shipped weights of beta (`regressor`) or Gamma (`features`) of a skeleton."""
    ending = "" if skeleton == BODY17 else f"_{skeleton.name.lower()}"
    return f"prior_{name}{ending}"


class SkeletonGenerator(Protocol):
    """What can be sampled: a `Generator`, or what adaptation makes of one."""

    def sample_z(self, count: int, generator: torch.Generator) -> Tensor:
        """Latent codes (count, style)."""
        ...

    def __call__(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Images (batch, 3, S, S)."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights; they say on which device it is."""
        ...


@torch.no_grad()
def sample(
    generator: SkeletonGenerator,
    regressor: KeypointRegressor,
    count: int,
    seed: int,
    truncation: float = 1.0,
    batch: int = 64,
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


def _listed(folder: Path | None = None) -> set[str]:
    """Names of the generators among the assets, or in a folder."""
    starts, ends = "weights/prior_", "_discriminator_64.safetensors"
    return {
        name.removeprefix(starts).removesuffix(ends)
        for name in assets.manifest(folder)
        if name.startswith(starts) and name.endswith(ends)
    }


def _reader(name: str, skeleton: Skeleton) -> str:
    """Name of the weights of beta or Gamma, which must be among those shipped."""
    asset = reader_asset(name, skeleton)
    if f"weights/{asset}.safetensors" not in assets.manifest():
        raise ValueError(
            f"there are no {name} for {skeleton.name}, only for the skeletons they were trained "
            f"on: `python -m posenb train prior --reader {name} --skeleton {skeleton.name}` makes "
            "them for BODY17 and FACE68"
        )
    return asset


def _load(
    build: checkpoints.Build[Network],
    asset: str,
    device: torch.device | None,
    folder: Path | None = None,
) -> Network:
    network = checkpoints.built(asset, build, folder)
    network.to(device or torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)
