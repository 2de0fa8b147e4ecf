"""Finished detectors, reconstructors and style networks, written as assets.

`python -m posenb train detector`, `train reconstructor` and `train style`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from posenb.experiments import shipping
from posenb.reconstruction.rebuild import ReconstructorRecipe, ReconstructorTask
from posenb.reconstruction.style_training import StyleRecipe, StyleTask
from posenb.reconstruction.training import DetectorRecipe, DetectorTask
from posenb.reconstruction.weights import asset, reconstructor_asset, style_asset
from posenb.train import checkpoints, loop
from posenb.world.clips import video_pairs
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


def reconstructor_command(recipe: ReconstructorRecipe) -> str:
    """What trains these W and G."""
    words = ("--domain", recipe.domain, "--pairs", recipe.pairs, "--seed", recipe.seed)
    return shipping.command("reconstructor", *words)


def ship_reconstructor(
    task: ReconstructorTask, history: loop.History, folder: Path | None = None
) -> None:
    """Write finished W and G as an asset, in half precision; `folder` as in `save_weights`.

    The data hash is that of pairs like the first ones that they were trained on.
    """
    recipe = task.recipe
    first = video_pairs(recipe.domain, 8, recipe.strides[0], 0, recipe.size, margin=recipe.margin)
    record = shipping.record(
        reconstructor_command(recipe),
        asdict(recipe),
        recipe.seed,
        checkpoints.state_hash(
            [part for some in (first.base, first.driving) for part in (some.images, some.keypoints)]
        ),
        history.rows[-1],
        task.device,
        history.seconds,
    )
    state = task.network.state_dict()
    checkpoints.save_weights(reconstructor_asset(recipe.domain), state, record, True, folder)


def style_command(recipe: StyleRecipe) -> str:
    """What trains this style network."""
    words = ("--source", recipe.source, "--target", recipe.target)
    counts = ("--images", recipe.images, "--seed", recipe.seed)
    return shipping.command("style", *words, *counts)


def ship_style(task: StyleTask, history: loop.History, folder: Path | None = None) -> None:
    """Write a finished style network as an asset, in half precision; `folder` as in `save_weights`.

    The data hash is that of the first pictures that it was trained on.
    """
    recipe = task.recipe
    record = shipping.record(
        style_command(recipe),
        asdict(recipe),
        recipe.seed,
        checkpoints.state_hash([pictures[:8] for pictures in task.pool(0)]),
        history.rows[-1],
        task.device,
        history.seconds,
    )
    name = style_asset(recipe.source, recipe.target)
    checkpoints.save_weights(name, task.network.state_dict(), record, True, folder)
