"""Pre-training with restyled source pictures and aligned features (Eq. 10).

Each picture is seen twice: as it is, and in the style of an unlabelled picture of the target.
Labels hold for both, because style moves nobody; so both are supervised, as in UniFrame (the
paper's [15]), and their features are to agree (Eq. 2).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from posenb.reconstruction.losses import alignment_loss, supervised_loss
from posenb.reconstruction.style import StyleNetwork
from posenb.reconstruction.training import (
    POOL,
    DetectorRecipe,
    DetectorTask,
    Labelled,
    fitted,
)
from posenb.reconstruction.weights import found_in
from posenb.train import checkpoints, loop, runtime
from posenb.world.looks import LOOKS
from posenb.world.rendering import render


@dataclass(frozen=True)
class AlignedRecipe(DetectorRecipe):
    """How a detector is trained on a source in the style of a target.

    Attributes:
        target: domain whose pictures, without labels, give the styles.
        align_weight: lambda_a of Eq. 10 (0.1 in Sec. 4.2); L_align is a sum over the batch.
        temperature: tau of Eq. 2.
    """

    target: str = "lab"
    align_weight: float = 0.1
    temperature: float = 0.5

    def __post_init__(self) -> None:
        """Check what would otherwise fail late.

        Raises:
            ValueError: for a target that cannot be rendered or shows other things than the source,
                a batch of one, or a negative weight.
        """
        super().__post_init__()
        if self.target not in LOOKS or found_in(self.target) is not self.skeleton:
            raise ValueError(f"target must show what {self.domain} does, found {self.target!r}")
        if self.batch < 2 or self.align_weight < 0:
            raise ValueError(
                "Eq. 2 needs a batch from 2 and a weight from 0, found "
                f"{self.batch} and {self.align_weight}"
            )


class AlignedTask(DetectorTask):
    """Trains a detector by Eq. 10, for `train.loop.fit`.

    What Eq. 2 compares is not stated in the paper. Here z is f_enc's coarsest feature map, averaged
    over the picture, without a projection head: what is left out of z by a head would not be
    invariant in what f_dec reads.

    Args:
        recipe: what to train.
        style: gives source pictures the target's style, and does not learn.
        device: where.
        autocast: as in `DetectorTask`.
    """

    recipe: AlignedRecipe

    def __init__(
        self,
        recipe: AlignedRecipe,
        style: StyleNetwork,
        device: torch.device,
        autocast: bool = True,
    ) -> None:
        super().__init__(recipe, device, autocast)
        self.style = style.to(device).eval()
        self._looks: tuple[int, Tensor] | None = None

    def loss(
        self, batch: Labelled, step: int, random: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_sup of pictures and restyled pictures, and lambda_a L_align (Eq. 10)."""
        recipe, count = self.recipe, len(batch.images)
        looks = self.looks(step // (POOL * recipe.views))
        chosen = torch.randperm(len(looks), generator=random)[:count].to(self.device)
        strength = torch.rand(count, generator=random).to(self.device)
        restyled = self.style.stylise(batch.images, looks[chosen], strength)
        images = torch.cat([batch.images, restyled])  # (2 N, 3, S, S)
        with runtime.autocast(self.device, self.autocast):
            features = self.network.encode(images.contiguous(memory_format=torch.channels_last))
            maps = self.network.decode(features)
        keypoints, depth = batch.keypoints.repeat(2, 1, 1), batch.depth.repeat(2, 1)
        loss = supervised_loss(maps, keypoints, depth, recipe.skeleton, recipe.depth_weight)
        z, z_plus = features[-1].float().mean((-2, -1)).tensor_split(2)  # (N, C) each
        align = alignment_loss(z, z_plus, recipe.temperature)
        total = loss.total + recipe.align_weight * align
        return total, {"heat": loss.heat, "depth": loss.depth, "align": align}

    def looks(self, number: int) -> Tensor:
        """Pictures of the target for the steps of one pool: the latest are kept."""
        if self._looks is None or self._looks[0] != number:
            recipe = self.recipe
            rank = runtime.process().rank
            random = runtime.generator((recipe.seed, rank, number, POOL, 1))
            seed = int(torch.randint(2**62, (), generator=random))
            people = render(recipe.target, POOL * self.batch, seed, recipe.size, device=self.device)
            self._looks = number, people.images
        return self._looks[1]


def train_aligned(
    recipe: AlignedRecipe,
    style: StyleNetwork,
    folder: Path,
    *,
    device: torch.device | None = None,
    autocast: bool = True,
    progress: bool = True,
) -> tuple[AlignedTask, loop.History]:
    """Train a detector by Eq. 10; resumes from its checkpoint like `training.train_detector`.

    Args:
        recipe: what to train.
        style: of the recipe's two domains, from `weights.load_style`.
        folder: where the checkpoint is.
        device: default as in `runtime.device`.
        autocast: bfloat16 for the network, where the device has it.
        progress: show a bar.

    Returns:
        The task (its `network` is the detector) and the history.
    """
    task = AlignedTask(recipe, style, device or runtime.device(), autocast)
    identity = asdict(recipe) | {"style": checkpoints.state_hash(style.state_dict())}
    name = f"aligned-{recipe.domain}-{recipe.target}-{recipe.seed}"
    return task, fitted(task, folder / f"{name}.pt", identity, progress)
