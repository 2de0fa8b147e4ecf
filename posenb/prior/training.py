"""How the shipped weights of this chapter are made (`python -m posenb train prior ...`).

The generator learns poses at 32 pixels, where an image costs a CPU less, and is then grown to 64:
the new layers learn to draw finer lines, and those that decide on the pose stay as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from posenb.prior.networks import (
    GROUP,
    Discriminator,
    Generator,
    KeypointRegressor,
    PerceptualFeatures,
)
from posenb.prior.weights import reader_asset
from posenb.train import checkpoints, loop, runtime
from posenb.train.adversarial import discriminator_loss, generator_loss, r1_penalty
from posenb.world import datasets, domains, faces
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, FACE68, Skeleton

SMALL = 32  # pixels of the first stage
SOURCES = ("wild", "stage", "synthetic")  # the source data sets of the paper, and their stand-ins
# What a prior can be trained on, and the skeleton of its poses.
SKELETONS = dict.fromkeys(domains.names(), BODY17) | dict.fromkeys(faces.names(), FACE68)


def source_skeleton(name: str) -> Skeleton:
    """The skeleton of what a prior is trained on; the poses of data files become BODY17.

    Raises:
        ValueError: if it is neither a domain nor a data file.
    """
    if name in SKELETONS:
        return SKELETONS[name]
    datasets.parse(name)
    return BODY17


@dataclass(frozen=True)
class PriorRecipe:
    """How a prior is trained. The numbers of images are those that the discriminator sees.

    Attributes:
        sources: domains whose training poses are drawn, in equal parts; or data files, `coco:PATH`
            or `mpii:PATH`, whose full poses are all taken; all of one skeleton.
        resolution: of the final images.
        small_images: real images at 32 pixels, before growing; 0 starts at `resolution`.
        images: real images at `resolution`, for the new layers alone if there was a first stage.
        poses: number of different training poses, where domains are drawn from.
        batch: images a step, over all processes.
        learning_rate: of both networks (Adam, betas 0 and 0.99, corrected for lazy R1).
        constant: share of each stage after which the learning rate falls, in a line, to zero.
        r1: weight gamma of R1 for images in [0, 1] (in [-1, 1] it would be 0.3), applied every
            `r1_every` steps.
        mixing: share of each batch whose coarse and fine layers get different latents.
        half_life: of the moving average, in images, but at most a twentieth of those seen.
        seed: of everything.
        width: factor on the channels of both networks.
        start: one of `starts()` to start both stages from, instead of from scratch.
    """

    sources: tuple[str, ...] = ("wild",)
    resolution: int = 64
    small_images: int = 1_400_000
    images: int = 48_000
    poses: int = 200_000
    batch: int = 32
    learning_rate: float = 2e-3
    constant: float = 0.7
    r1: float = 0.075
    r1_every: int = 16
    mixing: float = 0.25
    half_life: float = 50_000.0
    seed: int = 0
    width: float = 1.0
    start: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if no stage would have a step, a source is unknown or of another kind or
                skeleton than the others, or if what is shipped does not fit.
        """
        unknown = [
            name for name in self.sources if name not in SKELETONS and not datasets.is_file(name)
        ]
        if unknown or not self.sources:
            raise ValueError(
                "sources must be coco:PATH or another file of poses, or some of "
                f"{', '.join(SKELETONS)}, found {unknown or 'none'}"
            )
        if len({datasets.is_file(name) for name in self.sources}) > 1:
            raise ValueError(
                f"sources are domains or data files, not both; found {', '.join(self.sources)}"
            )
        if len({source_skeleton(name) for name in self.sources}) > 1:
            found = ", ".join(f"{name} of {source_skeleton(name).name}" for name in self.sources)
            raise ValueError(f"the sources of a prior must have one skeleton, found {found}")
        if self.small_images < 0 or self.images < self.batch:
            raise ValueError(
                f"small_images must be at least 0 and images at least one batch ({self.batch}), "
                f"found {self.small_images} and {self.images}"
            )
        if self.start is not None and (self.width, self.resolution) != (1.0, 64):
            raise ValueError(
                f"what is shipped has width 1 and 64 pixels: start={self.start!r} does not go with "
                f"width {self.width:g} and {self.resolution} pixels"
            )
        if self.start is not None and self.start not in starts():
            raise ValueError(
                f"start must be a prior that was trained from scratch ({', '.join(starts())}), for "
                f"others come without a discriminator of {SMALL} pixels; found {self.start!r}"
            )

    @property
    def recorded(self) -> bool:
        """Whether the poses are real ones, of data files."""
        return datasets.is_file(self.sources[0])

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of all sources."""
        return source_skeleton(self.sources[0])

    def stages(self) -> tuple[tuple[int, int], ...]:
        """Resolution and number of images of each stage, in order."""
        last = (self.resolution, self.images)
        return ((SMALL, self.small_images), last) if self.small_images else (last,)


class PriorTask(loop.Saved):
    """One StyleGAN game at one resolution, for `train.loop.fit`.

    With `steps`, the number of steps of the whole game, the learning rate falls at its end. The
    poses are of the recipe's skeleton unless another is given. Weights that do not require
    gradients stay as they are.
    Every random draw of step k comes from a generator seeded with (seed, rank, k), so a resumed
    training goes on exactly as the uninterrupted one would have.
    """

    parts = ("generator", "discriminator", "ema", "g_optimizer", "d_optimizer")

    def __init__(
        self,
        recipe: PriorRecipe,
        keypoints: Tensor,
        generator: Generator,
        discriminator: Discriminator,
        device: torch.device,
        autocast: bool = True,
        compiled: bool = False,
        steps: int | None = None,
        skeleton: Skeleton | None = None,
    ) -> None:
        self.recipe, self.device, self.autocast = recipe, device, autocast
        self.steps = steps
        self.skeleton = skeleton or recipe.skeleton
        self.keypoints = keypoints.to(device)  # (poses, J, 2)
        layout = torch.channels_last
        self.generator = generator.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.discriminator = discriminator.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.ema = loop.Ema(self.generator)
        loop.maybe_compile(self.generator, device, compiled)
        rate, self._lazy = recipe.learning_rate, recipe.r1_every / (recipe.r1_every + 1)
        learning = [p for p in self.generator.parameters() if p.requires_grad]
        self.g_optimizer = torch.optim.Adam(learning, rate, (0.0, 0.99))
        self._judging = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.d_optimizer = torch.optim.Adam(
            self._judging, rate * self._lazy, (0.0, 0.99**self._lazy)
        )
        self.batch = recipe.batch // runtime.process().world_size
        if self.batch % GROUP:  # or a group of images would be part real, part generated
            raise ValueError(f"a process's batch must be a multiple of {GROUP}, found {self.batch}")

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of the discriminator, one of the generator, one of the average."""
        random = runtime.generator((self.recipe.seed, runtime.process().rank, step), self.device)
        self._set_rates(step)
        scalars = self._discriminator_step(step, random)
        scalars |= self._generator_step(random)
        seen = (step + 1) * self.recipe.batch
        half_life = min(self.recipe.half_life, 0.05 * seen)
        self.ema.step(self.generator, loop.Ema.decay(self.recipe.batch, half_life))
        return scalars

    def _set_rates(self, step: int) -> None:
        """Learning rates of this step: constant, then falling in a line to zero."""
        left = 1.0 if self.steps is None else 1 - step / self.steps
        rate = self.recipe.learning_rate * min(1.0, left / max(1 - self.recipe.constant, 1e-9))
        for optimizer, factor in ((self.g_optimizer, 1.0), (self.d_optimizer, self._lazy)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def _discriminator_step(self, step: int, random: torch.Generator) -> dict[str, Tensor]:
        lazy = step % self.recipe.r1_every == 0
        real = self._real(random).requires_grad_(lazy)
        with torch.no_grad(), runtime.autocast(self.device, self.autocast):
            fake = self._fake(random).float()
        with runtime.autocast(self.device, self.autocast and not lazy):
            logits = self.discriminator(torch.cat([real, fake])).float()  # no group has both kinds
        real_logits, fake_logits = logits.chunk(2)
        loss = discriminator_loss(real_logits, fake_logits)
        total = loss
        if lazy:
            weight = self.recipe.r1 / 2 * self.recipe.r1_every
            total = loss + weight * r1_penalty(real_logits, real)
        self.d_optimizer.zero_grad()
        total.backward()
        loop.average_gradients(self.discriminator)
        self.d_optimizer.step()
        return {"D": loss, "real": real_logits.mean(), "fake": fake_logits.mean()}

    def _generator_step(self, random: torch.Generator) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        with runtime.autocast(self.device, self.autocast):
            logits = self.discriminator(self._fake(random))
        loss = generator_loss(logits.float())
        self.g_optimizer.zero_grad()
        loss.backward()
        loop.average_gradients(self.generator)
        self.g_optimizer.step()
        for parameter in self._judging:  # not those that were frozen before
            parameter.requires_grad_(True)
        return {"G": loss}

    def _real(self, random: torch.Generator) -> Tensor:
        chosen = torch.randint(
            len(self.keypoints), (self.batch,), generator=random, device=self.device
        )
        images = draw_skeletons(self.keypoints[chosen], self.skeleton, self.generator.resolution)
        return images.contiguous(memory_format=torch.channels_last)

    def _fake(self, random: torch.Generator) -> Tensor:
        """Generated images, some with two latents: coarse layers from one, fine from the other."""
        network = self.generator
        w = network.mapping(network.sample_z(self.batch, random))  # (batch, style)
        other = network.mapping(network.sample_z(self.batch, random))
        with torch.no_grad():
            network.w_mean.lerp_(w.float().mean(0), 0.005)
        draw = torch.rand(2, self.batch, generator=random, device=self.device)
        crossing = 1 + (draw[0] * (network.layers - 1)).long()  # first layer of the other latent
        crossing = torch.where(draw[1] < self.recipe.mixing, crossing, network.layers)
        each = [
            torch.where((layer < crossing)[:, None], w, other) for layer in range(network.layers)
        ]
        return network.synthesis(network.affine(each), random)


def training_poses(recipe: PriorRecipe) -> PoseSet:
    """The training poses of a recipe's sources: of domains in equal parts, of data files all.

    Raises:
        ValueError: if data files have fewer full poses than a batch has images.
        DatasetError: if a data file is missing or damaged.
    """
    share = math.ceil(recipe.poses / len(recipe.sources))
    sets = [
        datasets.full_poses(name)
        if datasets.is_file(name)
        else (faces if name in faces.names() else domains).get(name).sample(share, recipe.seed)
        for name in recipe.sources
    ]
    total = sets[0]
    for more in sets[1:]:
        total = total + more
    if recipe.recorded and len(total) < recipe.batch:
        raise ValueError(
            f"{', '.join(recipe.sources)}: {len(total)} people have all joints, expected at least "
            f"a batch ({recipe.batch}), and thousands for a prior that knows more than those"
        )
    return total


def train_prior(
    recipe: PriorRecipe,
    folder: Path,
    *,
    device: torch.device | None = None,
    autocast: bool = True,
    compiled: bool = False,
    callback: Callable[[PriorTask, loop.History], None] | None = None,
) -> tuple[PriorTask, loop.History]:
    """Train a prior, at 32 pixels first if the recipe says so. Resumes from its checkpoints.

    Args:
        recipe: what to train.
        folder: where the checkpoints are.
        device: default as in `runtime.device`.
        autocast: bfloat16 where it is safe (all but R1 and the losses) and the device has it.
        compiled: `torch.compile`, on CUDA.
        callback: called with the task and the history after every logged row.

    Returns:
        The task (its `ema.module` is the generator to keep), and the history of the last stage.
    """
    device = device or runtime.device()
    keypoints = training_poses(recipe).keypoints
    settings = {**settings_of(recipe, keypoints), "data": checkpoints.state_hash(keypoints)}
    before: PriorTask | None = None
    for resolution, images in recipe.stages():
        networks = _networks(recipe, resolution, before)
        steps = images // recipe.batch
        task = PriorTask(recipe, keypoints, *networks, device, autocast, compiled, steps)
        history = loop.fit(
            task,
            steps,
            checkpoint=folder / f"{resolution}px.pt",
            label=f"{'+'.join(settings['sources'])} {resolution} px",
            callback=callback,
            identity=_identity(settings, resolution),
        )
        if history.interrupted:
            break
        before = task
    return task, history


def settings_of(recipe: PriorRecipe, keypoints: Tensor) -> dict[str, Any]:
    """A recipe as plain data; a data file goes by its name, for its folder may move."""
    if not recipe.recorded:
        return asdict(recipe)
    names = tuple(map(datasets.short_name, recipe.sources))
    return {**asdict(recipe), "sources": names, "poses": len(keypoints)}


def _identity(settings: dict[str, Any], resolution: int) -> dict[str, Any]:
    """Settings that a stage depends on: the first does not on the number of images of the last."""
    later = {"images"} if resolution == SMALL and settings["small_images"] else set()
    return {name: value for name, value in settings.items() if name not in later}


def starts() -> tuple[str, ...]:
    """Shipped priors with all that a training can start from."""
    return checkpoints.weights_names("prior_", f"_discriminator_{SMALL}")


def _networks(
    recipe: PriorRecipe, resolution: int, before: PriorTask | None
) -> tuple[Generator, Discriminator]:
    """Both networks at the beginning of a stage: new, shipped, or grown from the stage before."""
    generator = Generator(resolution, width=recipe.width, seed=recipe.seed)
    discriminator = Discriminator(resolution, recipe.width, recipe.seed + 1)
    if recipe.start is not None:
        shipped = checkpoints.built(
            f"prior_{recipe.start}", lambda *_: Generator(recipe.resolution)
        )
        generator.load_state_dict(shipped.trunk(resolution).state_dict())
        critic = f"prior_{recipe.start}_discriminator_{resolution}"
        discriminator = checkpoints.built(
            critic, lambda *_: Discriminator(resolution, recipe.width, recipe.seed + 1)
        )
    if before is not None:
        generator.grow(before.ema.module, fresh=recipe.start is None)
        discriminator.grow(before.discriminator)
    return generator, discriminator


def widened(count: int, seed: int, skeleton: Skeleton = BODY17) -> PoseSet:
    """Poses with everything varied more than any data set would.

    The regressor must read skeletons of domains that it has never seen, so it is trained on
    bodies, cameras and leans, or faces, expressions and turns, far beyond its sources. No target
    domain is used.

    Args:
        count: number of poses, at least; a little more where it cannot be shared out.
        seed: of all draws.
        skeleton: BODY17 or FACE68.

    Raises:
        ValueError: for another skeleton.
    """
    if skeleton not in (BODY17, FACE68):
        raise ValueError(
            f"readers are trained on poses of BODY17 or FACE68, there are none of {skeleton.name}"
        )
    poses = _widened_bodies(count, seed) if skeleton == BODY17 else _widened_faces(count, seed)
    random = torch.Generator().manual_seed(seed)
    scale = 0.55 + 0.6 * torch.rand(len(poses), 1, 1, generator=random)
    shift = 0.16 * (torch.rand(len(poses), 1, 2, generator=random) - 0.5)
    keypoints = (poses.keypoints - 0.5) * scale + 0.5 + shift
    return dataclasses.replace(poses, keypoints=keypoints.clamp(0.01, 0.99), camera=None)


def _widened_bodies(count: int, seed: int) -> PoseSet:
    share = math.ceil(count / len(SOURCES))
    sets = [
        dataclasses.replace(
            domains.get(name),
            subject_spread=0.2,
            limb_mixing=0.5,
            jitter=0.25,
            lean=25.0,
            elevation=(-25.0, 60.0),
            roll=(0.0, 20.0),
            convention=(),
            noise=0.01,
        ).sample(share, seed)
        for name in SOURCES
    ]
    return sets[0] + sets[1] + sets[2]


def _widened_faces(count: int, seed: int) -> PoseSet:
    """Half of them with the hidden side of the jaw, half with the visible outline."""
    sets = [
        dataclasses.replace(
            faces.get("faces_video"),
            expressions=tuple((name, 1.0) for name in faces.EXPRESSIONS),
            subjects=4000,
            subject_spread=2.0,
            strength=1.3,
            yaw=(0.0, 32.0),
            pitch=(0.0, 18.0),
            roll=(0.0, 24.0),
            distance=(0.4, 3.0),
            margin=1.4,
            visible_contour=visible,
            noise=0.006,
        ).sample(math.ceil(count / 2), 2 * seed + visible)
        for visible in (False, True)
    ]
    return sets[0] + sets[1]


def curved(
    keypoints: Tensor, amount: Tensor, random: torch.Generator, skeleton: Skeleton = BODY17
) -> tuple[Tensor, Skeleton]:
    """Poses whose bones bend in the middle, as limbs of generated images do.

    Args:
        keypoints: (batch, J, 2).
        amount: (batch,), standard deviation of each bone's sag as a share of its length.
        random: draws the sags.
        skeleton: of the keypoints.

    Returns:
        Keypoints (batch, J + bones, 2) with the middle of every bone before the joint it leads to,
        and their skeleton: the same bones in two halves each, painted in the same order.
    """
    parents, children = torch.tensor(skeleton.bones, device=keypoints.device).T
    bones = keypoints[:, children] - keypoints[:, parents]  # (batch, bones, 2)
    across = torch.stack([-bones[..., 1], bones[..., 0]], dim=-1)
    draw = torch.randn(bones.shape, generator=random, device=keypoints.device)
    sag = (amount[:, None] * draw[..., 0])[..., None] * across
    middles = (keypoints[:, parents] + keypoints[:, children]) / 2 + sag
    middles = middles + (0.5 * amount[:, None] * draw[..., 1])[..., None] * bones
    halves, order = _halved(skeleton)
    return torch.cat([keypoints, middles], dim=1)[:, list(order)], halves


@cache
def _halved(skeleton: Skeleton) -> tuple[Skeleton, tuple[int, ...]]:
    """A skeleton with a joint in the middle of every bone, and where its joints come from.

    Returns:
        The skeleton, and the position of each of its joints in (all joints, then all middles).
    """
    count = len(skeleton)
    middle = {child: count + bone for bone, (_, child) in enumerate(skeleton.bones)}
    order = [i for joint in range(count) for i in (middle.get(joint), joint) if i is not None]
    place = {origin: position for position, origin in enumerate(order)}
    joints, parents = [], []
    for origin in order:
        child = origin if origin < count else skeleton.bones[origin - count][1]
        parent = middle.get(child, -1) if origin < count else skeleton.parents[child]
        joints.append(("" if origin < count else "middle of ") + skeleton.joints[child])
        parents.append(place.get(parent, -1))
    colors = tuple(color for color in skeleton.colors for _ in range(2))
    name = f"{skeleton.name} halved"
    halves = Skeleton(name, tuple(joints), tuple(parents), (), colors, skeleton.thickness)
    return halves, tuple(order)


def corrupt(images: Tensor, random: torch.Generator) -> Tensor:
    """Damage skeleton images as a generator would.

    Blur, colours that drift and overshoot, faded and missing patches, coloured haze, noise.

    Args:
        images: (batch, 3, S, S) in [0, 1].
        random: draws the damage.
    """
    count, _, size, _ = images.shape
    draw = torch.rand(8, count, 1, 1, 1, generator=random, device=images.device)

    def field(channels: int, cells: int) -> Tensor:
        """Smooth standard normal noise, (batch, channels, S, S)."""
        coarse = torch.randn(count, channels, cells, cells, generator=random, device=images.device)
        return F.interpolate(coarse, size=(size, size), mode="bilinear")

    for block, share in ((2, draw[0]), (4, 0.5 * draw[1].square())):
        blurred = F.interpolate(F.avg_pool2d(images, block), scale_factor=block, mode="bilinear")
        images = images.lerp(blurred, share)
    drift = (0.2 * draw[2] * field(9, 4)).unflatten(1, (3, 3))  # each pixel's mix of its colours
    images = images + torch.einsum("ncdhw,ndhw->nchw", drift, images)
    fade = torch.rand(count, 1, 8, 8, generator=random, device=images.device)
    images = images * (1 - 0.8 * draw[3] * F.interpolate(fade, size=(size, size), mode="bilinear"))
    spots = torch.rand(count, 1, 8, 8, generator=random, device=images.device) < 0.04
    hidden = F.interpolate(spots.float(), size=(size, size), mode="bilinear") * (draw[4] < 0.5)
    images = images * (1 - hidden)
    haze = 0.08 * draw[5] * field(3, 8)
    noise = 0.04 * draw[6] * torch.randn(images.shape, generator=random, device=images.device)
    return (images + haze) * (0.65 + 0.8 * draw[7]) + noise


class RegressorTask(loop.Saved):
    """Trains beta to read keypoints from damaged skeleton images of any thickness.

    A third of the images stay clean, so that those stay easy; most limbs of the others bend.
    """

    def __init__(
        self,
        network: nn.Module,
        poses: PoseSet,
        seed: int,
        steps: int,
        device: torch.device,
        batch: int = 64,
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.seed, self.device, self.batch = seed, device, batch
        self.skeleton = poses.skeleton
        self.keypoints = poses.keypoints.to(device)  # (poses, J, 2)
        self.optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, 3e-3, total_steps=steps, pct_start=0.1
        )

    def step(self, step: int) -> dict[str, Tensor]:
        """Draw a batch, damage most of it, and do one step."""
        random = runtime.generator((self.seed, step), self.device)
        chosen = torch.randint(
            len(self.keypoints), (self.batch,), generator=random, device=self.device
        )
        thickness = 0.035 + 0.03 * float(torch.rand((), generator=random, device=self.device))
        thickness *= self.skeleton.thickness / BODY17.thickness
        damaged, bent = torch.rand(2, self.batch, generator=random, device=self.device)
        rough = (damaged < 0.65)[:, None, None, None]
        amount = rough[:, 0, 0, 0] * (bent - 0.3).clamp(min=0) / 5  # of the bone, up to 0.14
        bent_poses = curved(self.keypoints[chosen], amount, random, self.skeleton)
        images = draw_skeletons(*bent_poses, 64, thickness)
        images = torch.where(rough, corrupt(images, random), images)
        self.network.train()
        with runtime.autocast(self.device, True):
            output = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = self.loss(output.float(), chosen)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss}

    def loss(self, output: Tensor, chosen: Tensor) -> Tensor:
        """Mean distance between read and true joints, in thousandths of the image."""
        return 1000 * (output - self.keypoints[chosen]).norm(dim=-1).mean()


class FeatureTask(RegressorTask):
    """Trains Gamma to tell every bone's vector and the action from skeleton images.

    A face's bones are the pieces of its contours, and its action is its expression.
    """

    def __init__(
        self,
        network: nn.Module,
        poses: PoseSet,
        seed: int,
        steps: int,
        device: torch.device,
        batch: int = 64,
    ) -> None:
        super().__init__(network, poses, seed, steps, device, batch)
        bones = poses.skeleton.bone_vectors(self.keypoints)  # (poses, bones, 2)
        self.bones = (bones / bones.std((0, 2), keepdim=True)).flatten(1)  # (poses, 2 bones)
        names = sorted(set(poses.action))
        labels = [names.index(action) for action in poses.action]
        self.actions = torch.tensor(labels, device=device)

    def loss(self, output: Tensor, chosen: Tensor) -> Tensor:
        """Squared error of bone vectors in their own deviations, plus cross-entropy of actions."""
        bones, actions = output.tensor_split([self.bones.shape[1]], dim=1)
        return F.mse_loss(bones, self.bones[chosen]) + 0.1 * F.cross_entropy(
            actions, self.actions[chosen]
        )


READER_STEPS = {"regressor": 7000, "features": 3500}
READER_POSES = 120_000


def train_reader(
    name: str,
    folder: Path,
    steps: int | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    skeleton: Skeleton = BODY17,
) -> tuple[RegressorTask, loop.History]:
    """Train beta (`regressor`) or Gamma (`features`); resumes from its checkpoint.

    Args:
        name: which of the two.
        folder: where the checkpoint is.
        steps: default READER_STEPS; a resumed training must have the same.
        seed: of weights, data and batches.
        device: default as in `runtime.device`.
        skeleton: what to read, BODY17 or FACE68.

    Raises:
        ValueError: for another name or skeleton, or if several processes are at work: readers
            need one.
    """
    if runtime.process().world_size > 1:
        raise ValueError("readers are trained by one process: start them without torchrun")
    device = device or runtime.device()
    if name not in READER_STEPS:
        raise ValueError(f"expected {' or '.join(READER_STEPS)}, found {name!r}")
    steps = steps or READER_STEPS[name]
    poses = widened(READER_POSES, seed, skeleton)
    if name == "regressor":
        regressor = KeypointRegressor(len(skeleton), seed)
        task = RegressorTask(regressor, poses, seed, steps, device)
    else:
        outputs = 2 * len(skeleton.bones) + len(set(poses.action))
        task = FeatureTask(PerceptualFeatures(outputs, seed), poses, seed, steps, device)
    identity = {"steps": steps, "seed": seed, "data": checkpoints.state_hash(task.keypoints)}
    label = reader_asset(name, skeleton).removeprefix("prior_")
    path = folder / f"{label}.pt"
    history = loop.fit(task, steps, checkpoint=path, label=label, identity=identity)
    return task, history
