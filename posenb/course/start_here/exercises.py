"""Checkers of the exercises of notebook 00. Each gives None, or a sentence on what is wrong.

A mistake that a checker recognises is a function of its own, in a table with the reply to it; the
tests hand in the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from posenb.course.teach.exercises import exercise, number
from posenb.measure import distributions, keypoints
from posenb.world import domains
from posenb.world.domains import Domain
from posenb.world.skeletons import BODY17, COCO17

HAND = (-0.5, 0.25, 4.0)  # metres, world
SEEN = (-HAND[0], -HAND[1], HAND[2])  # the same, in the camera's frame
FOCAL, CENTER = 800.0, (500.0, 400.0)  # pixels
CHANGES = 3  # fields of a recipe that may be changed
POSES = 2000  # a set, to measure a gap


@exercise("00.1", title="Lost joints", minutes=3, difficulty="easy")
def lost_joints(answer: Iterable[str]) -> str | None:
    """Names of the joints of BODY17 that COCO17 does not name."""
    if isinstance(answer, str):
        return "that is one string: put the names into a set, such as {'nose', 'left_knee'}."
    found, wanted = set(answer), set(BODY17.joints) - set(COCO17.joints)
    if not all(isinstance(name, str) for name in found):
        return "give names of joints, not their numbers: BODY17.joints[number] is the name."
    if found == set(COCO17.joints) - set(BODY17.joints):
        return "that is the other way round: joints of COCO17 that BODY17 does not name."
    if strangers := found - set(BODY17.joints):
        return f"BODY17 has no joint {_listed(strangers)}; look at BODY17.joints."
    if shared := found - wanted:
        return f"both skeletons name {_listed(shared)}."
    if missing := wanted - found:
        return f"right so far, but {len(missing)} more of BODY17's joints are not in COCO17."
    return None


# -- 00.2 --------------------------------------------------------------------------------------


def project(x: float, y: float, depth: float) -> tuple[float, float]:
    """Pixels (u, v) of a point in the camera's frame."""
    return FOCAL * x / depth + CENTER[0], FOCAL * y / depth + CENTER[1]


def _swapped(x: float, y: float, depth: float) -> tuple[float, float]:
    u, v = project(x, y, depth)
    return v, u


def _without_centre(x: float, y: float, depth: float) -> tuple[float, float]:
    return FOCAL * x / depth, FOCAL * y / depth


def _not_divided(x: float, y: float, depth: float) -> tuple[float, float]:
    return project(x, y, 1.0)


def _y_not_turned(x: float, y: float, depth: float) -> tuple[float, float]:
    return project(x, -y, depth)


def _x_not_turned(x: float, y: float, depth: float) -> tuple[float, float]:
    return project(-x, y, depth)


def _world_as_camera(x: float, y: float, depth: float) -> tuple[float, float]:
    return project(-x, -y, depth)


PROJECTION = {
    _swapped: "the numbers are right, the order is not: u runs to the right, v down.",
    _without_centre: "add the centre: pixels are counted from the top-left corner of the picture.",
    _not_divided: "divide by the depth: what is farther away looks smaller.",
    _y_not_turned: "u is right, but the world's y points up and the camera's y down.",
    _x_not_turned: "v is right, but with this R the camera's x is minus the world's x.",
    _world_as_camera: "apply R first: it changes the signs of x and y.",
}


@exercise("00.2", title="Project by hand", minutes=5, difficulty="easy")
def project_by_hand(answer: Sequence[float]) -> str | None:
    """Pixels (u, v) of `HAND` in an upright camera at the origin that looks along z."""
    pair = torch.as_tensor(answer, dtype=torch.float64).flatten()
    if len(pair) != 2:
        return f"expected a pair of pixels (u, v), found {len(pair)} numbers."

    def near(pixels: tuple[float, float]) -> bool:
        return torch.allclose(pair, pair.new_tensor(pixels), atol=0.51)

    if near(project(*SEEN)):
        return None
    replies = (reply for mistake, reply in PROJECTION.items() if near(mistake(*SEEN)))
    first_steps = (
        "first R x + t, then divide by the depth, times the focal length, plus the centre."
    )
    return next(replies, first_steps)


# -- 00.3 --------------------------------------------------------------------------------------


def _strict(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return ((predicted - target).norm(dim=-1) < threshold).float().mean()


def _squared(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return ((predicted - target).square().sum(-1) <= threshold).float().mean()


def _by_coordinate(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return ((predicted - target).abs().amax(-1) <= threshold).float().mean()


def _per_cent(predicted: Tensor, target: Tensor, threshold: float) -> Tensor:
    return 100 * keypoints.pck(predicted, target, threshold)


NOT_EUCLIDEAN = (
    "the joint at (0.4, 0.4) is farther than 0.5 from (0, 0), but you accept it: take the "
    "Euclidean distance, over x and y together, with its root."
)
PCK = {
    _strict: "a joint exactly on the circle is correct: <=, not <.",
    _squared: NOT_EUCLIDEAN,
    _by_coordinate: NOT_EUCLIDEAN,
    _per_cent: "that is more than 1: give a share, not per cent.",
}


@exercise("00.3", title="Write PCK", minutes=8, difficulty="medium")
def write_pck(answer: Callable[[Tensor, Tensor, float], Any]) -> str | None:
    """A function (predicted, target, threshold) -> share of correct joints."""
    if not callable(answer):
        return f"expected a function, found {type(answer).__name__}: answer = my_pck, no brackets."
    target = torch.zeros(1, 4, 2)
    predicted = torch.tensor([[[0.0, 0.0], [0.5, 0.0], [0.4, 0.4], [2.0, 0.0]]])
    score = number(answer(predicted, target, 0.5))
    if score is None:
        return "expected one number in [0, 1]: take the mean over all joints of all poses."
    if score > 1:
        return PCK[_per_cent]
    for mistake, reply in PCK.items():
        if abs(score - mistake(predicted, target, 0.5).item()) < 1e-4:
            return reply
    if abs(score - 0.5) > 1e-4:
        return (
            "for distances 0, 0.5, 0.57 and 2 and a threshold of 0.5, half of the joints are "
            f"correct, and you say {score:.3g}."
        )
    generator = torch.Generator().manual_seed(3)
    for shape in ((17, 2), (5, 17, 3), (2, 3, 17, 2)):
        predicted, target = torch.rand(2, *shape, generator=generator)
        expected = keypoints.pck(predicted, target, 0.4).item()
        score = number(answer(predicted, target, 0.4))
        if score is None or abs(score - expected) > 1e-4:
            return f"right in 2D, but for poses of shape {shape} expected {expected:.4f}."
    return None


@exercise("00.4", title="Close a gap by recipe", minutes=12, difficulty="medium")
def close_a_gap(answer: Mapping[str, Any]) -> str | None:
    """Fields of a variant of `wild` whose FD to `lab` is at most half of that of `wild`."""
    wild = domains.get("wild")
    if isinstance(answer, Domain):
        answer = {
            field.name: getattr(answer, field.name)
            for field in fields(Domain)
            if getattr(answer, field.name) != getattr(wild, field.name)
        }
    if not isinstance(answer, Mapping):
        return f"expected a dictionary of fields, found {type(answer).__name__}."
    recipe = {field.name for field in fields(Domain)} - {"name", "stands_for"}
    if strangers := set(answer) - recipe:
        return f"the recipe has no field {_listed(strangers)} to change; it has {_listed(recipe)}."
    if len(answer) > CHANGES:
        return f"you change {len(answer)} fields: at most {CHANGES}, so choose those that matter."
    before = _gap_to_lab(wild)
    after = _gap_to_lab(replace(wild, **{k: _frozen(v) for k, v in answer.items()}))
    if after > before / 2:
        return (
            f"on the test split FD falls from {before:.3f} to {after:.3f}; it must reach "
            f"{before / 2:.3f}. In the picture of all domains, what differs most?"
        )
    return None


# -- 00.5 --------------------------------------------------------------------------------------


def _off_diagonal(matrix: Tensor) -> Tensor:
    return (matrix.sum() - matrix.trace()) / (len(matrix) * (len(matrix) - 1))


def _unbiased(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return _off_diagonal(a) + _off_diagonal(b) - 2 * between.mean()


def _biased(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return a.mean() + b.mean() - 2 * between.mean()


def _over_all_pairs(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return (a - a.diag().diag()).mean() + (b - b.diag().diag()).mean() - 2 * between.mean()


def _with_diagonals(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    within = sum(m.sum() / (len(m) * (len(m) - 1)) for m in (a, b))
    return within - 2 * between.mean()


def _diagonals_of_ones(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    within = sum((m.sum() - len(m)) / (len(m) * (len(m) - 1)) for m in (a, b))
    return within - 2 * between.mean()


def _between_once(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return _off_diagonal(a) + _off_diagonal(b) - between.mean()


def _between_added(a: Tensor, b: Tensor, between: Tensor) -> Tensor:
    return _off_diagonal(a) + _off_diagonal(b) + 2 * between.mean()


MMD2 = {
    _biased: "that is the biased estimate: it compares each pose with itself. Leave out the "
    "diagonals.",
    _over_all_pairs: "without its diagonal, a matrix of n rows has n (n - 1) entries: divide by "
    "that.",
    _with_diagonals: "you divide by n (n - 1), but the diagonals are still in the sums.",
    _diagonals_of_ones: "you take the diagonals for ones; subtract what stands there.",
    _between_once: "the pairs between the sets count twice.",
    _between_added: "the pairs between the sets are subtracted.",
}


@exercise("00.5", title="MMD² from its kernels", minutes=15, difficulty="hard")
def mmd2_from_kernels(answer: Callable[[Tensor, Tensor, Tensor], Any]) -> str | None:
    """A function of three kernel matrices -> unbiased MMD²."""
    if not callable(answer):
        return f"expected a function, found {type(answer).__name__}: no brackets behind its name."
    generator = torch.Generator().manual_seed(5)
    a = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    b = 0.5 + torch.randn(4, 3, generator=generator, dtype=torch.float64)
    # a linear kernel: its diagonal is not 1
    within_a, within_b, between = a @ a.T, b @ b.T, a @ b.T
    found = number(answer(within_a, within_b, between))
    if found is None:
        return "expected one number."
    expected = _unbiased(within_a, within_b, between).item()
    if abs(found - expected) < 1e-6:
        return None
    for mistake, reply in MMD2.items():
        if abs(found - mistake(within_a, within_b, between).item()) < 1e-6:
            return reply
    n, m = len(a), len(b)
    return f"for matrices of {n} and {m} poses expected {expected:.4f}, found {found:.4f}."


MISTAKES: Mapping[str, Mapping[Callable[..., Any], str]] = {
    "00.2": PROJECTION,
    "00.3": PCK,
    "00.5": MMD2,
}


@cache
def _gap_to_lab(domain: Domain) -> float:
    """FD from a domain to `lab`, on the test split."""
    sets = (d.sample(POSES, seed=0, split="test").keypoints for d in (domain, domains.get("lab")))
    return distributions.frechet_distance(*sets)


def _frozen(value: Any) -> Any:
    """Lists as tuples, so that a recipe that was written with lists works as well."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names)))
