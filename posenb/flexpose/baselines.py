"""What FlexPose is compared with, each after its own paper, and three that a sceptic asks for.

All give something that `sample` draws poses from. Pose-mixup is FlexPose's own regularisation, so
AdaGAN and methods that play on see the bare shots unless `shots_mixed` says otherwise. Steps and
learning rates are those with the lowest FD in table `tuning`; published runs are far longer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from posenb.flexpose.adapt import (
    Adapted,
    Guidance,
    Objective,
    Options,
    Readers,
    Recipe,
    adapt_weights,
    mixed,
)
from posenb.measure.distributions import gaussian_like
from posenb.measure.keypoints import procrustes
from posenb.prior.losses import feature_distance
from posenb.prior.networks import Generator
from posenb.prior.weights import sample as sample_poses
from posenb.train import loop, runtime
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet
from posenb.world.skeletons import Skeleton

GAME = Recipe(steps=200, batch=32, learning_rate=2e-3)  # of `finetune_all` and `freeze_d`
STATISTICS = Recipe(steps=800, batch=64, learning_rate=1.5e-3)  # of `adagan`
LOW_RANK = Recipe(learning_rate=1e-3)  # of `lora`
FROZEN_ABOVE = 16  # pixels: FreezeD freezes the discriminator's blocks that see finer detail


def source_only(
    generator: Generator,
    few_shot: PoseSet,
    *,
    seed: int = 0,
    readers: Readers | None = None,
) -> Adapted:
    """The source's generator as it is: what every adaptation has to beat. Learns nothing."""
    readers = Readers.of(generator, readers, few_shot)
    return Adapted(generator, readers.regressor, few_shot.skeleton, loop.History())


def finetune_all(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    **options: Unpack[Options],
) -> Adapted:
    """The game goes on with the shots as real images, all weights learning (Wang et al., 2018).

    "Transferring GANs": generator and discriminator start from the source's. Of the recipe it takes
    steps, batch and learning rate.
    """
    return _play_on(generator, few_shot, shots_mixed, seed, False, **options)


def freeze_d(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    **options: Unpack[Options],
) -> Adapted:
    """Fine-tuning with the discriminator's lower layers frozen (Mo, Cho and Shin, 2020).

    The whole generator learns, and of the discriminator what works at 16 pixels and below, as in
    the published code.
    Of the recipe it takes steps, batch and learning rate.
    """
    return _play_on(generator, few_shot, shots_mixed, seed, True, **options)


def _play_on(
    generator: Generator,
    few_shot: PoseSet,
    shots_mixed: int,
    seed: int,
    freeze: bool,
    **options: Unpack[Options],
) -> Adapted:
    """The StyleGAN game of notebook 01, with the shots in the place of the training poses."""
    guided = Guidance.of(generator, few_shot, shots_mixed, seed, GAME, **options)
    player = copy.deepcopy(generator).requires_grad_(True)
    critic = copy.deepcopy(guided.readers.critic)
    critic.requires_grad_(True)
    if freeze:
        critic.read.requires_grad_(False)
        for size, block in critic.blocks.items():
            block.requires_grad_(int(size) <= FROZEN_ABOVE)
    from posenb.prior.training import PriorRecipe, PriorTask  # and so all that a prior learns from

    task = PriorTask(
        PriorRecipe(
            batch=guided.recipe.batch, learning_rate=guided.recipe.learning_rate, seed=seed
        ),
        guided.target,
        player,
        critic,
        guided.target.device,
        steps=guided.recipe.steps,
        skeleton=few_shot.skeleton,
    )
    name = "FreezeD" if freeze else "fine-tuning"
    history = guided.fit(task, name, generator, {"method": name})
    return Adapted(task.ema.module, guided.readers.regressor, few_shot.skeleton, history)


def adagan(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    **options: Unpack[Options],
) -> Adapted:
    """Only a scale and a shift a channel learn, and one latent a shot (Noguchi and Harada, 2019).

    "Image generation from small datasets via batch statistics adaptation": each shot gets a
    latent code, and the generator with its new statistics has to paint the shot from it: L1,
    a perceptual term (Gamma), a term that keeps the latents normally distributed, and one that
    keeps the statistics near the source's. The latents' term and jitter are as in the published
    code, and so is `keep`; the perceptual weight suits our Gamma. There, latents start at zero, the
    pictures shown are from truncated latents, and runs take 10,000 steps. The recipe's learning
    rate is that of the statistics; latents learn ten times faster; both rates fall to 0.
    """
    guided = Guidance.of(generator, few_shot, shots_mixed, seed, STATISTICS, **options)
    network = rescaled(generator)
    task = AdaGanTask(
        network, guided.target, few_shot.skeleton, guided.recipe, seed, guided.readers
    )
    history = guided.fit(task, "AdaGAN", generator, {"method": "AdaGAN"})
    return Adapted(network, guided.readers.regressor, few_shot.skeleton, history)


def lora(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 1000,
    objective: Objective = "distribution",
    seed: int = 0,
    rank: int = 8,
    **options: Unpack[Options],
) -> Adapted:
    """Low-rank changes of every weight of the generator (Hu et al., 2021; r = 8 in FlexPose).

    W0 + B A for all linear layers and convolutions, f and A included, with FlexPose's own
    objective and mixtures, so that what differs is what learns.
    """
    options["recipe"] = options.get("recipe") or LOW_RANK
    network = low_rank(generator, rank, seed)
    return adapt_weights(generator, network, few_shot, shots_mixed, objective, seed, **options)


@dataclass(frozen=True)
class Sampler:
    """Poses drawn in keypoint space, without a generator.

    Attributes:
        draw: (count, seed) -> keypoints (count, J, 2).
        skeleton: of the poses.
    """

    draw: Callable[[int, int], Tensor]
    skeleton: Skeleton

    def sample(self, count: int, seed: int, progress: bool = False) -> Tensor:
        """Keypoints (count, J, 2)."""
        return self.draw(count, seed)


def bootstrap(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    readers: Readers | None = None,
) -> Sampler:
    """The shots themselves, or their mixtures, again and again. Learns nothing."""
    found = Readers.of(generator, readers, few_shot)  # the same poses are refused as by all others
    poses = mixed(few_shot, shots_mixed, seed, source=generator, readers=found)

    def draw(count: int, sample_seed: int) -> Tensor:
        random = runtime.generator((seed, 3, sample_seed))
        return poses[torch.randint(len(poses), (count,), generator=random)]

    return Sampler(draw, few_shot.skeleton)


def gaussian(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    readers: Readers | None = None,
) -> Sampler:
    """A Gaussian with the mean and covariance of the shots, or of their mixtures.

    It needs no generator and knows no bodies: a sceptic's first question to any prior.
    """
    found = Readers.of(generator, readers, few_shot)
    poses = mixed(few_shot, shots_mixed, seed, source=generator, readers=found)

    def draw(count: int, sample_seed: int) -> Tensor:
        return gaussian_like(poses, count, runtime.generator((seed, 3, sample_seed)))

    return Sampler(draw, few_shot.skeleton)


def moments(
    generator: Generator,
    few_shot: PoseSet,
    *,
    shots_mixed: int = 0,
    seed: int = 0,
    readers: Readers | None = None,
) -> Sampler:
    """Source poses moved joint by joint: one affine map a joint, no network.

    First one similarity for all poses takes the source's mean pose to the shots' (Procrustes),
    then each joint's cloud is given the shots' mean and 2 x 2 covariance by the optimal map
    between Gaussians. The sceptic's second question.
    """
    found = Readers.of(generator, readers, few_shot)
    reference = sample_poses(generator, found.regressor, 2000, seed=2**30 + seed)
    target = mixed(few_shot, shots_mixed, seed, source=generator, readers=found)
    move = joint_transport(reference, target.to(reference))

    def draw(count: int, sample_seed: int) -> Tensor:
        return move(sample_poses(generator, found.regressor, count, sample_seed))

    return Sampler(draw, few_shot.skeleton)


def joint_transport(source: Tensor, target: Tensor) -> Callable[[Tensor], Tensor]:
    """The map of `moments` from poses (N, J, 2) to poses (M, J, 2), as a function of poses."""
    mean = source.mean(0)  # (J, 2)
    turned, goal = _similarity(mean, target.mean(0))
    moved = source @ turned + goal
    centre, wanted = moved.mean(0), target.mean(0)  # (J, 2)
    have, want = _covariances(moved), _covariances(target)  # (J, 2, 2)
    root = _root(have)
    inverse = torch.linalg.inv(root)
    maps = inverse @ _root(root @ want @ root) @ inverse  # (J, 2, 2), symmetric

    def move(poses: Tensor) -> Tensor:
        with torch.autocast(poses.device.type, enabled=False):
            offset = poses @ turned + goal - centre
            return wanted + torch.einsum("jab,njb->nja", maps, offset)

    return move


def rescaled(generator: Generator) -> Generator:
    """A copy in which each convolution's output has a scale and a shift a channel that learn."""
    network = copy.deepcopy(generator).requires_grad_(False)
    for place, convolution in enumerate(network.convolutions):
        network.convolutions[place] = Rescaled(convolution)
    return network


class Rescaled(nn.Module):
    """A styled convolution whose output is scaled and shifted channel by channel (AdaGAN)."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        width = len(convolution.get_parameter("bias"))
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.shift = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: torch.Generator | None) -> Tensor:
        """Features as of the convolution."""
        return self.convolution(x, style, noise) * self.scale + self.shift


class AdaGanTask(loop.Saved):
    """AdaGAN's training, for `train.loop.fit`.

    Args:
        network: from `rescaled`.
        target: the shots, (M, J, 2).
        skeleton: of the shots.
        recipe: steps, batch, and the statistics' learning rate; the latents' is ten times that.
        seed: of latents and batches.
        readers: Gamma.
        perceptual: weight of Gamma's term beside L1.
        latent: weight of the latents' term.
        keep: weight of the statistics' distance from the source's.
    """

    parts = ("learned", "z", "optimizer", "schedule")

    def __init__(
        self,
        network: Generator,
        target: Tensor,
        skeleton: Skeleton,
        recipe: Recipe,
        seed: int,
        readers: Readers,
        perceptual: float = 0.1,
        latent: float = 0.1,
        keep: float = 0.02,
    ) -> None:
        self.network, self.readers, self.seed, self.recipe = network, readers, seed, recipe
        self.weights = perceptual, latent, keep
        random = runtime.generator((seed, 1), target.device)
        self.z = nn.Parameter(network.sample_z(len(target), random))
        self.images = draw_skeletons(target, skeleton, network.resolution)
        with torch.no_grad():
            self.wanted = readers.features.features(self.images)
        self.learned = loop.Learned(network)
        self.optimizer = torch.optim.Adam(
            [
                {"params": list(self.learned.weights.values()), "lr": recipe.learning_rate},
                {"params": [self.z], "lr": 10 * recipe.learning_rate},
            ],
            betas=(0.9, 0.99),
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, recipe.steps)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of Adam on some of the shots."""
        random = runtime.generator((self.seed, 2, step), self.z.device)
        chosen = torch.randperm(len(self.z), generator=random, device=self.z.device)
        chosen = chosen[: self.recipe.batch]
        z = self.z[chosen]
        jitter = 0.01 * torch.randn(z.shape, generator=random, device=z.device)
        perceptual, latent, keep = self.weights
        with runtime.autocast(z.device, True):
            images = self.network(z + jitter)
            found = self.readers.features.features(images)
        paint = (images.float() - self.images[chosen]).abs().mean()
        paint = (
            paint
            + perceptual * feature_distance(found, [stage[chosen] for stage in self.wanted]).mean()
        )
        normal = self.network.sample_z(10 * len(z), random)
        # Both ways round: no latent far from the normal draws, no draw far from a latent.
        gaps = torch.cdist(z, normal).square()
        spread = gaps.amin(0).mean() + gaps.amin(1).mean()
        scales = [p - 1 if n.endswith("scale") else p for n, p in self.learned.weights.items()]
        moved = torch.stack([p.square().mean() for p in scales]).sum()
        loss = paint + latent * spread + keep * moved
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss, "paint": paint, "latents": spread, "moved": moved}


def low_rank(generator: Generator, rank: int, seed: int) -> Generator:
    """A copy whose weights are W0 + B A, of which only B and A learn; B = 0 at first.

    Raises:
        ValueError: if the rank is below 1.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, found {rank}")
    network = copy.deepcopy(generator).requires_grad_(False)
    random = runtime.generator((seed, 5))  # on the CPU: equal on every device
    for module in list(network.modules()):
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            parametrize.register_parametrization(module, "weight", LowRank(weight, rank, random))
    return network


class LowRank(nn.Module):
    """W0 -> W0 + s B A, W0 seen as a matrix of outputs by everything else.

    s is the weights' own deviation: StyleGAN keeps its weights at scales that differ by a hundred
    (equalised learning rate), and one learning rate has to suit all of them.
    """

    def __init__(self, weight: Tensor, rank: int, random: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = len(weight), weight[0].numel()
        rank = min(rank, outputs, inputs)
        self.scale = float(weight.detach().std())
        down = torch.randn(rank, inputs, generator=random) / rank**0.5
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, of the same shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def _similarity(mean: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (2, 2) and shift (2,) of the similarity that takes mean pose (J, 2) to another."""
    moved = procrustes(mean, goal)
    centred = mean - mean.mean(0)
    matrix = torch.linalg.lstsq(centred, moved - moved.mean(0)).solution
    return matrix, moved.mean(0) - mean.mean(0) @ matrix


def _covariances(poses: Tensor) -> Tensor:
    """Each joint's covariance, (J, 2, 2), with a little added so that none is singular."""
    centred = poses - poses.mean(0)
    found = torch.einsum("nja,njb->jab", centred, centred) / (len(poses) - 1)
    return found + 1e-8 * torch.eye(2).to(found)


def _root(matrices: Tensor) -> Tensor:
    """Square roots of symmetric positive matrices (J, 2, 2)."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.clamp(min=0).sqrt()[:, None]) @ vectors.mT
