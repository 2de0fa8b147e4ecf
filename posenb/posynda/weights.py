"""The shipped lifters, loaded and checked; `python -m posenb train lifter` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posenb.posynda.networks import DENOISERS, Denoiser, adaptable
from posenb.train import checkpoints

RATE = 15.0  # frames a second that the shipped lifters learned from


def lifters(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the lifters among the assets, or in a folder: denoiser, and target if adapted."""
    return checkpoints.weights_names(asset(""), folder=folder)


def load_lifter(
    name: str = "mixste", device: torch.device | None = None, folder: Path | None = None
) -> Denoiser:
    """A trained lifter, for `lifting.lift`; it takes keypoints in `screen` units.

    The shipped ones learned from windows of 5 frames at 15 frames a second: `film.lift_film` brings
    a film of any rate there (lifted at its own rate of 30 or 60 a film is as near, within 2 mm
    either way, but trembles).

    How large it lifts people (card `posynda.sizes`). A picture does not tell a small person near by
    from a tall one far away, so a lifter answers with bodies of its source, `lab`. Focal length and
    distance moved together change nothing; where all looks 25 % larger, `mixste` lifts 8 % taller
    than at home. `varied` places source bodies before the target's camera, as far away as they
    would have to be, so `mixste_stage` makes everybody nearly as tall as `lab`'s actors: people of
    `stage`, whose bones are 5 % shorter, 3 % too tall, those of `lab` itself, who look larger, 8 %,
    and 17 % if they are made 10 % smaller. Source bodies brought to `stage`'s true size before the
    same adaptation shorten its lifts by those 5 % (measured once, in no card: 131 to 122 mm and 139
    to 129 mm, seeds 0 and 1; with one scale nothing changes). But 2D does not tell that size: give
    `lift(body=...)` the person's height, or `adult` to bound it. `mixste`, which lifts short, gains
    more than 1 mm by known limbs in one of ten rows: `lab` 25 % larger.

    Args:
        name: such as `mixste` or `videopose`, trained on the source only, or `mixste_stage`,
            adapted to a target; `lifters` lists what there is.
        device: where to put it; default CPU.
        folder: where the weights are; default those shipped.

    Returns:
        For evaluation, its weights without gradients; `adaptable` makes a copy that learns.

    Raises:
        ValueError: if there is none of that name, or its file is altered.
    """
    there = lifters(folder)
    if name not in there:
        raise ValueError(
            f"there is no lifter {name!r}; there are: {', '.join(there) or 'none'}. "
            "`python -m posenb train lifter --denoiser MixSTE` makes mixste, with --target stage "
            "mixste_stage, and so on"
        )
    network = checkpoints.built(asset(name), _build, folder)
    return network.to(device or torch.device("cpu")).eval().requires_grad_(False)


def _build(configuration: dict[str, Any], state: dict[str, Tensor]) -> Denoiser:
    """The network of a lifter's configuration, with the bias if its weights have one."""
    numbers, frames = configuration["lifter"], configuration["scale"]["frames"]
    network = DENOISERS[numbers["denoiser"]](frames=frames, width=numbers["width"])
    return adaptable(network, rank=None, bias="bias" in state)


def asset(name: str) -> str:
    """Name of the weights of a lifter."""
    return f"lifter_{name}"
