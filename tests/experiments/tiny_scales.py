"""Scales at which the experiments' tests run: everything is made, nothing is learned."""

from __future__ import annotations

from posenb.experiments.posynda.bench import Lifter, Scale
from posenb.posynda import Recipe

TINY_POSYNDA = Scale(
    frames=5,
    source=24,
    target=12,
    test=6,
    mixste=Lifter("MixSTE", 16, Recipe(steps=2, batch=8)),
    videopose=Lifter("VideoPose", 16, Recipe(steps=2, batch=8)),
    steps=2,
    batch=4,
    hypotheses=2,
    sampling_steps=2,
)
