"""The finished prior and its readers, written as assets (`python -m posenb train prior`)."""

from __future__ import annotations

from pathlib import Path

import torch

from posenb import assets
from posenb.experiments import shipping
from posenb.prior.training import SMALL, PriorRecipe, RegressorTask, settings_of, training_poses
from posenb.prior.weights import reader_asset
from posenb.train import checkpoints, loop
from posenb.world import datasets
from posenb.world.skeletons import BODY17


def ship_prior(recipe: PriorRecipe, folder: Path, device: torch.device, name: str) -> None:
    """Write a finished training as assets: the averaged generator and its discriminators.

    A prior that was started from another leaves out the discriminator of 32 pixels, which only a
    start needs.

    A prior of data files is not shipped: its weights stay in `folder`, laid out as the assets are.

    Args:
        recipe: that of the training.
        folder: with the checkpoints of all its stages.
        device: that it was trained on.
        name: of the assets, or the data file.

    Raises:
        ValueError: if a checkpoint is missing.
        DatasetError: if the data file is gone or damaged.
    """
    asset, home = datasets.short_name(name), folder if recipe.recorded else None
    words: list[str | int]
    words = ["--domain", name, "--small-images", recipe.small_images, "--images", recipe.images]
    if recipe.start is not None:
        words += ["--start", recipe.start]
    poses = training_poses(recipe).keypoints
    settings = settings_of(recipe, poses)
    states = {
        resolution: loop.load_state(folder / f"{resolution}px.pt")
        for resolution, _ in recipe.stages()
    }
    seconds = 0.0  # of all stages so far: a grown generator took them all
    files: dict[str, bytes] = {}
    for resolution, state in states.items():
        seconds += state["seconds"]
        history = loop.History(state["step"], seconds, state["rows"])
        record = shipping.record(
            shipping.command("prior", *words, "--seed", recipe.seed),
            settings,
            recipe.seed,
            checkpoints.state_hash(poses),
            history.rows[-1],
            device,
            history.seconds,
        )
        if resolution == SMALL and recipe.start is not None:
            continue
        critic = f"prior_{asset}_discriminator_{resolution}"
        files |= checkpoints.packed(critic, state["task"]["discriminator"], record, True)
    files |= checkpoints.packed(f"prior_{asset}", state["task"]["ema"], record, True)
    assets.ship(files, home)


def ship_reader(name: str, task: RegressorTask, history: loop.History) -> None:
    """Write beta or Gamma as an asset."""
    configuration = {"steps": history.step, "batch": task.batch, "poses": len(task.keypoints)}
    words = [] if task.skeleton == BODY17 else ["--skeleton", task.skeleton.name]
    record = shipping.record(
        shipping.command("prior", "--reader", name, *words, "--seed", task.seed),
        configuration,
        task.seed,
        checkpoints.state_hash(task.keypoints),
        history.rows[-1],
        task.device,
        history.seconds,
    )
    asset = reader_asset(name, task.skeleton)
    checkpoints.save_weights(asset, task.network.state_dict(), record, half=True)
