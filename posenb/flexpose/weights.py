"""The learned matrices that come with the package, from `wild` to `lab`, for the explorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from posenb.flexpose.adapt import OBJECTIVES, Objective
from posenb.flexpose.networks import AdaptedGenerator
from posenb.prior.networks import Generator
from posenb.train import checkpoints

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
