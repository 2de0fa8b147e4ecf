"""Losses between what the generator paints and the few poses it is shown."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def energy_distance(a: Tensor, b: Tensor, within_b: Tensor | None = None) -> Tensor:
    """Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of two samples (Szekely, 2013).

    Zero only for equal distributions; no pairs are needed, and there is no bandwidth to choose.
    A sample's own points are not paired with themselves, so it is unbiased and may be negative.

    Args:
        a: (n, features), n of at least 2.
        b: (m, features), m of at least 2.
        within_b: E|y - y'| of b, if it is known already.

    Raises:
        ValueError: if one has fewer than 2 points, or the features differ.
    """
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            "expected two samples of at least 2 points with equal features, found "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    # Not cdist of a with itself: its gradient at distance 0, the diagonal, would have to be cut.
    within_b = F.pdist(b).mean() if within_b is None else within_b
    return 2 * torch.cdist(a, b).mean() - F.pdist(a).mean() - within_b


def matching(generated: Tensor, target: Tensor) -> Tensor:
    """Optimal transport between equally many poses: who is paired with whom.

    Squared distances are summed, so a shift of one whole set changes nothing: pairs say which
    pose is which, before the generator has moved.

    Args:
        generated: keypoints (N, J, 2).
        target: keypoints (N, J, 2).

    Returns:
        Positions (N,): target[positions[i]] belongs to generated[i].

    Raises:
        ValueError: if the numbers of poses differ.
    """
    if generated.shape != target.shape:
        raise ValueError(
            f"expected equally many poses of the same joints, found {tuple(generated.shape)} and "
            f"{tuple(target.shape)}"
        )
    cost = torch.cdist(generated.flatten(1).double(), target.flatten(1).double()).square()
    _, columns = linear_sum_assignment(cost.numpy(force=True))
    return torch.from_numpy(columns).to(generated.device)
