"""Finished detectors, written as assets (`python -m posenb train detector`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from posenb.experiments import shipping
from posenb.reconstruction.training import DetectorRecipe, DetectorTask
from posenb.reconstruction.weights import asset
from posenb.train import checkpoints, loop
from posenb.world.rendering import render


def command(recipe: DetectorRecipe) -> str:
    """What trains this detector."""
    words = ("--domain", recipe.domain, "--images", recipe.images, "--seed", recipe.seed)
    return shipping.command("detector", *words)


def ship_detector(task: DetectorTask, history: loop.History, folder: Path | None = None) -> None:
    """Write a finished detector as an asset, in half precision; `folder` as in `save_weights`.

    The data hash is that of the first pictures and labels that it was trained on.
    """
    recipe = task.recipe
    first = render(recipe.domain, 8, 0, recipe.size)
    record = shipping.record(
        command(recipe),
        asdict(recipe),
        recipe.seed,
        checkpoints.state_hash([first.images, first.keypoints, first.depth]),
        history.rows[-1],
        task.device,
        history.seconds,
    )
    state = task.network.state_dict()
    checkpoints.save_weights(asset(recipe.domain), state, record, True, folder)
