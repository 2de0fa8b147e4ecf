"""The rival of PoSynDA's Table 5 that is no diffusion model: a lifter that learned as a GAN does.

Of its row "Generative Method: GAN" the paper says that it is "the traditional GAN approach", and
cites Goodfellow et al. (2014); nothing else. What it is here is our reading:

- The generator has the network of the diffusion lifter. It is given pure noise, as that is at the
  last step T - 1, and answers in one pass: noise is the latent z, the 2D keypoints the condition.
- The critic sees windows of root-relative poses and no 2D.
- On the source, the generator learns from labels, as every lifter of the chapter, and from the
  critic, which tells its poses from the source's.
- On the target, both go on: source pairs keep their labels, and poses of the target's 2D have to
  convince the critic and to project to that 2D, from the place that explains it best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import estimate_root, intrinsics, reprojection_error
from posenb.posynda.lifting import LiftTask, Recipe, from_principal_point, hypothesise, peopled
from posenb.posynda.networks import Denoiser, adaptable, initialise
from posenb.posynda.windows import Windows, fill
from posenb.train import checkpoints, loop, runtime
from posenb.train.adversarial import discriminator_loss, generator_loss, r1_penalty
from posenb.world.cameras import Camera


@dataclass(frozen=True)
class Game(Recipe):
    """How generator and critic learn; a step is one of either.

    Attributes:
        adversarial: weight of the critic's word beside distances in metres.
        reprojection: weight of the distance of a target pose from its lines of sight, in metres.
        r1: weight gamma of the penalty R1 (Mescheder et al., 2018), for poses in metres.
    """

    adversarial: float = 0.01
    reprojection: float = 1.0
    r1: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        super().__post_init__()
        if min(self.adversarial, self.reprojection, self.r1) < 0:
            raise ValueError(
                "adversarial, reprojection and r1 must be at least 0, found "
                f"{self.adversarial:g}, {self.reprojection:g} and {self.r1:g}"
            )


class Critic(nn.Module):
    """Logits (N, 1) of windows of root-relative poses (N, T, J, 3): convolutions over time.

    Args:
        joints: J.
        width: channels.
        seed: of the initial weights.
    """

    def __init__(self, joints: int = 17, width: int = 128, seed: int = 0) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(3 * joints, width, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 3, padding=1), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.last = nn.Linear(width, 1)
        initialise(self, 2**32 + seed)  # other numbers than the generator's

    def forward(self, poses: Tensor) -> Tensor:
        """How real windows seem."""
        found: Tensor = self.last(self.frames(poses.flatten(2).mT).mean(-1))
        return found


@dataclass(frozen=True)
class Gan:
    """What has learned; `hypothesise` with one step draws poses from the generator.

    Attributes:
        generator: a denoiser that knows step T - 1 only.
        critic: its opponent.
        history: of the training.
    """

    generator: Denoiser
    critic: Critic
    history: loop.History


def train_gan(
    generator: Denoiser,
    source: Windows,
    recipe: Game,
    seed: int = 0,
    *,
    diffusion: GaussianDiffusion | None = None,
    **watch: Unpack[loop.Watch],
) -> Gan:
    """Train a generator, which itself learns, and a new critic on pairs of the source.

    Args:
        generator: to start from, such as a copy of a lifter.
        source: windows with 3D.
        recipe: numbers of the training.
        seed: of the critic, batches and noise.
        diffusion: whose last step the generator is told; default 1,000 steps.
        **watch: checkpoint, progress, callback; see `loop.Watch`.

    Raises:
        ValueError: for windows without 3D, or such as the generator cannot lift.
    """
    critic = Critic(generator.joints, seed=seed).to(next(generator.parameters()).device)
    task = GanTask(generator, critic, source, recipe, seed, diffusion or GaussianDiffusion())
    history = task.fit("training the GAN", **watch).history
    return Gan(generator, critic, history)


def adapt_gan(
    gan: Gan,
    source: Windows,
    keypoints2d: Tensor,
    camera: Camera,
    recipe: Game,
    seed: int = 0,
    *,
    diffusion: GaussianDiffusion | None = None,
    **watch: Unpack[loop.Watch],
) -> Gan:
    """Adapt a GAN to a target of which only 2D is known; no argument takes a label.

    Args:
        gan: trained on the source; it stays as it is.
        source: windows with 3D.
        keypoints2d: of the target, in the units of the source, (M, T, J, 2); NaN where missing.
        camera: the target's, in the same units, one or M.
        recipe: numbers of the adaptation; a step has as many windows of the target as of the
            source. All weights learn.
        seed: of batches and noise.
        diffusion: that the GAN was trained with.
        **watch: checkpoint, progress, callback; see `loop.Watch`.

    Raises:
        ValueError: for windows without 3D, or such as the generator cannot lift.
    """
    generator = adaptable(gan.generator, None, False)
    critic = Critic(generator.joints).to(next(generator.parameters()).device)
    critic.load_state_dict(gan.critic.state_dict())
    task = GanTask(
        generator, critic, source, recipe, seed, diffusion or GaussianDiffusion(),
        keypoints2d, camera,
    )  # fmt: skip
    history = task.fit("adapting the GAN", **watch).history
    return Gan(generator, critic, history)


class GanTask(LiftTask):
    """The game on the source and, where a target's 2D is given, on that too."""

    parts = (*LiftTask.parts, "critic", "opponent")
    recipe: Game

    def __init__(
        self,
        network: Denoiser,
        critic: Critic,
        source: Windows,
        recipe: Game,
        seed: int,
        diffusion: GaussianDiffusion,
        keypoints2d: Tensor | None = None,
        camera: Camera | None = None,
    ) -> None:
        super().__init__(network, source, recipe, seed, diffusion)
        self.critic = critic
        self.start = checkpoints.state_hash(critic.state_dict())
        self.opponent = torch.optim.Adam(critic.parameters(), recipe.learning_rate, (0.5, 0.99))
        self.target = None
        if keypoints2d is not None:
            focal, center = intrinsics(camera, len(keypoints2d))
            kept = peopled(keypoints2d)
            self.target = keypoints2d[kept].to(self.device)
            eye, origin = torch.eye(3).to(focal), torch.zeros(3).to(focal)
            self.camera = Camera(eye, origin, focal[kept], center[kept]).to(self.device)
            self.seen = fill(from_principal_point(self.target, self.camera))
            network.seen(self.seen)

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of the generator, then one of the critic, on the same poses."""
        random = runtime.generator((self.seed, 2, step), self.device)
        self.network.train()
        keypoints, poses = self.pairs(step, random)
        other = None if self.target is None else self.draw(len(self.target), random)
        if other is not None:
            keypoints = torch.cat([keypoints, self.seen[other]])
        found = hypothesise(self.network, keypoints, 1, 1, 0.0, random, self.diffusion)[:, 0]
        error = found[: len(poses)] - poses
        supervised = error.norm(dim=-1).mean()
        if self.recipe.loss == "squared":
            supervised = error.square().sum(-1).mean()
        self.critic.requires_grad_(False)
        fooled = generator_loss(self.critic(found))
        loss = supervised + self.recipe.adversarial * fooled
        scalars = {"loss": supervised, "G": fooled}
        if other is not None:
            scalars["reprojection"] = self._off_rays(found[len(poses) :], other)
            loss = loss + self.recipe.reprojection * scalars["reprojection"]
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learned.weights.values(), self.recipe.clip)
        self.optimizer.step()
        scalars["D"] = self._critic_step(poses, found.detach())
        self.schedule.step()
        return scalars

    def _off_rays(self, poses: Tensor, other: Tensor) -> Tensor:
        """Mean distance in metres of target poses from their lines of sight, at their depth.

        The place is that of the poses as they are: at its best, it does not move the error.
        """
        assert self.target is not None
        camera, target, found = self.camera[other], self.target[other], poses[:, None]
        root = estimate_root(found.detach(), target, camera)  # (B, 1, T, 3)
        error = reprojection_error(found, target, camera, root).mean(-1)  # (B, 1, T)
        depth = root[..., 2].clamp(0.1, 20.0)  # a place that makes no sense has no say
        return (error * depth / camera.focal.mean(-1)[:, None, None]).mean()

    def _critic_step(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic learns to tell the source's poses from the generator's, of either domain."""
        self.critic.requires_grad_(True)
        real = real.detach().clone().requires_grad_()
        logits = self.critic(real)
        loss = discriminator_loss(logits, self.critic(fake))
        total = loss + self.recipe.r1 / 2 * r1_penalty(logits, real)
        self.opponent.zero_grad()
        total.backward()
        for group in self.opponent.param_groups:
            group["lr"] = self.schedule.get_last_lr()[0]
        self.opponent.step()
        return loss

    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have been made with."""
        identity = {**super().identity(), "critic": self.start}
        if self.target is None:
            return identity
        camera = [self.camera.focal, self.camera.center]
        return {**identity, "target": checkpoints.state_hash([self.target, *camera])}
