"""The checkers of notebook 00 accept right answers and say something helpful about wrong ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from exercise_frame import ExerciseTests
from torch import Tensor

from posenb.course.start_here import exercises
from posenb.course.teach.exercises import Outcome, check
from posenb.measure import distributions, keypoints
from posenb.world import domains
from posenb.world.skeletons import BODY17, COCO17


def pck_in_the_plane(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return keypoints.pck(predicted[..., :2], target[..., :2], threshold)


def pck_one_pose(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return ((predicted - target).norm(dim=2) <= threshold).float().mean()


def pck_per_joint(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return ((predicted - target).norm(dim=-1) <= threshold).float()


def off_diagonal(matrix: Tensor) -> Tensor:
    count = len(matrix)
    return (matrix.sum() - matrix.trace()) / (count * (count - 1))


def mmd2(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return off_diagonal(a) + off_diagonal(b) - 2 * between.mean()


LOST = {"pelvis", "spine", "neck", "head_top"}
RIGHT: list[tuple[str, Any]] = [
    ("00.1", LOST),
    ("00.1", sorted(LOST)),
    ("00.2", (600.0, 350.0)),
    ("00.2", torch.tensor([600, 350])),
    ("00.3", keypoints.pck),
    ("00.4", {"margin": 1.7, "facing": None}),
    ("00.4", {"crop": "root", "margin": 2.6}),
    ("00.4", {"elevation": [12.0, 18.0], "margin": 1.7}),
    ("00.4", replace(domains.get("wild"), margin=1.7)),
    ("00.5", mmd2),
]
WRONG: list[tuple[str, Any, str]] = [  # answer, and a word that the reply must have
    ("00.1", LOST - {"spine"}, "more"),
    ("00.1", set(COCO17.joints) - set(BODY17.joints), "other way round"),
    ("00.1", LOST | {"nose"}, "both skeletons name nose"),
    ("00.1", LOST | {"thorax"}, "no joint thorax"),
    ("00.1", {0, 7, 8, 10}, "names"),
    ("00.1", "pelvis", "set"),
    ("00.2", (1.0, 2.0), "first R x + t"),
    ("00.2", (1.0, 2.0, 3.0), "pair"),
    ("00.3", pck_in_the_plane, "(5, 17, 3)"),
    ("00.3", pck_one_pose, "error"),
    ("00.3", pck_per_joint, "one number"),
    ("00.3", lambda predicted, target, threshold: 0.0, "half of the joints"),
    ("00.3", 0.5, "function"),
    ("00.4", {}, "must reach"),
    ("00.4", {"elevation": (12.0, 18.0)}, "must reach"),
    ("00.4", {"height": 2.0}, "no field height"),
    ("00.4", {"name": "lab"}, "no field name"),
    ("00.4", domains.get("lab"), "field"),
    ("00.4", {"crop": "root", "margin": 2.6, "facing": None, "noise": 0.0}, "at most 3"),
    ("00.4", {"actions": (("swim", 1.0),)}, "swim"),
    ("00.4", 1.7, "dictionary"),
    ("00.5", lambda a, b, between: between, "one number"),
    ("00.5", lambda a, b, between: 0.0, "expected"),
    ("00.5", 0.1, "function"),
    *(
        (name, mistake(*exercises.SEEN) if name == "00.2" else mistake, reply)
        for name, replies in exercises.MISTAKES.items()
        for mistake, reply in replies.items()
    ),
]


class TestExercises(ExerciseTests):
    chapter = "00"
    right = RIGHT
    wrong = WRONG


def test_the_hand_is_where_the_package_sees_it() -> None:
    from posenb.world.cameras import Camera

    camera = Camera(
        torch.diag(torch.tensor([-1.0, -1.0, 1.0])),
        torch.zeros(3),
        torch.full((2,), exercises.FOCAL),
        torch.tensor(exercises.CENTER),
    )
    seen = camera.project(torch.tensor([exercises.HAND]))[0]
    assert check("00.2", seen) is Outcome.RIGHT


def test_the_expected_mmd2_is_the_packages() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    b = torch.randn(7, 4, generator=generator, dtype=torch.float64)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (-torch.cdist(x, y).square() / 2).exp()

    expected = distributions.mmd2(a, b, bandwidth=1.0)
    assert mmd2(kernel(a, a), kernel(b, b), kernel(a, b)).item() == pytest.approx(expected)
