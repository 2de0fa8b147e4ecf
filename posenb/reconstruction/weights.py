"""The shipped detectors, reconstructors and style networks, loaded and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posenb.reconstruction.generation import Reconstructor, Widths
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.style import StyleNetwork
from posenb.train import checkpoints
from posenb.world.skeletons import BODY17, HAND21, Skeleton


def asset(domain: str) -> str:
    """Name of the weights of a domain's detector."""
    return f"detector_{domain}"


def reconstructor_asset(domain: str) -> str:
    """Name of the weights of W and G that learned from a domain's videos."""
    return f"reconstructor_{domain}"


def style_asset(source: str, target: str) -> str:
    """Name of the weights of the style network of two domains."""
    return f"style_{source}_{target}"


def detectors(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the detectors among the assets, or in a folder: the domains they learned from."""
    return checkpoints.weights_names(asset(""), folder=folder)


def load_detector(
    name: str = "synthetic", device: torch.device | None = None, folder: Path | None = None
) -> KeypointDetector:
    """A trained keypoint predictor f_kp (Geometric Reconstruction, Sec. 3.2).

    It is made for lessons on the domain gap, not for photographs. It learned from rendered people
    alone, and on photographs stands near one who never looks and always answers with a mean pose:
    PCK@0.1 rises from 34 to 78 % as its own confidence rises from 0.2 to 0.4 and more, a mean pose
    has 42 to 58 % there (measured once, on data that is not in the package); on the real clip it
    has 38.5 %, a mean pose 37 (card `reconstruction.mean_pose`). For own pictures take the
    keypoints of a detector that was trained on photographs: `world.datasets` reads what such
    detectors write.

    Args:
        name: the domain it learned from.
        device: where to put it; default CPU.
        folder: where the weights are; default those shipped.

    Returns:
        For evaluation, its weights without gradients: `requires_grad_(True)` before adapting it.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    there = detectors(folder)
    if name not in there:
        raise ValueError(
            f"there is no detector {name!r}; there are: {', '.join(there) or 'none'}. "
            f"`python -m posenb train detector --domain {name}` makes it"
        )
    network = checkpoints.built(asset(name), _build, folder)
    network.to(device or torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def reconstructors(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the reconstructors among the assets, or in a folder, like `detectors`."""
    return checkpoints.weights_names(reconstructor_asset(""), folder=folder)


def load_reconstructor(
    name: str = "synthetic", device: torch.device | None = None, folder: Path | None = None
) -> Reconstructor:
    """W and G as learned from labelled videos (Geometric Reconstruction, Sec. 3.3.2).

    Args:
        name: the domain they learned from.
        device: where to put them; default CPU.
        folder: where the weights are; default those shipped.

    Returns:
        For evaluation, its weights without gradients, which go through to the keypoints all the
        same: `requires_grad_(True)` before it learns on.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    there = reconstructors(folder)
    if name not in there:
        raise ValueError(
            f"there is no reconstructor {name!r}; there are: {', '.join(there) or 'none'}. "
            f"`python -m posenb train reconstructor --domain {name}` makes it"
        )
    network = checkpoints.built(reconstructor_asset(name), _build_reconstructor, folder)
    return network.to(device or torch.device("cpu")).eval().requires_grad_(False)


def load_style(
    source: str = "synthetic",
    target: str = "lab",
    device: torch.device | None = None,
    folder: Path | None = None,
) -> StyleNetwork:
    """A trained style network of two domains (Geometric Reconstruction, Sec. 3.2).

    Args:
        source: the one domain.
        target: the other; it restyles pictures of either in the style of the other.
        device: where to put it; default CPU.
        folder: where the weights are; default those shipped.

    Returns:
        For evaluation, its weights without gradients.

    Raises:
        ValueError: if there is none of these domains, or its file is altered.
    """
    name = style_asset(source, target)
    if not checkpoints.weights_names(name, folder=folder):
        there = checkpoints.weights_names(style_asset("", "")[:-1], folder=folder)
        raise ValueError(
            f"there is no style network of {source} and {target}; there are: "
            f"{', '.join(there) or 'none'}. `python -m posenb train style --source {source} "
            f"--target {target}` makes it"
        )
    network = checkpoints.built(name, _build_style, folder)
    return network.to(device or torch.device("cpu")).eval().requires_grad_(False)


def found_in(domain: str) -> Skeleton:
    """What is found in pictures of a domain: hands in those of `hands_...`, else people."""
    return HAND21 if domain.startswith("hands_") else BODY17


def _build(configuration: dict[str, Any], _: dict[str, Tensor]) -> KeypointDetector:
    numbers = {name: configuration[name] for name in ("size", "seed")}
    return KeypointDetector(found_in(configuration["domain"]), **numbers)


def _build_reconstructor(configuration: dict[str, Any], _: dict[str, Tensor]) -> Reconstructor:
    wide = configuration["widths"]
    widths = Widths(
        tuple(wide["warping"]), tuple(wide["generation"]), wide["residuals"], wide["scale"]
    )
    skeleton = found_in(configuration["domain"])
    return Reconstructor(skeleton, configuration["size"], widths, seed=configuration["seed"])


def _build_style(configuration: dict[str, Any], _: dict[str, Tensor]) -> StyleNetwork:
    return StyleNetwork(seed=configuration["seed"])
