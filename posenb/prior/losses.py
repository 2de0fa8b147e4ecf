"""Losses: those of `train.adversarial`, and FlexPose's perceptual loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from posenb.prior.networks import PerceptualFeatures, VggFeatures
from posenb.train.adversarial import discriminator_loss, generator_loss, r1_penalty

__all__ = [
    "discriminator_loss",
    "feature_distance",
    "generator_loss",
    "perceptual_loss",
    "r1_penalty",
]


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
