"""Exercises of notebook 02: right answers pass, plausible wrong ones get a helpful word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from exercise_frame import ExerciseTests
from scipy.optimize import linear_sum_assignment

from posenb.course.flexpose import exercises
from posenb.flexpose import losses, shots
from posenb.flexpose.networks import StyleTransfer


def mixup(poses: Any, count: int, generator: Any, different: bool = True) -> Any:
    first = torch.randint(len(poses), (count,), generator=generator)
    low = 1 if different else 0
    step = torch.randint(low, len(poses), (count,), generator=generator)
    ratio = torch.rand(count, 1, 1, generator=generator)
    return ratio * poses[first] + (1 - ratio) * poses[(first + step) % len(poses)]


def mixup_with_itself(poses: Any, count: int, generator: Any) -> Any:
    return mixup(poses, count, generator, different=False)


def mixup_of_all(poses: Any, count: int, generator: Any) -> Any:
    ratios = torch.rand(count, len(poses), generator=generator)
    return torch.einsum("nm,mjc->njc", ratios / ratios.sum(1, keepdim=True), poses)


def mixup_ratio_a_joint(poses: Any, count: int, generator: Any) -> Any:
    first = torch.randint(len(poses), (count,), generator=generator)
    ratio = torch.rand(count, poses.shape[1], 1, generator=generator)
    return ratio * poses[first] + (1 - ratio) * poses[(first + 1) % len(poses)]


def mixup_halves(poses: Any, count: int, generator: Any) -> Any:
    first = torch.randint(len(poses), (count,), generator=generator)
    step = torch.randint(1, len(poses), (count,), generator=generator)
    return (poses[first] + poses[(first + step) % len(poses)]) / 2


def mixup_normal(poses: Any, count: int, generator: Any) -> Any:
    first = torch.randint(len(poses), (count,), generator=generator)
    ratio = torch.randn(count, 1, 1, generator=generator)
    return ratio * poses[first] + (1 - ratio) * poses[(first + 1) % len(poses)]


def mixup_neighbours(poses: Any, count: int, generator: Any) -> Any:
    first = torch.randint(len(poses), (count,), generator=generator)
    ratio = torch.rand(count, 1, 1, generator=generator)
    return ratio * poses[first] + (1 - ratio) * poses[(first + 1) % len(poses)]


def mixup_hidden_seed(poses: Any, count: int, generator: Any) -> Any:
    return mixup(poses, count, None)


def mixup_narrow(poses: Any, count: int, generator: Any) -> Any:
    return shots.pose_mixup(poses, count, generator, concentration=20.0)


def tau(widths: Any, layer: int, u: Any) -> Any:
    blocks = [torch.eye(width) for width in widths]
    blocks[layer - 1] = u
    return torch.block_diag(*blocks)


def energy(a: Any, b: Any) -> Any:
    within = [torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b)]
    return 2 * torch.cdist(a, b).mean() - sum(within)


def pairing(generated: Any, target: Any) -> Any:
    distances = torch.cdist(generated.flatten(1), target.flatten(1))
    return linear_sum_assignment(distances.square().numpy())[1]


def frozen(critic: Any) -> Any:
    fine = ("read.", *(f"blocks.{size}." for size in (32, 64, 128)))
    return {name for name, _ in critic.named_parameters() if name.startswith(fine)}


RIGHT: list[tuple[str, Any]] = [
    ("02.1", mixup),
    ("02.1", shots.pose_mixup),
    ("02.2", tau),
    ("02.3", energy),
    ("02.3", losses.energy_distance),
    ("02.3", lambda a, b: float(energy(a, b))),
    ("02.4", lambda pairs, width: width / (pairs - width - 1)),
    ("02.4", exercises.simulated_share),
    ("02.5", pairing),
    ("02.5", losses.matching),
    ("02.5", lambda a, b: losses.matching(a - a.mean(0), b - b.mean(0)).tolist()),
    ("02.6", frozen),
    ("02.6", lambda critic: sorted(frozen(critic))),
]

WRONG: list[tuple[str, Any, str]] = [
    ("02.1", mixup_with_itself, "different"),
    ("02.1", mixup_of_all, "two poses"),
    ("02.1", mixup_ratio_a_joint, "one lambda a pose"),
    ("02.1", mixup_halves, "same ratio"),
    ("02.1", mixup_normal, "[0, 1]"),
    ("02.1", mixup_neighbours, "15 pairs"),
    ("02.1", mixup_hidden_seed, "generator"),
    ("02.1", mixup_narrow, "evenly"),
    ("02.1", lambda poses, count, generator: mixup(poses, count + 1, generator), "shape"),
    ("02.1", lambda poses, count, generator: None, "return"),
    ("02.1", 0.5, "function"),
    *(("02.2", mistake, reply) for mistake, reply in exercises.TAUS),
    ("02.2", lambda widths, layer, u: u, "shape"),
    *(("02.3", mistake, reply) for mistake, reply in exercises.ENERGIES),
    ("02.3", lambda a, b: torch.cdist(a, b), "one number"),
    *(("02.4", mistake, reply) for mistake, reply in exercises.SHARES),
    ("02.4", lambda pairs, width: 0.0, "simulation"),
    ("02.4", lambda pairs, width: "most", "one number"),
    *(("02.5", mistake, reply) for mistake, reply in exercises.PAIRINGS),
    ("02.5", lambda generated, target: target.flatten(1), "whole numbers"),
    ("02.5", lambda generated, target: [0] * len(target), "only 1 of 40"),
    ("02.5", lambda generated, target: losses.matching(generated, target.flip(-1)), "cost"),
    *(("02.6", mistake, reply) for mistake, reply in exercises.FROZEN),
    ("02.6", lambda critic: {"read.weight", "blocks.256.first.weight"}, "no parameter"),
    ("02.6", lambda critic: "read.weight", "set or list"),
    ("02.6", lambda critic: {n for n in frozen(critic) if n.endswith("weight")}, "32 pixels"),
]


class TestExercises(ExerciseTests):
    chapter = "02"
    right = RIGHT
    wrong = WRONG


def test_the_simulation_agrees_with_the_theory() -> None:
    for pairs, width in ((14, 4), (30, 8)):
        expected = width / (pairs - width - 1)
        assert exercises.simulated_share(pairs, width) == pytest.approx(expected, rel=0.01)


def test_tau_is_the_packages() -> None:
    widths, layer = (3, 4, 2), 2
    transfer = StyleTransfer(widths, (layer,))
    u = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        transfer.blocks[str(layer)].get_parameter("u").copy_(u)
    assert torch.equal(tau(widths, layer, u), transfer.matrix())
