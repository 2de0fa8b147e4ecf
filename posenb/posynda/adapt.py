"""PoSynDA's adaptation of a lifter to a camera of which only 2D is known (Algorithm 1).

Notebook 06 builds this step by step. `PAPER_RECIPE` is Algorithm 1 as printed, with what it leaves
open as in training on the source: pseudo-labels are made noisy as labels are (lines 16 to 18 print
noise alone), and the learning rate warms up and decays. Where its parts pay, and where they do not,
is the notebook's story. All randomness comes from `seed`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import torch
from torch import Tensor

from posenb.posynda.augmentation import aims, align, jitter, lifted_places, put, total_length, vary
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import AGGREGATES, Aggregate, combine, intrinsics
from posenb.posynda.lifting import (
    LiftTask,
    Recipe,
    Trained,
    from_principal_point,
    hypothesise,
    peopled,
)
from posenb.posynda.networks import Denoiser, adaptable
from posenb.posynda.sizes import change
from posenb.posynda.windows import Windows, fill
from posenb.train import checkpoints, loop, runtime
from posenb.world.cameras import Camera

log = logging.getLogger(__name__)

Augment = Literal["varied", "lifted", "target", "plain", "none"]
AUGMENTS = ("varied", "lifted", "target", "plain", "none")
_CHUNK = 64  # windows lifted at a time
_GUESSES = 5  # hypotheses that tell where people of the target are
_HOME = 256  # windows of the source that tell how long people are when lifted
_LOOKED_AT = 64  # windows of the target that tell whether lifted people have grown
_NOTABLE = 0.05  # share of a body's size; less is not worth a warning


@dataclass(frozen=True)
class Adaptation(Recipe):
    """How a lifter adapts itself; each part can be switched off.

    Attributes:
        augment: source pairs are put where the target's people are, by F of Eq. 3 (`target`)
            or by our `lifted_places`, as they are (`lifted`) or with other bones and turned
            (`varied`); or changed at random, places too (`plain`); or stay (`none`).
        low_rank: r of LoRA (Eq. 10); None: all weights learn.
        bias: learn the cross-dataset bias (Eq. 11).
        hypotheses: H of the teacher; 0: no teacher, no pseudo-labels.
        sampling_steps: K of the teacher's DDIM; with 1, hypotheses differ least.
        eta: of the teacher's DDIM.
        choose: how the teacher makes one pseudo-label of H; `pose` is Eq. 4 and 5, `rays` (ours)
            brings in what the target's 2D says and the teacher does not know yet.
        teacher_decay: after every step the teacher becomes decay * teacher + (1 - decay) *
            student: 0 is the synchronisation of Algorithm 1, line 19; 1 a frozen teacher; between
            them, a moving average.
        warm_up: share of the steps before the teacher begins, with what the student then is.
    """

    steps: int = 300
    batch: int = 32
    learning_rate: float = 4e-3
    augment: Augment = "target"
    low_rank: int | None = 4
    bias: bool = True
    hypotheses: int = 3
    sampling_steps: int = 2
    eta: float = 1.0
    choose: Aggregate = "rays"
    teacher_decay: float = 1.0
    warm_up: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: if one is out of range.
        """
        super().__post_init__()
        if self.augment not in AUGMENTS:
            raise ValueError(f"augment must be one of {AUGMENTS}, found {self.augment!r}")
        if self.choose not in AGGREGATES:
            raise ValueError(f"choose must be one of {AGGREGATES}, found {self.choose!r}")
        if self.hypotheses < 0 or self.sampling_steps < 1:
            raise ValueError(
                "hypotheses must be at least 0 and sampling_steps at least 1, found "
                f"{self.hypotheses} and {self.sampling_steps}"
            )
        if not (0 <= self.teacher_decay <= 1 and 0 <= self.warm_up <= 1 and 0 <= self.eta <= 1):
            raise ValueError(
                "teacher_decay, warm_up and eta must be in [0, 1], found "
                f"{self.teacher_decay:g}, {self.warm_up:g} and {self.eta:g}"
            )


# Algorithm 1 and Sec. 4.2, for the paper's own size of network and data.
PAPER_RECIPE = Adaptation(
    batch=4,
    learning_rate=6e-5,
    loss="squared",
    late=1.0,
    sampling_steps=1,
    choose="pose",
    teacher_decay=0.0,
    warm_up=0.0,
)


def adapt(
    model: Denoiser,
    source: Windows,
    keypoints2d: Tensor,
    camera: Camera,
    recipe: Adaptation | None = None,
    seed: int = 0,
    *,
    diffusion: GaussianDiffusion | None = None,
    **watch: Unpack[loop.Watch],
) -> Trained:
    """Adapt a lifter to a target of which only 2D is known (PoSynDA, Algorithm 1).

    No target label can come in: there is no argument for one. So nothing says how large people are
    there: they come out as large as the source's (`load_lifter` has numbers). A warning says so
    when people of the target are lifted more than 5 % taller, or shorter, than before.

    Args:
        model: trained on the source; it stays as it is.
        source: windows with 3D.
        keypoints2d: of the target, in the units of the source, (M, T, J, 2); NaN where missing.
            Joints are filled in from the frames around (`windows.fill`); windows in which nobody
            is seen are left out, and a warning counts them.
        camera: the target's, in the same units, one or M.
        recipe: what is switched on, and numbers; `PAPER_RECIPE` is the paper's.
        seed: of LoRA, pairs, hypotheses, steps and noise.
        diffusion: that the model was trained with; default 1,000 steps.
        **watch: checkpoint, progress, callback; see `loop.Watch`.

    Returns:
        A new model, with LoRA and bias in it (`networks.merged` multiplies LoRA in).

    Raises:
        ValueError: for windows without 3D, or such as the model cannot lift, or keypoints without
            anybody, or without a root where F needs it.
    """
    recipe = recipe or Adaptation()
    network = adaptable(model, recipe.low_rank, recipe.bias, seed)
    task = AdaptTask(
        network, source, recipe, seed, diffusion or GaussianDiffusion(), keypoints2d, camera
    )
    trained = task.fit("adapting the lifter", **watch)
    grown = task.growth(model, trained.model)
    if abs(grown - 1) > _NOTABLE:
        log.warning(
            "on the target, people are lifted %.0f %% %s than before the adaptation; a picture "
            "cannot tell which is right: compare with people's true sizes, or give them to "
            "lift(body=...)",
            *(100 * abs(grown - 1), "taller" if grown > 1 else "shorter"),
        )
    return trained


class AdaptTask(LiftTask):
    """Algorithm 1, for `train.loop.fit`."""

    parts = (*LiftTask.parts, "teacher")
    recipe: Adaptation

    def __init__(
        self,
        network: Denoiser,
        source: Windows,
        recipe: Adaptation,
        seed: int,
        diffusion: GaussianDiffusion,
        keypoints2d: Tensor,
        camera: Camera,
    ) -> None:
        super().__init__(network, source, recipe, seed, diffusion)
        if keypoints2d.ndim != 4 or keypoints2d.shape[1:] != self.centred.shape[1:]:
            raise ValueError(
                f"target keypoints have shape {tuple(keypoints2d.shape)}, expected "
                f"(M, *{tuple(self.centred.shape[1:])}) like the source's: cut them with "
                "windows.cut, convert joints with skeletons.convert"
            )
        if recipe.augment == "plain" and self.source.root is None:
            raise ValueError("plain augmentation needs the source's root: Windows(root=...)")
        focal, center = intrinsics(camera, len(keypoints2d))
        kept = peopled(keypoints2d)
        keypoints2d, focal, center = keypoints2d[kept], focal[kept], center[kept]
        self.target = keypoints2d.to(self.device)
        self.filled = fill(self.target)
        if recipe.augment == "target":
            aims(self.filled, network.root)  # now, not when such a window is drawn
        network.seen(self.filled)
        eye, origin = torch.eye(3), torch.zeros(3)
        self.camera = Camera(eye.to(focal), origin.to(focal), focal, center).to(self.device)
        self.seen = from_principal_point(self.filled, self.camera)
        self.begin = round(recipe.warm_up * recipe.steps) if recipe.hypotheses else recipe.steps
        self.teacher = loop.Ema(network)
        if recipe.augment in ("lifted", "varied"):
            self.places = self._places()

    def pairs(self, step: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Lines 4 to 15 of Algorithm 1: D_aug, source and target pairs in one batch."""
        chosen = self.draw(len(self.poses), random)
        other = self.draw(len(self.target), random)
        keypoints, poses = self._augmented(chosen, other, random)
        if step < self.begin:
            return keypoints, poses
        if step == self.begin:
            self.teacher.step(self.network, 0.0)
        labels = self._pseudo_labels(other, random)
        return torch.cat([keypoints, self.seen[other]]), torch.cat([poses, labels])

    def step(self, step: int) -> dict[str, Tensor]:
        """The student's step, and what the teacher takes over from it (lines 16 to 19)."""
        scalars = super().step(step)
        if step >= self.begin:
            self.teacher.step(self.network, self.recipe.teacher_decay)
        return scalars

    def _augmented(
        self, chosen: Tensor, other: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Source pairs as the recipe wants them (line 6)."""
        poses = self.poses[chosen]
        if self.recipe.augment == "target":
            camera = self.camera[other]
            placed = align(poses, self.filled[other], camera, self.network.root)
        elif self.recipe.augment in ("lifted", "varied"):
            camera = self.camera[other]
            if self.recipe.augment == "varied":
                poses = vary(poses, self.source.skeleton, random)
            placed = put(poses, self.places[other], camera)
        elif self.recipe.augment == "plain":
            assert self.source.root is not None
            camera, root = self.source.camera[chosen], self.source.root[chosen]
            placed = jitter(poses, root, camera, self.source.skeleton, random)
        else:
            return self.centred[chosen], poses
        return placed.keypoints - camera.center[:, None, None], placed.joints3d

    @torch.no_grad()
    def _places(self) -> Tensor:
        """Where the lifter of the source thinks the target's people are, (M, T, 3)."""
        random = runtime.generator((self.seed, 11), self.device)
        skeleton = self.source.skeleton
        home = self._mean(self.network, self.centred[:_HOME], random)
        length = float(total_length(home, skeleton).mean())
        found = self._mean(self.network, self.seen, random)
        return lifted_places(found, self.target, self.camera, skeleton, length)

    def _mean(self, model: Denoiser, keypoints: Tensor, random: torch.Generator) -> Tensor:
        """The middle of some guesses, (N, T, J, 3)."""
        model.eval()
        steps, eta = self.recipe.sampling_steps, self.recipe.eta
        parts = [
            hypothesise(model, some, _GUESSES, steps, eta, random, self.diffusion)
            for some in keypoints.split(_CHUNK)
        ]
        return torch.cat(parts).mean(1)

    @torch.no_grad()
    def growth(self, before: Denoiser, after: Denoiser) -> float:
        """How much taller people of the target are lifted than before; 1 is as tall."""
        found = [
            self._mean(
                model, self.seen[:_LOOKED_AT], runtime.generator((self.seed, 13), self.device)
            )
            for model in (before, after)
        ]
        return change(found[0], found[1], self.source.skeleton)

    @torch.no_grad()
    def _pseudo_labels(self, other: Tensor, random: torch.Generator) -> Tensor:
        """The teacher's poses (B, T, J, 3) of target windows (lines 8 to 13)."""
        recipe = self.recipe
        found = hypothesise(
            self.teacher.module,
            self.seen[other],
            recipe.hypotheses,
            recipe.sampling_steps,
            recipe.eta,
            random,
            self.diffusion,
        )
        target, camera = self.target[other], self.camera[other]
        return combine(found, target, camera, recipe.choose, self.source.skeleton)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to have been made with."""
        camera = [self.camera.focal, self.camera.center]
        return {**super().identity(), "target": checkpoints.state_hash([self.target, *camera])}
