"""Exercises of notebook 01: right answers pass, plausible wrong ones get a helpful word."""

from __future__ import annotations

from typing import Any

import torch
from exercise_frame import ExerciseTests

from posenb.course.prior import exercises
from posenb.prior.networks import Styles


def truncation(w: Any, mean: Any, psi: float) -> Any:
    return mean + psi * (w - mean)


def image_weights(weight: Any, style: Any) -> Any:
    scaled = weight * style[:, None, :, None, None]
    return scaled / (scaled.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()


def penalty(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    images = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def detached_penalty(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    return penalty(discriminator, real, fake, share).detach()


def tau(generator: Any, z: Any, layer: int, matrix: Any) -> Any:
    styles = generator.affine(generator.mapping(z))
    layers = list(styles.layers)
    layers[layer - 1] = layers[layer - 1] @ matrix.T
    return generator.synthesis(Styles(layers, styles.colors))


def distances(a: Any, b: Any) -> Any:
    return torch.cdist(a.flatten(1), b.flatten(1))


def neighbour_radius(real: Any) -> Any:
    return (distances(real, real) + torch.diag(torch.full((len(real),), torch.inf))).min(1).values


def my_recall(real: Any, generated: Any) -> Any:
    radius = neighbour_radius(real).median()
    return (distances(real, generated).min(1).values < radius).float().mean()


RIGHT: list[tuple[str, Any]] = [
    ("01.1", (11, {6, 7})),
    ("01.2", truncation),
    ("01.3", image_weights),
    ("01.4", penalty),
    ("01.5", tau),
    ("01.6", my_recall),
]

WRONG: list[tuple[str, Any, str]] = [
    ("01.1", (11, {5, 6}), "from 0"),
    ("01.1", (12, {6, 7}), "one layer, not two"),
    ("01.1", (6, {6, 7}), "the set is right"),
    ("01.1", (11, {7, 8}), "two at every resolution"),
    ("01.1", 11, "pair"),
    ("01.2", lambda w, mean, psi: None, "return"),
    ("01.2", 3.0, "function"),
    ("01.3", lambda weight, s: weight * s.mean(0)[None, :, None, None], "shape"),
    ("01.4", detached_penalty, "create_graph"),
    ("01.6", lambda real, generated: 100 * my_recall(real, generated), "per cent"),
    *(
        (name, mistake, reply)
        for name, replies in exercises.MISTAKES.items()
        for mistake, reply in replies.items()
    ),
]


class TestExercises(ExerciseTests):
    chapter = "01"
    right = RIGHT
    wrong = WRONG
