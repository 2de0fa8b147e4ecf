"""The shipped matrices, learned and written as assets (`python -m posenb train flexpose`)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from posenb import prior
from posenb.experiments import shipping
from posenb.experiments.flexpose.bench import alike, shots
from posenb.flexpose.adapt import USUAL, Adapted, Readers, Recipe, adapt
from posenb.flexpose.networks import AdaptedGenerator, StyleMatrix, StyleTransfer
from posenb.flexpose.weights import ASSET, SOURCE, TARGET, VARIANTS, Variant
from posenb.train import checkpoints, runtime
from posenb.world import domains
from posenb.world.poses import PoseSet


def save_taus(taus: Mapping[Variant, StyleTransfer], provenance: Mapping[str, Any]) -> None:
    """Ship learned tau as `assets/weights/flexpose_taus.safetensors`, with its provenance.

    A tensor `<objective>/<layers>/<shots>/<layer>` is U_l - I, (width, width): U is nearly I, so
    its difference keeps its digits in half precision.

    Args:
        taus: what was learned.
        provenance: as in `checkpoints.save_weights`.

    Raises:
        ValueError: if a tau is no matrix (it has a bias, or is not linear), or not of the layers
            that its variant says.
    """
    tensors = {}
    for variant, transfer in taus.items():
        if transfer.layers != variant.layers:
            raise ValueError(f"tau of {variant.key} has matrices at the layers {transfer.layers}")
        for layer in variant.layers:
            block = transfer.blocks[str(layer)]
            if not isinstance(block, StyleMatrix) or block.bias is not None:
                raise ValueError(f"tau of {variant.key} is no matrix: only such can be shipped")
            u = block.u.detach()
            tensors[f"{variant.key}/{layer}"] = u - torch.eye(len(u)).to(u)
    checkpoints.save_weights(ASSET, tensors, provenance, half=True)


def train_taus(
    folder: Path,
    variants: Sequence[Variant] | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: torch.device | None = None,
) -> dict[Variant, Adapted]:
    """Learn tau for each of the variants; goes on where it was interrupted.

    Args:
        folder: of the checkpoints, one a variant.
        variants: what to learn; default VARIANTS.
        steps: of each adaptation; default as many as its objective usually has.
        seed: of shots, latents and batches.
        device: default as in `runtime.device`.

    Returns:
        What was learned. After an interruption it ends with the variant that was interrupted.
    """
    device = device or runtime.device()
    generator, readers = prior.load_generator(SOURCE, device), Readers.load(SOURCE, device=device)
    learned: dict[Variant, Adapted] = {}
    for variant in variants or VARIANTS:
        adapted = adapt(
            generator,
            _guides(variant.shots, seed),
            variant.layers,
            objective=variant.objective,
            seed=seed,
            recipe=_recipe(variant, steps),
            readers=readers,
            checkpoint=folder / f"{variant.key.replace('/', '_')}.pt",
        )
        learned[variant] = adapted
        if adapted.history.interrupted:
            break
    return learned


def ship_taus(learned: Mapping[Variant, Adapted], steps: int | None = None, seed: int = 0) -> None:
    """Write what `train_taus` learned as an asset.

    Raises:
        ValueError: if a variant was interrupted.
    """
    taus = {}
    for variant, adapted in learned.items():
        if adapted.history.interrupted or not isinstance(adapted.generator, AdaptedGenerator):
            raise ValueError(f"{variant.key} is not finished: run the same command again")
        taus[variant] = adapted.generator.transfer
        device = adapted.generator.source.w_mean.device
    configuration = {
        "source": SOURCE,
        "target": TARGET,
        "variants": [variant.key for variant in learned],
        "recipes": {v.objective: asdict(_recipe(v, steps)) for v in learned},
        "weights": checkpoints.digests(f"prior_{SOURCE}", "prior_regressor", "prior_features"),
    }
    fewer: list[str | int] = [] if steps is None else ["--steps", steps]
    record = shipping.record(
        shipping.command("flexpose", *fewer, "--seed", seed),
        configuration,
        seed,
        checkpoints.state_hash(
            {count: _guides(count, seed).keypoints for count in {v.shots for v in learned}}
        ),
        {v.key: adapted.history.rows[-1] for v, adapted in learned.items()},
        device,
        sum(a.history.seconds for a in learned.values()),
    )
    save_taus(taus, record)


def _recipe(variant: Variant, steps: int | None) -> Recipe:
    """The usual recipe of a variant's objective, perhaps with another number of steps."""
    usual = USUAL[variant.objective]
    return usual if steps is None else replace(usual, steps=steps)


@functools.lru_cache(maxsize=8)
def _guides(count: int, seed: int) -> PoseSet:
    """`count` poses of the target, the same number of every action."""
    classes = len(domains.get(TARGET).actions)
    return shots(alike(TARGET, SOURCE), count // classes, seed)
