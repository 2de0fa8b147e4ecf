"""The guidance: a few poses of each class, and the mixtures between them (FlexPose, Eq. 7)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from posenb.train import runtime
from posenb.world.poses import PoseSet


def few_shot(poses: PoseSet, per_class: int = 2, seed: int = 0) -> PoseSet:
    """Draw the same number of poses of every action (FlexPose, Sec. 4.1: two for each class).

    Args:
        poses: annotated target poses to choose from, usually of the training split.
        per_class: poses of each action.
        seed: of the choice.

    Returns:
        PoseSet of per_class times the number of actions, in the order of the actions' names.

    Raises:
        ValueError: if `per_class` is below 1, or an action has fewer poses.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, found {per_class}")
    places: dict[str, list[int]] = {}
    for place, action in enumerate(poses.action):
        places.setdefault(action, []).append(place)
    short = {action: len(found) for action, found in places.items() if len(found) < per_class}
    if short:
        raise ValueError(
            f"expected at least {per_class} poses of every action, found {short}: give more "
            "poses, or fewer per class"
        )
    random = runtime.generator((seed, len(poses)))
    chosen: list[int] = []
    for action in sorted(places):
        order = torch.randperm(len(places[action]), generator=random)
        chosen += [places[action][i] for i in order[:per_class].tolist()]
    return poses[chosen]


def pose_mixup(
    keypoints: Tensor, count: int, random: torch.Generator, concentration: float = 1.0
) -> Tensor:
    """T*: mixtures of pairs of poses, lambda y_i + (1 - lambda) y_j (FlexPose, Eq. 7).

    Pairs of different poses are drawn evenly. A uniform lambda, the paper's [0, 1], shrinks the
    spread: a mixture's variance around the mean is E[lambda^2 + (1 - lambda)^2] = 2/3 of theirs.

    Args:
        keypoints: the few shots T, (M, J, 2).
        count: number of mixtures |T*|; 0 gives the shots themselves.
        random: draws pairs and ratios.
        concentration: a of lambda ~ Beta(a, a): 1 is uniform, below 1 stays nearer to the shots.

    Returns:
        Keypoints (count, J, 2), or (M, J, 2) for a count of 0.

    Raises:
        ValueError: for fewer than 2 poses, a negative count, or a concentration that is not
            positive.
    """
    shots = len(keypoints)
    if shots < 2:
        raise ValueError(f"mixing needs at least 2 poses, found {shots}")
    if count < 0 or concentration <= 0:
        raise ValueError(
            "count must be at least 0 and concentration positive, found "
            f"{count} and {concentration}"
        )
    if count == 0:
        return keypoints
    device = random.device
    first = torch.randint(shots, (count,), generator=random, device=device)
    step = torch.randint(1, shots, (count,), generator=random, device=device)
    second = (first + step) % shots  # never the same pose twice
    ratio = _beta(concentration, count, random)[:, None, None].to(keypoints)
    return ratio * keypoints[first] + (1 - ratio) * keypoints[second]


def _beta(concentration: float, count: int, random: torch.Generator) -> Tensor:
    """Draws of Beta(a, a), (count,)."""
    if concentration == 1:
        return torch.rand(count, generator=random, device=random.device)
    # torch draws Beta from the global state only; NumPy takes a seed, drawn here.
    seed = int(torch.randint(2**31, (), generator=random, device=random.device))
    draws = np.random.default_rng(seed).beta(concentration, concentration, count)
    return torch.from_numpy(draws).to(random.device)
