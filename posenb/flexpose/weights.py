"""The learned matrices that come with the package, from `wild` to `lab`, for the explorer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from posenb import prior
from posenb.flexpose.adapt import OBJECTIVES, USUAL, Adapted, Objective, Readers, Recipe, adapt
from posenb.flexpose.networks import AdaptedGenerator, Block, StyleTransfer
from posenb.flexpose.tables import alike, shots
from posenb.prior.networks import Generator
from posenb.prior.tables import digests
from posenb.train import checkpoints, runtime
from posenb.world import domains
from posenb.world.poses import PoseSet

ASSET = "flexpose_taus"
SOURCE, TARGET = "wild", "lab"


@dataclass(frozen=True)
class Variant:
    """What one of the shipped tau was learned with.

    Attributes:
        objective: see `adapt`.
        layers: those that have a matrix.
        shots: number of target poses, the same of every action.
    """

    objective: Objective = "distribution"
    layers: tuple[int, ...] = (1, 2, 3)
    shots: int = 30

    @property
    def key(self) -> str:
        """Name in the file, for example "distribution/1-2-3/30"."""
        return f"{self.objective}/{'-'.join(map(str, self.layers))}/{self.shots}"

    @classmethod
    def of(cls, key: str) -> Variant:
        """The variant of that name.

        Raises:
            ValueError: if it is no such name.
        """
        objective, layers, count = key.split("/")
        if objective not in OBJECTIVES:
            raise ValueError(f"expected one of {OBJECTIVES}, found {objective!r} in {key!r}")
        numbers = tuple(int(layer) for layer in layers.split("-"))
        return cls(cast(Objective, objective), numbers, int(count))


# One thing at a time differs from the default.
VARIANTS = (
    *(Variant(layers=(layer,)) for layer in (1, 2, 3)),
    Variant(shots=15),
    Variant(),
    Variant(shots=60),
    Variant(shots=120),
    Variant("paper"),
    Variant("transport"),
)


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
            if not isinstance(block, Block) or block.bias is not None:
                raise ValueError(f"tau of {variant.key} is no matrix: only such can be shipped")
            u = block.u.detach()
            tensors[f"{variant.key}/{layer}"] = u - torch.eye(len(u)).to(u)
    checkpoints.save_weights(ASSET, tensors, provenance, half=True)


def load_taus(source: Generator) -> dict[Variant, AdaptedGenerator]:
    """The shipped tau, each at the generator that it was learned for.

    Args:
        source: g_s, the shipped `wild`.

    Raises:
        ValueError: if the asset is missing or altered, or does not fit the generator.
    """
    found: dict[Variant, dict[int, Tensor]] = {}
    for key, difference in checkpoints.load_weights(ASSET).items():
        name, _, layer = key.rpartition("/")
        try:
            found.setdefault(Variant.of(name), {})[int(layer)] = difference
        except ValueError as error:
            raise ValueError(
                f"{ASSET} holds a tensor {key[:60]!r}: expected <objective>/<layers>/<shots>/"
                "<layer>, such as distribution/1-2-3/30/1; restore the file, or make it again "
                "with `python -m posenb train flexpose`"
            ) from error
    order = {variant: place for place, variant in enumerate(VARIANTS)}
    adapted = {}
    for variant in sorted(found, key=lambda variant: order.get(variant, len(order))):
        network = AdaptedGenerator.of(source, variant.layers)
        try:
            state = {
                f"blocks.{layer}.u": torch.eye(len(difference)) + difference
                for layer, difference in found[variant].items()
            }
            network.transfer.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"{ASSET} holds a tau {variant.key} that does not fit this generator: it is for "
                f"the shipped {SOURCE!r} ({error})"
            ) from error
        adapted[variant] = network.eval().requires_grad_(False)
    return adapted


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
    shorter = "" if steps is None else f" --steps {steps}"
    record = {
        "command": f"python -m posenb train flexpose{shorter} --seed {seed}",
        "configuration": {
            "source": SOURCE,
            "target": TARGET,
            "variants": [variant.key for variant in learned],
            "recipes": {v.objective: asdict(_recipe(v, steps)) for v in learned},
            "weights": digests(f"prior_{SOURCE}", "prior_regressor", "prior_features"),
        },
        "seed": seed,
        "data_hash": checkpoints.state_hash(
            {count: _guides(count, seed).keypoints for count in {v.shots for v in learned}}
        ),
        "losses": {v.key: adapted.history.rows[-1] for v, adapted in learned.items()},
        "device": runtime.device_name(device),
        "wall_seconds": round(sum(a.history.seconds for a in learned.values()), 1),
    }
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
