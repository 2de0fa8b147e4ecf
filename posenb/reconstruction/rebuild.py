"""How W and G are trained on labelled videos (`python -m posenb train reconstructor ...`).

Pairs are rendered as they are needed, cut close around both poses, and serve for several steps:
swapped in time, mirrored and in other colours anew in each. Which ones a step sees follows from the
seed and the step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from posenb.reconstruction.bones import missing
from posenb.reconstruction.features import PerceptualFeatures
from posenb.reconstruction.generation import TEACHING, Reconstructor, Widths
from posenb.reconstruction.losses import reconstruction_loss
from posenb.reconstruction.training import POOL, Labelled, recolor
from posenb.reconstruction.weights import found_in, load_detector
from posenb.train import loop, runtime
from posenb.world.clips import VideoPairs, video_pairs
from posenb.world.looks import LOOKS
from posenb.world.skeletons import Skeleton, flip


@dataclass(frozen=True)
class ReconstructorRecipe:
    """How W and G are trained.

    Attributes:
        domain: whose rendered videos they learn from, with labels.
        pairs: base and driving pictures in all, each counted `views` times.
        views: how often a pair is seen on average.
        strides: fewest and most frames from base to driving picture (the paper's best, Table 4).
        margin: how many times as wide as the person a crop is.
        size: S, pixels.
        widths: of the networks.
        batch: pairs a step, over all processes.
        learning_rate: the highest of Adam (one cycle: up in the first tenth, then down to 0).
        feature_weight: of Eq. 9 beside the pictures themselves.
        detector: whose encoder gives the features.
        seed: of everything.
    """

    domain: str = "synthetic"
    pairs: int = 48_000
    views: int = 6
    strides: tuple[int, int] = (5, 15)
    margin: float = 1.3
    size: int = 64
    widths: Widths = field(default=TEACHING)
    batch: int = 16
    learning_rate: float = 2e-3
    feature_weight: float = 0.1
    detector: str = "synthetic"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what would otherwise fail late.

        Raises:
            ValueError: for a domain that cannot be rendered, fewer pairs than a batch, or strides
                that are none.
        """
        if self.domain not in LOOKS:
            raise ValueError(f"domain must be one of {', '.join(LOOKS)}, found {self.domain!r}")
        if not 1 <= self.batch <= self.pairs or self.views < 1:
            raise ValueError(
                f"pairs must be at least one batch ({self.batch}) and views at least 1, found "
                f"{self.pairs} and {self.views}"
            )
        if not 1 <= self.strides[0] <= self.strides[1]:
            raise ValueError(f"strides are two numbers from 1, ascending, found {self.strides}")

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.pairs // self.batch

    @property
    def skeleton(self) -> Skeleton:
        """Whose bones carry the pictures."""
        return found_in(self.domain)

    def network(self) -> Reconstructor:
        """W and G before training."""
        return Reconstructor(self.skeleton, self.size, self.widths, seed=self.seed)


class Pairs(NamedTuple):
    """N pairs: pictures (N, 3, S, S), and keypoints (N, K, 2) in [0, 1] of them."""

    base: Tensor
    driving: Tensor
    base_keypoints: Tensor
    driving_keypoints: Tensor


def labelled_pairs(filmed: VideoPairs, skeleton: Skeleton) -> tuple[Pairs, int]:
    """Pictures and poses of those pairs in which the person is in both pictures.

    Returns:
        The pairs, and how many were left out.
    """
    poses = filmed.base.keypoints, filmed.driving.keypoints
    there = ~(missing(poses[0], skeleton) | missing(poses[1], skeleton))  # (N,)
    parts = (filmed.base.images, filmed.driving.images, *poses)
    return Pairs(*(part[there] for part in parts)), int((~there).sum())


def varied(pairs: Pairs, skeleton: Skeleton, random: torch.Generator) -> Pairs:
    """Half of the pairs swapped in time, half of them mirrored, all of them in other colours.

    Both pictures of a pair change alike: they stay frames of one video.

    Args:
        pairs: what to change.
        skeleton: of the keypoints; says what left and right are.
        random: draws the changes, on the CPU.
    """
    count, device = len(pairs.base), pairs.base.device
    swapped, mirrored = (torch.rand(2, count, generator=random) < 0.5).to(device)
    other = Pairs(pairs.driving, pairs.base, pairs.driving_keypoints, pairs.base_keypoints)
    pairs = _chosen(swapped, other, pairs)
    mirror = Pairs(
        pairs.base.flip(-1),
        pairs.driving.flip(-1),
        flip(pairs.base_keypoints, skeleton),
        flip(pairs.driving_keypoints, skeleton),
    )
    pairs = _chosen(mirrored, mirror, pairs)
    side_by_side = torch.cat(pairs[:2], -1)  # (N, 3, S, 2 S)
    labels = pairs.base_keypoints, pairs.base_keypoints[..., 0]
    base, driving = recolor(Labelled(side_by_side, *labels), random).images.chunk(2, -1)
    return Pairs(base, driving, pairs.base_keypoints, pairs.driving_keypoints)


def _chosen(which: Tensor, one: Pairs, other: Pairs) -> Pairs:
    """Of each pair, that of `one` where `which` (N,) says so."""
    return Pairs(
        *(
            torch.where(which.view(-1, *(1,) * (a.ndim - 1)), a, b)
            for a, b in zip(one, other, strict=True)
        )
    )


class ReconstructorTask(loop.Saved):
    """Trains W and G by Eq. 9 on labelled videos, for `train.loop.fit`.

    Every random draw of step k comes from a generator seeded with (seed, rank, k), so a resumed
    training goes on exactly as the uninterrupted one would have.

    Args:
        recipe: what to train.
        device: where.
        autocast: bfloat16 for the networks, where the device has it.
        features: phi; default the encoder of the recipe's detector.
    """

    def __init__(
        self,
        recipe: ReconstructorRecipe,
        device: torch.device,
        autocast: bool = True,
        features: PerceptualFeatures | None = None,
    ) -> None:
        self.recipe, self.device, self.autocast = recipe, device, autocast
        self.network = recipe.network().to(device)
        features = features or PerceptualFeatures.of_detector(load_detector(recipe.detector))
        self.features = features.to(device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), recipe.learning_rate, betas=(0.9, 0.99)
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
        )
        self.batch = recipe.batch // runtime.process().world_size
        self._pool: tuple[int, Pairs, int] | None = None

    def step(self, step: int) -> dict[str, float | Tensor]:
        """Draw pairs, rebuild the driving pictures, and do one step."""
        recipe = self.recipe
        # On the CPU, so that every device sees the same pairs.
        random = runtime.generator((recipe.seed, runtime.process().rank, step))
        pool, left_out = self.pool(step // (POOL * recipe.views))
        chosen = torch.randperm(len(pool.base), generator=random)[: self.batch].to(self.device)
        pairs = varied(Pairs(*(part[chosen] for part in pool)), recipe.skeleton, random)
        self.network.train()
        with runtime.autocast(self.device, self.autocast):
            rebuilt = self.network(pairs.base, pairs.base_keypoints, pairs.driving_keypoints)
            loss = reconstruction_loss(
                rebuilt.images, pairs.driving, self.features, recipe.feature_weight
            )
        self.optimizer.zero_grad()
        loss.total.mean().backward()
        loop.average_gradients(self.network)
        self.optimizer.step()
        self.schedule.step()
        return {
            "features": loss.features.mean(),
            "pixels": loss.pixels.mean(),
            "left out": float(left_out),
        }

    def pool(self, number: int) -> tuple[Pairs, int]:
        """Pairs of the steps of one pool, and how many were left out; the latest are kept."""
        if self._pool is None or self._pool[0] != number:
            recipe = self.recipe
            random = runtime.generator((recipe.seed, runtime.process().rank, number, POOL))
            seed = int(torch.randint(2**62, (), generator=random))
            stride = int(
                torch.randint(recipe.strides[0], recipe.strides[1] + 1, (), generator=random)
            )
            filmed = video_pairs(
                recipe.domain,
                POOL * self.batch,
                stride,
                seed,
                recipe.size,
                device=self.device,
                margin=recipe.margin,
            )
            self._pool = number, *labelled_pairs(filmed, recipe.skeleton)
        return self._pool[1:]


def train_reconstructor(
    recipe: ReconstructorRecipe,
    folder: Path,
    *,
    device: torch.device | None = None,
    autocast: bool = True,
    progress: bool = True,
) -> tuple[ReconstructorTask, loop.History]:
    """Train W and G; resumes from its checkpoint, and does nothing if that is finished.

    Args:
        recipe: what to train.
        folder: where the checkpoint is.
        device: default as in `runtime.device`.
        autocast: bfloat16 for the networks, where the device has it.
        progress: show a bar.

    Returns:
        The task (its `network` is W and G) and the history.
    """
    task = ReconstructorTask(recipe, device or runtime.device(), autocast)
    history = loop.fit(
        task,
        recipe.steps,
        checkpoint=folder / f"reconstructor-{recipe.domain}-{recipe.seed}.pt",
        label=f"reconstructor {recipe.domain} {recipe.seed}",
        progress=progress,
        identity=asdict(recipe),
    )
    task.network.eval()
    return task, history
