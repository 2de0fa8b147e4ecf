"""Losses: the non-saturating game of a StyleGAN, the R1 penalty, and FlexPose's perceptual loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from posenb.prior.networks import PerceptualFeatures, VggFeatures


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x)) - log(1 - sigmoid(D(g(z)))), mean over the batch.

    Args:
        real: logits of real images, (batch, 1).
        fake: logits of generated images, (batch, 1).
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-log sigmoid(D(g(z))), mean over the batch: its gradient does not vanish when D wins."""
    return F.softplus(-fake).mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1: mean squared length of the discriminator's gradient at real images.

    Args:
        logits: D(images), (batch, 1), with the graph that leads to the images.
        images: real images that require gradients, (batch, 3, S, S).

    Raises:
        ValueError: if the images do not require gradients.
    """
    if not images.requires_grad:
        raise ValueError("R1 needs the gradient at the images: call images.requires_grad_() first")
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def perceptual_loss(
    gamma: PerceptualFeatures | VggFeatures, generated: Tensor, target: Tensor
) -> Tensor:
    """Squared distance of images in the features of Gamma (FlexPose, Eq. 5), one an image pair.

    Args:
        gamma: feature extractor.
        generated: images g_t(z), (batch, 3, S, S).
        target: skeleton images x, (batch, 3, S, S).

    Returns:
        Distances (batch,): per stage summed over channels and averaged over places, then summed
        over the stages.
    """
    return feature_distance(gamma.features(generated), gamma.features(target))


def feature_distance(generated: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """The distance of `perceptual_loss` from the stages' feature maps, (batch,).

    Args:
        generated: Gamma of generated images, one (batch, C, h, w) a stage.
        target: Gamma of the images they should be, likewise.
    """
    pairs = zip(generated, target, strict=True)
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)
