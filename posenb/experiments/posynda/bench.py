"""The bench of the chapter's experiments: a lifter of one seed, and all that is done with it.

Everything starts from lifters trained on the source, in `runs/posynda`; those that are not there
yet are trained first, some minutes each on one core. What adapts itself sees 2D and the intrinsics
of other people in other takes than those it is scored on; only the oracle sees labels of the
target.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from posenb.experiments import sweep
from posenb.experiments.posynda.recorded import Recorded, Seen
from posenb.measure.keypoints import auc, mpjpe, pa_mpjpe, pck
from posenb.posynda import windows
from posenb.posynda.adapt import PAPER_RECIPE, Adaptation, adapt
from posenb.posynda.baselines import Game, Gan, adapt_gan, train_gan
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import combine, oracle
from posenb.posynda.lifting import Recipe, lift, train_lifter
from posenb.posynda.networks import DENOISERS, PAPER, Condition, Denoiser, adaptable
from posenb.posynda.windows import Windows
from posenb.train import loop, runtime
from posenb.world.domains import Split

Kind = TypeVar("Kind", bound=Recipe)
Result = TypeVar("Result")

RUNS = Path("runs/posynda")  # checkpoints
SOURCE = "lab"
PCK_AT = 0.15  # metres
Place = str | Recorded  # a name of `windows.domain`, or films
ALL_WEIGHTS: dict[str, Any] = {"low_rank": None, "bias": False, "learning_rate": 3e-4}
NO_TEACHER: dict[str, Any] = {"hypotheses": 0}


@dataclass(frozen=True)
class Lifter:
    """A lifter of the source that an experiment starts from.

    Attributes:
        denoiser: key of DENOISERS.
        width: of it.
        training: on the source.
        timesteps: T of the diffusion.
    """

    denoiser: str
    width: int
    training: Recipe
    timesteps: int = 1000


@dataclass(frozen=True)
class Scale:
    """How large an experiment is.

    Attributes:
        frames: T of a window.
        fps: frames a second.
        source: windows of the source.
        target: windows of the target to learn from.
        test: windows of the target to be scored on.
        mixste: the usual lifter.
        videopose: the other, which is quicker.
        steps: of an adaptation.
        batch: of an adaptation.
        hypotheses: H when scored.
        sampling_steps: K of DDIM when scored.
    """

    frames: int = 5
    fps: float = 15.0
    source: int = 20_000
    target: int = 1000
    test: int = 300
    mixste: Lifter = Lifter("MixSTE", 64, Recipe(4000, batch=32, learning_rate=4e-3))
    videopose: Lifter = Lifter("VideoPose", 256, Recipe(steps=6000))
    steps: int = 200
    batch: int = 16
    hypotheses: int = 5
    sampling_steps: int = 5

    @property
    def lifters(self) -> dict[str, Lifter]:
        """Both, by the names of their denoisers."""
        return {lifter.denoiser: lifter for lifter in (self.mixste, self.videopose)}


TEACHING = Scale()
# Sec. 4.2, on all windows (2,000 to be scored on, which is all of 3DHP's). The paper names no
# number of steps, so these are ours: 150,000 are about ten rounds of Human3.6M's windows of 27
# frames. At 243 frames, VideoPose still sees 27 at a time.
AT_LENGTH = Recipe(
    steps=150_000,
    batch=PAPER_RECIPE.batch,
    learning_rate=PAPER_RECIPE.learning_rate,
    loss=PAPER_RECIPE.loss,
    late=PAPER_RECIPE.late,
)
PAPER_SCALE = Scale(
    frames=27,
    source=1_000_000,
    target=1_000_000,
    test=2000,
    mixste=Lifter("MixSTE-paper", PAPER["width"], AT_LENGTH),
    videopose=Lifter("VideoPose", 1024, AT_LENGTH),
    steps=20_000,
    batch=PAPER_RECIPE.batch,
    hypotheses=PAPER_RECIPE.hypotheses,
    sampling_steps=PAPER_RECIPE.sampling_steps,
)


@dataclass(frozen=True)
class Bench(sweep.Bench):
    """What a measurement stands on.

    Attributes:
        scale: how large everything is.
        folder: of the checkpoints.
        source: where the lifter comes from.
        other: a lifter in place of the scale's usual one.
    """

    scale: Scale = TEACHING
    folder: Path = RUNS
    source: Place = SOURCE
    other: Lifter | None = None

    def of(self, lifter: Lifter) -> Bench:
        """The same with another lifter."""
        return replace(self, other=lifter)

    @property
    def lifter(self) -> Lifter:
        """The one that is worked with."""
        return self.other or self.scale.mixste

    @property
    def diffusion(self) -> GaussianDiffusion:
        """Its steps."""
        return GaussianDiffusion(self.lifter.timesteps)

    def people(self, place: Place, count: int, split: Split = "train") -> Windows:
        """Windows of a domain, or of films, which keep their own rate."""
        return people(place, count, self.seed, self.scale.frames, self.scale.fps, split)

    def pairs(self) -> Windows:
        """Those of the source."""
        return self.people(self.source, self.scale.source)

    def pool(self, place: Place) -> Windows:
        """Those of a target to learn from."""
        return self.people(place, self.scale.target)

    def test(self, place: Place) -> Windows:
        """Those to be scored on."""
        return self.people(place, self.scale.test, "test")

    def fresh(self) -> Denoiser:
        """The lifter before it has learned anything."""
        make, width = DENOISERS[self.lifter.denoiser], self.lifter.width
        return make(frames=self.scale.frames, width=width, seed=self.seed)

    def start(self, progress: bool = False) -> Denoiser:
        """The lifter, trained on the source; from its checkpoint if that is finished."""
        fresh, kept = self.fresh().to(runtime.device()), self.checkpoint()
        task = (fresh, self.pairs(), self.lifter.training)
        return self._trained(train_lifter, *task, checkpoint=kept, progress=progress).model

    def adapt(
        self, recipe: Adaptation, seen: Windows | Seen, checkpoint: Path | None = None
    ) -> Denoiser:
        """The lifter, adapted to 2D and intrinsics, from which nothing else is taken."""
        given = (self.pairs(), seen.keypoints, seen.camera, self.sized(recipe))
        return self._trained(adapt, self.start(), *given, checkpoint=checkpoint).model

    def taught(self, target: Place) -> Denoiser:
        """The oracle: goes on from the source's weights with labelled pairs of the target."""
        training = self.lifter.training
        rate = min(ALL_WEIGHTS["learning_rate"], training.learning_rate)  # at the paper's size
        recipe = replace(self.sized(training), learning_rate=rate)
        student = adaptable(self.start(), None, False)
        return self._trained(train_lifter, student, self.pool(target), recipe).model

    def games(self) -> dict[str, Game]:
        """How the GAN learns on the source and on the target, where it has as long as others."""
        rate, training = ALL_WEIGHTS["learning_rate"], self.lifter.training
        return {
            "source": Game(-(-training.steps // 6), training.batch, rate),
            "target": Game(self.scale.steps, self.scale.batch, rate),
        }

    def gan(self, progress: bool = False) -> Gan:
        """The GAN of the source, from its checkpoint; it starts from the lifter."""
        game, scale = self.games()["source"], self.scale
        kept = self.keep("GAN", (self.lifter, game, scale.frames, scale.source))
        task = (adaptable(self.start(progress), None, False), self.pairs(), game)
        return self._trained(train_gan, *task, checkpoint=kept, progress=progress)

    def play_on(self, target: Place) -> Denoiser:
        """The GAN's generator, adapted to a target's 2D."""
        some, game = self.pool(target), self.games()["target"]
        task = (self.gan(), self.pairs(), some.keypoints, some.camera, game)
        return self._trained(adapt_gan, *task).generator

    def method(self, recipe: Adaptation | None, target: Place, labelled: bool = False) -> Denoiser:
        """The lifter after a recipe, or as it is, or after labels of the target."""
        if labelled:
            return self.taught(target)
        return self.start() if recipe is None else self.adapt(recipe, self.pool(target))

    def lift(self, model: Denoiser, some: Windows | Seen, **options: Any) -> Tensor:
        """Hypotheses (N, H, T, J, 3) of windows, on the CPU."""
        some = some.to(next(model.parameters()).device)
        options = {
            "hypotheses": self.scale.hypotheses,
            "steps": self.scale.sampling_steps,
            "seed": self.seed,
            "diffusion": self.diffusion,
            **options,
        }
        return lift(model, some.keypoints, some.camera, **options).hypotheses.cpu()

    def score(self, model: Denoiser, target: Place) -> dict[str, float]:
        """Scores on the target's test windows."""
        test, counted = self.test(target), None
        if isinstance(target, Recorded):
            counted = target.counted(self.scale.test, self.seed, self.scale.frames)
        return several(self.lift(model, test), test, counted)

    def sized(self, recipe: Kind) -> Kind:
        """A recipe with the scale's steps and batch."""
        return replace(recipe, steps=self.scale.steps, batch=self.scale.batch)

    def checkpoint(self) -> Path:
        """Where `start` keeps what it has trained."""
        scale, other = self.scale, [] if self.source == SOURCE else [self.source]
        content = (self.lifter, scale.frames, scale.fps, scale.source, *other)
        return self.keep(self.lifter.denoiser, content)

    def keep(self, kind: str, content: tuple[Any, ...]) -> Path:
        """A file of its own for all that a training depends on."""
        digest = hashlib.sha256(repr(content).encode()).hexdigest()[:8]
        return self.folder / f"{kind}_{digest}_seed{self.seed}.pt"

    def facts(self, recipes: Mapping[str, Adaptation | None]) -> dict[str, Any]:
        """What all rows of a card share."""
        plain = {n: None if r is None else asdict(self.sized(r)) for n, r in recipes.items()}
        return {"source": SOURCE, "scale": asdict(self.scale), "recipes": plain}

    def _trained(self, train: Callable[..., Result], *task: Any, **options: Any) -> Result:
        usual = {"diffusion": self.diffusion, "progress": False}
        with loop.whole():
            return train(*task, self.seed, **{**usual, **options})


@functools.lru_cache(maxsize=4)
def people(place: Place, count: int, seed: int, frames: int, fps: float, split: Split) -> Windows:
    """What `Bench.people` gives, kept for the next method of a row."""
    if isinstance(place, Recorded):
        return place.sample(count, seed, frames, split)
    return windows.sample(windows.domain(place), count, seed, frames, split, fps=fps)


def several(found: Tensor, test: Windows, counted: Tensor | None = None) -> dict[str, float]:
    """Scores of one hypothesis, as the paper lifts, and of what H (N, H, T, J, 3) are good for.

    Only joints that count (N, T, J) are looked at, by default all.
    """
    truth = test.joints3d
    assert truth is not None
    scores = errors(found[:, 0], truth, counted)
    rays = combine(found, test.keypoints, test.camera, "rays", test.skeleton)
    known = found if counted is None else found * counted[:, None, ..., None]
    best = oracle(known, truth if counted is None else truth * counted[..., None])
    ways = {"mean": found.mean(1), "rays": rays, "oracle": best}
    error = {way: 1000 * float(mpjpe(pose, truth, counted)) for way, pose in ways.items()}
    return scores | {f"MPJPE {way}": value for way, value in error.items()}


def errors(found: Tensor, truth: Tensor, counted: Tensor | None = None) -> dict[str, float]:
    """Errors in mm, and shares in per cent, of root-relative poses (N, T, J, 3) in metres.

    All joints count, the root too, as in the published code; frames where none does are left out.
    """
    if counted is not None:
        some = counted.any(-1)  # (N, T)
        found, truth, counted = found[some], truth[some], counted[some]
    return {
        "MPJPE": 1000 * float(mpjpe(found, truth, counted)),
        "P-MPJPE": 1000 * float(pa_mpjpe(found, truth, counted)),
        "PCK": 100 * float(pck(found, truth, PCK_AT, counted)),
        "AUC": 100 * float(auc(found, truth, counted)),
    }


def cost(model: Denoiser, recipe: Adaptation | None) -> dict[str, float]:
    """What an adaptation learns and computes, counted by torch.

    Returns:
        `parameters`: how many learn, in thousands. `GFLOPs`: what one target window costs, as the
        paper counts: a pass of the network, or with a teacher those of its H hypotheses (and of
        each of its steps). `GFLOPs a step`: of a step with one source window, and one of the target
        if there is a teacher, forward and backward. A multiplication and an addition are two.
        Attention is counted; in the paper's 277.26 it is not.
    """
    adapts, recipe = recipe is not None, recipe or Adaptation(**ALL_WEIGHTS, **NO_TEACHER)
    student = adaptable(model, recipe.low_rank, recipe.bias).to("meta")
    learned = sum(p.numel() for p in student.parameters() if p.requires_grad)

    def forward(count: int, hypotheses: int) -> Tensor:
        shape = (student.frames, student.joints)
        keypoints = torch.zeros(count, *shape, 2, device="meta")
        noisy = torch.zeros(count, hypotheses, *shape, 3, device="meta")
        t = torch.zeros(count, device="meta")
        return student.denoise(noisy, Condition(student.embed(keypoints), None), t)

    with FlopCounterMode(display=False) as lifting, torch.no_grad():
        for _ in range(recipe.sampling_steps if recipe.hypotheses else 1):
            forward(1, max(recipe.hypotheses, 1))
    with FlopCounterMode(display=False) as learning:
        forward(2 if recipe.hypotheses else 1, 1).sum().backward()
    teacher = lifting.get_total_flops() if recipe.hypotheses else 0
    return {
        "parameters (K)": adapts * learned / 1000,
        "GFLOPs": lifting.get_total_flops() / 1e9,
        "GFLOPs a step": adapts * (teacher + learning.get_total_flops()) / 1e9,
    }
