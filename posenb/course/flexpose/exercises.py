"""Checkers of the exercises of notebook 02. Each gives None, or a sentence on what is wrong.

The notebook takes `check` from here, so that these checkers are registered with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from posenb.course.teach.exercises import check, exercise, misfit, number, verdict
from posenb.flexpose.losses import energy_distance, matching
from posenb.prior.networks import Discriminator

__all__ = ["check"]

NO_FUNCTION = "expected a function: answer = its name, without brackets."


@exercise("02.1", title="Write Pose-mixup", minutes=8, difficulty="easy")
def write_pose_mixup(answer: Callable[[Tensor, int, torch.Generator], Tensor]) -> str | None:
    """A function (shots, count, generator) -> mixtures of two different shots each (Eq. 7)."""
    if not callable(answer):
        return NO_FUNCTION
    shots, count = torch.eye(6).reshape(6, 3, 2), 3000  # so a mixture shows its ratios
    found = answer(shots.clone(), count, torch.Generator().manual_seed(1))
    if complaint := misfit(found, torch.empty(count, 3, 2)):
        return complaint
    again = answer(shots.clone(), count, torch.Generator().manual_seed(1))
    if misfit(again, found) or not torch.allclose(found, again):
        return "equal seeds gave unequal mixtures: hand the generator to every draw."
    if torch.equal(found, answer(shots.clone(), count, torch.Generator().manual_seed(2))):
        return "another seed gave the same mixtures: pairs and ratios are drawn at random."
    ratios = found.flatten(1)  # (count, 6): one of each shot
    if (ratios < -1e-5).any() or (ratios > 1 + 1e-5).any():
        return "some ratios are not in [0, 1]: such a mixture lies outside its two poses."
    used = (ratios > 1e-6).sum(1)
    if (used > 2).any():
        return f"a mixture is made of two poses; one of yours holds parts of {int(used.max())}."
    if (ratios.sum(1) - 1).abs().max() > 1e-4:
        return (
            "in some mixtures the two ratios do not add up to 1: draw one lambda a pose, for all "
            "of its joints, and take 1 - lambda of the other."
        )
    if (used < 2).float().mean() > 0.01:
        return (
            f"{float((used < 2).float().mean()):.0%} of the mixtures are one of the shots itself: "
            "the two poses must be different ones."
        )
    large, order = ratios.sort(descending=True)
    if large[:, 0].std() < 0.02:
        return "all mixtures have the same ratio: each draws its own."
    pairs = {tuple(sorted(pair)) for pair in order[:, :2].tolist()}
    if len(pairs) < 15:
        return f"6 shots make 15 pairs, but only {len(pairs)} occur: draw both poses at random."
    if abs(float(large[:, 1].mean()) - 0.25) > 0.02:
        return "lambda is not spread evenly over [0, 1]: torch.rand draws it so."
    return None


@exercise("02.2", title="Build tau", minutes=8, difficulty="easy")
def build_tau(answer: Callable[[Sequence[int], int, Tensor], Tensor]) -> str | None:
    """A function (widths, layer, U) -> the block diagonal matrix of Eq. 6."""
    if not callable(answer):
        return NO_FUNCTION
    widths = (3, 4, 4, 2)  # coarsest first
    identities = [torch.eye(width) for width in widths]

    def with_block(place: int, block: Tensor) -> Tensor:
        return torch.block_diag(*identities[:place], block, *identities[place + 1 :])

    random = torch.Generator().manual_seed(2)
    for layer in (2, 1, 4):
        u = torch.randn(widths[layer - 1], widths[layer - 1], generator=random)
        right = with_block(layer - 1, u)
        found = answer(widths, layer, u.clone())
        if complaint := misfit(found, right):
            return complaint
        zeros = [torch.zeros(width, width) for width in widths]
        alone = torch.block_diag(*zeros[: layer - 1], u, *zeros[layer:])
        replies = [
            (torch.block_diag(*identities), "U is nowhere in it."),
            (
                with_block(layer - 1, u.T),
                "U has been transposed: its block is U itself.",
            ),
            (
                alone,
                "the other blocks are 0, which would set their style codes to 0: they are I.",
            ),
            (
                alone + torch.eye(sum(widths)),
                "U's block is I + U: U itself takes the place of I, it is not added to it.",
            ),
        ]
        replies += [
            (
                with_block(place, u),
                f"U is in block {place + 1}, not {layer}: layers are numbered from 1, coarsest "
                "first.",
            )
            for place, width in enumerate(widths)
            if width == len(u) and place != layer - 1
        ]
        if complaint := verdict(found, right, replies):
            return complaint
    return None


@exercise("02.3", title="Write the energy distance", minutes=10, difficulty="medium")
def write_the_energy_distance(answer: Callable[[Tensor, Tensor], Any]) -> str | None:
    """A function (a, b) -> unbiased energy distance of two samples, one number."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(3)
    a = torch.randn(7, 4, generator=random)
    b = 0.5 + 2 * torch.randn(5, 4, generator=random)
    found = number(answer(a.clone(), b.clone()))
    if found is None:
        return "expected one number: the distance of the two samples."
    between, first, second = torch.cdist(a, b), torch.cdist(a, a), torch.cdist(b, b)
    within_a, within_b = first.sum() / (7 * 6), second.sum() / (5 * 4)
    expected = energy_distance(a, b)
    replies = [
        (
            2 * between.mean() - first.mean() - second.mean(),
            "that is the biased one: the zeros on the diagonals, each point with itself, are "
            "among the pairs. Divide the sum by n (n - 1).",
        ),
        (
            between.mean() - within_a - within_b,
            "the distances between the samples count twice, 2 E|x - y|.",
        ),
        (
            2 * between.mean() - within_a / 2 - within_b / 2,
            "the distances within a sample are halved: n (n - 1) counts each pair in both orders, "
            "n (n - 1) / 2 each once.",
        ),
        (-expected, "the sign is the other way round: far apart must be large."),
        (
            2 * between.mean() + within_a + within_b,
            "the distances within each sample are subtracted.",
        ),
        (2 * between.mean(), "the distances within each sample are missing."),
        (
            2 * between.square().mean()
            - first.square().sum() / (7 * 6)
            - second.square().sum() / (5 * 4),
            "with squared distances only the means of the samples are compared: take distances.",
        ),
        (expected.clamp(min=0).sqrt(), "the root is not asked for."),
        (
            2 * between.sum() - first.sum() - second.sum(),
            "those are sums: take the mean of each of the three.",
        ),
    ]
    return verdict(torch.tensor(found), expected, replies)


@exercise("02.4", title="Why random pairs collapse", minutes=12, difficulty="medium")
def why_random_pairs_collapse(answer: Callable[[int, int], Any]) -> str | None:
    """A function (pairs n, width d) -> share of the targets' variance that a fit keeps.

    Latents (n, d) are standard normal, targets are drawn independently of them, all have mean 0.
    Least squares without a constant is fitted to the n pairs; the share is the variance of what
    it predicts at new latents, over the variance of the targets.
    """
    if not callable(answer):
        return NO_FUNCTION
    for pairs, width in ((14, 4), (30, 8)):
        found = number(answer(pairs, width))
        if found is None:
            return "expected one number: a share of the variance."
        measured = simulated_share(pairs, width)
        if abs(found / measured - 1) < 0.03:
            continue
        told = f"for {pairs} pairs and {width} numbers a latent, a simulation keeps {measured:.3f}"
        replies = {
            100 * width / (pairs - width - 1): "that is in per cent: give a share.",
            width / pairs: "that is the share at the very pairs of the fit. At new latents the "
            "errors of the fit weigh more: mind the mean of the inverse of Z'Z.",
            1 - width / pairs: "that is what the fit leaves over at its own pairs.",
            width / (pairs - width): "nearly: the mean of the inverse of Z'Z is I / (n - d - 1).",
            width / (pairs - width - 2): "that is with a constant fitted, too; here there is none.",
            1 / (pairs - width - 1): "that is the part of one of the d numbers: they add up.",
            1 - width / (pairs - width - 1): "that is what is lost, and the question is for what "
            "is kept.",
        }
        for value, reply in replies.items():
            if abs(found - value) < 1e-4:
                return f"{told}, your answer {found:.3f}: {reply}"
        return f"{told}, your answer {found:.3f}."
    return None


@exercise("02.5", title="Pair by optimal transport", minutes=12, difficulty="hard")
def pair_by_optimal_transport(answer: Callable[[Tensor, Tensor], Any]) -> str | None:
    """A function (generated, target) -> positions: target[positions[i]] belongs to generated[i]."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(5)
    count = 40
    generated = torch.randn(count, 3, 2, generator=random)
    target = 2 * torch.randn(count, 3, 2, generator=random) + 1.5
    found = torch.as_tensor(answer(generated.clone(), target.clone()))
    if found.shape != (count,) or found.is_floating_point():
        return (
            f"expected {count} whole numbers, one a generated pose; found shape "
            f"{tuple(found.shape)} of {found.dtype}."
        )
    if found.min() < 0 or found.max() >= count:
        return f"there are {count} targets, numbered from 0; found {int(found.max())}."
    distances = torch.cdist(generated.flatten(1), target.flatten(1))
    if torch.equal(found, distances.argmin(1)):
        return (
            f"every pose has its nearest target, but only {len(found.unique())} of {count} targets "
            "are used: each belongs to exactly one pose."
        )
    if len(found.unique()) < count:
        return f"only {len(found.unique())} of {count} targets are used: each belongs to one pose."
    right = matching(generated, target)
    rows = torch.arange(count)
    cost, least = (float(distances[rows, order].square().sum()) for order in (found, right))
    if cost < least * (1 + 1e-5):
        return None
    replies = [
        (rows, "that is the order they came in: nobody has been matched."),
        (
            right.argsort(),
            "the right pairs, the other way round: position i must say which target belongs to "
            "generated pose i.",
        ),
        (
            _assignment(distances),
            "these pairs have the least sum of distances; here squared distances are summed, so "
            "that a shift of one whole set changes nothing.",
        ),
        (_greedy(distances), "the nearest first is greedy: late poses get what is left."),
        (_assignment(-distances.square()), "these pairs are as far apart as can be: minimise."),
    ]
    for mistake, reply in replies:
        if torch.equal(found, mistake):
            return reply
    return f"these pairs cost {cost:.1f} in squared distances; there are some for {least:.1f}."


@exercise("02.6", title="FreezeD's choice", minutes=8, difficulty="hard")
def freeze_ds_choice(answer: Callable[[Discriminator], Iterable[str]]) -> str | None:
    """A function discriminator -> names of its parameters that work at 32 pixels or finer."""
    if not callable(answer):
        return NO_FUNCTION
    for resolution in (64, 32):
        critic = Discriminator(resolution, width=0.25)
        names = {name for name, _ in critic.named_parameters()}
        given = answer(critic)
        if isinstance(given, str) or not isinstance(given, Iterable):
            return "expected a set or list of names, as named_parameters() gives them."
        found = set(given)
        if not all(isinstance(name, str) for name in found):
            return "expected names, the first of each pair that named_parameters() gives."
        if strangers := found - names:
            return (
                f"a discriminator of {resolution} pixels has no parameter {min(strangers)!r}: look "
                "at the names of the one that is given."
            )
        coarse = ("blocks.16.", "blocks.8.", "last.", "head.")
        wanted = {name for name in names if not name.startswith(coarse)}
        if found == wanted:
            continue
        if found == names:
            return "all of it is frozen: nothing would learn to tell target from generated."
        if found == names - wanted:
            return "those are the ones that learn: what sees fine detail must stay frozen."
        if found == {name for name in wanted if not name.startswith("read.")}:
            return "the first look at the colours, read, sees the full image: freeze it, too."
        if found == wanted | {name for name in names if name.startswith("blocks.16.")}:
            return "the block at 16 pixels learns: only 32 pixels and finer are frozen."
        if missing := wanted - found:
            return f"{min(missing)} works at 32 pixels or finer, and must be frozen."
        return f"{min(found - wanted)} works below 32 pixels, and must learn."
    return None


@cache
def simulated_share(pairs: int, width: int, trials: int = 4000) -> float:
    """What exercise 02.4 asks for, measured: many fits to independent draws, and new latents."""
    random = torch.Generator().manual_seed(4)
    latents = torch.randn(trials, pairs, width, generator=random, dtype=torch.float64)
    targets = torch.randn(trials, pairs, 8, generator=random, dtype=torch.float64)
    fitted = torch.linalg.lstsq(latents, targets).solution  # (trials, width, 8)
    new = torch.randn(trials, 16, width, generator=random, dtype=torch.float64)
    return float((new @ fitted).square().mean())  # the targets' variance is 1


def _assignment(cost: Tensor) -> Tensor:
    return torch.from_numpy(linear_sum_assignment(cost.double().numpy())[1])


def _greedy(distances: Tensor) -> Tensor:
    """In the order of the poses, each the nearest target that is free."""
    left, chosen = distances.clone(), []
    for row in range(len(left)):
        chosen.append(int(left[row].argmin()))
        left[:, chosen[-1]] = torch.inf
    return torch.tensor(chosen)
