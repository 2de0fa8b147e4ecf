"""Exercises of notebook 01: right answers pass, plausible wrong ones get a helpful word."""

from __future__ import annotations

from typing import Any

import torch
from exercise_frame import ExerciseTests

from posenb.course.prior import exercises  # noqa: F401  registers the checkers
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


def r1(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    real = real.requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def detached_penalty(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    return penalty(discriminator, real, fake, share).detach()


def one_length(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    images = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return (gradient.norm() - 1).square()


def swapped_share(discriminator: Any, real: Any, fake: Any, share: Any) -> Any:
    return penalty(discriminator, fake, real, share)


def tau(generator: Any, z: Any, layer: int, matrix: Any) -> Any:
    styles = generator.affine(generator.mapping(z))
    layers = list(styles.layers)
    layers[layer - 1] = layers[layer - 1] @ matrix.T
    return generator.synthesis(Styles(layers, styles.colors))


def tau_one_too_fine(generator: Any, z: Any, layer: int, matrix: Any) -> Any:
    return tau(generator, z, layer + 1, matrix)


def tau_transposed(generator: Any, z: Any, layer: int, matrix: Any) -> Any:
    return tau(generator, z, layer, matrix.T)


def tau_forgotten(generator: Any, z: Any, layer: int, matrix: Any) -> Any:
    return generator(z)


def distances(a: Any, b: Any) -> Any:
    return torch.cdist(a.flatten(1), b.flatten(1))


def neighbour_radius(real: Any) -> Any:
    return (distances(real, real) + torch.diag(torch.full((len(real),), torch.inf))).min(1).values


def my_recall(real: Any, generated: Any) -> Any:
    radius = neighbour_radius(real).median()
    return (distances(real, generated).min(1).values < radius).float().mean()


def my_precision(real: Any, generated: Any) -> Any:
    radius = neighbour_radius(real).median()
    return (distances(real, generated).min(0).values < radius).float().mean()


def recall_with_itself(real: Any, generated: Any) -> Any:
    radius = distances(real, real).min(1).values.median()
    return (distances(real, generated).min(1).values < radius).float().mean()


def recall_of_mean(real: Any, generated: Any) -> Any:
    radius = neighbour_radius(real).mean()
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
    ("01.2", lambda w, mean, psi: psi * w, "towards 0"),
    ("01.2", lambda w, mean, psi: w + psi * (mean - w), "psi = 1"),
    ("01.2", lambda w, mean, psi: w.clamp(mean - psi, mean + psi), "factor"),
    ("01.2", lambda w, mean, psi: w.mean(0) + psi * (w - w.mean(0)), "given"),
    ("01.2", lambda w, mean, psi: None, "return"),
    ("01.2", 3.0, "function"),
    ("01.3", lambda weight, s: weight * s[:, None, :, None, None], "demodulated"),
    ("01.3", lambda weight, s: image_weights(weight, torch.ones_like(s)), "modulated"),
    ("01.3", lambda weight, s: weight * s.mean(0)[None, :, None, None], "shape"),
    (
        "01.3",
        lambda weight, s: torch.nn.functional.normalize(
            (weight * s[:, None, :, None, None]).flatten(1), dim=1
        ).view(len(s), *weight.shape),
        "for itself",
    ),
    ("01.4", r1, "R1"),
    ("01.4", detached_penalty, "create_graph"),
    ("01.4", one_length, "own length"),
    ("01.4", swapped_share, "share belongs"),
    ("01.5", tau_one_too_fine, "layer - 1"),
    ("01.5", tau_transposed, "rows"),
    ("01.5", tau_forgotten, "nothing has changed"),
    ("01.6", my_precision, "precision"),
    ("01.6", recall_with_itself, "itself"),
    ("01.6", recall_of_mean, "median"),
    ("01.6", lambda real, generated: 100 * my_recall(real, generated), "per cent"),
]


class TestExercises(ExerciseTests):
    chapter = "01"
    right = RIGHT
    wrong = WRONG
