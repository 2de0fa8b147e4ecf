"""The chapter's experiments: `python -m posenb table flexpose.table1`, and so on.

Before anything is adapted, the crops are made alike: a target's poses are cut out as the source's
were (a box around the joints). How large somebody is in the crop is no matter of pose, and a
generator that has always filled its picture hardly learns to paint small people; the last route of
table `settings` tries.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from posenb import prior
from posenb.experiments.prior.tables import pose_change
from posenb.experiments.sweep import run_table
from posenb.flexpose import baselines
from posenb.flexpose.adapt import USUAL, Adapted, PoseSource, Readers, Recipe, adapt
from posenb.flexpose.shots import few_shot
from posenb.measure import plausibility
from posenb.measure.distributions import (
    frechet_distance,
    median_bandwidth,
    mmd2,
    precision,
    recall,
    spread_ratio,
)
from posenb.measure.keypoints import joint_triplets
from posenb.prior.training import READER_STEPS, reader_asset
from posenb.prior.weights import provenance, skeleton_of
from posenb.train import checkpoints, runtime
from posenb.train.checkpoints import state_hash
from posenb.world import datasets, domains, faces
from posenb.world.domains import Domain, Split
from posenb.world.drawing import draw_skeletons
from posenb.world.faces import FaceDomain
from posenb.world.poses import PoseSet

SEEDS = (0, 1, 2, 3, 4)
POSES = 10_000  # of Table 1; the paper draws 50,000, but the floor is far below all rows here
FEWER = 5_000  # of the ablations
NEIGHBOURS = 10_000  # poses on either side where neighbours are searched
POOL = 5_000  # annotated training poses of the target that the shots are drawn from

TRIED_LAYERS = (*((layer,) for layer in range(1, 10)), (1, 2), (2, 3), (1, 3), (1, 2, 3))
PAIRS = (30, 65, 130, 260, 520, 1000)

# What `tuning` tries: learning rates with the first number of steps, other numbers of steps with
# the first rate, the batch, and other changes.
CHANGES: Mapping[str, dict[str, Any]] = {
    "layer 3": {"layers": (3,)},
    "layers 1 to 5": {"layers": (1, 2, 3, 4, 5)},
    "all layers": {"layers": tuple(range(1, 10))},
    "no re-rendering": {"recipe": {"realism": 0.0}},
    "re-rendering counts double": {"recipe": {"realism": 0.1}},
}
TRIED: Mapping[str, tuple[Sequence[float], Sequence[int], int, Sequence[str]]] = {
    "FlexPose": ((3e-4, 1e-4, 3e-5, 1e-3), (200, 50, 500), 32, tuple(CHANGES)),
    "FlexPose, paper": ((1e-3, 3e-4, 3e-3, 1e-4, 3e-5), (200,), 64, ()),
    "FlexPose, transport": ((1e-3, 3e-4, 3e-3, 1e-4, 3e-5), (200,), 64, ()),
    "LoRA": ((3e-4, 1e-4, 1e-3, 3e-3, 1e-2), (200, 50), 32, ()),
    "LoRA, paper's objective": ((3e-3, 1e-3, 3e-4, 1e-4), (200,), 32, ()),
    "AdaGAN": ((5e-3, 1.5e-3, 5e-4, 1.5e-2), (800, 200), 64, ()),
    "AdaGAN, mixtures": ((5e-3, 1.5e-3, 1.5e-2), (800, 200), 32, ()),
    "fine-tune all": ((2e-3, 6e-3, 6e-4, 2e-4), (200, 50, 500), 32, ()),
    "fine-tune all, mixtures": ((2e-3, 6e-3, 6e-4), (200, 50), 32, ()),
    "FreezeD": ((2e-3, 6e-3, 6e-4), (200, 50), 32, ()),
}

Method = Callable[..., PoseSource]
MIXED: dict[str, Any] = {"shots_mixed": 1000}
PAPER: dict[str, Any] = {"objective": "paper"}
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
    "LoRA, paper's objective": (baselines.lora, {**PAPER, "recipe": Recipe(learning_rate=1e-4)}),
    "LoRA": (baselines.lora, {}),
    "FlexPose, paper": (adapt, {**PAPER, "layers": (3,), "recipe": EARLY}),
    "FlexPose, paper, to the end": (adapt, {**PAPER, "layers": (3,)}),
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


@dataclass(frozen=True)
class Reference:
    """Held-out target poses, and the rulers that all rows of a table share.

    Attributes:
        real: (count, J, 2).
        other: another half of the held-out poses.
        bandwidth: of MMD^2.
        limits: what is plausible among target poses.
    """

    real: Tensor
    other: Tensor
    bandwidth: float
    limits: plausibility.Plausibility

    def measure(self, poses: Tensor) -> dict[str, float]:
        """Distances of poses (count, J, 2) to the held-out ones; see notebook 00."""
        few = min(NEIGHBOURS, len(self.real), len(poses))
        return {
            "FD": frechet_distance(self.real, poses),
            "MMD2": mmd2(self.real, poses, self.bandwidth),
            "recall": recall(self.real[:few], poses[:few]),
            "precision": precision(self.real[:few], poses[:few]),
            "spread": spread_ratio(poses, self.real),
            "bone violations": float(self.limits.bone_violations(poses).float().mean()),
            "size violations": float(self.limits.size_violations(poses).float().mean()),
            "joint violations": float(self.limits.joint_violations(poses).float().mean()),
        }


class Target(Protocol):
    """Where target poses come from: a domain, or `Recorded` poses of a real data set."""

    def sample(self, count: int, seed: int, split: Split = "train") -> PoseSet:
        """Poses of one split."""
        ...

    def __hash__(self) -> int:
        """Needed to keep its reference poses."""
        ...


class Recorded:
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
        self.digest = state_hash(poses.keypoints)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recorded) and self.digest == other.digest

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
        return Recorded(poses)
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
    recorded = isinstance(domain, Recorded)
    guides = pool[: 15 * per_class] if recorded else few_shot(pool, per_class, seed)
    if only is None:
        return guides
    return guides[torch.randperm(len(guides), generator=runtime.generator((seed, 4)))[:only]]


@functools.lru_cache(maxsize=8)  # five seeds of one target
def reference(domain: Target, seed: int, count: int) -> Reference:
    """The held-out poses of one seed."""
    held_out = domain.sample(2 * count, seed, "test").keypoints
    real, other = held_out.tensor_split(2)
    training = domain.sample(count, 2000 + seed)
    triplets = joint_triplets(training.skeleton.parents)
    limits = plausibility.learn(training.keypoints, other, training.skeleton.bones, triplets)
    return Reference(real, other, median_bandwidth(real, other), limits)


def run(
    method: str,
    source: str,
    domain: Target,
    seed: int,
    count: int,
    per_class: int = 2,
    only: int | None = None,
    **options: Any,
) -> dict[str, float]:
    """Adapt, sample, measure: one row and seed of any table of this chapter.

    Args:
        method: one of METHODS, or FLOOR or TRAINING.
        source: a shipped generator, or the folder of one.
        domain: the target.
        seed: of the shots, latents, initialisation and samples.
        count: poses on either side.
        per_class: shots of each action.
        only: number of shots that are left of these.
        options: arguments of the method that differ from its row's.
    """
    ruler = reference(domain, seed, count)
    count = len(ruler.real)  # of recorded poses there may be fewer
    if method == FLOOR:
        return ruler.measure(ruler.other)
    if method == TRAINING:
        return ruler.measure(domain.sample(count, 3000 + seed).keypoints)
    call, usual = METHODS[method]
    quiet = {"progress": False} if call in TRAINED else {}
    adapted = call(
        prior.load_generator(source, runtime.device()),
        shots(domain, per_class, seed, only),
        seed=seed,
        readers=readers(source),
        **{**quiet, **usual, **options},
    )
    found = ruler.measure(draw(adapted, count, seed))
    if isinstance(adapted, Adapted):
        found["misread"] = misread(adapted, seed)
    return found


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


def draw(adapted: PoseSource, count: int, seed: int) -> Tensor:
    """Poses for a table; bfloat16 gives the same (FD of 3,000 source poses: .2434, else .2433)."""
    with runtime.autocast(runtime.device(), True):
        return adapted.sample(count, seed).float().cpu()


@functools.cache
def readers(source: str) -> Readers:
    """Loaded once."""
    return Readers.load(source, runtime.device())


def moved(source: str, adapted: PoseSource, seed: int, count: int = 500) -> dict[str, float]:
    """What tau does to poses of the same latents: pivot, joints, bones (`prior.tables`)."""
    generator = prior.load_generator(source, runtime.device())
    before = prior.sample(generator, readers(source).regressor, count, seed)
    return pose_change(before.cpu(), adapted.sample(count, seed).cpu())


def table1(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, target: str = "lab", source: str = "wild"
) -> dict[str, Any]:
    """Card `flexpose.table1`: every method from `wild` to `lab` (FlexPose, Table 1).

    Another target (see `find_target`) has a card of its own, and so has another source (see
    `prior.find_generator`): `table1_stage`, `table1_from_stage`. Files and folders go by what they
    hold, too: `table1_coco_data_person_keypoints_val2017_1f3a9c02` (see `datasets.short_name`).

    Raises:
        ValueError: for an unknown target or source, or if they are the same poses.
        DatasetError: if the target's file is missing or damaged.
    """
    generator, folder = prior.find_generator(source)
    chosen = find_target(target, source)
    seen = provenance(source)["data_hash"]
    if isinstance(chosen, Recorded) and chosen.digest == seen:
        raise ValueError(f"{source} was trained on all poses of {target}: none are held out")
    card = "flexpose.table1" + ("" if target == "lab" else f"_{datasets.short_name(target)}")
    if folder is not None:  # trainings of one file differ, too
        weights = checkpoints.digests(f"prior_{generator}", folder=folder)[f"prior_{generator}"]
        card += f"_from_{generator}_{weights[:8]}"
    elif source != "wild":
        card += f"_from_{generator}"
    return run_table(
        card,
        [{"poses": label} for label in (FLOOR, TRAINING, *METHODS)],
        seeds,
        lambda row, seed: run(row["poses"], source, chosen, seed, POSES),
        jobs=jobs,
        configuration={
            **configuration(POSES, source),
            "target": repr(chosen),
            "methods": {label: plain(*method) for label, method in METHODS.items()},
        },
    )


def tuning(seeds: Sequence[int] = (0,), jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.tuning`: learning rates and steps of all that train, from `wild` to `stage`.

    No other table has this target, and here its poses may be looked at. The rate and number of
    steps with the lowest FD are what a method gets everywhere else. Rates are tried until the best
    one has a worse one on either side, but for "LoRA, paper's objective", which is best where it
    hardly learns. FlexPose's layers were tried out on `lab` itself, and its weight of re-rendering
    was chosen here by long bones and `misread`: FD alone would take none.
    """
    rows = [
        {"poses": label, "rate": rate, "steps": steps, "batch": batch, "change": change}
        for label, (rates, lengths, batch, changes) in TRIED.items()
        for rate, steps, change in (
            *((rate, lengths[0], "") for rate in rates),
            *((rates[0], steps, "") for steps in lengths[1:]),
            *((rates[0], lengths[0], change) for change in changes),
        )
    ]

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        recipe = Recipe(steps=row["steps"], learning_rate=row["rate"], batch=row["batch"])
        plan = dict(CHANGES.get(row["change"], {}))
        plan["recipe"] = dataclasses.replace(recipe, **plan.pop("recipe", {}))
        return run(row["poses"], "wild", alike("stage"), seed, FEWER, **plan)

    shared = {
        **configuration(FEWER),
        "target": repr(alike("stage")),
        "realism": Recipe().realism,
        "changes": CHANGES,
    }
    return run_table("flexpose.tuning", rows, seeds, measure, jobs=jobs, configuration=shared)


def layers(seeds: Sequence[int] = SEEDS, jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.layers`: each layer alone and some together (FlexPose, Fig. 4a).

    With the default objective; `reconstruction` is the last loss of the paper's objective.
    """

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        guides, chosen = shots(alike("lab"), 2, seed), tuple(row["layers"])
        learn = functools.partial(
            adapt,
            prior.load_generator("wild", runtime.device()),
            guides,
            chosen,
            seed=seed,
            readers=readers("wild"),
            progress=False,
        )
        paired, adapted = learn(objective="paper"), learn()
        ruler = reference(alike("lab"), seed, FEWER)
        return {
            "reconstruction": paired.history.rows[-1]["loss"],
            **ruler.measure(draw(adapted, FEWER, seed)),
            **moved("wild", adapted, seed),
        }

    rows = [{"layers": list(chosen)} for chosen in TRIED_LAYERS]
    return run_table(
        "flexpose.layers",
        rows,
        seeds,
        measure,
        jobs=jobs,
        configuration={
            **configuration(FEWER),
            "methods": {
                "reconstruction": plain(adapt, PAPER),
                "FlexPose": plain(adapt, {}),
            },
        },
    )


def pairs(seeds: Sequence[int] = SEEDS, jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.pairs`: what the paper's random pairs need, by the number of pairs.

    A linear fit of n targets on d features that know nothing about them keeps d / (n - d - 1) of
    the targets' variance at new latents: at n of about 2 d all of it, far above hardly any.
    """
    recipe = Recipe(steps=600, batch=64, learning_rate=3e-3)
    plan = {**PAPER, "layers": (1, 2, 3), "recipe": recipe}

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        return run(
            "FlexPose, paper",
            "wild",
            alike("lab"),
            seed,
            FEWER,
            shots_mixed=row["pairs"],
            **plan,
        )

    rows = [{"pairs": count} for count in PAIRS]
    return run_table(
        "flexpose.pairs",
        rows,
        seeds,
        measure,
        jobs=jobs,
        configuration={**configuration(FEWER), "paired": plain(adapt, plan)},
    )


def ablation(seeds: Sequence[int] = SEEDS, jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.ablation`: layers, mixup, linear, shots (the rows of FlexPose, Table 4)."""
    everything = tuple(range(1, 10))
    plans: dict[str, dict[str, Any]] = {
        "default": {},
        "layer 3": {"layers": (3,)},
        "layers 1, 3": {"layers": (1, 3)},
        "layers 3, 5": {"layers": (3, 5)},
        "all layers": {"layers": everything},
        "no mixup": {"shots_mixed": 0},
        "mixtures near the shots": {"recipe": Recipe(concentration=0.3)},
        "no linear": {"linear": False},
        "all layers, no mixup": {"layers": everything, "shots_mixed": 0},
        "all layers, no mixup, no linear": {
            "layers": everything,
            "shots_mixed": 0,
            "linear": False,
        },
        "with a bias": {"bias": True},
        "no re-rendering": {"recipe": Recipe(realism=0.0)},
        "2 shots": {"only": 2},
        "12 shots": {"only": 12},
        "24 shots": {"only": 24},
        "48 shots": {"per_class": 4, "only": 48},
        "120 shots": {"per_class": 8},
    }

    return changed("flexpose.ablation", {}, plans, seeds, jobs)


def ablation_paper(seeds: Sequence[int] = SEEDS, jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.ablation_paper`: FlexPose, Table 4, asked of the paper's own objective.

    Random pairs, at layer 3 as the paper, at the rate of "FlexPose, paper, to the end".
    """
    everything = tuple(range(1, 10))
    plans: dict[str, dict[str, Any]] = {
        "as printed": {},
        "layers 1, 3": {"layers": (1, 3)},
        "layers 3, 5": {"layers": (3, 5)},
        "all layers": {"layers": everything},
        "no mixup": {"shots_mixed": 0},
        "no linear": {"linear": False},
        "all layers, no mixup, no linear": {
            "layers": everything,
            "shots_mixed": 0,
            "linear": False,
        },
    }
    return changed("flexpose.ablation_paper", {**PAPER, "layers": (3,)}, plans, seeds, jobs)


def changed(
    card: str,
    base: Mapping[str, Any],
    plans: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    jobs: int,
) -> dict[str, Any]:
    """A card of FlexPose from `wild` to `lab` with one change a row."""
    options = {change: {**base, **plan} for change, plan in plans.items()}

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        return run("FlexPose", "wild", alike("lab"), seed, FEWER, **options[row["change"]])

    return run_table(
        card,
        [{"change": change} for change in plans],
        seeds,
        measure,
        jobs=jobs,
        configuration={
            **configuration(FEWER),
            "plans": {change: plain(adapt, plan) for change, plan in options.items()},
        },
    )


def settings(seeds: Sequence[int] = SEEDS, jobs: int = 1) -> dict[str, Any]:
    """Card `flexpose.settings`: other sources and targets, and crops that are not alike."""
    routes = [
        ("wild", "outdoor", alike("outdoor")),
        ("wild", "lab_simple", alike("lab_simple")),
        ("stage", "lab_simple", alike("lab_simple", "stage")),
        ("synthetic", "lab_simple", alike("lab_simple", "synthetic")),
        ("union", "lab_simple", alike("lab_simple")),
        ("wild", "lab, cropped otherwise", domains.get("lab")),
    ]
    methods = ("source only", "bootstrap of the shots", "fine-tune all", "LoRA", "FlexPose")
    targets = {(source, name): domain for source, name, domain in routes}

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        domain = targets[row["source"], row["target"]]
        return run(row["poses"], row["source"], domain, seed, FEWER)

    rows = [
        {"source": source, "target": name, "poses": method}
        for source, name, _ in routes
        for method in methods
    ]
    return run_table(
        "flexpose.settings",
        rows,
        seeds,
        measure,
        jobs=jobs,
        configuration={
            **configuration(FEWER, *(source for source, _, _ in routes)),
            "methods": {label: plain(*METHODS[label]) for label in methods},
        },
    )


def configuration(count: int, *sources: str) -> dict[str, Any]:
    """What all rows of a card share."""
    weights: dict[str, str] = {}
    for source in dict.fromkeys(sources or ("wild",)):
        name, folder = prior.find_generator(source)
        skeleton = skeleton_of(source)
        networks = (f"prior_{name}", f"prior_{name}_discriminator_64")
        weights |= checkpoints.digests(*networks, folder=folder)
        weights |= checkpoints.digests(*(reader_asset(reader, skeleton) for reader in READER_STEPS))
    return {"poses": count, "weights": weights}


def plain(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """A method and its options as plain data, the recipe written out, for a card."""
    found = {**options, "method": method.__name__}
    if method not in TRAINED:
        return found
    usual = RECIPES.get(method) or USUAL[options.get("objective", "distribution")]
    return {**found, "recipe": dataclasses.asdict(options.get("recipe", usual))}


TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "tuning": tuning,
    "table1": table1,
    "layers": layers,
    "pairs": pairs,
    "ablation": ablation,
    "ablation_paper": ablation_paper,
    "settings": settings,
}
