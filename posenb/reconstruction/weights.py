"""The shipped detectors, loaded and checked."""

from __future__ import annotations

from pathlib import Path

import torch

from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.training import DetectorRecipe, asset
from posenb.train import checkpoints


def detectors(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the detectors among the assets, or in a folder: the domains they learned from."""
    return checkpoints.weights_names(asset(""), folder=folder)


def load_detector(
    name: str = "synthetic", device: torch.device | None = None, folder: Path | None = None
) -> KeypointDetector:
    """A trained keypoint predictor f_kp (Geometric Reconstruction, Sec. 3.2).

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
    configuration = checkpoints.load_provenance(asset(name), folder)["configuration"]
    network = DetectorRecipe(**configuration).network()
    network.load_state_dict(checkpoints.load_weights(asset(name), folder))
    network.to(device or torch.device("cpu"), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)
