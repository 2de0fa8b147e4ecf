"""Checkers of the exercises of notebook 02. Each gives None, or a sentence on what is wrong.

The notebook takes `check` from here, so that these checkers are registered with it. A mistake that
a checker knows by name is a function with the signature of the answer, which the tests take, too.
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

__all__ = ["ENERGIES", "FROZEN", "PAIRINGS", "SHARES", "TAUS", "check"]

NO_FUNCTION = "expected a function: answer = its name, without brackets."
Replies = Sequence[tuple[Callable[..., Any], str]]  # (a mistake, what to say to it)


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


def whole_tau(
    widths: Sequence[int], layer: int, u: Tensor, other: Callable[[int], Tensor] = torch.eye
) -> Tensor:
    """Eq. 6 with one U; the other blocks are `other`, identities unless said otherwise."""
    blocks = [other(width) for width in widths]
    return torch.block_diag(*blocks[: layer - 1], u, *blocks[layer:])


def tau_without_u(widths: Sequence[int], layer: int, u: Tensor) -> Tensor:
    """The identity."""
    return torch.eye(sum(widths))


def tau_transposed(widths: Sequence[int], layer: int, u: Tensor) -> Tensor:
    """U' in place of U."""
    return whole_tau(widths, layer, u.T)


def tau_of_zeros(widths: Sequence[int], layer: int, u: Tensor) -> Tensor:
    """0 in place of I."""
    return whole_tau(widths, layer, u, lambda width: torch.zeros(width, width))


def tau_added(widths: Sequence[int], layer: int, u: Tensor) -> Tensor:
    """I + U in place of U."""
    return whole_tau(widths, layer, u + torch.eye(len(u)))


def tau_counted_from_0(widths: Sequence[int], layer: int, u: Tensor) -> Tensor:
    """U in the block that follows, the first one after the last."""
    return whole_tau(widths, layer % len(widths) + 1, u)


TAUS: Replies = (
    (tau_without_u, "U is nowhere in it."),
    (tau_transposed, "U has been transposed: its block is U itself."),
    (tau_of_zeros, "the other blocks are 0, which would set their style codes to 0: they are I."),
    (tau_added, "U's block is I + U: U itself takes the place of I, it is not added to it."),
    (tau_counted_from_0, "U is one block further on: layers are numbered from 1, coarsest first."),
)


@exercise("02.2", title="Build tau", minutes=8, difficulty="easy")
def build_tau(answer: Callable[[Sequence[int], int, Tensor], Tensor]) -> str | None:
    """A function (widths, layer, U) -> the block diagonal matrix of Eq. 6."""
    if not callable(answer):
        return NO_FUNCTION
    widths = (3, 4, 4, 2)  # coarsest first
    random = torch.Generator().manual_seed(2)
    for layer in (2, 1, 4):
        u = torch.randn(widths[layer - 1], widths[layer - 1], generator=random)
        right = whole_tau(widths, layer, u)
        found = answer(widths, layer, u.clone())
        if complaint := misfit(found, right):
            return complaint
        fit = [(mistake(widths, layer, u), reply) for mistake, reply in TAUS]
        if complaint := verdict(found, right, [(m, r) for m, r in fit if m.shape == right.shape]):
            return complaint
    return None


def _between(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b).mean()


def _within(x: Tensor) -> Tensor:
    """Mean distance of two different points."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))


def energy_biased(a: Tensor, b: Tensor) -> Tensor:
    """Each point is paired with itself, too."""
    return 2 * _between(a, b) - _between(a, a) - _between(b, b)


def energy_once(a: Tensor, b: Tensor) -> Tensor:
    """The distances between the samples count once."""
    return _between(a, b) - _within(a) - _within(b)


def energy_halved(a: Tensor, b: Tensor) -> Tensor:
    """The distances within the samples count half."""
    return 2 * _between(a, b) - (_within(a) + _within(b)) / 2


def energy_negative(a: Tensor, b: Tensor) -> Tensor:
    """The sign is the other way round."""
    return -energy_distance(a, b)


def energy_added(a: Tensor, b: Tensor) -> Tensor:
    """The distances within the samples are added."""
    return 2 * _between(a, b) + _within(a) + _within(b)


def energy_between(a: Tensor, b: Tensor) -> Tensor:
    """The distances within the samples are missing."""
    return 2 * _between(a, b)


def energy_squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances."""
    within = [torch.cdist(x, x).square().sum() / (len(x) * (len(x) - 1)) for x in (a, b)]
    return 2 * torch.cdist(a, b).square().mean() - within[0] - within[1]


def energy_root(a: Tensor, b: Tensor) -> Tensor:
    """The root of the energy distance."""
    return energy_distance(a, b).clamp(min=0).sqrt()


def energy_sums(a: Tensor, b: Tensor) -> Tensor:
    """Sums in place of means."""
    return 2 * torch.cdist(a, b).sum() - torch.cdist(a, a).sum() - torch.cdist(b, b).sum()


ENERGIES: Replies = (
    (
        energy_biased,
        "that is the biased one: the zeros on the diagonals, each point with itself, are "
        "among the pairs. Divide the sum by n (n - 1).",
    ),
    (energy_once, "the distances between the samples count twice, 2 E|x - y|."),
    (
        energy_halved,
        "the distances within a sample are halved: n (n - 1) counts each pair in both orders, "
        "n (n - 1) / 2 each once.",
    ),
    (energy_negative, "the sign is the other way round: far apart must be large."),
    (energy_added, "the distances within each sample are subtracted."),
    (energy_between, "the distances within each sample are missing."),
    (
        energy_squared,
        "with squared distances only the means of the samples are compared: take distances.",
    ),
    (energy_root, "the root is not asked for."),
    (energy_sums, "those are sums: take the mean of each of the three."),
)


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
    replies = [(mistake(a, b), reply) for mistake, reply in ENERGIES]
    return verdict(torch.tensor(found), energy_distance(a, b), replies)


def share_in_percent(pairs: int, width: int) -> float:
    """100 times the share."""
    return 100 * width / (pairs - width - 1)


def share_at_the_pairs(pairs: int, width: int) -> float:
    """At the pairs of the fit, not at new latents."""
    return width / pairs


def share_left_over(pairs: int, width: int) -> float:
    """What the fit does not explain of its own pairs."""
    return 1 - width / pairs


def share_without_the_1(pairs: int, width: int) -> float:
    """The inverse of the mean in place of the mean of the inverse, nearly."""
    return width / (pairs - width)


def share_with_a_constant(pairs: int, width: int) -> float:
    """As if a constant were fitted, too."""
    return width / (pairs - width - 2)


def share_of_one_number(pairs: int, width: int) -> float:
    """The part of one of the d numbers."""
    return 1 / (pairs - width - 1)


def share_lost(pairs: int, width: int) -> float:
    """One minus the share."""
    return 1 - width / (pairs - width - 1)


SHARES: Replies = (
    (share_in_percent, "that is in per cent: give a share."),
    (
        share_at_the_pairs,
        "that is the share at the very pairs of the fit. At new latents the "
        "errors of the fit weigh more: mind the mean of the inverse of Z'Z.",
    ),
    (share_left_over, "that is what the fit leaves over at its own pairs."),
    (share_without_the_1, "nearly: the mean of the inverse of Z'Z is I / (n - d - 1)."),
    (share_with_a_constant, "that is with a constant fitted, too; here there is none."),
    (share_of_one_number, "that is the part of one of the d numbers: they add up."),
    (share_lost, "that is what is lost, and the question is for what is kept."),
)


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
        for mistake, reply in SHARES:
            if abs(found - mistake(pairs, width)) < 1e-4:
                return f"{told}, your answer {found:.3f}: {reply}"
        return f"{told}, your answer {found:.3f}."
    return None


def _distances(generated: Tensor, target: Tensor) -> Tensor:
    return torch.cdist(generated.flatten(1), target.flatten(1))


def _assignment(cost: Tensor) -> Tensor:
    return torch.from_numpy(linear_sum_assignment(cost.double().numpy())[1])


def pairs_as_they_came(generated: Tensor, target: Tensor) -> Tensor:
    """Not matched at all."""
    return torch.arange(len(generated))


def pairs_backwards(generated: Tensor, target: Tensor) -> Tensor:
    """Of each target, its generated pose."""
    return matching(generated, target).argsort()


def pairs_by_distance(generated: Tensor, target: Tensor) -> Tensor:
    """The least sum of distances, not of squared ones."""
    return _assignment(_distances(generated, target))


def pairs_greedy(generated: Tensor, target: Tensor) -> Tensor:
    """In the order of the poses, each the nearest target that is free."""
    left, chosen = _distances(generated, target), []
    for row in range(len(left)):
        chosen.append(int(left[row].argmin()))
        left[:, chosen[-1]] = torch.inf
    return torch.tensor(chosen)


def pairs_far_apart(generated: Tensor, target: Tensor) -> Tensor:
    """The largest sum of squared distances."""
    return _assignment(-_distances(generated, target).square())


def pairs_nearest(generated: Tensor, target: Tensor) -> Tensor:
    """Each pose its nearest target, which may be used many times."""
    return _distances(generated, target).argmin(1)


PAIRINGS: Replies = (
    (pairs_as_they_came, "that is the order they came in: no pose has been matched."),
    (
        pairs_backwards,
        "the right pairs, the other way round: position i must say which target belongs to "
        "generated pose i.",
    ),
    (
        pairs_by_distance,
        "these pairs have the least sum of distances; here squared distances are summed, so "
        "that a shift of one whole set changes nothing.",
    ),
    (pairs_greedy, "the nearest first is greedy: late poses get what is left."),
    (pairs_far_apart, "these pairs are as far apart as can be: minimise."),
    (
        pairs_nearest,
        "every pose has its nearest target, so some targets are used many times and others "
        "never: each belongs to exactly one pose.",
    ),
)


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
    right, rows = matching(generated, target), torch.arange(count)
    squared = _distances(generated, target).square()
    cost, least = (float(squared[rows, order].sum()) for order in (found, right))
    once = len(found.unique()) == count
    if once and cost < least * (1 + 1e-5):
        return None
    for mistake, reply in PAIRINGS:
        if torch.equal(found, mistake(generated, target)):
            return reply
    if not once:
        return f"only {len(found.unique())} of {count} targets are used: each belongs to one pose."
    return f"these pairs cost {cost:.1f} in squared distances; there are some for {least:.1f}."


def _names(critic: Discriminator, *starts: str) -> set[str]:
    """Parameters whose names start with one of these."""
    return {name for name, _ in critic.named_parameters() if name.startswith(starts)}


def coarse(critic: Discriminator) -> set[str]:
    """What works below 32 pixels, and learns: the wrong half."""
    return _names(critic, "blocks.16.", "blocks.8.", "last.", "head.")


def all_frozen(critic: Discriminator) -> set[str]:
    """Every parameter."""
    return _names(critic, "")


def frozen_from_16(critic: Discriminator) -> set[str]:
    """The block at 16 pixels, too."""
    return (all_frozen(critic) - coarse(critic)) | _names(critic, "blocks.16.")


def frozen_without_read(critic: Discriminator) -> set[str]:
    """All fine blocks, but not the first look at the colours."""
    return all_frozen(critic) - coarse(critic) - _names(critic, "read.")


FROZEN: Replies = (
    (all_frozen, "all of it is frozen: nothing would learn to tell target from generated."),
    (coarse, "those are the ones that learn: what sees fine detail must stay frozen."),
    (
        frozen_without_read,
        "the first look at the colours, read, sees the full image: freeze it, too.",
    ),
    (frozen_from_16, "the block at 16 pixels learns: only 32 pixels and finer are frozen."),
)


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
        wanted = names - coarse(critic)
        if found == wanted:
            continue
        for mistake, reply in FROZEN:
            if found == mistake(critic):
                return reply
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
