"""PoSynDA: a diffusion lifter that teaches itself on a new camera (notebook 06)."""

from __future__ import annotations

from posenb.posynda.adapt import PAPER_RECIPE, Adaptation, adapt
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.lifting import Lifted, Recipe, Trained, lift, train_lifter
from posenb.posynda.networks import Denoiser, MixSTE, VideoPose
from posenb.posynda.weights import lifters, load_lifter

__all__ = [
    "PAPER_RECIPE",
    "Adaptation",
    "Denoiser",
    "GaussianDiffusion",
    "Lifted",
    "MixSTE",
    "Recipe",
    "Trained",
    "VideoPose",
    "adapt",
    "lift",
    "lifters",
    "load_lifter",
    "train_lifter",
]
