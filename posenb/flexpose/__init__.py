"""FlexPose: move a pose distribution with one linear layer and a dozen examples (notebook 02)."""

from __future__ import annotations

from posenb.flexpose import baselines
from posenb.flexpose.adapt import Adapted, Readers, Recipe, adapt, sample
from posenb.flexpose.judging import judge, rank_sources
from posenb.flexpose.networks import AdaptedGenerator, StyleTransfer
from posenb.flexpose.shots import few_shot, pose_mixup

__all__ = [
    "Adapted",
    "AdaptedGenerator",
    "Readers",
    "Recipe",
    "StyleTransfer",
    "adapt",
    "baselines",
    "few_shot",
    "judge",
    "pose_mixup",
    "rank_sources",
    "sample",
]
