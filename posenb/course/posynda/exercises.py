"""Checkers of the exercises of notebook 06. Each gives None, or a sentence on what is wrong.

The notebook takes `check` from here, so that these checkers are registered with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posenb.course.teach.exercises import check, exercise, misfit, number, verdict
from posenb.posynda import windows
from posenb.posynda.hypotheses import reprojection_error
from posenb.world.skeletons import BODY17

__all__ = ["Guesses", "check", "walking_guesses"]

NO_FUNCTION = "expected a function: answer = its name, without brackets."
Bones = Sequence[tuple[int, int]]  # (parent, child) each


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
        root, rest = math.sqrt(share), math.sqrt(1 - share)
        right = root * y0 + rest * noise
        replies = [
            (
                share * y0 + (1 - share) * noise,
                "no roots: Eq. 7 gives the variance, 1 - alpha_bar, and noise is multiplied by "
                "its root; the pose by the root of alpha_bar.",
            ),
            (
                rest * y0 + root * noise,
                "the factors are swapped: alpha_bar near 1 must leave the pose nearly as it is.",
            ),
            (
                (1 - share) * y0 + share * noise,
                "the factors are swapped, and both lack their root.",
            ),
            (
                root * y0 + (1 - share) * noise,
                "1 - alpha_bar is the variance of the noise: multiply by its root.",
            ),
            (share * y0 + rest * noise, "the pose is multiplied by the root of alpha_bar, too."),
            (
                root * y0 + (1 - root) * noise,
                "the squares of the two factors add up to 1, not the factors themselves.",
            ),
            (root * y0, "there is no noise in it."),
            (rest * noise, "there is no pose in it."),
            (root * y0 + noise, "the noise has a factor, too: the root of 1 - alpha_bar."),
            (y0 + rest * noise, "the pose fades while noise comes in: it has a factor, too."),
            (root * y0 - rest * noise, "the noise is added, not taken away."),
            (right.clamp(-1.1, 1.1), "right until you clamp: Eq. 7 has no bound."),
        ]
        if complaint := _compare(found, right, replies):
            return complaint
    return None


DdimStep = Callable[[Tensor, Tensor, Tensor, Tensor, float, Tensor], Tensor]


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
        right, replies = _ddim_replies(noisy, clean, a, a_next, eta, fresh)
        if complaint := _compare(found, right, replies):
            return f"with eta = {eta:g}: {complaint}"
    return _from_pure_noise(answer, noisy, clean, fresh)


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
    focal, center = torch.tensor([1150.0, 1100.0]), torch.tensor([512.0, 480.0])
    found = answer(pose.clone(), target.clone(), focal.clone(), center.clone())
    high, low = target.amax(0), target.amin(0)
    (width, height), extent = high - low, (pose.amax(0) - pose.amin(0))[:2]
    root, zero = target[0], torch.zeros(2)

    def seen(z: Tensor, aim: Tensor = root, start: Tensor = center) -> Tensor:
        place = torch.cat([z * (aim - start) / focal, z[None]])
        moved = pose + place
        return moved[:, :2] / moved[:, 2:] * focal + center

    x_size, y_size = focal * extent
    z = (x_size + y_size) / (width + height)
    right = seen(z)
    flat = (pose[:, :2] + z * (root - center) / focal) / z * focal + center
    pixels = pose + torch.cat([z * (root - center), z[None]])
    sized = (
        (found.amax(0) - found.amin(0)).sum() if misfit(found, right) is None else torch.tensor(1.0)
    )
    ratio = float(sized / (right.amax(0) - right.amin(0)).sum())
    if abs(ratio - 1) > 0.03:
        hint = f"your pose looks {ratio:.2f} times as large as it should: look at z first."
    else:
        hint = "the size is about right, the place is not: look at x and y of the root."
    replies = [
        (
            seen(y_size / height),
            "z comes from the height alone: a person who bends down would seem to come nearer. "
            "Width and height count, in pose and box.",
        ),
        (seen(x_size / width), "z comes from the width alone: width and height count."),
        (seen((x_size + y_size) / width / 2), "s is the mean of the box's width and height."),
        (seen((x_size + y_size) / height / 2), "s is the mean of the box's width and height."),
        (seen(z / 2), "z is half of what it should be: s is the mean of width and height."),
        (seen(z * 2), "z is twice what it should be: there is a 2 below the line."),
        (
            seen(extent.sum() / (width + height)),
            "units: extents in metres by a box in pixels give metres a pixel, no depth. Multiply "
            "the extents by the focal length in pixels.",
        ),
        (
            seen((x_size + y_size) / ((high - low) / focal).sum()),
            "units: the box is divided by the focal length and the extents are multiplied by it: "
            "do one of the two.",
        ),
        (
            pixels[:, :2] / pixels[:, 2:] * focal + center,
            "units: x and y of the root are pixels times metres: divide by the focal length.",
        ),
        (
            seen(z, start=zero),
            "the root is too far right and down: pixels are counted from the corner, so subtract "
            "the principal point before dividing by the focal length.",
        ),
        (right - center, "the principal point is missing in the projection."),
        (seen(z, start=zero) - center, "the principal point is missing, there and back."),
        (seen(z, aim=center), "the pose is at the middle of the picture: x and y are missing."),
        (
            seen(z, aim=(high + low) / 2),
            "the root goes to the target's root, not the box's middle.",
        ),
        (flat, "every joint has a depth of its own: divide by z + Z_j, not by z."),
        (found, hint),
    ]
    return _compare(found, right, replies)


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
    found = answer(pose.clone(), keypoints.clone(), focal.clone(), center.clone())
    if complaint := misfit(found, root):
        return complaint
    found = found.to(root)
    plane, xy, z = (keypoints - center) / focal, pose[:, :2], pose[:, 2:]
    box, extent = keypoints.amax(0) - keypoints.amin(0), xy.amax(0) - xy.amin(0)
    depth = (focal * extent).sum() / box.sum()
    replies = [
        (
            _least_squares(plane, -xy),
            "that takes all joints for equally far away, at the mean depth. Their own depths Z_j, "
            "which you know, belong into it: x - u z = u Z_j - X_j.",
        ),
        (
            torch.cat([depth * plane[0], depth[None]]),
            "that is F's rule of the box: near, but no least squares. A box knows nothing of the "
            "depth of its corners.",
        ),
        (-root, "all signs are the other way round: x - u z = u Z_j - X_j."),
        (root * torch.tensor([1.0, 1.0, -1.0]), "the sign of z is wrong: x - u z = u Z_j - X_j."),
        (_least_squares(plane, plane * z + xy), "X_j is subtracted: x - u z = u Z_j - X_j."),
        (_least_squares(plane, xy - plane * z), "all signs: x - u z = u Z_j - X_j."),
        (
            _least_squares(keypoints / focal, keypoints / focal * z - xy),
            "subtract the principal point from the keypoints.",
        ),
        (
            _least_squares(keypoints - center, (keypoints - center) * z - xy),
            "units: divide the keypoints by the focal length.",
        ),
        (root + pose.mean(0), "that is the middle of all joints: find the root."),
        (root[[2, 0, 1]], "the order is x, y, z."),
        (plane[0].new_tensor([*plane[0], 1.0]), "that is its line of sight: how far is it?"),
    ]
    if not torch.allclose(found, root, atol=2e-3):
        for mistake, reply in replies:
            if torch.allclose(found, mistake, rtol=1e-3, atol=2e-3):
                return reply
        told = ", ".join(f"{value:.2f}" for value in found.tolist())
        return f"the root was at (0.60, -0.30, 4.20) m, without any noise; you found ({told})."
    mine, best = 0.0, 0.0
    for _ in range(8):
        noisy = keypoints + 5 * torch.randn(keypoints.shape, generator=random)
        plane = (noisy - center) / focal
        wanted = seen(_least_squares(plane, plane * z - xy))
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
        replies = [
            (b @ a, "W0 is missing: that is only what has been learned, B A."),
            (w0, "nothing has been merged: W0 + B A."),
            (w0 - b @ a, "B A is added."),
            (w0 + b @ a / 2, "Eq. 10 does not divide by the rank: W0 + B A."),
        ]
        if outputs == inputs:
            replies += [
                (w0 + (b @ a).T, "B A has been transposed."),
                (w0 @ b @ a, "W0 and B A are added, not multiplied."),
            ]
        if complaint := _compare(found, w0 + b @ a, replies):
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
    of_fresh = eta * math.sqrt(1 - a_next)
    right = math.sqrt(a_next) * clean + of_fresh * fresh
    positive = math.sqrt(of_fresh**2 - (1 - a_next))
    reply = "below 0, the root of the absolute value adds noise that is not there: clamp at 0."
    return _compare(found, right, [(right + positive * noisy, reply)])


def _ddim_replies(
    noisy: Tensor, clean: Tensor, a: float, a_next: float, eta: float, fresh: Tensor
) -> tuple[Tensor, list[tuple[Tensor, str]]]:
    """The right y_next (Song et al., 2021, Eq. 12 and 16), and what mistakes would give."""
    epsilon = (noisy - math.sqrt(a) * clean) / math.sqrt(1 - a)
    ddpm = math.sqrt((1 - a / a_next) * (1 - a_next) / (1 - a))
    sigma = eta * ddpm

    def step(
        sigma: float = sigma,
        of_clean: float = a_next,
        old: Tensor = epsilon,
        less: float = sigma**2,
        added: float = sigma,
    ) -> Tensor:
        kept = math.sqrt(max(1 - a_next - less, 0.0))
        return math.sqrt(of_clean) * clean + kept * old + added * fresh

    right = step()
    replies = [
        (
            step(less=0.0, added=0.0),
            "sigma is missing: that is the step with eta = 0. A share of the noise is drawn anew.",
        ),
        (
            step(less=ddpm**2, added=ddpm),
            "that is DDPM's step, the one with eta = 1: eta multiplies sigma.",
        ),
        (
            step(less=ddpm**2, added=0.0),
            "that is the mean of DDPM's step: eta and the new noise are missing.",
        ),
        (step(added=0.0), "sigma times the new noise is missing."),
        (
            step(less=0.0),
            "there is too much noise in it: as new noise comes in, the old one keeps "
            "1 - a_next - sigma² of the variance.",
        ),
        (step(less=sigma), "under the root of the old noise sigma is squared."),
        (step(added=sigma**2), "the new noise is multiplied by sigma, not by its square."),
        (
            step(old=fresh),
            "the old noise is not drawn but recovered: (y_e - sqrt(a) y0) / sqrt(1 - a).",
        ),
        (
            step(old=fresh, less=0.0, added=0.0),
            "that forgets y_e: its noise is recovered from y_e and y0, "
            "(y_e - sqrt(a) y0) / sqrt(1 - a).",
        ),
        (step(old=noisy), "y_e is pose and noise: the noise in it is what y0 leaves over."),
        (
            step(old=noisy - clean),
            "the noise in y_e is (y_e - sqrt(a) y0) / sqrt(1 - a): both have factors in Eq. 7.",
        ),
        (
            step(old=noisy - math.sqrt(a) * clean),
            "the recovered noise must be standard normal: divide by sqrt(1 - a).",
        ),
        (
            step(old=(noisy - math.sqrt(a_next) * clean) / math.sqrt(1 - a_next)),
            "the noise is recovered with a, the share of the step that y_e is at, not a_next.",
        ),
        (step(of_clean=a), "the clean pose gets the share of the next step, sqrt(a_next)."),
        (step(of_clean=a_next**2), "the clean pose is multiplied by the root of a_next."),
        (step(of_clean=1.0), "the clean pose is multiplied by sqrt(a_next)."),
    ]
    for other, word in (
        (eta * math.sqrt((1 - a_next) / (1 - a)), "1 - a / a_next"),
        (eta * math.sqrt(1 - a / a_next), "(1 - a_next) / (1 - a)"),
    ):
        replies.append((step(less=other**2, added=other), f"sigma lacks a factor: {word}."))
    replies.append((step(less=(eta * ddpm**2) ** 2, added=eta * ddpm**2), "sigma lacks its root."))
    return right, replies


def _least_squares(plane: Tensor, wanted: Tensor) -> Tensor:
    """Root (3,) of x - u z = wanted, for all joints; both (J, 2)."""
    rows = torch.zeros(*plane.shape, 3)
    rows[:, 0, 0], rows[:, 1, 1], rows[..., 2] = 1.0, 1.0, -plane
    return torch.linalg.lstsq(rows.flatten(0, 1), wanted.reshape(-1, 1)).solution[:, 0]


def _wrong_count(count: float) -> str | None:
    """None for the parameters of LoRA with r = 4 in MixSTE as the paper uses it."""
    width, rank, layers = 512, 4, 16
    joined, out = rank * (width + 3 * width), rank * (width + width)
    right = layers * (joined + out)
    replies = {
        layers * (3 * out + out): "that has an A for each of query, key and value: they are one "
        "matrix (1536, 512) here, with one A.",
        right // 2: "that is half of it: 8 blocks look along joints, and 8 along frames.",
        layers * joined: "that is the part of query, key and value (or of all B): the output "
        "projection has A and B, too.",
        layers * out: "that is the part of the output projection (or of all A): add the rest.",
        right // rank: "that is the number for rank 1.",
        right + 51: "that includes the bias of Eq. 11, 3 numbers for each of 17 joints.",
        layers * 4 * width * width: "those are the frozen weights, the very ones that do not "
        "learn.",
        joined + out: "that is one attention layer: there are 16.",
        right / 1000: "that is in thousands, as in Table 3: give the number itself.",
    }
    if abs(count - right) < 0.5:
        return None
    for value, reply in replies.items():
        if abs(count - value) < 0.01:
            return f"the function is right, the number is not: {reply}"
    return (
        f"the function is right, the number {count:g} is not: a matrix of d x k has r (d + k), and "
        "each of 16 attention layers has one of 1536 x 512 and one of 512 x 512."
    )


def _compare(found: Any, right: Tensor, replies: Iterable[tuple[Any, str]]) -> str | None:
    """As `verdict`, for any output."""
    if complaint := misfit(found, right):
        return complaint
    if not found.isfinite().all():
        return "some of the numbers are not finite."
    return verdict(found.to(right), right, ((m.to(right), reply) for m, reply in replies))
