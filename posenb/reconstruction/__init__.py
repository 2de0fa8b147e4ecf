"""Keypoints by geometric reconstruction: a 2.5D detector and how it adapts (notebook 03)."""

from __future__ import annotations

from posenb.reconstruction.generation import Reconstructor
from posenb.reconstruction.lifting import bone_scale, lift, root_depth
from posenb.reconstruction.networks import Detection, KeypointDetector, Maps, soft_argmax
from posenb.reconstruction.warping import Warping
from posenb.reconstruction.weights import (
    detectors,
    load_detector,
    load_reconstructor,
    reconstructors,
)

__all__ = [
    "Detection",
    "KeypointDetector",
    "Maps",
    "Reconstructor",
    "Warping",
    "bone_scale",
    "detectors",
    "lift",
    "load_detector",
    "load_reconstructor",
    "reconstructors",
    "root_depth",
    "soft_argmax",
]
