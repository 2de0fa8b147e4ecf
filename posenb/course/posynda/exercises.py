"""Checkers of the exercises of notebook 06. Each gives None, or a sentence on what is wrong.

The notebook takes `check` from here, so that these checkers are registered with it. A plausible
mistake is a named function with the signature of the answer; `MISTAKES` has them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.course.teach.exercises import check, exercise, misfit, number, verdict
from posenb.posynda import windows
from posenb.posynda.hypotheses import reprojection_error
from posenb.world.skeletons import BODY17

__all__ = ["MISCOUNTS", "MISTAKES", "Guesses", "check", "walking_guesses"]

NO_FUNCTION = "expected a function: answer = its name, without brackets."
Bones = Sequence[tuple[int, int]]  # (parent, child) each
Mistakes = Mapping[
    str, tuple[Callable[..., Tensor], str]
]  # name: (a wrong answer, the reply to it)


def _noisy_with(pose: Callable[[Tensor], Any], rest: Callable[[Tensor], Any]) -> Any:
    """Eq. 7 with these factors, of alpha_bar, for pose and noise."""
    return lambda y0, noise, share: pose(share) * y0 + rest(share) * noise


def _root(x: Tensor) -> Tensor:
    return x**0.5


_noisy = _noisy_with(_root, lambda x: _root(1 - x))
NOISY_POSES: Mistakes = {
    "no roots": (
        _noisy_with(lambda x: x, lambda x: 1 - x),
        "no roots: Eq. 7 gives the variance, 1 - alpha_bar, and noise is multiplied by "
        "its root; the pose by the root of alpha_bar.",
    ),
    "swapped": (
        _noisy_with(lambda x: _root(1 - x), _root),
        "the factors are swapped: alpha_bar near 1 must leave the pose nearly as it is.",
    ),
    "swapped, no roots": (
        _noisy_with(lambda x: 1 - x, lambda x: x),
        "the factors are swapped, and both lack their root.",
    ),
    "variance for root": (
        _noisy_with(_root, lambda x: 1 - x),
        "1 - alpha_bar is the variance of the noise: multiply by its root.",
    ),
    "pose without root": (
        _noisy_with(lambda x: x, lambda x: _root(1 - x)),
        "the pose is multiplied by the root of alpha_bar, too.",
    ),
    "factors add up": (
        _noisy_with(_root, lambda x: 1 - _root(x)),
        "the squares of the two factors add up to 1, not the factors themselves.",
    ),
    "no noise": (_noisy_with(_root, lambda x: 0), "there is no noise in it."),
    "no pose": (_noisy_with(lambda x: 0, lambda x: _root(1 - x)), "there is no pose in it."),
    "whole noise": (
        _noisy_with(_root, lambda x: 1),
        "the noise has a factor, too: the root of 1 - alpha_bar.",
    ),
    "whole pose": (
        _noisy_with(lambda x: 1, lambda x: _root(1 - x)),
        "the pose fades while noise comes in: it has a factor, too.",
    ),
    "taken away": (
        _noisy_with(_root, lambda x: -_root(1 - x)),
        "the noise is added, not taken away.",
    ),
    "clamped": (
        lambda y0, noise, share: _noisy(y0, noise, share).clamp(-1.1, 1.1),
        "right until you clamp: Eq. 7 has no bound.",
    ),
}


@exercise("06.1", title="Make a pose noisy", minutes=4, difficulty="easy")
def make_a_pose_noisy(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """A function (y0, noise, alpha_bar) -> noisy pose (Eq. 7)."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(1)
    y0, noise = 0.5 * torch.randn(2, 4, 17, 3, generator=random)
    for share in (0.36, 0.91):
        alpha_bar = torch.tensor(share, dtype=torch.float64)
        found = answer(y0.clone(), noise.clone(), alpha_bar.clone())
        again = answer(y0.clone(), noise.clone(), alpha_bar.clone())
        if isinstance(found, Tensor) and not torch.allclose(found, again, equal_nan=True):
            return "two calls gave two poses: take the noise that you are given, and draw none."
        if complaint := _told(found, _noisy, NOISY_POSES, y0, noise, alpha_bar):
            return complaint
    return None


DdimStep = Callable[[Tensor, Tensor, Tensor, Tensor, float, Tensor], Tensor]


def _recovered(y_e: Tensor, y0: Tensor, a: Tensor, a_next: Tensor, noise: Tensor) -> Tensor:
    """The noise in y_e, from Eq. 7."""
    return (y_e - a.sqrt() * y0) / (1 - a).sqrt()


def _ddpm_variance(a: Tensor, a_next: Tensor) -> Tensor:
    return (1 - a / a_next) * (1 - a_next) / (1 - a)


def ddim_with(
    eta_is: float | None = None,
    less: Callable[[Tensor], Any] = lambda sigma: sigma**2,
    added: Callable[[Tensor], Any] = lambda sigma: sigma,
    old: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor] = _recovered,
    inner: Callable[[Tensor, Tensor], Tensor] = _ddpm_variance,
    clean: Callable[[Tensor, Tensor], Any] = lambda a, a_next: a_next.sqrt(),
    root: Callable[[Tensor], Tensor] = lambda x: x.clamp(min=0).sqrt(),
) -> DdimStep:
    """One step of DDIM (Song et al., 2021, Eq. 12 and 16), or with other parts a mistake.

    Args:
        eta_is: instead of the given eta.
        less: what new noise takes from the variance of the old, of sigma.
        added: factor of the new noise, of sigma.
        old: the noise in y_e, of (y_e, y0, a, a_next, noise).
        inner: sigma² at eta = 1, of (a, a_next).
        clean: factor of the pose, of (a, a_next).
        root: of the variance of the old noise.
    """

    def step(y_e: Tensor, y0: Tensor, a: Tensor, a_next: Tensor, eta: float, noise: Tensor) -> Any:
        sigma = (eta if eta_is is None else eta_is) * inner(a, a_next).sqrt()
        kept = root(1 - a_next - less(sigma)) * old(y_e, y0, a, a_next, noise)
        return clean(a, a_next) * y0 + kept + added(sigma) * noise

    return step


def _nothing(sigma: Tensor) -> float:
    return 0.0


ddim_absolute = ddim_with(root=lambda x: x.abs().sqrt())  # seen from pure noise only
DDIM_STEPS: Mistakes = {
    "no sigma": (
        ddim_with(eta_is=0.0),
        "sigma is missing: that is the step with eta = 0. A share of the noise is drawn anew.",
    ),
    "no eta": (
        ddim_with(eta_is=1.0),
        "that is DDPM's step, the one with eta = 1: eta multiplies sigma.",
    ),
    "mean of DDPM": (
        ddim_with(eta_is=1.0, added=_nothing),
        "that is the mean of DDPM's step: eta and the new noise are missing.",
    ),
    "no new noise": (ddim_with(added=_nothing), "sigma times the new noise is missing."),
    "too much noise": (
        ddim_with(less=_nothing),
        "there is too much noise in it: as new noise comes in, the old one keeps "
        "1 - a_next - sigma² of the variance.",
    ),
    "sigma for its square": (
        ddim_with(less=lambda sigma: sigma),
        "under the root of the old noise sigma is squared.",
    ),
    "square for sigma": (
        ddim_with(added=lambda sigma: sigma**2),
        "the new noise is multiplied by sigma, not by its square.",
    ),
    "old noise drawn": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: noise),
        "the old noise is not drawn but recovered: (y_e - sqrt(a) y0) / sqrt(1 - a).",
    ),
    "forgets y_e": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: noise, less=_nothing, added=_nothing),
        "that forgets y_e: its noise is recovered from y_e and y0, "
        "(y_e - sqrt(a) y0) / sqrt(1 - a).",
    ),
    "y_e for its noise": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: y_e),
        "y_e is pose and noise: the noise in it is what y0 leaves over.",
    ),
    "no factors": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: y_e - y0),
        "the noise in y_e is (y_e - sqrt(a) y0) / sqrt(1 - a): both have factors in Eq. 7.",
    ),
    "not divided": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: y_e - a.sqrt() * y0),
        "the recovered noise must be standard normal: divide by sqrt(1 - a).",
    ),
    "a_next for a": (
        ddim_with(old=lambda y_e, y0, a, a_next, noise: _recovered(y_e, y0, a_next, a, noise)),
        "the noise is recovered with a, the share of the step that y_e is at, not a_next.",
    ),
    "share of this step": (
        ddim_with(clean=lambda a, a_next: a.sqrt()),
        "the clean pose gets the share of the next step, sqrt(a_next).",
    ),
    "share without root": (
        ddim_with(clean=lambda a, a_next: a_next),
        "the clean pose is multiplied by the root of a_next.",
    ),
    "no share": (
        ddim_with(clean=lambda a, a_next: 1.0),
        "the clean pose is multiplied by sqrt(a_next).",
    ),
    "first factor missing": (
        ddim_with(inner=lambda a, a_next: (1 - a_next) / (1 - a)),
        "sigma lacks a factor: 1 - a / a_next.",
    ),
    "second factor missing": (
        ddim_with(inner=lambda a, a_next: 1 - a / a_next),
        "sigma lacks a factor: (1 - a_next) / (1 - a).",
    ),
    "sigma without root": (
        ddim_with(inner=lambda a, a_next: _ddpm_variance(a, a_next) ** 2),
        "sigma lacks its root.",
    ),
}


@exercise("06.2", title="One step of DDIM", minutes=10, difficulty="medium")
def one_step_of_ddim(answer: DdimStep) -> str | None:
    """A function (y_e, y0, a, a_next, eta, fresh noise) -> y_next; a is alpha_bar."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(2)
    noisy, clean, fresh = 0.5 * torch.randn(3, 4, 17, 3, generator=random)
    for a, a_next, eta in ((0.3, 0.7, 0.6), (0.3, 0.7, 0.0), (0.8, 0.95, 1.0)):
        found = _step(answer, noisy, clean, a, a_next, eta, fresh)
        if isinstance(found, Tensor) and found.isnan().any():
            return (
                "under a root is a number below 0. The next step has less noise, so a / a_next is "
                "below 1, and so is (1 - a_next) / (1 - a)."
            )
        given = (noisy, clean, *torch.tensor([a, a_next], dtype=torch.float64), eta, fresh)
        if complaint := _told(found, ddim_with(), DDIM_STEPS, *given):
            return f"with eta = {eta:g}: {complaint}"
    return _from_pure_noise(answer, noisy, clean, fresh)


def _depth(extent: Tensor, box: Tensor, focal: Tensor) -> Tensor:
    """Distance z of Eq. 3: extents in metres (2,), box and focal length in pixels (2,)."""
    return (focal * extent).sum() / box.sum()


def at_target_with(
    depth: Callable[[Tensor, Tensor, Tensor], Tensor] = _depth,
    aim: Callable[[Tensor], Tensor] = lambda target: target[0],
    side: Callable[[Tensor, Tensor], Tensor] = lambda offset, focal: offset / focal,
    divide: Callable[[Tensor, Tensor], Tensor] = lambda depths, z: depths,
    start: float = 1.0,
    add: float = 1.0,
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """F of Eq. 3 for one frame, or with other parts a mistake.

    Args:
        depth: of the root, of (extent, box, focal).
        aim: where the root goes in the picture, of the target's keypoints (J, 2).
        side: x / z and y / z of the root, of (pixels from the principal point, focal).
        divide: by what the joints are divided, of their depths (J, 1) and the root's.
        start: share of the principal point that is subtracted.
        add: share of it that is added after the projection.
    """

    def place(pose: Tensor, target: Tensor, focal: Tensor, center: Tensor) -> Tensor:
        extent = (pose.amax(0) - pose.amin(0))[:2]
        z = depth(extent, target.amax(0) - target.amin(0), focal)
        placed = pose + torch.cat([z * side(aim(target) - start * center, focal), z[None]])
        return placed[:, :2] / divide(placed[:, 2:], z) * focal + add * center

    return place


_MEAN_BOX = "s is the mean of the box's width and height."
PLACES: Mistakes = {
    "height alone": (
        at_target_with(lambda extent, box, f: f[1] * extent[1] / box[1]),
        "z comes from the height alone: a person who bends down would seem to come nearer. "
        "Width and height count, in pose and box.",
    ),
    "width alone": (
        at_target_with(lambda extent, box, f: f[0] * extent[0] / box[0]),
        "z comes from the width alone: width and height count.",
    ),
    "box by its width": (
        at_target_with(lambda extent, box, f: (f * extent).sum() / (2 * box[0])),
        _MEAN_BOX,
    ),
    "box by its height": (
        at_target_with(lambda extent, box, f: (f * extent).sum() / (2 * box[1])),
        _MEAN_BOX,
    ),
    "half": (
        at_target_with(lambda *sizes: _depth(*sizes) / 2),
        "z is half of what it should be: s is the mean of width and height.",
    ),
    "twice": (
        at_target_with(lambda *sizes: 2 * _depth(*sizes)),
        "z is twice what it should be: there is a 2 below the line.",
    ),
    "metres a pixel": (
        at_target_with(lambda extent, box, f: extent.sum() / box.sum()),
        "units: extents in metres by a box in pixels give metres a pixel, no depth. Multiply "
        "the extents by the focal length in pixels.",
    ),
    "focal length twice": (
        at_target_with(lambda extent, box, f: (f * extent).sum() / (box / f).sum()),
        "units: the box is divided by the focal length and the extents are multiplied by it: "
        "do one of the two.",
    ),
    "pixels times metres": (
        at_target_with(side=lambda offset, focal: offset),
        "units: x and y of the root are pixels times metres: divide by the focal length.",
    ),
    "pixels from the corner": (
        at_target_with(start=0.0),
        "the root is too far right and down: pixels are counted from the corner, so subtract "
        "the principal point before dividing by the focal length.",
    ),
    "projected without c": (
        at_target_with(add=0.0),
        "the principal point is missing in the projection.",
    ),
    "no c at all": (
        at_target_with(start=0.0, add=0.0),
        "the principal point is missing, there and back.",
    ),
    "on the axis": (
        at_target_with(side=lambda offset, focal: 0 * offset),
        "the pose is at the middle of the picture: x and y are missing.",
    ),
    "middle of the box": (
        at_target_with(aim=lambda target: (target.amax(0) + target.amin(0)) / 2),
        "the root goes to the target's root, not the box's middle.",
    ),
    "one depth for all": (
        at_target_with(divide=lambda depths, z: z),
        "every joint has a depth of its own: divide by z + Z_j, not by z.",
    ),
}


@exercise("06.3", title="The depth of F", minutes=8, difficulty="medium")
def the_depth_of_f(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """A function (pose, target keypoints, focal, center) -> the pose's keypoints after F (Eq. 3).

    Pose (J, 3) is root-relative, metres; the rest is in pixels, (J, 2), (2,) and (2,).
    """
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(3)
    pose = torch.tensor([0.2, 0.45, 0.2]) * torch.randn(17, 3, generator=random)
    pose = pose - pose[0]
    target = torch.randn(17, 2, generator=random) * torch.tensor([35.0, 90.0])
    target = target + torch.tensor([690.0, 400.0])
    given = (pose, target, torch.tensor([1150.0, 1100.0]), torch.tensor([512.0, 480.0]))
    found = answer(*(value.clone() for value in given))
    return _told(found, at_target_with(), PLACES, *given, hint=_size_or_place)


def _size_or_place(found: Tensor, right: Tensor) -> str:
    """Which of the two to look at, where keypoints (J, 2) come from no known mistake."""
    sizes = [(points.amax(0) - points.amin(0)).sum() for points in (found, right)]
    ratio = float(sizes[0] / sizes[1])
    if abs(ratio - 1) > 0.03:
        return f"your pose looks {ratio:.2f} times as large as it should: look at z first."
    return "the size is about right, the place is not: look at x and y of the root."


def find_root(pose: Tensor, keypoints: Tensor, focal: Tensor, center: Tensor) -> Tensor:
    """The root (3,) from which a pose (J, 3) looks like keypoints (J, 2), by least squares."""
    plane = (keypoints - center) / focal
    return _least_squares(plane, plane * pose[:, 2:] - pose[:, :2])


def _by_box(pose: Tensor, keypoints: Tensor, focal: Tensor, center: Tensor) -> Tensor:
    extent = (pose.amax(0) - pose.amin(0))[:2]
    z = _depth(extent, keypoints.amax(0) - keypoints.amin(0), focal)
    return torch.cat([z * (keypoints[0] - center) / focal, z[None]])


_SIGNS = torch.tensor([1.0, 1.0, -1.0])
ROOTS: Mistakes = {
    "mean depth": (
        lambda pose, *seen: find_root(pose * pose.new_tensor([1.0, 1.0, 0.0]), *seen),
        "that takes all joints for equally far away, at the mean depth. Their own depths Z_j, "
        "which you know, belong into it: x - u z = u Z_j - X_j.",
    ),
    "rule of the box": (
        _by_box,
        "that is F's rule of the box: near, but no least squares. A box knows nothing of the "
        "depth of its corners.",
    ),
    "all signs": (
        lambda *given: -find_root(*given),
        "all signs are the other way round: x - u z = u Z_j - X_j.",
    ),
    "sign of z": (
        lambda *given: find_root(*given) * _SIGNS,
        "the sign of z is wrong: x - u z = u Z_j - X_j.",
    ),
    "X added": (
        lambda pose, *seen: find_root(pose * -_SIGNS, *seen),
        "X_j is subtracted: x - u z = u Z_j - X_j.",
    ),
    "no principal point": (
        lambda pose, keypoints, focal, center: find_root(pose, keypoints, focal, 0 * center),
        "subtract the principal point from the keypoints.",
    ),
    "no focal length": (
        lambda pose, keypoints, focal, center: find_root(pose, keypoints, 0 * focal + 1, center),
        "units: divide the keypoints by the focal length.",
    ),
    "middle of all joints": (
        lambda pose, *seen: find_root(pose, *seen) + pose.mean(0),
        "that is the middle of all joints: find the root.",
    ),
    "order": (lambda *given: find_root(*given).roll(1), "the order is x, y, z."),
    "line of sight": (
        lambda pose, keypoints, focal, center: torch.cat(
            [(keypoints[0] - center) / focal, torch.ones(1)]
        ),
        "that is its line of sight: how far is it?",
    ),
}


@exercise("06.4", title="Where must the root be?", minutes=15, difficulty="medium")
def where_must_the_root_be(
    answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> str | None:
    """A function (pose, keypoints, focal, center) -> place of the root, (3,), by least squares.

    Pose (J, 3) is root-relative, metres; the rest is in pixels, (J, 2), (2,) and (2,).
    """
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(4)
    pose = torch.tensor([0.25, 0.5, 0.25]) * torch.randn(17, 3, generator=random)
    pose = pose - pose[0]
    root = torch.tensor([0.6, -0.3, 4.2])
    focal, center = torch.tensor([1150.0, 1100.0]), torch.tensor([512.0, 480.0])

    def seen(place: Tensor) -> Tensor:
        moved = pose + place
        return moved[:, :2] / moved[:, 2:] * focal + center

    keypoints = seen(root)
    given = (pose, keypoints, focal, center)
    found = answer(*(value.clone() for value in given))
    if complaint := misfit(found, root):
        return complaint
    found = found.to(root)
    if not torch.allclose(found, root, atol=2e-3):
        for mistake, reply in ROOTS.values():
            if torch.allclose(found, mistake(*given), rtol=1e-3, atol=2e-3):
                return reply
        told = ", ".join(f"{value:.2f}" for value in found.tolist())
        return f"the root was at (0.60, -0.30, 4.20) m, without any noise; you found ({told})."
    mine, best = 0.0, 0.0
    for _ in range(8):
        noisy = keypoints + 5 * torch.randn(keypoints.shape, generator=random)
        wanted = seen(find_root(pose, noisy, focal, center))
        best += float((wanted - noisy).square().mean()) / 8
        found = answer(pose.clone(), noisy.clone(), focal.clone(), center.clone())
        mine += float((seen(found.to(root)) - noisy).square().mean()) / 8
    if not mine < 1.1 * best:
        return (
            f"right without noise. With 5 pixels of noise your place leaves {math.sqrt(mine):.1f} "
            f"pixels of error, least squares over all joints {math.sqrt(best):.1f}: let all joints "
            "have their say."
        )
    return None


MERGED: Mistakes = {
    "no W0": (lambda w0, b, a: b @ a, "W0 is missing: that is only what has been learned, B A."),
    "not merged": (lambda w0, b, a: w0, "nothing has been merged: W0 + B A."),
    "subtracted": (lambda w0, b, a: w0 - b @ a, "B A is added."),
    "by the rank": (
        lambda w0, b, a: w0 + b @ a / len(a),
        "Eq. 10 does not divide by the rank: W0 + B A.",
    ),
    "transposed": (lambda w0, b, a: w0 + (b @ a).T, "B A has been transposed."),
    "multiplied": (lambda w0, b, a: w0 @ b @ a, "W0 and B A are added, not multiplied."),
}


@exercise("06.5", title="Merge LoRA, and count it", minutes=8, difficulty="medium")
def merge_lora(answer: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], Any]) -> str | None:
    """(a function (W0, B, A) -> one matrix (Eq. 10), number of parameters in MixSTE at r = 4)."""
    if not isinstance(answer, Sequence) or isinstance(answer, str) or len(answer) != 2:
        return "expected a pair: the function, and the number of parameters: (merge, 1000)."
    merge, given = answer
    if not callable(merge):
        return "the first of the pair must be a function, without brackets."
    random = torch.Generator().manual_seed(5)
    for outputs, inputs in ((6, 6), (9, 5)):
        w0 = torch.randn(outputs, inputs, generator=random)
        b, a = torch.randn(outputs, 2, generator=random), torch.randn(2, inputs, generator=random)
        frozen = w0.clone()
        try:
            found = merge(frozen, b.clone(), a.clone())
        except RuntimeError as error:
            return (
                f"with W0 ({outputs}, {inputs}), B ({outputs}, 2) and A (2, {inputs}) there is an "
                f"error: is the order B A? {error}"
            )
        if not torch.equal(frozen, w0):
            return "W0 itself has changed: it is frozen; return a new matrix."
        square = ("transposed", "multiplied") if outputs != inputs else ()  # have no such error
        mistakes = {name: known for name, known in MERGED.items() if name not in square}
        if complaint := _told(found, lambda w0, b, a: w0 + b @ a, mistakes, w0, b, a):
            return complaint
    count = number(given)
    if count is None:
        return "the function is right; the second of the pair must be a number."
    return _wrong_count(count)


@exercise("06.6", title="A scorer that sees depth", minutes=20, difficulty="hard")
def a_scorer_that_sees_depth(answer: Callable[[Tensor, Bones], Tensor]) -> str | None:
    """A function (hypotheses (N, H, T, J, 3), bones) -> scores (N, H), the lowest is chosen.

    Accepted if its choices gain 80 % of what the best ones gain over those of Eq. 4.
    """
    if not callable(answer):
        return NO_FUNCTION
    made = walking_guesses(6)
    errors = made.errors()  # (N, H) millimetres
    found = answer(made.hypotheses.clone(), BODY17.bones)
    if complaint := misfit(found, errors):
        return complaint
    found = found.to(errors)
    if not found.isfinite().all():
        return "some scores are not finite numbers."
    if (found == found[:, :1]).all():
        return "all hypotheses of a window have the same score: nothing is chosen."
    best, reprojected = float(errors.amin(1).mean()), _error_of(errors, made.reprojection)
    mine, limit = _error_of(errors, found), reprojected - 0.8 * (reprojected - best)
    if mine <= limit:
        return None
    if _error_of(errors, -found) <= limit:
        return "you choose the worst: the lowest score must be the best hypothesis."
    chosen = made.kind.gather(1, found.argmin(1, keepdim=True))
    bones, jumps = (float((chosen == kind).float().mean()) for kind in (1, 2))
    told = (
        f"your choices are {mine:.0f} mm from the truth, reprojection's {reprojected:.0f}, the "
        f"best {best:.0f}; {limit:.0f} is asked for. "
    )
    if bones > 0.1 and jumps > 0.1:
        return told + (
            f"{bones:.0%} of them have wrong bones, in {jumps:.0%} joints jump. Two things are "
            "wrong with bad hypotheses, and neither shows in the image: look at bones, and at time."
        )
    if jumps > 0.1:
        return told + (
            f"In {jumps:.0%} of them joints jump in depth, at bone lengths that are all right: "
            "look at how far a joint moves from frame to frame."
        )
    return told + (
        f"{bones:.0%} of them move evenly, but their bones grow and shrink: look at lengths, too. "
        "What most hypotheses have in common may still be wrong."
    )


class Guesses(NamedTuple):
    """Hypotheses of people who walk; all of them look right to the camera.

    Attributes:
        hypotheses: root-relative, metres, camera frame, (N, H, T, J, 3).
        truth: root-relative, (N, T, J, 3).
        reprojection: error of Eq. 4 of each hypothesis, (N, H).
        kind: 0 good, 1 wrong bone lengths, 2 joints that jump; (N, H).
    """

    hypotheses: Tensor
    truth: Tensor
    reprojection: Tensor
    kind: Tensor

    def errors(self) -> Tensor:
        """Mean distance of the joints from the truth, millimetres, (N, H)."""
        return 1000 * (self.hypotheses - self.truth[:, None]).norm(dim=-1).mean((-2, -1))


@cache
def walking_guesses(seed: int, count: int = 32, frames: int = 27) -> Guesses:
    """What exercise 06.6 is about: six hypotheses a window, moved along the lines of sight only.

    One is good. In three, each joint is 12 cm (standard deviation) too near or too far, the same
    in all three, as with a network that errs. In two, hands, feet and head go back and forth
    between the two depths at which their bone has its length.

    Args:
        seed: the same seed gives the same windows.
        count: number of windows N.
        frames: of a window, T.
    """
    walking = replace(windows.domain("lab"), actions=(("walk", 1.0),))
    seen = windows.sample(walking, count, seed, frames)
    assert seen.joints3d is not None and seen.root is not None
    random = torch.Generator().manual_seed(seed)
    kind = torch.tensor([0, 1, 1, 1, 2, 2]).expand(count, 6)
    kind = kind.gather(1, torch.rand(count, 6, generator=random).argsort(1))  # (N, H)
    shape = (*kind.shape, 1, len(BODY17), 1)
    shared = 0.12 * torch.randn(count, 1, *shape[2:], generator=random)
    farther = 0.02 * torch.randn(shape, generator=random)
    farther = farther + shared * (kind == 1)[:, :, None, None, None]  # (N, H, 1, J, 1)
    farther[..., 0, :] = 0  # the root
    placed = (seen.joints3d + seen.root[:, :, None])[:, None]  # (N, 1, T, J, 3)
    placed = placed + farther * placed / placed[..., 2:]  # (N, H, T, J, 3)
    jumping = torch.rand(*kind.shape, frames, len(BODY17), 1, generator=random) < 0.5
    jumping = jumping & (kind == 2)[:, :, None, None, None]
    placed = torch.where(jumping, _other_depth(placed), placed)
    hypotheses = placed - placed[..., :1, :]
    error = reprojection_error(hypotheses, seen.keypoints, seen.camera).mean((-2, -1))
    return Guesses(hypotheses, seen.joints3d, error, kind)


def _other_depth(placed: Tensor) -> Tensor:
    """Each last joint of a limb where its line of sight meets its bone's length once more."""
    ends = [joint for joint in range(len(BODY17)) if joint not in BODY17.parents]
    parents = [BODY17.parents[joint] for joint in ends]
    ray = torch.nn.functional.normalize(placed[..., ends, :], dim=-1)
    nearest = (ray * placed[..., parents, :]).sum(-1, keepdim=True) * ray
    moved = placed.clone()
    moved[..., ends, :] = 2 * nearest - placed[..., ends, :]
    return moved


def _error_of(errors: Tensor, scores: Tensor) -> float:
    """Mean error (N, H) of the hypotheses with the lowest scores (N, H)."""
    return float(errors.gather(1, scores.argmin(1, keepdim=True)).mean())


def _step(
    answer: DdimStep,
    noisy: Tensor,
    clean: Tensor,
    a: float,
    a_next: float,
    eta: float,
    fresh: Tensor,
) -> Any:
    """The answer's y_next; NaN, as torch has it, where math.sqrt refuses a number below 0."""
    now, then = torch.tensor([a, a_next], dtype=torch.float64)
    try:
        return answer(noisy.clone(), clean.clone(), now, then, eta, fresh.clone())
    except ValueError as error:
        if "math domain" not in str(error):
            raise
        return torch.full_like(noisy, torch.nan)


def _from_pure_noise(answer: DdimStep, noisy: Tensor, clean: Tensor, fresh: Tensor) -> str | None:
    """None if nothing is left of the old noise where 1 - a_next - sigma² is below 0.

    With eta = 1 it is 0, and rounding, which differs between processors, decides on which side.
    An eta a little above 1 brings it below 0 on all of them.
    """
    a_next, eta = 0.5, 1.01
    found = _step(answer, noisy, clean, 0.0, a_next, eta, fresh)
    if isinstance(found, Tensor) and found.isnan().any():
        return (
            f"from pure noise, a = 0, to a_next = {a_next:g}, 1 - a_next - sigma² is 0 at eta = 1. "
            f"Rounding may leave a little less under the root, as eta = {eta:g} does: clamp it "
            "at 0."
        )
    now, then = torch.tensor([0.0, a_next], dtype=torch.float64)
    reply = "below 0, the root of the absolute value adds noise that is not there: clamp at 0."
    mistakes = {"absolute": (ddim_absolute, reply)}
    return _told(found, ddim_with(), mistakes, noisy, clean, now, then, eta, fresh)


def _least_squares(plane: Tensor, wanted: Tensor) -> Tensor:
    """Root (3,) of x - u z = wanted, for all joints; both (J, 2)."""
    rows = torch.zeros(*plane.shape, 3)
    rows[:, 0, 0], rows[:, 1, 1], rows[..., 2] = 1.0, 1.0, -plane
    return torch.linalg.lstsq(rows.flatten(0, 1), wanted.reshape(-1, 1)).solution[:, 0]


_RANK, _LAYERS, _WIDTH = 4, 16, 512  # of MixSTE as the paper uses it
_JOINED, _OUT = _RANK * (_WIDTH + 3 * _WIDTH), _RANK * (_WIDTH + _WIDTH)
LORA_WEIGHTS = _LAYERS * (_JOINED + _OUT)
MISCOUNTS: Mapping[float, str] = {
    _LAYERS * 4 * _OUT: "that has an A for each of query, key and value: they are one "
    "matrix (1536, 512) here, with one A.",
    LORA_WEIGHTS // 2: "that is half of it: 8 blocks look along joints, and 8 along frames.",
    _LAYERS * _JOINED: "that is the part of query, key and value (or of all B): the output "
    "projection has A and B, too.",
    _LAYERS * _OUT: "that is the part of the output projection (or of all A): add the rest.",
    LORA_WEIGHTS // _RANK: "that is the number for rank 1.",
    LORA_WEIGHTS + 51: "that includes the bias of Eq. 11, 3 numbers for each of 17 joints.",
    _LAYERS * 4 * _WIDTH**2: "those are the frozen weights, the very ones that do not learn.",
    _JOINED + _OUT: "that is one attention layer: there are 16.",
    LORA_WEIGHTS / 1000: "that is in thousands, as in Table 3: give the number itself.",
}


def _wrong_count(count: float) -> str | None:
    """None for the parameters of LoRA with r = 4 in MixSTE as the paper uses it."""
    if abs(count - LORA_WEIGHTS) < 0.5:
        return None
    for value, reply in MISCOUNTS.items():
        if abs(count - value) < 0.01:
            return f"the function is right, the number is not: {reply}"
    return (
        f"the function is right, the number {count:g} is not: a matrix of d x k has r (d + k), and "
        "each of 16 attention layers has one of 1536 x 512 and one of 512 x 512."
    )


def _told(
    found: Any,
    solution: Callable[..., Tensor],
    mistakes: Mistakes,
    *given: Any,
    hint: Callable[[Tensor, Tensor], str] | None = None,
) -> str | None:
    """None if an answer's output for `given` is the solution's, else the reply to what it is.

    Args:
        found: the output, of any type.
        solution: gives the right output of `given`.
        mistakes: wrong answers to compare with, in this order.
        given: arguments of all these functions.
        hint: the reply, of output and right output, to what comes from no known mistake.
    """
    right = solution(*given)
    replies = ((mistake(*given), reply) for mistake, reply in mistakes.values())
    if complaint := misfit(found, right):
        return complaint
    if not found.isfinite().all():
        return "some of the numbers are not finite."
    found, last = found.to(right), [] if hint is None else [(found, hint(found, right))]
    return verdict(found, right, ((m.to(right), reply) for m, reply in (*replies, *last)))


MISTAKES: Mapping[str, Mistakes] = {
    "06.1": NOISY_POSES,
    "06.2": DDIM_STEPS,
    "06.3": PLACES,
    "06.4": ROOTS,
    "06.5": MERGED,
}
