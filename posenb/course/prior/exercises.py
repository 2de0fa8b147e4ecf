"""Checkers of the exercises of notebook 01. Each gives None, or a sentence on what is wrong.

The notebook takes `check` from here, so that these checkers are registered with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from posenb.course.teach.exercises import check, exercise, misfit, number, verdict
from posenb.measure import distributions
from posenb.prior.networks import Generator, Styles

__all__ = ["check"]

NO_FUNCTION = "expected a function: answer = its name, without brackets."


@exercise("01.1", title="Count the layers", minutes=3, difficulty="easy")
def count_the_layers(answer: Sequence[Any]) -> str | None:
    """(number of layers at 128 pixels, set of the layers that work at 32 x 32)."""
    if not isinstance(answer, Sequence) or len(answer) != 2 or not isinstance(answer[1], Iterable):
        return "expected a pair: the number of layers, and a set of layers, such as (7, {4, 5})."
    generator = Generator(128, width=0.25)
    layers = range(1, generator.layers + 1)
    wanted = {layer for layer in layers if generator.layer_resolution(layer) == 32}
    count, found = answer[0], set(answer[1])
    if found == {layer - 1 for layer in wanted}:
        return "that counts from 0; here the coarsest layer has the number 1."
    if found != wanted:
        return (
            f"{sorted(found)} is not the set of layers at 32 x 32: there is one layer at 4 x 4, "
            "and there are two at every resolution after it."
        )
    if count == generator.layers + 1:
        return "the set is right, the number is not: 4 x 4 has one layer, not two."
    if count != generator.layers:
        return f"the set is right, but 4, 8, 16, 32, 64 and 128 pixels do not make {count} layers."
    return None


@exercise("01.2", title="Write the truncation", minutes=5, difficulty="easy")
def write_the_truncation(answer: Callable[[Tensor, Tensor, float], Tensor]) -> str | None:
    """A function (w, mean of w, psi) -> truncated w."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(1)
    w, mean = torch.randn(5, 8, generator=random), torch.randn(8, generator=random)
    found = answer(w.clone(), mean.clone(), 0.3)
    if complaint := misfit(found, w):
        return complaint
    replies = [
        (0.3 * w, "you pull towards 0: pull towards the mean of w."),
        (mean + 0.7 * (w - mean), "psi = 1 must leave w as it is and psi = 0 give the mean."),
        (w + 0.3 * (w - mean), "start from the mean, and add psi times the way from it to w."),
        (w.clamp(mean - 0.3, mean + 0.3), "psi is a factor of the way to the mean, no bound."),
        (w.mean(0) + 0.3 * (w - w.mean(0)), "use the mean that you are given, not the batch's."),
    ]
    return verdict(found, mean + 0.3 * (w - mean), replies)


@exercise("01.3", title="Weights of one image", minutes=10, difficulty="medium")
def weights_of_one_image(answer: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """A function (weight, style) -> modulated and demodulated weights, one set an image."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(2)
    weight = torch.randn(4, 3, 3, 3, generator=random)
    style = 0.5 + torch.rand(2, 3, generator=random)
    found = answer(weight.clone(), style.clone())
    scaled = weight * style[:, None, :, None, None]  # (2, 4, 3, 3, 3)
    if complaint := misfit(found, scaled):
        return complaint
    length = scaled.square().sum((2, 3, 4), keepdim=True).sqrt()
    replies = [
        (scaled, "modulated, but not demodulated: divide by the length of each output's weights."),
        (weight / length, "demodulated, but not modulated: the style still has to multiply."),
        (
            (weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()).expand_as(scaled),
            "normalised, but not modulated: the style has to multiply first.",
        ),
        (scaled / length.square(), "you divide by the squared length: take the root."),
        (
            scaled / scaled.flatten(1).norm(dim=1)[:, None, None, None, None],
            "every output channel is normalised for itself, not all of an image's together.",
        ),
        (
            scaled / scaled.square().sum((1, 3, 4), keepdim=True).sqrt(),
            "you normalise input channels: sum over inputs and kernel, for each output.",
        ),
        (
            scaled / scaled.square().sum((3, 4), keepdim=True).sqrt(),
            "the sum for one output runs over its input channels, too.",
        ),
    ]
    return verdict(found, scaled / length, replies)


Logits = Callable[[Tensor], Tensor]


@exercise("01.4", title="Another gradient penalty", minutes=12, difficulty="medium")
def another_gradient_penalty(
    answer: Callable[[Logits, Tensor, Tensor, Tensor], Tensor],
) -> str | None:
    """A function (discriminator, real, fake, share) -> penalty of WGAN-GP, a scalar."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(3)
    real, fake = torch.rand(2, 4, 3, 2, 2, generator=random)
    share = torch.rand(4, 1, 1, 1, generator=random)
    slope = (0.5 + torch.rand(3, 2, 2, generator=random)).requires_grad_()

    def discriminator(images: Tensor) -> Tensor:  # its gradient is slope * images
        return (slope * images.square()).sum((1, 2, 3))[:, None] / 2

    found = answer(discriminator, real.clone(), fake.clone(), share.clone())
    if not isinstance(found, Tensor) or found.numel() != 1:
        return "expected a tensor of one number: the mean over the batch."
    if not found.requires_grad:
        return "it cannot be trained with: torch.autograd.grad(..., create_graph=True)."

    def squared(images: Tensor) -> Tensor:
        return (slope * images).square().sum((1, 2, 3))  # (4,)

    mixed = squared(share * real + (1 - share) * fake)
    replies = [
        (squared(real).mean(), "that is R1 itself: take points in between, and (length - 1)²."),
        (mixed.mean(), "that pulls the length of the gradient towards 0: take (length - 1)²."),
        ((mixed - 1).square().mean(), "the length is the root of the sum of squares."),
        ((squared(real).sqrt() - 1).square().mean(), "take points in between, not real images."),
        (
            (squared((1 - share) * real + share * fake).sqrt() - 1).square().mean(),
            "share belongs to the real image, 1 - share to the fake one.",
        ),
        ((mixed.sum().sqrt() - 1).square(), "each image has a gradient of its own length."),
        ((mixed.sqrt() - 1).square().sum(), "take the mean over the batch, not the sum."),
        ((mixed.sqrt() - 1).abs().mean(), "the distance of the length from 1 is squared."),
    ]
    return verdict(found.reshape(()), (mixed.sqrt() - 1).square().mean(), replies)


@exercise("01.5", title="Change one style code", minutes=12, difficulty="medium")
def change_one_style_code(
    answer: Callable[[Generator, Tensor, int, Tensor], Tensor],
) -> str | None:
    """A function (generator, z, layer, matrix) -> images of phi . tau . A . f."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(4)
    generator = Generator(16, width=0.25, seed=4)
    layer = 3
    z = generator.sample_z(2, random)
    size = generator.affine(generator.mapping(z)).layers[layer - 1].shape[1]
    matrix = torch.eye(size) + 0.3 * torch.randn(size, size, generator=random)

    def images(changed: Mapping[int, Tensor]) -> Tensor:
        styles = generator.affine(generator.mapping(z))
        kept = [s @ changed[n].T if n in changed else s for n, s in enumerate(styles.layers, 1)]
        return generator.synthesis(Styles(kept, styles.colors))

    with torch.no_grad():
        found = answer(generator, z.clone(), layer, matrix.clone())
        if complaint := misfit(found, generator(z)):
            return complaint
        replies = [
            (images({}), "nothing has changed: are the new style codes handed to synthesis?"),
            (images({layer + 1: matrix}), "layer 1 is the first of the list: layers[layer - 1]."),
            (images({layer - 1: matrix}), "that is one layer too coarse: layers[layer - 1]."),
            (images({layer: matrix.T}), "codes are rows here, so U times a code is code @ U.T."),
            (
                images(dict.fromkeys((n for n in (1, 2, 3, 4)), matrix)),
                "only this layer's block is U; all others are the identity.",
            ),
        ]
        return verdict(found, images({layer: matrix}), replies)


@exercise("01.6", title="Write recall", minutes=15, difficulty="hard")
def write_recall(answer: Callable[[Tensor, Tensor], Any]) -> str | None:
    """A function (real, generated) -> share of real poses with a generated neighbour."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(5)
    real = torch.randn(200, 4, 2, generator=random)
    generated = 0.7 * torch.randn(300, 4, 2, generator=random)
    found = number(answer(real.clone(), generated.clone()))
    if found is None:
        return "expected one number: the share of real poses that have a neighbour."
    if found > 1:
        return "that is more than 1: give a share, not per cent."
    between = torch.cdist(real.flatten(1), generated.flatten(1))  # (200, 300)
    within = torch.cdist(real.flatten(1), real.flatten(1))
    others = within + torch.diag(torch.full((len(real),), torch.inf))
    nearest, radius = others.min(1).values, others.min(1).values.median()

    def share(distances: Tensor, limit: Tensor) -> float:
        return float((distances < limit).float().mean())

    replies = {
        share(between.min(0).values, radius): "that is precision: you went over the generated "
        "poses. Recall goes over the real ones.",
        share(between.min(1).values, nearest.mean()): "the radius is the median of the nearest "
        "distances, not their mean.",
        share(between.min(1).values, nearest.max()): "the radius is the median of the nearest "
        "distances, not the largest.",
        share(between.min(1).values, within.median()): "the radius is too large: first the nearest "
        "other real pose of each, then the median of those.",
        share(between.min(1).values, nearest): "one radius for all poses: the median.",
        share(between, radius): "one neighbour is enough: ask whether the nearest is near enough.",
        0.0: "nobody has a neighbour: a pose's nearest real pose must not be itself, with "
        "distance 0.",
    }
    expected = distributions.recall(real, generated)
    if abs(found - expected) < 1e-4:
        return None
    for value, reply in replies.items():
        if abs(found - value) < 1e-4:
            return reply
    return f"for 200 real and 300 generated poses expected {expected:.3f}, found {found:.3f}."
