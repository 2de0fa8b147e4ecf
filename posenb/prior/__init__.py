"""The pose prior: a StyleGAN on skeleton images, its readers beta and Gamma (notebook 01)."""

from __future__ import annotations

from posenb.prior.networks import (
    Discriminator,
    Generator,
    KeypointRegressor,
    PerceptualFeatures,
    rerender,
)
from posenb.prior.weights import (
    find_generator,
    generators,
    load_discriminator,
    load_generator,
    load_regressor,
    perceptual_features,
    sample,
)

__all__ = [
    "Discriminator",
    "Generator",
    "KeypointRegressor",
    "PerceptualFeatures",
    "find_generator",
    "generators",
    "load_discriminator",
    "load_generator",
    "load_regressor",
    "perceptual_features",
    "rerender",
    "sample",
]
