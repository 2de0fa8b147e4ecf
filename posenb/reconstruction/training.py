"""How the detector is trained (`python -m posenb train detector ...`).

Pictures are rendered as they are needed, and nothing is kept on disk. As rendering takes as long as
learning, a few pictures at a time serve for several steps, augmented anew in each. Which ones a
step sees follows from the seed and the step.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from posenb.reconstruction.lifting import bone_scale
from posenb.reconstruction.losses import supervised_loss
from posenb.reconstruction.networks import KeypointDetector
from posenb.reconstruction.weights import found_in
from posenb.train import loop, runtime
from posenb.world.looks import LOOKS
from posenb.world.rendering import Rendered, render
from posenb.world.skeletons import Skeleton, flip

POOL = 4  # batches that are rendered at once


@dataclass(frozen=True)
class DetectorRecipe:
    """How a detector is trained.

    Attributes:
        domain: whose rendered people it learns from.
        images: pictures in all, each of them counted `views` times.
        views: how often a picture is seen on average, augmented differently each time.
        size: S, pixels.
        batch: pictures a step, over all processes.
        learning_rate: the highest of AdamW (one cycle: up in the first tenth, then down to 0).
        weight_decay: of AdamW.
        depth_weight: lambda_d of Eq. 1.
        seed: of everything.
    """

    domain: str = "synthetic"
    images: int = 144_000
    views: int = 4
    size: int = 96
    batch: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    depth_weight: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what would otherwise fail late.

        Raises:
            ValueError: for a domain that cannot be rendered, or fewer pictures than a batch.
        """
        if self.domain not in LOOKS:
            raise ValueError(f"domain must be one of {', '.join(LOOKS)}, found {self.domain!r}")
        if not 1 <= self.batch <= self.images or self.views < 1:
            raise ValueError(
                f"images must be at least one batch ({self.batch}) and views at least 1, found "
                f"{self.images} and {self.views}"
            )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.images // self.batch

    @property
    def skeleton(self) -> Skeleton:
        """What is found in the pictures."""
        return found_in(self.domain)

    def network(self) -> KeypointDetector:
        """The network before training."""
        return KeypointDetector(self.skeleton, self.size, seed=self.seed)


class Labelled(NamedTuple):
    """Pictures (N, 3, S, S), keypoints (N, K, 2) in [0, 1], and depth (N, K) in units of s."""

    images: Tensor
    keypoints: Tensor
    depth: Tensor


def labelled(rendered: Rendered, skeleton: Skeleton) -> Labelled:
    """What Eq. 1 needs of rendered people."""
    scale = bone_scale(rendered.joints3d, skeleton)
    return Labelled(rendered.images, rendered.keypoints, rendered.depth / scale[:, None])


class DetectorTask(loop.Saved):
    """Trains a detector by Eq. 1 on augmented pictures, for `train.loop.fit`.

    Every random draw of step k comes from a generator seeded with (seed, rank, k), so a resumed
    training goes on exactly as the uninterrupted one would have.
    """

    def __init__(self, recipe: DetectorRecipe, device: torch.device, autocast: bool = True) -> None:
        self.recipe, self.device, self.autocast = recipe, device, autocast
        layout = torch.channels_last
        self.network = recipe.network().to(device, memory_format=layout)  # type: ignore[call-overload]
        rate = recipe.learning_rate
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, total_steps=recipe.steps, pct_start=0.1
        )
        self.batch = recipe.batch // runtime.process().world_size
        self._pool: tuple[int, Labelled] | None = None

    def step(self, step: int) -> dict[str, Tensor]:
        """Draw and augment a batch, and do one step."""
        recipe = self.recipe
        # On the CPU, so that every device sees the same people.
        random = runtime.generator((recipe.seed, runtime.process().rank, step))
        pool = self.pool(step // (POOL * recipe.views))
        chosen = torch.randperm(len(pool.images), generator=random)[: self.batch].to(self.device)
        batch = Labelled(*(part[chosen] for part in pool))
        batch = augment(batch, recipe.skeleton, random)
        self.network.train()
        total, scalars = self.loss(batch, step, random)
        self.optimizer.zero_grad()
        total.backward()
        loop.average_gradients(self.network)
        self.optimizer.step()
        self.schedule.step()
        return scalars

    def loss(
        self, batch: Labelled, step: int, random: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What to minimise on a batch (Eq. 1), and what to log; `alignment` has Eq. 10 here."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        with runtime.autocast(self.device, self.autocast):
            maps = self.network.maps(images)
        loss = supervised_loss(
            maps, batch.keypoints, batch.depth, self.recipe.skeleton, self.recipe.depth_weight
        )
        return loss.total, {"heat": loss.heat, "depth": loss.depth}

    def pool(self, number: int) -> Labelled:
        """Pictures of the steps of one pool: the latest are kept, others rendered."""
        if self._pool is None or self._pool[0] != number:
            recipe = self.recipe
            random = runtime.generator((recipe.seed, runtime.process().rank, number, POOL))
            seed = int(torch.randint(2**62, (), generator=random))
            people = render(recipe.domain, POOL * self.batch, seed, recipe.size, device=self.device)
            self._pool = number, labelled(people, recipe.skeleton)
        return self._pool[1]


def augment(batch: Labelled, skeleton: Skeleton, random: torch.Generator) -> Labelled:
    """Pictures turned, scaled, shifted, half mirrored, in other colours and degraded; and labels.

    Args:
        batch: what to change.
        skeleton: of the keypoints; says what left and right are.
        random: draws the changes, on the CPU.
    """
    count, device = len(batch.images), batch.images.device
    draw = torch.rand(5, count, generator=random).to(device)
    angle, zoom = math.radians(30) * (2 * draw[0] - 1), 0.75 * (1.25 / 0.75) ** draw[1]
    matrix = similarity(angle, zoom, 0.12 * (draw[2:4].T - 0.5))
    mirrored = mirror(batch, skeleton)
    chosen = draw[4] < 0.5
    batch = Labelled(
        torch.where(chosen[:, None, None, None], mirrored.images, batch.images),
        torch.where(chosen[:, None, None], mirrored.keypoints, batch.keypoints),
        torch.where(chosen[:, None], mirrored.depth, batch.depth),
    )
    return degrade(recolor(warp(batch, matrix), random), random)


def mirror(batch: Labelled, skeleton: Skeleton) -> Labelled:
    """Mirrored pictures: what was a left joint is a right one."""
    order = list(skeleton.flip_order)
    return Labelled(batch.images.flip(-1), flip(batch.keypoints, skeleton), batch.depth[:, order])


def similarity(angle: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Maps of the picture onto itself, about its middle, (N, 2, 3).

    Args:
        angle: radians, clockwise, (N,).
        zoom: 2 makes things twice as large, (N,).
        shift: in [0, 1] of the picture, (N, 2).

    Returns:
        Matrices that take a place (x, y, 1) in [0, 1] of the picture to its new one.
    """
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))  # (N, 2, 2)
    middle = 0.5 + shift - turn.sum(-1) / 2
    return torch.cat([turn, middle[..., None]], -1)


def warp(batch: Labelled, matrix: Tensor) -> Labelled:
    """Move pictures and keypoints by matrices (N, 2, 3) of `similarity`.

    The border goes on outside of the picture. Depths stay: a turn about the optical axis and a
    zoom leave them.
    """
    turn, move = matrix[..., :2], matrix[..., 2]
    keypoints = batch.keypoints @ turn.mT + move[:, None]
    # grid_sample asks where each pixel comes from, in [-1, 1]: x = 2 place - 1.
    back = torch.linalg.inv(turn)
    offset = 2 * (back @ (0.5 - move)[..., None]) - 1  # (N, 2, 1)
    grid = F.affine_grid(
        torch.cat([back, offset], -1), list(batch.images.shape), align_corners=False
    )
    images = F.grid_sample(batch.images, grid, padding_mode="border", align_corners=False)
    return Labelled(images, keypoints, batch.depth)


def recolor(batch: Labelled, random: torch.Generator) -> Labelled:
    """Other exposure, contrast, gamma and white balance; what a cheap camera may change."""
    draw = 2 * torch.rand(6, len(batch.images), 1, 1, 1, generator=random).to(batch.images) - 1
    images = batch.images.clamp(1e-4, 1) ** (0.3 * draw[0]).exp()
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (0.3 * draw[1]).exp() * (images - middle)
    balance = 1 + 0.15 * draw[3:].squeeze(-1).permute(1, 0, 2, 3)  # (N, 3, 1, 1)
    images = images * balance * (0.25 * draw[2]).exp()
    return Labelled(images.clamp(0, 1), batch.keypoints, batch.depth)


def degrade(batch: Labelled, random: torch.Generator) -> Labelled:
    """Blur, noise, and in half of the pictures a box with a piece of another picture.

    The box is random erasing (Zhong et al., AAAI 2020), but filled with what pictures hold. All
    labels stay: what it hides must be guessed.
    """
    images = batch.images
    count, _, size, _ = images.shape
    draw = torch.rand(7, count, 1, 1, 1, generator=random).to(images)
    soft = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    noise = torch.randn(images.shape, generator=random).to(images)
    images = images.lerp(soft, draw[0].square()) + 0.06 * draw[1].square() * noise
    axis = (torch.arange(size, device=images.device) + 0.5) / size
    wide, tall = 0.1 + 0.3 * draw[2], 0.1 + 0.3 * draw[3]  # (N, 1, 1, 1), of the side
    across, along = (axis - draw[4]).abs() < wide / 2, (axis[:, None] - draw[5]).abs() < tall / 2
    hidden = across & along & (draw[6] < 0.5)  # (N, 1, S, S)
    images = torch.where(hidden, images.roll(1, 0).flip(-1), images)
    return Labelled(images.clamp(0, 1), batch.keypoints, batch.depth)


def train_detector(
    recipe: DetectorRecipe,
    folder: Path,
    *,
    device: torch.device | None = None,
    autocast: bool = True,
    progress: bool = True,
) -> tuple[DetectorTask, loop.History]:
    """Train a detector; resumes from its checkpoint, and does nothing if that is finished.

    Args:
        recipe: what to train.
        folder: where the checkpoint is.
        device: default as in `runtime.device`.
        autocast: bfloat16 for the network, where the device has it.
        progress: show a bar.

    Returns:
        The task (its `network` is the detector) and the history.
    """
    task = DetectorTask(recipe, device or runtime.device(), autocast)
    name = f"{recipe.domain}-{recipe.seed}"
    return task, fitted(task, folder / f"{name}.pt", asdict(recipe), progress)


def fitted(
    task: DetectorTask, checkpoint: Path, identity: dict[str, Any], progress: bool = True
) -> loop.History:
    """Train a detector to its end, and leave it for evaluation."""
    history = loop.fit(
        task,
        task.recipe.steps,
        checkpoint=checkpoint,
        label=f"detector {checkpoint.stem.replace('-', ' ')}",
        progress=progress,
        identity=identity,
    )
    task.network.eval()
    return history
