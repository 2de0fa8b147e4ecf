"""FlexPose's second and third phase: move a pose distribution by a few poses, and sample it.

Notebook 02 builds this step by step. `objective="paper"` follows the paper's equations; what the
paper does not give (Gamma, optimiser, steps, batch) is ours. Why the default differs is the
notebook's story.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Unpack

import torch
from torch import Tensor, nn
from torch.nn.functional import pdist

from posenb.flexpose.losses import energy_distance, matching
from posenb.flexpose.networks import AdaptedGenerator
from posenb.flexpose.shots import complete, pose_mixup
from posenb.prior import weights
from posenb.prior.losses import feature_distance
from posenb.prior.networks import (
    Discriminator,
    Generator,
    KeypointRegressor,
    PerceptualFeatures,
    VggFeatures,
)
from posenb.train import checkpoints, loop, runtime
from posenb.world.drawing import draw_skeletons
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, Skeleton

Objective = Literal["paper", "transport", "distribution"]
COMPLETIONS = 8  # ways in which missing joints are filled in before shots are mixed
OBJECTIVES = ("paper", "transport", "distribution")


@dataclass(frozen=True)
class Recipe:
    """How an adaptation is trained. The paper gives none of these numbers.

    Attributes:
        steps: of Adam.
        batch: images a step.
        learning_rate: of Adam, falling in a cosine to zero.
        realism: weight of re-rendering beside the energy distance (`distribution`).
        rematch: steps between two matchings (`transport`).
        concentration: a of Pose-mixup's ratio ~ Beta(a, a); the paper's is uniform, 1.
    """

    steps: int = 200
    batch: int = 32
    learning_rate: float = 1e-4
    realism: float = 0.05
    rematch: int = 25
    concentration: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        if min(self.steps, self.rematch, self.batch) < 1:
            raise ValueError(
                "steps, rematch and batch must be at least 1, found "
                f"{self.steps}, {self.rematch} and {self.batch}"
            )
        if self.learning_rate <= 0 or self.realism < 0:
            raise ValueError(
                "learning_rate must be positive and realism not negative, found "
                f"{self.learning_rate:g} and {self.realism:g}"
            )


USUAL: Mapping[Objective, Recipe] = {
    "paper": Recipe(batch=64, learning_rate=3e-4),
    "transport": Recipe(batch=64),
    "distribution": Recipe(),
}


@dataclass(frozen=True)
class Readers:
    """The frozen networks that look at images while a generator is adapted.

    Attributes:
        regressor: beta, reads keypoints.
        features: Gamma, compares images.
        critic: the discriminator of the source generator, for baselines that play on against it.
        skeleton: of the poses that beta reads.
    """

    regressor: KeypointRegressor
    features: PerceptualFeatures | VggFeatures
    critic: Discriminator
    skeleton: Skeleton = BODY17

    def __post_init__(self) -> None:
        """Nothing that looks on may learn or count statistics."""
        for network in (self.regressor, self.features, self.critic):
            network.eval().requires_grad_(False)

    @classmethod
    def load(cls, name: str | Path = "wild", device: torch.device | None = None) -> Readers:
        """Those of a generator, shipped or in a folder; see `prior.load_generator`."""
        skeleton = weights.skeleton_of(name)
        return cls(
            weights.load_regressor(device, skeleton),
            weights.perceptual_features("posenb", device, skeleton),
            weights.load_discriminator(name, device),
            skeleton,
        )

    def digest(self) -> str:
        """Of all weights, for a checkpoint to remember."""
        networks = (self.regressor, self.features, self.critic)
        return checkpoints.state_hash([network.state_dict() for network in networks])

    @classmethod
    def of(cls, generator: Generator, given: Readers | None, few_shot: PoseSet) -> Readers:
        """The given ones, or those of a generator that was loaded, if the poses fit.

        Raises:
            ValueError: if none are given for a generator that was not loaded, or the poses cannot
                guide: fewer than 2, with fewer than 2 joints, or of another skeleton.
        """
        if given is None and not generator.name:
            raise ValueError(
                "this generator is not one of the shipped or of a folder: give its readers, "
                "readers=Readers(regressor, features, critic, skeleton)"
            )
        found = given or cls.load(generator.name, generator.w_mean.device)
        check_shots(few_shot, found)
        return found


@dataclass(frozen=True)
class Adapted:
    """A generator of target poses.

    Attributes:
        generator: g_t.
        regressor: beta.
        skeleton: of the poses.
        history: of the training; `interrupted` says if it was stopped early.
    """

    generator: weights.SkeletonGenerator
    regressor: KeypointRegressor
    skeleton: Skeleton
    history: loop.History

    def sample(self, count: int, seed: int, progress: bool = False) -> Tensor:
        """Keypoints (count, J, 2) in [0, 1]; see `sample`."""
        return weights.sample(self.generator, self.regressor, count, seed, progress=progress)


class PoseSource(Protocol):
    """Anything that `sample` draws poses from."""

    @property
    def skeleton(self) -> Skeleton:
        """Of the poses."""
        ...

    def sample(self, count: int, seed: int, progress: bool = False) -> Tensor:
        """Keypoints (count, J, 2) in [0, 1]."""
        ...


class Options(loop.Watch, total=False):
    """How an adaptation runs, whatever it learns, beside how it is followed.

    Attributes:
        recipe: numbers of the training; left out: the method's own.
        readers: beta, Gamma and the discriminator; left out: those shipped with the generator.
    """

    recipe: Recipe | None
    readers: Readers | None


def adapt(
    generator: Generator,
    few_shot: PoseSet,
    layers: Sequence[int] = (1, 2, 3),
    shots_mixed: int = 1000,
    objective: Objective = "distribution",
    seed: int = 0,
    *,
    bias: bool = False,
    linear: bool = True,
    **options: Unpack[Options],
) -> Adapted:
    """Learn tau from a few target poses (FlexPose, Sec. 3.3).

    The default objective is ours, not the paper's, at layers 1 to 3. The paper's method is
    `adapt(..., layers=(3,), objective="paper")`; who compares with the paper asks for that.

    Args:
        generator: g_s; it stays as it is.
        few_shot: T, at least 2 poses, cropped as the generator's were. Joints that are not visible
            are lent by the source's nearest poses; see `shots.complete`.
        layers: l of the U_l, 1 the coarsest (Eq. 6).
        shots_mixed: |T*|, number of Pose-mixup's mixtures (Eq. 7); 0 takes the shots themselves.
        objective: `paper` gives every latent code a pose for good and compares images through
            Gamma (Eq. 5, read so that latents are drawn independently of the mixtures);
            `transport` does the same but matches latents to poses by optimal transport, again and
            again; `distribution`, the default, is ours and needs no pairs: energy distance between
            beta's keypoints and T*, and a term that wants every picture to show, seen through
            Gamma, what beta reads in it (Eq. 8 as a loss).
        seed: of mixtures, latents and batches.
        bias: give tau a vector, too; see `StyleTransfer`.
        linear: False takes a small network in place of U; see `StyleTransfer`.
        **options: recipe, readers, checkpoint, progress, callback; see `Options`.

    Returns:
        The adapted generator with what is needed to sample it. Interrupted, as far as it got.

    Raises:
        ValueError: for a layer out of range, an unknown objective, or poses that cannot guide:
            fewer than 2, with fewer than 2 joints, or of a skeleton that beta does not read.
    """
    network = AdaptedGenerator.of(generator, layers, bias=bias, linear=linear, seed=seed)
    return adapt_weights(generator, network, few_shot, shots_mixed, objective, seed, **options)


def adapt_weights(
    source: Generator,
    network: Any,
    few_shot: PoseSet,
    shots_mixed: int,
    objective: Objective,
    seed: int,
    **options: Unpack[Options],
) -> Adapted:
    """Train those weights of a network made from a source that require gradients; see `adapt`."""
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {OBJECTIVES}, found {objective!r}")
    guided = Guidance.of(source, few_shot, shots_mixed, seed, USUAL[objective], **options)
    recipe, readers, target = guided.recipe, guided.readers, guided.target
    if shots_mixed == 1 or recipe.batch == 1:
        raise ValueError(
            "a distribution cannot be seen in one pose, found "
            f"shots_mixed={shots_mixed} and a batch of {recipe.batch}: give at least 2"
        )
    task = AdaptTask(network, target, few_shot.skeleton, objective, recipe, seed, readers)
    identity = {"objective": objective, "learning": list(task.learned.weights)}
    history = guided.fit(task, f"adapting ({objective})", network, identity)
    return Adapted(network, readers.regressor, few_shot.skeleton, history)


@dataclass(frozen=True)
class Guidance:
    """What every training towards a few poses has, whatever it learns.

    Attributes:
        recipe: numbers of the training.
        readers: frozen networks that look on.
        target: T*, (pairs, J, 2), on the device of the generator.
        seed: of all draws.
        watch: how the training is followed.
    """

    recipe: Recipe
    readers: Readers
    target: Tensor
    seed: int
    watch: loop.Watch

    @classmethod
    def of(
        cls,
        source: Generator,
        few_shot: PoseSet,
        shots_mixed: int,
        seed: int,
        usual: Recipe,
        *,
        recipe: Recipe | None = None,
        readers: Readers | None = None,
        **watch: Unpack[loop.Watch],
    ) -> Guidance:
        """That of some shots; `usual` is the recipe where none is given."""
        recipe, readers = recipe or usual, Readers.of(source, readers, few_shot)
        poses = mixed(
            few_shot, shots_mixed, seed, recipe.concentration, source=source, readers=readers
        )
        return cls(recipe, readers, poses.to(source.w_mean.device), seed, watch)

    def fit(
        self, task: loop.Task, label: str, start: nn.Module, identity: Mapping[str, Any]
    ) -> loop.History:
        """Train a task from the weights of `start`; a checkpoint must have the same identity."""
        identity = {
            **identity,
            "start": checkpoints.state_hash(start.state_dict()),
            "readers": self.readers.digest(),
            "seed": self.seed,
            **dataclasses.asdict(self.recipe),
            "shots": checkpoints.state_hash(self.target),
        }
        return loop.fit(
            task, self.recipe.steps, log_every=10, label=label, identity=identity, **self.watch
        )


def mixed(
    few_shot: PoseSet,
    shots_mixed: int,
    seed: int,
    concentration: float = 1.0,
    *,
    source: Generator,
    readers: Readers,
) -> Tensor:
    """T* of one seed, drawn on the CPU: the same on every device.

    Joints that a shot lacks are lent by the source (`complete`), for mixtures in several ways.
    """
    random, shots = runtime.generator((seed, 0)), few_shot.to("cpu")
    if shots.visible is None or shots.visible.all():
        return pose_mixup(shots.keypoints, shots_mixed, random, concentration)
    donors = lent_by(source, readers)
    if shots_mixed == 0:
        return complete(shots, donors, random).keypoints
    counts = [len(part) for part in torch.arange(shots_mixed).tensor_split(COMPLETIONS)]
    return torch.cat(
        [
            pose_mixup(complete(shots, donors, random).keypoints, count, random, concentration)
            for count in counts
            if count
        ]
    )


def lent_by(source: Generator, readers: Readers) -> Tensor:
    """Poses of the source that lend their joints, (1000, J, 2) on the CPU, in float32."""
    return weights.sample(source, readers.regressor, 1000, seed=2**30).float().cpu()


def sample(adapted: PoseSource, count: int, seed: int, progress: bool = False) -> PoseSet:
    """Draw new target poses: random latents, g_t, beta (FlexPose, Sec. 3.4).

    Args:
        adapted: from `adapt` or a baseline.
        count: number of poses.
        seed: of the latents.
        progress: show a bar.

    Returns:
        PoseSet of the target's skeleton, action and subject "generated".
        `draw_skeletons(poses.keypoints, poses.skeleton, size)` are the clean images of Eq. 8.
    """
    keypoints = adapted.sample(count, seed, progress)
    named = ("generated",) * count
    return PoseSet(keypoints, None, None, named, named, adapted.skeleton)


def check_shots(few_shot: PoseSet, readers: Readers) -> None:
    """Refuse poses that cannot guide an adaptation.

    Raises:
        ValueError: with the reason.
    """
    if len(few_shot) < 2:
        raise ValueError(
            f"a distribution cannot be seen in {len(few_shot)} pose: give at least 2, better 12"
        )
    if few_shot.visible is not None and (few_shot.visible.sum(1) < 2).any():
        place = int((few_shot.visible.sum(1) < 2).nonzero()[0])
        raise ValueError(
            f"pose {place} has {int(few_shot.visible[place].sum())} visible joints, expected at "
            "least 2, better 8: leave such poses out"
        )
    if readers.skeleton != few_shot.skeleton:
        raise ValueError(
            f"the poses are {few_shot.skeleton.name}, but beta reads {readers.skeleton.name}: "
            "convert them with skeletons.convert, or give the readers of their skeleton"
        )


class AdaptTask(loop.Saved):
    """One adaptation, for `train.loop.fit`: gradients are computed for what learns alone.

    Args:
        network: the generator; its weights that require gradients learn.
        target: T*, (pairs, J, 2).
        skeleton: of the poses.
        objective: see `adapt`.
        recipe: numbers of the training.
        seed: of latents and batches.
        readers: frozen networks on the device of `network`.
        autocast: compute images in bfloat16, where the device has it.
    """

    parts = ("learned", "optimizer", "schedule", "partner")

    def __init__(
        self,
        network: Any,
        target: Tensor,
        skeleton: Skeleton,
        objective: Objective,
        recipe: Recipe,
        seed: int,
        readers: Readers,
        autocast: bool = True,
    ) -> None:
        self.network, self.target, self.skeleton = network, target, skeleton
        self.objective, self.recipe, self.seed = objective, recipe, seed
        self.readers, self.autocast, self.device = readers, autocast, target.device
        self.learned = loop.Learned(network)
        weights = self.learned.weights.values()
        self.optimizer = torch.optim.Adam(weights, recipe.learning_rate, (0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, recipe.steps)
        random = runtime.generator((seed, 1), self.device)
        self.z = network.sample_z(len(target), random)  # one a pose of T*
        self.partner = torch.arange(len(target), device=self.device)  # z[i] belongs to target[.]
        self.within = pdist(target.flatten(1)).mean()  # E|y - y'| of T* never changes
        if objective != "distribution":
            self.wanted = self._features_of_target()

    @torch.no_grad()
    def _features_of_target(self) -> list[Tensor]:
        """Gamma of the images of T*, which never change: one (pairs, C, h, w) a stage."""
        images = draw_skeletons(self.target, self.skeleton, self.network.resolution)
        parts = [self.readers.features.features(part) for part in images.split(64)]
        return [torch.cat(stage) for stage in zip(*parts, strict=True)]

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of Adam."""
        random = runtime.generator((self.seed, 2, step), self.device)
        if self.objective == "distribution":
            scalars = self._distribution(random)
        else:
            if self.objective == "transport" and step % self.recipe.rematch == 0:
                self.partner = matching(self._read(), self.target)
            scalars = {"loss": self._pairs(random)}
        self.optimizer.zero_grad()
        scalars["loss"].backward()
        self.optimizer.step()
        self.schedule.step()
        return scalars

    def _pairs(self, random: torch.Generator) -> Tensor:
        """Eq. 5 on a batch of latents and their poses."""
        order = torch.randperm(len(self.z), generator=random, device=self.device)
        chosen = order[: self.recipe.batch]
        with runtime.autocast(self.device, self.autocast):
            found = self.readers.features.features(self.network(self.z[chosen]))
        partner = self.partner[chosen]
        return feature_distance(found, [stage[partner] for stage in self.wanted]).mean()

    def _distribution(self, random: torch.Generator) -> dict[str, Tensor]:
        """Energy distance of keypoints, and images against their re-renderings, on new latents."""
        z = self.network.sample_z(self.recipe.batch, random)
        with runtime.autocast(self.device, self.autocast):
            images = self.network(z)
            keypoints = self.readers.regressor(images)
            again = draw_skeletons(keypoints, self.skeleton, images.shape[-1])
            painted, drawn = (self.readers.features.features(x) for x in (images, again))
        energy = energy_distance(keypoints.flatten(1), self.target.flatten(1), self.within)
        redrawn = feature_distance(painted, drawn).mean()
        loss = energy + self.recipe.realism * redrawn
        return {"loss": loss, "energy": energy, "redrawn": redrawn}

    @torch.no_grad()
    def _read(self) -> Tensor:
        """Keypoints of all fixed latents as the generator is now, (pairs, J, 2)."""
        with runtime.autocast(self.device, self.autocast):
            parts = [self.readers.regressor(self.network(z)) for z in self.z.split(64)]
        return torch.cat(parts)
