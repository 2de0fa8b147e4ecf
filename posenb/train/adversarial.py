"""The non-saturating game of a StyleGAN, and the R1 penalty."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
