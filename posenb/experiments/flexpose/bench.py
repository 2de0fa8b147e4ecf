"""The bench of the chapter's experiments: a source, a target, a few shots, a method, its measures.

Before anything is adapted, the crops are made alike: a target's poses are cut out as the source's
were (a box around the joints). How large somebody is in the crop is no matter of pose, and a
generator that has always filled its picture hardly learns to paint small people; the last route of
table `settings` tries.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from posenb import prior
from posenb.experiments import sweep
from posenb.experiments.prior.bench import Reference, Target, reference
from posenb.experiments.prior.tables import pose_change
from posenb.flexpose import baselines
from posenb.flexpose.adapt import USUAL, Adapted, PoseSource, Readers, Recipe, adapt
from posenb.flexpose.shots import few_shot
from posenb.prior.training import READER_STEPS, reader_asset
from posenb.prior.weights import skeleton_of
from posenb.train import checkpoints, runtime
from posenb.world import datasets, domains, faces
from posenb.world.domains import Domain, Split
from posenb.world.drawing import draw_skeletons
from posenb.world.faces import FaceDomain
from posenb.world.poses import PoseSet

POOL = 5_000  # annotated training poses of the target that the shots are drawn from

Method = Callable[..., PoseSource]
MIXED: dict[str, Any] = {"shots_mixed": 1000}
ON_PAIRS: dict[str, Any] = {"objective": "paper"}
EARLY = Recipe(batch=64, learning_rate=1e-4)  # has not yet done what the paper's objective asks for
# Rows of Table 1: what is adapted, and how. The label is what the card shows.
METHODS: Mapping[str, tuple[Method, dict[str, Any]]] = {
    "source only": (baselines.source_only, {}),
    "bootstrap of the shots": (baselines.bootstrap, {}),
    "bootstrap of the mixtures": (baselines.bootstrap, MIXED),
    "Gaussian on the shots": (baselines.gaussian, {}),
    "Gaussian on the mixtures": (baselines.gaussian, MIXED),
    "affine map a joint": (baselines.moments, {}),
    "fine-tune all": (baselines.finetune_all, {}),
    "fine-tune all, mixtures": (baselines.finetune_all, MIXED),
    "FreezeD": (baselines.freeze_d, {}),
    "AdaGAN": (baselines.adagan, {}),
    "AdaGAN, mixtures": (
        baselines.adagan,
        {**MIXED, "recipe": Recipe(steps=800, batch=32, learning_rate=5e-3)},
    ),
    "LoRA, paper's objective": (baselines.lora, {**ON_PAIRS, "recipe": Recipe(learning_rate=1e-4)}),
    "LoRA": (baselines.lora, {}),
    "FlexPose, paper": (adapt, {**ON_PAIRS, "layers": (3,), "recipe": EARLY}),
    "FlexPose, paper, to the end": (adapt, {**ON_PAIRS, "layers": (3,)}),
    "FlexPose, transport": (adapt, {"objective": "transport"}),
    "FlexPose": (adapt, {}),
}
RECIPES: Mapping[Method, Recipe] = {  # of the methods that have one for all objectives
    baselines.finetune_all: baselines.GAME,
    baselines.freeze_d: baselines.GAME,
    baselines.adagan: baselines.STATISTICS,
    baselines.lora: baselines.LOW_RANK,
}
TRAINED = (*RECIPES, adapt)
FLOOR = "other held-out poses (floor)"
TRAINING = "training poses of the target"


class RecordedPoses:
    """Real poses as a target: drawn without replacement; two thirds of the pictures are held out.

    A distance between samples grows as they shrink, so all rows of a table have as many poses as
    there are in each half of those held out; a third is left to draw the shots from.

    Args:
        poses: all of them, with all joints; what stands before " / " in `subject` stays together.

    Raises:
        ValueError: if there are too few people or pictures to hold any out.
    """

    def __init__(self, poses: PoseSet) -> None:
        groups = [name.split(" / ")[0] for name in poses.subject]
        names = sorted(set(groups))
        order = torch.randperm(len(names), generator=runtime.generator(0)).tolist()
        held_out = {names[i] for i in order[len(names) // 3 :]}
        test = [i for i, name in enumerate(groups) if name in held_out]
        train = [i for i, name in enumerate(groups) if name not in held_out]
        if len(train) < 2 or len(test) < 4:  # which are halved
            raise ValueError(
                f"{len(poses)} people with all joints are in {len(names)} pictures or films, too "
                f"few: {len(held_out)} of these are held out as a whole ({len(test)} people, "
                f"expected at least 4), which leaves {len(train)} people (at least 2)"
            )
        self.test, self.train = poses[test], poses[train]
        self.digest = checkpoints.state_hash(poses.keypoints)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordedPoses) and self.digest == other.digest

    def __repr__(self) -> str:
        return f"Recorded({len(self.train)} + {len(self.test)} poses, {self.digest[:12]})"

    def __hash__(self) -> int:
        return hash(self.digest)  # a copy in another process finds what is kept for this one

    def sample(self, count: int, seed: int, split: Split = "train") -> PoseSet:
        """`count` poses of a split in random order, or all if there are fewer."""
        poses = self.test if split == "test" else self.train
        order = torch.randperm(len(poses), generator=runtime.generator(seed))
        return poses[order[:count]]


def find_target(name: str, source: str = "wild") -> Target:
    """A domain, or the full poses of a file (`coco:PATH`, `mpii:PATH`), cropped as the source's.

    Raises:
        ValueError: for another kind of file, an unknown domain, or one of another skeleton than
            the source's.
        DatasetError: if the file is missing or damaged.
    """
    known = (*domains.names(), *faces.names())
    like = source if source in known else "wild"  # as the poses of files are, and union
    if not datasets.is_file(name):
        return alike(name, like)
    poses = datasets.full_poses(name, domains.get(like).margin)
    try:
        return RecordedPoses(poses)
    except ValueError as error:
        raise datasets.DatasetError(datasets.parse(name)[1], "all people", str(error)) from error


def alike(target: str, source: str = "wild") -> Domain | FaceDomain:
    """The target's domain with its people, or faces, cropped as the source's are.

    Raises:
        ValueError: if there is no such domain, or one shows people and the other faces.
    """
    if target in faces.names():
        face = faces.get(source)
        crop = {"margin": face.margin, "lift": face.lift, "crop_noise": face.crop_noise}
        return dataclasses.replace(faces.get(target), **crop)  # type: ignore[arg-type]
    like = domains.get(source)
    return dataclasses.replace(domains.get(target), crop=like.crop, margin=like.margin)


def shots(domain: Target, per_class: int, seed: int, only: int | None = None) -> PoseSet:
    """The few annotated poses of one seed, drawn from training poses of the target.

    Of recorded poses, whose classes are not known or too many, there are as many as 15 classes
    would have. `only` leaves that many of them, so that some classes are missing.
    """
    pool = domain.sample(POOL, 1000 + seed)
    recorded = isinstance(domain, RecordedPoses)
    guides = pool[: 15 * per_class] if recorded else few_shot(pool, per_class, seed)
    if only is None:
        return guides
    return guides[torch.randperm(len(guides), generator=runtime.generator((seed, 4)))[:only]]


@dataclass(frozen=True)
class Bench(sweep.Bench):
    """What a method is measured on; its seed is that of shots, latents, initialisation and samples.

    Attributes:
        source: a shipped generator, or the folder of one.
        target: cropped as the source's poses are.
        count: poses on either side. The paper draws 50,000, but the floor of table 1, which has
            10,000, is far below all its rows.
        suffix: of the card, for another source or target than table 1 has.
    """

    source: str = "wild"
    target: Target = dataclasses.field(default_factory=lambda: alike("lab"))
    count: int = 5_000
    suffix: str = ""

    @property
    def ruler(self) -> Reference:
        """Held-out poses of the target."""
        return reference(self.target, self.seed, self.count)

    @property
    def readers(self) -> Readers:
        """Those of the source."""
        return _readers(self.source)

    def generator(self) -> prior.Generator:
        """The source's, as it is before anything is adapted."""
        return prior.load_generator(self.source, runtime.device())

    def adapted(
        self, method: Method, per_class: int = 2, only: int | None = None, **options: Any
    ) -> PoseSource:
        """What a method makes of the shots; `per_class` and `only` as in `shots`."""
        guides = shots(self.target, per_class, self.seed, only)
        quiet = {"progress": False} if method in TRAINED else {}
        given: dict[str, Any] = {"seed": self.seed, "readers": self.readers, **quiet, **options}
        return method(self.generator(), guides, **given)

    def draw(self, adapted: PoseSource) -> Tensor:
        """Poses for a table, as many as are held out: of recorded ones there may be fewer.

        bfloat16 gives the same: FD of 3,000 source poses is .2434 with it, .2433 without.
        """
        with runtime.autocast(runtime.device(), True):
            return adapted.sample(len(self.ruler.real), self.seed).float().cpu()

    def run(self, poses: str, **options: Any) -> dict[str, float]:
        """Adapt, sample, measure.

        Args:
            poses: one of METHODS, or FLOOR or TRAINING.
            options: of `adapted`, where they differ from the row's in METHODS.
        """
        ruler = self.ruler
        if poses == FLOOR:
            return ruler.measure(ruler.other)
        if poses == TRAINING:
            training = self.target.sample(len(ruler.real), 3000 + self.seed)
            return ruler.measure(training.keypoints)
        method, usual = METHODS[poses]
        adapted = self.adapted(method, **{**usual, **options})
        found = ruler.measure(self.draw(adapted))
        if isinstance(adapted, Adapted):
            found["misread"] = misread(adapted, self.seed)
        return found

    def moved(self, adapted: PoseSource, count: int = 500) -> dict[str, float]:
        """What tau does to poses of the same latents: pivot, joints, bones."""
        before = prior.sample(self.generator(), self.readers.regressor, count, self.seed)
        return pose_change(before.cpu(), adapted.sample(count, self.seed).cpu())

    def facts(self, *sources: str) -> dict[str, Any]:
        """What all rows of a card share; `sources` where there are others than the bench's."""
        weights: dict[str, str] = {}
        for source in dict.fromkeys(sources or (self.source,)):
            name, folder = prior.find_generator(source)
            skeleton = skeleton_of(source)
            networks = (f"prior_{name}", f"prior_{name}_discriminator_64")
            readers = (reader_asset(reader, skeleton) for reader in READER_STEPS)
            weights |= checkpoints.digests(*networks, folder=folder) | checkpoints.digests(*readers)
        return {"poses": self.count, "weights": weights}


@functools.cache
def _readers(source: str) -> Readers:
    """Loaded once."""
    return Readers.load(source, runtime.device())


@torch.no_grad()
def misread(adapted: Adapted, seed: int, count: int = 1000) -> float:
    """How far pictures differ from drawings of the keypoints that are read in them.

    FlexPose learns through the regressor that also reads its poses. If the generator had learned
    to fool it, pictures would no longer show what is read from them, and this share would rise.

    Args:
        adapted: a generator with its regressor.
        seed: of the latents.
        count: number of pictures.

    Returns:
        Sum of absolute differences on a grid of 16 x 16 cells by the sum of the drawing, the median
        of all pictures: .06 for drawings of real poses, .36 for `wild`'s own pictures, whose lines
        are softer, about 2 if a skeleton is read beside the one that is painted.
    """
    generator = adapted.generator
    device = next(generator.parameters()).device
    random = runtime.generator(seed, device)
    shares = []
    for first in range(0, count, 64):
        image = generator(generator.sample_z(min(64, count - first), random))
        again = draw_skeletons(adapted.regressor(image), adapted.skeleton, image.shape[-1])
        painted, read = (adaptive_avg_pool2d(x, 16) for x in (image.clamp(0, 1), again))
        shares.append((painted - read).abs().sum((1, 2, 3)) / read.sum((1, 2, 3)))
    return float(torch.cat(shares).median())


def plain(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """A method and its options as plain data, the recipe written out, for a card."""
    found = {**options, "method": method.__name__}
    if method not in TRAINED:
        return found
    usual = RECIPES.get(method) or USUAL[options.get("objective", "distribution")]
    return {**found, "recipe": dataclasses.asdict(options.get("recipe", usual))}
