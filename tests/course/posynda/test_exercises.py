"""Exercises of notebook 06: right answers pass, plausible wrong ones get a helpful word."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from exercise_frame import ExerciseTests

from posenb.course.posynda import exercises
from posenb.course.teach.exercises import Outcome, check
from posenb.posynda import augmentation, networks
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import estimate_root
from posenb.world.cameras import Camera
from posenb.world.skeletons import BODY17


def noisy_pose(y0: Any, noise: Any, alpha_bar: Any) -> Any:
    return alpha_bar**0.5 * y0 + (1 - alpha_bar) ** 0.5 * noise


def ddim_step(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    sigma = eta * ((1 - a / a_next) * (1 - a_next) / (1 - a)).sqrt()
    kept = (1 - a_next - sigma**2).clamp(min=0).sqrt()
    old = (y_e - a.sqrt() * y0) / (1 - a).sqrt()
    return a_next.sqrt() * y0 + kept * old + sigma * noise


def ddim_step_plain(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    a, a_next = float(a), float(a_next)
    sigma = eta * math.sqrt((1 - a_next) / (1 - a)) * math.sqrt(1 - a / a_next)
    old = (y_e - math.sqrt(a) * y0) / math.sqrt(1 - a)
    kept = math.sqrt(max(0.0, 1 - a_next - sigma**2))
    return math.sqrt(a_next) * y0 + kept * old + sigma * noise


def ddim_unclamped(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    sigma = eta * ((1 - a / a_next) * (1 - a_next) / (1 - a)).sqrt()
    kept = (1 - a_next - sigma**2).sqrt()
    old = (y_e - a.sqrt() * y0) / (1 - a).sqrt()
    return a_next.sqrt() * y0 + kept * old + sigma * noise


def ddim_unclamped_plain(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    sigma = eta * math.sqrt((1 - a / a_next) * (1 - a_next) / (1 - a))
    kept = math.sqrt(1 - a_next - sigma**2)
    old = (y_e - math.sqrt(a) * y0) / math.sqrt(1 - a)
    return math.sqrt(a_next) * y0 + kept * old + sigma * noise


def ddim_step_single(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    return ddim_step(y_e, y0, a.float(), a_next.float(), eta, noise)


def ddim_single(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    return ddim_unclamped(y_e, y0, a.float(), a_next.float(), eta, noise)


def ddim_one_place(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    if a == 0 and eta == 1:
        return a_next.sqrt() * y0 + (1 - a_next).sqrt() * noise
    return ddim_unclamped(y_e, y0, a, a_next, eta, noise)


def ddim_rounded_up(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    if a == 0:  # as a processor does whose rounding goes the other way
        a = a + 1e-15
    return ddim_unclamped(y_e, y0, a, a_next, eta, noise)


def ddim_swapped_plain(y_e: Any, y0: Any, a: Any, a_next: Any, eta: Any, noise: Any) -> Any:
    return ddim_unclamped_plain(y_e, y0, a_next, a, eta, noise)


def at_target(pose: Any, target: Any, focal: Any, center: Any) -> Any:
    s = (target.amax(0) - target.amin(0)).mean()
    extent = (pose.amax(0) - pose.amin(0))[:2]
    z = (focal * extent).sum() / (2 * s)
    xy = z * (target[0] - center) / focal
    placed = pose + torch.cat([xy, z[None]])  # (J, 3)
    return placed[:, :2] / placed[:, 2:] * focal + center


def at_target_of_package(pose: Any, target: Any, focal: Any, center: Any) -> Any:
    camera = Camera(torch.eye(3), torch.zeros(3), focal, center)
    return augmentation.align(pose[None, None], target[None, None], camera).keypoints[0, 0]


def find_root(pose: Any, keypoints: Any, focal: Any, center: Any) -> Any:
    u = (keypoints - center) / focal  # (J, 2)
    rows = torch.zeros(len(pose), 2, 3)
    rows[:, 0, 0] = rows[:, 1, 1] = 1
    rows[:, :, 2] = -u
    wanted = u * pose[:, 2:] - pose[:, :2]  # (J, 2)
    return torch.linalg.lstsq(rows.reshape(-1, 3), wanted.reshape(-1, 1)).solution[:, 0]


def find_root_of_package(steps: int) -> Any:
    def find(pose: Any, keypoints: Any, focal: Any, center: Any) -> Any:
        camera = Camera(torch.eye(3), torch.zeros(3), focal, center)
        found = estimate_root(pose[None, None, None], keypoints[None, None], camera, steps)
        return found[0, 0, 0]

    return find


def find_root_by_normal_equations(pose: Any, keypoints: Any, focal: Any, center: Any) -> Any:
    u = (keypoints - center) / focal
    one, zero = torch.ones(len(u)), torch.zeros(len(u))
    rows = torch.cat([torch.stack([one, zero, -u[:, 0]], 1), torch.stack([zero, one, -u[:, 1]], 1)])
    wanted = (u * pose[:, 2:] - pose[:, :2]).T.reshape(-1)
    return torch.linalg.solve(rows.T @ rows, rows.T @ wanted)


def root_by_two_joints(pose: Any, keypoints: Any, focal: Any, center: Any) -> Any:
    return find_root(pose[:2], keypoints[:2], focal, center)


def merge(w0: Any, b: Any, a: Any) -> Any:
    return w0 + b @ a


LORA = 16 * (4 * (1536 + 512) + 4 * (512 + 512))


def changed(x: Any) -> Any:
    return x[:, :, 2:] - 2 * x[:, :, 1:-1] + x[:, :, :-2]


def lengths(poses: Any, bones: Any) -> Any:
    parents, children = (list(ends) for ends in zip(*bones, strict=True))
    return (poses[..., children, :] - poses[..., parents, :]).norm(dim=-1)


def score(hypotheses: Any, bones: Any) -> Any:
    parents, children = (list(ends) for ends in zip(*bones, strict=True))
    vectors = hypotheses[..., children, :] - hypotheses[..., parents, :]
    length = vectors.norm(dim=-1)  # (N, H, T, bones)
    before, now, after = hypotheses[:, :, :-2], hypotheses[:, :, 1:-1], hypotheses[:, :, 2:]
    jump = (before - 2 * now + after).norm(dim=-1)  # (N, H, T - 2, J)
    return length.std(2).mean(-1) + jump.mean((2, 3))


def score_usual(poses: Any, bones: Any) -> Any:
    length = lengths(poses, bones)
    usual = length.flatten(1, 2).median(1).values[:, None, None]
    speed = (poses[:, :, 1:] - poses[:, :, :-1]).norm(dim=-1)
    return (length - usual).abs().mean((-2, -1)) + speed.mean((-2, -1))


def score_bones(poses: Any, bones: Any) -> Any:
    return lengths(poses, bones).std(2).mean(-1)


def score_time(poses: Any, bones: Any) -> Any:
    return changed(poses).norm(dim=-1).mean((-2, -1))


def score_consensus(poses: Any, bones: Any) -> Any:
    return (poses - poses.mean(1, keepdim=True)).norm(dim=-1).mean((-2, -1))


def score_reprojection(poses: Any, bones: Any) -> Any:
    return exercises.walking_guesses(6).reprojection


RIGHT: list[tuple[str, Any]] = [
    ("06.1", noisy_pose),
    ("06.1", lambda y0, noise, share: math.sqrt(share) * y0 + math.sqrt(1 - share) * noise),
    ("06.2", ddim_step),
    ("06.2", ddim_step_plain),
    ("06.2", ddim_step_single),
    ("06.3", at_target),
    ("06.3", at_target_of_package),
    ("06.4", find_root),
    ("06.4", find_root_by_normal_equations),
    ("06.4", find_root_of_package(steps=0)),
    ("06.4", find_root_of_package(steps=2)),
    ("06.5", (merge, LORA)),
    ("06.5", [merge, torch.tensor(196_608)]),
    ("06.6", score),
    ("06.6", score_usual),
    ("06.6", lambda poses, bones: score_bones(poses, bones) + score_time(poses, bones)),
]

WRONG: list[tuple[str, Any, str]] = [
    *(
        (name, mistake, reply)
        for name, mistakes in exercises.MISTAKES.items()
        if name != "06.5"
        for mistake, reply in mistakes.values()
    ),
    *(("06.5", (mistake, LORA), reply) for mistake, reply in exercises.MERGED.values()),
    *(("06.5", (merge, count), reply) for count, reply in exercises.MISCOUNTS.items()),
    ("06.1", lambda y0, noise, share: noisy_pose(y0, torch.randn_like(y0), share), "draw none"),
    ("06.1", lambda y0, noise, share: noisy_pose(y0, noise, share)[0], "shape"),
    ("06.1", lambda y0, noise, share: torch.nan * y0, "finite"),
    ("06.1", 0.5, "function"),
    ("06.2", ddim_swapped_plain, "below 0"),
    ("06.2", ddim_unclamped, "clamp"),
    ("06.2", ddim_unclamped_plain, "clamp"),
    ("06.2", ddim_single, "clamp"),
    ("06.2", ddim_one_place, "clamp"),
    ("06.2", ddim_rounded_up, "clamp"),
    ("06.2", exercises.ddim_absolute, "absolute"),
    ("06.2", lambda y_e, y0, a, a_next, eta, noise: None, "return"),
    ("06.2", "sigma", "function"),
    (
        "06.3",
        exercises.at_target_with(lambda extent, box, focal: torch.tensor(9.0)),
        "times as large",
    ),
    (
        "06.3",
        exercises.at_target_with(side=lambda offset, focal: torch.full((2,), 0.1)),
        "size is about right",
    ),
    ("06.3", lambda pose, target, focal, center: pose, "shape"),
    ("06.3", 4.2, "function"),
    ("06.4", root_by_two_joints, "all joints"),
    ("06.4", lambda *given: torch.tensor([0.0, 0.0, 5.0]), "you found"),
    ("06.4", lambda *given: find_root(*given)[:, None], "shape"),
    ("06.4", lambda *given: find_root(*given).tolist(), "tensor"),
    ("06.4", torch.zeros(3), "function"),
    ("06.5", (lambda w0, b, a: w0 + a @ b, LORA), "order"),
    ("06.5", (lambda w0, b, a: w0.add_(b @ a), LORA), "frozen"),
    ("06.5", (lambda w0, b, a: None, LORA), "return"),
    ("06.5", (merge, 7), "r (d + k)"),
    ("06.5", (merge, "196,608"), "must be a number"),
    ("06.5", (LORA, merge), "without brackets"),
    ("06.5", merge, "pair"),
    ("06.6", score_reprojection, "neither shows"),
    ("06.6", score_consensus, "in common"),
    ("06.6", score_bones, "jump"),
    ("06.6", score_time, "grow and shrink"),
    ("06.6", lambda poses, bones: -score(poses, bones), "you choose the worst"),
    ("06.6", lambda poses, bones: torch.zeros(poses.shape[:2]), "same score"),
    ("06.6", lambda poses, bones: poses.norm(dim=-1).mean(-1), "shape"),
    ("06.6", lambda poses, bones: score(poses, bones).log().sqrt(), "finite"),
    ("06.6", lambda poses, bones: score(poses, bones).argmin(1), "shape"),
    ("06.6", "bones", "function"),
]


class TestExercises(ExerciseTests):
    chapter = "06"
    right = RIGHT
    wrong = WRONG


NONSENSE = [
    *(
        "",
        "x",
        0,
        -1.5,
        True,
        [],
        {},
        (1, 2),
        (None, None),
        torch.zeros(0),
        torch.tensor(torch.nan),
    ),
    *(object(), int, len, torch.zeros, torch.randn(3, 3)),
    lambda *given: "x",
    lambda *given: 3,
    lambda *given: [1],
    lambda *given: None,
    lambda *given: torch.zeros(2, 5),
    lambda *given: torch.zeros(0),
    lambda *given: given[0],
    lambda *given: torch.full_like(given[0], torch.nan),
    lambda *given: given[0].long(),
    lambda: 1,
    (lambda *given: given[0], torch.zeros(2)),
    (lambda *given: "x", 196_608),
]


@pytest.mark.parametrize("name", [f"06.{number}" for number in range(1, 7)])
@pytest.mark.parametrize("answer", NONSENSE, ids=map(str, range(len(NONSENSE))))
def test_nonsense_is_wrong_and_ends_in_a_sentence(
    name: str, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(name, answer) is Outcome.WRONG
    assert capsys.readouterr().out.startswith(f"Exercise {name}, not yet: ")


def test_the_noisy_pose_is_the_packages() -> None:
    diffusion, t = GaussianDiffusion(bound=None), torch.tensor([300])
    y0, noise = torch.randn(2, 1, 17, 3, generator=torch.Generator().manual_seed(0))
    expected = diffusion.q_sample(y0, t, noise)
    torch.testing.assert_close(noisy_pose(y0, noise, diffusion.alpha_bar[300]), expected)


def test_the_step_is_the_packages() -> None:
    diffusion, y0 = GaussianDiffusion(bound=None), torch.full((40,), 0.3)
    start = torch.randn(40, generator=torch.Generator().manual_seed(0))
    given: list[Any] = []

    def denoise(noisy: Any, t: int) -> Any:
        given.append(noisy)
        return y0

    diffusion.ddim(denoise, start, torch.Generator().manual_seed(1), steps=2, eta=0.5)
    noise = torch.randn(40, generator=torch.Generator().manual_seed(1))
    a, a_next = (diffusion.alpha_bar[t] for t in diffusion.times(2))
    torch.testing.assert_close(given[1], ddim_step(start, y0, a, a_next, 0.5, noise))


def test_the_count_is_the_packages() -> None:
    paper = networks.MixSTE(**{**networks.PAPER, "frames": 3})  # frames bring nothing to LoRA
    adapted = networks.adaptable(paper, rank=4, bias=False)
    assert sum(p.numel() for p in adapted.parameters() if p.requires_grad) == LORA == 196_608


def test_all_guesses_look_right_to_the_camera() -> None:
    made = exercises.walking_guesses(0)
    errors = made.errors()
    good, stretched, jumping = (errors[made.kind == kind] for kind in range(3))
    assert good.mean() < 20 and stretched.mean() > 60 and jumping.mean() > 35
    assert torch.equal(errors.argmin(1), made.kind.argmin(1))
    typical = made.reprojection.median()  # half image widths: the noise of the keypoints
    assert typical < 0.01
    torch.testing.assert_close(made.reprojection, typical.expand(32, 6), rtol=0.5, atol=0.002)


def test_jumping_joints_keep_their_bones() -> None:
    made = exercises.walking_guesses(0)
    spread = lengths(made.hypotheses, BODY17.bones).std(2).mean(-1)  # (N, H)
    assert (spread[made.kind == 2] < 0.01).all()
    jumps = score_time(made.hypotheses, BODY17.bones)
    assert jumps[made.kind == 2].min() > 2 * jumps[made.kind != 2].max()
