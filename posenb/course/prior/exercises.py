"""Checkers of the exercises of notebook 01. Each gives None, or a sentence on what is wrong.

A mistake that a checker recognises is a function of its own, in a table with the reply to it; the
tests hand in the same functions. The notebook takes `check` from here, so that these checkers are
registered with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from posenb.course.teach.exercises import check, exercise, misfit, number, verdict
from posenb.measure import distributions
from posenb.prior.networks import Generator, Styles

__all__ = ["MISTAKES", "check"]

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


# -- 01.2 --------------------------------------------------------------------------------------


def _pulled_to_zero(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    return psi * w


def _psi_reversed(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    return w + psi * (mean - w)


def _started_from_w(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    return w + psi * (w - mean)


def _psi_as_bound(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    return w.clamp(mean - psi, mean + psi)


def _mean_of_batch(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    return w.mean(0) + psi * (w - w.mean(0))


TRUNCATION = {
    _pulled_to_zero: "you pull towards 0: pull towards the mean of w.",
    _psi_reversed: "psi = 1 must leave w as it is and psi = 0 give the mean.",
    _started_from_w: "start from the mean, and add psi times the way from it to w.",
    _psi_as_bound: "psi is a factor of the way to the mean, no bound.",
    _mean_of_batch: "use the mean that you are given, not the batch's.",
}


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
    replies = ((mistake(w, mean, 0.3), reply) for mistake, reply in TRUNCATION.items())
    return verdict(found, mean + 0.3 * (w - mean), replies)


# -- 01.3 --------------------------------------------------------------------------------------


def _modulated(weight: Tensor, style: Tensor) -> Tensor:
    return weight * style[:, None, :, None, None]  # (batch, out, in, 3, 3)


def _only_demodulated(weight: Tensor, style: Tensor) -> Tensor:
    scaled = _modulated(weight, style)
    return weight / scaled.square().sum((2, 3, 4), keepdim=True).sqrt()


def _only_normalised(weight: Tensor, style: Tensor) -> Tensor:
    length = weight.square().sum((1, 2, 3), keepdim=True).sqrt()
    return (weight / length).expand(len(style), *weight.shape)


def _squared_length(weight: Tensor, style: Tensor) -> Tensor:
    scaled = _modulated(weight, style)
    return scaled / scaled.square().sum((2, 3, 4), keepdim=True)


def _whole_image(weight: Tensor, style: Tensor) -> Tensor:
    scaled = _modulated(weight, style)
    return scaled / scaled.square().sum((1, 2, 3, 4), keepdim=True).sqrt()


def _by_input(weight: Tensor, style: Tensor) -> Tensor:
    scaled = _modulated(weight, style)
    return scaled / scaled.square().sum((1, 3, 4), keepdim=True).sqrt()


def _by_kernel(weight: Tensor, style: Tensor) -> Tensor:
    scaled = _modulated(weight, style)
    return scaled / scaled.square().sum((3, 4), keepdim=True).sqrt()


IMAGE_WEIGHTS = {
    _modulated: "modulated, but not demodulated: divide by the length of each output's weights.",
    _only_demodulated: "demodulated, but not modulated: the style still has to multiply.",
    _only_normalised: "normalised, but not modulated: the style has to multiply first.",
    _squared_length: "you divide by the squared length: take the root.",
    _whole_image: "every output channel is normalised for itself, not all of an image's together.",
    _by_input: "you normalise input channels: sum over inputs and kernel, for each output.",
    _by_kernel: "the sum for one output runs over its input channels, too.",
}


@exercise("01.3", title="Weights of one image", minutes=10, difficulty="medium")
def weights_of_one_image(answer: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """A function (weight, style) -> modulated and demodulated weights, one set an image."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(2)
    weight = torch.randn(4, 3, 3, 3, generator=random)
    style = 0.5 + torch.rand(2, 3, generator=random)
    found = answer(weight.clone(), style.clone())
    scaled = _modulated(weight, style)  # (2, 4, 3, 3, 3)
    if complaint := misfit(found, scaled):
        return complaint
    length = scaled.square().sum((2, 3, 4), keepdim=True).sqrt()
    replies = ((mistake(weight, style), reply) for mistake, reply in IMAGE_WEIGHTS.items())
    return verdict(found, scaled / length, replies)


# -- 01.4 --------------------------------------------------------------------------------------

Logits = Callable[[Tensor], Tensor]


def _squares(discriminator: Logits, images: Tensor) -> Tensor:
    """Squared length of the gradient at each image, (batch,)."""
    images = images.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return slope.square().sum((1, 2, 3))


def _between(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return share * real + (1 - share) * fake


def _r1(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return _squares(discriminator, real).mean()


def _towards_zero(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return _squares(discriminator, _between(real, fake, share)).mean()


def _without_root(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, _between(real, fake, share)) - 1).square().mean()


def _at_real(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, real).sqrt() - 1).square().mean()


def _share_swapped(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, _between(fake, real, share)).sqrt() - 1).square().mean()


def _one_length(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, _between(real, fake, share)).sum().sqrt() - 1).square()


def _summed(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, _between(real, fake, share)).sqrt() - 1).square().sum()


def _absolute(discriminator: Logits, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    return (_squares(discriminator, _between(real, fake, share)).sqrt() - 1).abs().mean()


PENALTY = {
    _r1: "that is R1 itself: take points in between, and (length - 1)².",
    _towards_zero: "that pulls the length of the gradient towards 0: take (length - 1)².",
    _without_root: "the length is the root of the sum of squares.",
    _at_real: "take points in between, not real images.",
    _share_swapped: "share belongs to the real image, 1 - share to the fake one.",
    _one_length: "each image has a gradient of its own length.",
    _summed: "take the mean over the batch, not the sum.",
    _absolute: "the distance of the length from 1 is squared.",
}


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
    length = (slope * _between(real, fake, share)).square().sum((1, 2, 3)).sqrt()  # (4,)
    replies = (
        (mistake(discriminator, real, fake, share), reply) for mistake, reply in PENALTY.items()
    )
    return verdict(found.reshape(()), (length - 1).square().mean(), replies)


# -- 01.5 --------------------------------------------------------------------------------------


def _changed(generator: Generator, z: Tensor, changes: Mapping[int, Tensor]) -> Tensor:
    """Images with the style codes of some layers, numbered from 1, multiplied by a matrix."""
    styles = generator.affine(generator.mapping(z))
    codes = [s @ changes[n].T if n in changes else s for n, s in enumerate(styles.layers, 1)]
    return generator.synthesis(Styles(codes, styles.colors))


def _unchanged(generator: Generator, z: Tensor, layer: int, matrix: Tensor) -> Tensor:
    return generator(z)


def _one_too_fine(generator: Generator, z: Tensor, layer: int, matrix: Tensor) -> Tensor:
    return _changed(generator, z, {layer + 1: matrix})


def _one_too_coarse(generator: Generator, z: Tensor, layer: int, matrix: Tensor) -> Tensor:
    return _changed(generator, z, {layer - 1: matrix})


def _transposed(generator: Generator, z: Tensor, layer: int, matrix: Tensor) -> Tensor:
    return _changed(generator, z, {layer: matrix.T})


def _every_layer(generator: Generator, z: Tensor, layer: int, matrix: Tensor) -> Tensor:
    wide = range(1, 5)  # the layers of the checker's generator that are as wide as `layer`
    return _changed(generator, z, dict.fromkeys(wide, matrix))


STYLE_CODE = {
    _unchanged: "nothing has changed: are the new style codes handed to synthesis?",
    _one_too_fine: "layer 1 is the first of the list: layers[layer - 1].",
    _one_too_coarse: "that is one layer too coarse: layers[layer - 1].",
    _transposed: "codes are rows here, so U times a code is code @ U.T.",
    _every_layer: "only this layer's block is U; all others are the identity.",
}


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
    with torch.no_grad():
        found = answer(generator, z.clone(), layer, matrix.clone())
        if complaint := misfit(found, generator(z)):
            return complaint
        replies = (
            (mistake(generator, z, layer, matrix), reply) for mistake, reply in STYLE_CODE.items()
        )
        return verdict(found, _changed(generator, z, {layer: matrix}), replies)


# -- 01.6 --------------------------------------------------------------------------------------


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a.flatten(1), b.flatten(1))


def _nearest_other(real: Tensor) -> Tensor:
    """Distance of each pose to its nearest other one, (poses,)."""
    return (_distances(real, real) + torch.diag(torch.full((len(real),), torch.inf))).min(1).values


def _covered(real: Tensor, generated: Tensor, radius: Tensor) -> Tensor:
    return (_distances(real, generated).min(1).values < radius).float().mean()


def _precision(real: Tensor, generated: Tensor) -> Tensor:
    radius = _nearest_other(real).median()
    return (_distances(real, generated).min(0).values < radius).float().mean()


def _mean_radius(real: Tensor, generated: Tensor) -> Tensor:
    return _covered(real, generated, _nearest_other(real).mean())


def _largest_radius(real: Tensor, generated: Tensor) -> Tensor:
    return _covered(real, generated, _nearest_other(real).max())


def _median_of_all(real: Tensor, generated: Tensor) -> Tensor:
    return _covered(real, generated, _distances(real, real).median())


def _own_radius(real: Tensor, generated: Tensor) -> Tensor:
    return _covered(real, generated, _nearest_other(real))


def _all_pairs(real: Tensor, generated: Tensor) -> Tensor:
    return (_distances(real, generated) < _nearest_other(real).median()).float().mean()


def _nearest_is_itself(real: Tensor, generated: Tensor) -> Tensor:
    return _covered(real, generated, _distances(real, real).min(1).values.median())


RECALL = {
    _precision: "that is precision: you went over the generated poses. Recall goes over the real "
    "ones.",
    _mean_radius: "the radius is the median of the nearest distances, not their mean.",
    _largest_radius: "the radius is the median of the nearest distances, not the largest.",
    _median_of_all: "the radius is too large: first the nearest other real pose of each, then the "
    "median of those.",
    _own_radius: "one radius for all poses: the median.",
    _all_pairs: "one neighbour is enough: ask whether the nearest is near enough.",
    _nearest_is_itself: "no pose has a neighbour: a pose's nearest real pose must not be itself, "
    "with distance 0.",
}


@exercise("01.6", title="Write recall", minutes=15, difficulty="hard")
def write_recall(answer: Callable[[Tensor, Tensor], Any]) -> str | None:
    """A function (real, generated) -> share of real poses with a generated neighbour."""
    if not callable(answer):
        return NO_FUNCTION
    random = torch.Generator().manual_seed(5)
    real = torch.randn(200, 4, 2, generator=random)
    generated = 0.8 * torch.randn(300, 4, 2, generator=random)
    found = number(answer(real.clone(), generated.clone()))
    if found is None:
        return "expected one number: the share of real poses that have a neighbour."
    if found > 1:
        return "that is more than 1: give a share, not per cent."
    expected = distributions.recall(real, generated)
    if abs(found - expected) < 1e-4:
        return None
    for mistake, reply in RECALL.items():
        if abs(found - mistake(real, generated).item()) < 1e-4:
            return reply
    return f"for 200 real and 300 generated poses expected {expected:.3f}, found {found:.3f}."


MISTAKES: Mapping[str, Mapping[Callable[..., Tensor], str]] = {
    "01.2": TRUNCATION,
    "01.3": IMAGE_WEIGHTS,
    "01.4": PENALTY,
    "01.5": STYLE_CODE,
    "01.6": RECALL,
}
