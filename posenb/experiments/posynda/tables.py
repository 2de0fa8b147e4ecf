"""The chapter's experiments (`python -m posenb table posynda.table2`, and so on).

All start from lifters that were trained on `lab`, in `runs/posynda`; those that are not there yet
are trained first, some minutes each on one core. What adapts itself sees 2D and the intrinsics of
other people in other takes than those it is scored on; only the oracle sees labels of the target.
Steps and batches are the same for every method of a table. Learning rates were chosen on seed 100,
which is in no table, by the scores on `stage_far` and `stage`. `Scale` says how large everything
is: far smaller than in the paper. Table 2 also runs on recorded data, and there at the paper's own
size too (`POSENB_PROFILE=full`).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from posenb.experiments.posynda.recorded import Recorded, route
from posenb.experiments.sweep import run_table
from posenb.measure.keypoints import auc, mpjpe, pa_mpjpe, pck
from posenb.posynda import windows
from posenb.posynda.adapt import PAPER as PAPER_RECIPE
from posenb.posynda.adapt import Adaptation, adapt
from posenb.posynda.baselines import Game, Gan, adapt_gan, train_gan
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import Aggregate, combine, oracle
from posenb.posynda.lifting import Recipe, lift, train_lifter
from posenb.posynda.networks import DENOISERS, PAPER, Condition, Denoiser, MixSTE, adaptable
from posenb.posynda.sizes import ADULTS, Body, height, resize
from posenb.posynda.windows import Windows
from posenb.train import loop, runtime
from posenb.world.cameras import Camera, concatenate
from posenb.world.clips import SMALLEST, VALID_PIXELS, RealClip, load_real_clip
from posenb.world.datasets import short_name
from posenb.world.domains import BONE_GROUPS, Domain, Split

SEEDS = (0, 1, 2, 3, 4)
FEWER = (0, 1, 2)
RUNS = Path("runs/posynda")  # checkpoints
SOURCE = "lab"
PCK_AT = 0.15  # metres
Place = str | Recorded  # a name of `windows.domain`, or films

ALL_WEIGHTS: dict[str, Any] = {"low_rank": None, "bias": False, "learning_rate": 3e-4}
NO_TEACHER: dict[str, Any] = {"hypotheses": 0}
# Algorithm 1: one step of DDIM, the best by Eq. 4, and the student's weights after every step.
PRINTED: dict[str, Any] = {
    "sampling_steps": 1,
    "choose": "pose",
    "teacher_decay": 0.0,
    "warm_up": 0.0,
}
ONLY, ORACLE = "source only", "oracle (labels of the target)"
F_ALONE = "F"
METHODS: Mapping[str, Adaptation] = {
    "more of the source": Adaptation(augment="none", **ALL_WEIGHTS, **NO_TEACHER),
    "plain augmentation": Adaptation(augment="plain", **ALL_WEIGHTS, **NO_TEACHER),
    F_ALONE: Adaptation(**ALL_WEIGHTS, **NO_TEACHER),
    "PoSynDA, as printed": Adaptation(**PRINTED),
    "PoSynDA": Adaptation(),
    "ours": Adaptation(augment="lifted", **ALL_WEIGHTS),
    "ours, varied": Adaptation(augment="varied", **ALL_WEIGHTS),
}
# Table 3. The first five rungs are the paper's, in its order; then what we change in the teacher
# and in F. With lifted F, all weights learn.
LADDER: Mapping[str, Adaptation | None] = {
    ONLY: None,
    "+ F": METHODS[F_ALONE],
    "+ F + LoRA": Adaptation(bias=False, **NO_TEACHER),
    "+ F + LoRA + bias": Adaptation(**NO_TEACHER),
    "+ F + LoRA + bias + teacher, as printed": METHODS["PoSynDA, as printed"],
    "+ F + LoRA + bias + teacher, mean of the best": Adaptation(choose="mean_of_best"),
    "+ F + LoRA + bias + our teacher": METHODS["PoSynDA"],
    "+ lifted F": Adaptation(augment="lifted", **ALL_WEIGHTS, **NO_TEACHER),
    "+ lifted F + our teacher": METHODS["ours"],
    "+ lifted F + teacher, as printed": Adaptation(augment="lifted", **ALL_WEIGHTS, **PRINTED),
}
TEACHERS: Mapping[str, Adaptation] = {
    "as printed": METHODS["PoSynDA, as printed"],
    "ours": METHODS["PoSynDA"],
}
# The printed teacher and ours differ in four settings. Does it drift because it follows?
DRIFT: Mapping[str, Adaptation] = {
    "as printed, but frozen": replace(METHODS["PoSynDA, as printed"], teacher_decay=1.0),
    "our teacher, but following": replace(METHODS["PoSynDA"], teacher_decay=0.0),
}
# When do LoRA and bias pay? Few windows of the target, and joints annotated at other places.
FEW = (10, 100, 1000)
CONDITIONS: Mapping[str, Adaptation] = {
    "F": METHODS[F_ALONE],
    "F + LoRA": Adaptation(bias=False, **NO_TEACHER),
    "F + LoRA + bias": Adaptation(**NO_TEACHER),
    "F + LoRA + teacher": Adaptation(bias=False),
    "F + LoRA + bias + teacher": Adaptation(),
}
BEST_BIAS = "F + LoRA + the best bias (labels of the target)"
# Table 5; the first is the plain lifter of the source with H hypotheses, as the paper calls it.
D3DP, GAN = "D3DP", "GAN"
CHOICES: tuple[Aggregate, ...] = ("pose", "joint")
RIVALS = (ONLY, D3DP, GAN, F_ALONE, "PoSynDA, as printed", "PoSynDA", "ours")
RANKS = (1, 2, 3, 4, 5, 6)
STRUCTURES = ((100, 1.0), (500, 0.5), (500, 1.0), (1000, 0.5), (1000, 1.0), (1000, 2.0))
DDIM_STEPS, HYPOTHESES = (1, 2, 5, 10), (1, 2, 5, 10)
CLIP_WIDTH = 1920  # original pixels: the longer side of the real clip's pictures
CLIP_STRIDE = 1  # frames from one window that is learned from to the next
FOLDS = (((0, 2), (1, 3)), ((1, 3), (0, 2)))  # views to learn from, views to be scored on
AGREEING = 3  # views, of four, that have to agree on a joint of the clip if it is to count
# Films in which all bodies, or all image scales (focal length by distance), are multiplied.
WORLDS: Mapping[str, dict[str, float]] = {
    "as it is": {},
    "bodies x 0.9": {"body": 0.9},
    "bodies x 1.1": {"body": 1.1},
    "image scale x 0.8": {"focal": 0.8},
    "image scale x 1.25": {"focal": 1.25},
}
SHIPPED = ("mixste", "mixste_stage")
CROWD = 40  # subjects of such a world: with the domains' 8, two people are all that is tested
FILM = 20  # frames in which one person is seen


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

    @property
    def diffusion(self) -> GaussianDiffusion:
        """Its steps."""
        return GaussianDiffusion(self.timesteps)


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
PAPER_FRAMES = {"human36m": PAPER["frames"]}  # by target; others 27


def table2(
    seeds: Sequence[int] = FEWER,
    jobs: int = 1,
    scale: Scale | None = None,
    folder: Path = RUNS,
    source: str | None = None,
    target: str | None = None,
) -> dict[str, Any]:
    """Card `posynda.table2`: from `lab` to `stage` and `outdoor` (PoSynDA, Table 2 and 4).

    `more of the source` has as many steps more as the others, on the same pairs; `plain
    augmentation` is `augmentation.jitter`; `ours` puts poses as they are where the target's people
    are, `ours, varied` other bodies, turned, as plain augmentation turns them; the oracle goes on
    with labelled pairs of the target.
    Rows of target `lab` say what the lifters are worth at home.

    With `source` and `target` such as human36m:PATH and mpi_inf_3dhp:PATH (see `recorded.route`),
    the same on films of yours, with a card of their own (see `datasets.short_name`): at the
    size of the other tables, or in profile `full` at PAPER_SCALE (card `..._full`), where all
    learn at the rate and with the loss of Sec. 4.2. Where joints are missing, as in 3DPW, only
    MixSTE lifts, and nothing can learn from labels.

    Raises:
        ValueError: if only one of `source` and `target` is given, or they are no such films.
        DatasetError: if a file is missing or damaged.
    """
    if source is not None and target is not None:
        return _recorded(source, target, seeds, jobs, scale, folder)
    if source is not None or target is not None:
        given, other = ("source", "target") if target is None else ("target", "source")
        raise ValueError(
            f"found --{given} without --{other}: give both, such as --source human36m:PATH "
            "--target mpi_inf_3dhp:PATH, or neither"
        )
    scale = scale or TEACHING
    compared = (ONLY, *(name for name in METHODS if name != F_ALONE), ORACLE)
    places = {SOURCE: SOURCE, "stage": "stage", "outdoor": "outdoor"}
    rows = _rows({SOURCE: (ONLY,), "stage": compared, "outdoor": compared}, scale.lifters)
    shared = configuration(scale, METHODS)
    return _compared(
        "posynda.table2", rows, SOURCE, places, METHODS, seeds, jobs, scale, folder, shared
    )


def _recorded(
    source: str, target: str, seeds: Sequence[int], jobs: int, scale: Scale | None, folder: Path
) -> dict[str, Any]:
    """Table 2 on recorded data."""
    first, second = route(source, target)
    methods, size = METHODS, ""
    if runtime.profile() == "full":
        frames = PAPER_FRAMES.get(second.kind, PAPER_SCALE.frames)
        scale, size = scale or replace(PAPER_SCALE, frames=frames), "_full"
        methods = at_length(METHODS)
    scale = scale or TEACHING
    compared = (ONLY, *(name for name in METHODS if name != F_ALONE))
    lifters = scale.lifters
    if second.complete:
        compared = (*compared, ORACLE)
    else:
        lifters = {scale.mixste.denoiser: scale.mixste}
    rows = _rows({first.label: (ONLY,), second.label: compared}, lifters)
    places: dict[str, Place] = {first.label: first, second.label: second}
    shared = configuration(scale, methods) | {
        "source": first.describe(scale.frames),
        "target": second.describe(scale.frames),
    }
    card = f"posynda.table2_{'_to_'.join(short_name(data.name) for data in (first, second))}{size}"
    return _compared(card, rows, first, places, methods, seeds, jobs, scale, folder, shared)


def at_length(recipes: Mapping[str, Adaptation]) -> dict[str, Adaptation]:
    """Recipes with the learning rate, loss and steps t of Sec. 4.2: the printed one is `PAPER`."""
    rate, loss, late = PAPER_RECIPE.learning_rate, PAPER_RECIPE.loss, PAPER_RECIPE.late
    return {
        name: replace(recipe, learning_rate=rate, loss=loss, late=late)
        for name, recipe in recipes.items()
    }


def _rows(
    compared: Mapping[str, Sequence[str]], lifters: Mapping[str, Lifter]
) -> list[dict[str, Any]]:
    return [
        {"target": target, "denoiser": denoiser, "method": method}
        for target, methods in compared.items()
        for denoiser in lifters
        for method in methods
    ]


def _compared(
    card: str,
    rows: list[dict[str, Any]],
    source: Place,
    places: Mapping[str, Place],
    methods: Mapping[str, Adaptation],
    seeds: Sequence[int],
    jobs: int,
    scale: Scale,
    folder: Path,
    shared: dict[str, Any],
) -> dict[str, Any]:
    """A card of lifters and methods, from one source to some targets."""
    lifters = scale.lifters
    used = dict.fromkeys(row["denoiser"] for row in rows)
    prepare([lifters[name] for name in used], seeds, jobs, scale, folder, source)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        lifter, recipe = lifters[row["denoiser"]], methods.get(row["method"])
        labelled = row["method"] == ORACLE
        target = places[row["target"]]
        return run(lifter, recipe, target, seed, scale, folder, labelled, source)

    return run_table(card, rows, seeds, measure, jobs=jobs, configuration=shared)


def table3(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table3`: the components one by one (PoSynDA, Table 3).

    On `stage_far`, where image scale makes the gap, and on `stage`, where it does not. `cost` says
    what is counted; the configuration has the same counts at the paper's size.
    """
    lifter = scale.mixste
    prepare([lifter], seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        recipe = LADDER[row["method"]]
        scores = run(lifter, recipe, row["target"], seed, scale, folder)
        return scores | cost(build(lifter, scale), recipe)

    with torch.device("meta"):
        largest = MixSTE(**PAPER)
    shared = configuration(scale, LADDER) | {
        "paper_size": {name: cost(largest, recipe) for name, recipe in LADDER.items()}
    }
    rows = [{"target": t, "method": m} for t in ("stage_far", "stage") for m in LADDER]
    return run_table("posynda.table3", rows, seeds, measure, jobs=jobs, configuration=shared)


def conditions(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.conditions`: when LoRA and the bias of PoSynDA's Table 3 pay, and when not.

    LoRA against all weights from 10, 100 and 1,000 windows of `stage_far`. The bias on `stage`,
    whose annotators differ from `lab`'s at head, hips, neck and shoulders, and on `stage_marked`,
    whose do still otherwise; BEST_BIAS, an oracle, adds the constant that labels of the target
    would give.
    """
    lifter = scale.mixste
    prepare([lifter], seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        few = replace(scale, target=row["windows"])
        if row["method"] != BEST_BIAS:
            return run(lifter, CONDITIONS.get(row["method"]), row["target"], seed, few, folder)
        model = source_lifter(lifter, seed, scale, folder)
        some = people(row["target"], scale.target, seed, scale.frames, scale.fps)
        assert some.joints3d is not None
        recipe = CONDITIONS["F + LoRA"]
        model = learn(model, recipe, some.keypoints, some.camera, lifter, seed, few)
        test = people(row["target"], scale.test, seed, scale.frames, scale.fps, "test")
        found = [_lift(model, w, lifter, seed, scale.hypotheses, scale.sampling_steps)
                 for w in (some[: scale.test], test)]  # fmt: skip
        best = (some.joints3d[: scale.test] - found[0].mean(1)).mean((0, 1))  # (J, 3)
        return several(found[1] + best, test)

    rows = [{"target": "stage_far", "windows": 0, "method": ONLY}]
    rows += [
        {"target": "stage_far", "windows": n, "method": m} for n in FEW for m in ("F", "F + LoRA")
    ]
    names = (ONLY, "F + LoRA", "F + LoRA + bias", "F + LoRA + teacher",
             "F + LoRA + bias + teacher", BEST_BIAS)  # fmt: skip
    for target in ("stage", "stage_marked"):
        rows += [{"target": target, "windows": scale.target, "method": name} for name in names]
    shared = configuration(scale, CONDITIONS)
    return run_table("posynda.conditions", rows, seeds, measure, jobs=jobs, configuration=shared)


def table5(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table5`: other ways to many poses, on `stage` and `stage_far` (Table 5).

    The paper's 96.5 mm of D3DP are, as we understand it, an unadapted lifter's whose H hypotheses
    are reduced to one, joint by joint, by reprojection. So are the first scores of that row here;
    every row has the error of that choice, and of the choice of whole poses, as `MPJPE joint` and
    `MPJPE pose`. On its GAN the paper has no more than a name: `baselines` says what ours is. It
    starts from the weights of the lifter, meets its critic on the source for a sixth of the
    lifter's steps, and then learns on the target as long as the others. With VideoPose, which is
    quicker.
    """
    lifter = scale.videopose
    prepare([lifter], seeds, jobs, scale, folder)
    joblib.Parallel(jobs)(joblib.delayed(_gan)(lifter, seed, scale, folder) for seed in seeds)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        method, steps = row["method"], scale.sampling_steps
        if method == GAN:
            some = people(row["target"], scale.target, seed, scale.frames, scale.fps)
            model = _play_on(lifter, some.keypoints, some.camera, seed, scale, folder)
            steps = 1
        else:
            recipe = METHODS.get(method)
            model = fitted(lifter, recipe, row["target"], seed, scale, folder)
        test = people(row["target"], scale.test, seed, scale.frames, scale.fps, "test")
        assert test.joints3d is not None
        found = _lift(model, test, lifter, seed, hypotheses=scale.hypotheses, steps=steps)
        chosen = {
            how: errors(combine(found, test.keypoints, test.camera, how), test.joints3d)
            for how in CHOICES
        }
        scores = several(found, test) | (chosen["joint"] if method == D3DP else {})
        return scores | {f"MPJPE {how}": value["MPJPE"] for how, value in chosen.items()}

    rows = [{"target": t, "method": m} for t in ("stage", "stage_far") for m in RIVALS]
    games = {name: asdict(game) for name, game in _games(lifter, scale).items()}
    shared = configuration(scale, {m: METHODS.get(m) for m in RIVALS}) | {"games": games}
    return run_table("posynda.table5", rows, seeds, measure, jobs=jobs, configuration=shared)


def table6(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table6`: hypotheses of the teacher, from `lab` to `stage` (PoSynDA, Table 6).

    With VideoPose, which is quicker.

    The paper's row of one hypothesis has the number of its Table 3 without a teacher; here 0 is
    no teacher, and 1 is one that answers once.
    """
    rows = [{"teacher": "none", "hypotheses": 0}] + [
        {"teacher": teacher, "hypotheses": count} for teacher in TEACHERS for count in range(1, 7)
    ]

    def recipe(row: dict[str, Any]) -> Adaptation:
        return replace(TEACHERS.get(row["teacher"], Adaptation()), hypotheses=row["hypotheses"])

    return _varied("posynda.table6", rows, scale.videopose, recipe, seeds, jobs, scale, folder)


def table7(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table7`: rank of LoRA, from `lab` to `stage` (PoSynDA, Table 7).

    (There, 249.95 thousand parameters at rank 6 must be 294.96.)
    """

    def recipe(row: dict[str, Any]) -> Adaptation:
        return Adaptation(low_rank=row["rank"])

    rows = [{"rank": rank} for rank in RANKS]
    return _varied("posynda.table7", rows, scale.mixste, recipe, seeds, jobs, scale, folder)


def table8(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table8`: timesteps and width, from `lab` to `stage` (PoSynDA, Table 8).

    Every row has a lifter of its own, with a sixth of the usual training. Widths are as far apart
    as the paper's 256, 512 and 1024.
    """
    training = replace(scale.videopose.training, steps=-(-scale.videopose.training.steps // 6))
    usual = replace(scale.videopose, training=training)
    rows = [{"timesteps": t, "width": round(usual.width * ratio)} for t, ratio in STRUCTURES]
    lifters = [replace(usual, width=r["width"], timesteps=r["timesteps"]) for r in rows]
    prepare(lifters, seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        lifter = replace(usual, **row)
        before = run(lifter, None, "stage", seed, scale, folder)
        after = run(lifter, Adaptation(), "stage", seed, scale, folder)
        return after | {"MPJPE before": before["MPJPE"]} | cost(build(lifter, scale), Adaptation())

    shared = configuration(scale, {"PoSynDA": Adaptation()})
    return run_table("posynda.table8", rows, seeds, measure, jobs=jobs, configuration=shared)


def frontier(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.frontier`: accuracy on `stage` against time, for steps of DDIM and hypotheses.

    One adapted lifter a seed. `ms` is the best of three times, a window, in batches of 32, on the
    device of the card (a CPU: one thread; with `jobs` above 1, they disturb each other).
    """
    lifter = scale.mixste
    prepare([lifter], seeds, jobs, scale, folder)
    parallel = joblib.Parallel(jobs)
    parallel(joblib.delayed(_adapted)(lifter, seed, scale, folder) for seed in seeds)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        model = _adapted(lifter, seed, scale, folder)
        options = {"hypotheses": row["hypotheses"], "steps": row["steps"]}
        test = people("stage", scale.test, seed, scale.frames, scale.fps, "test")
        found = _lift(model, test, lifter, seed, **options)  # (N, H, T, J, 3)
        some, times = test[:32].to(runtime.device()), []
        for _ in range(3):
            began = time.perf_counter()
            _lift(model, some, lifter, seed, **options)
            times.append(time.perf_counter() - began)
        return several(found, test) | {"ms": 1000 * min(times) / len(some)}

    rows = [{"steps": k, "hypotheses": h} for k, h in itertools.product(DDIM_STEPS, HYPOTHESES)]
    shared = configuration(scale, {"PoSynDA": Adaptation()})
    return run_table("posynda.frontier", rows, seeds, measure, jobs=jobs, configuration=shared)


def clip(
    seeds: Sequence[int] = FEWER, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.clip`: the real man, before and after an adaptation to two of his cameras.

    What adapts itself sees detections of two views; it is scored on detections of the other two,
    in the frame of each camera with the roots aligned, and after Procrustes. Labels are joints
    that four views triangulate, where AGREEING of them agree: detections, in OpenPose's convention,
    at the same moments. A view's time is cut into windows; nothing tells the windows of one moment
    apart from others.
    """
    methods = {**METHODS, **DRIFT}
    lifter = scale.mixste  # the clip misses joints, which VideoPose cannot do without
    prepare([lifter], seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        model = source_lifter(lifter, seed, scale, folder)
        if row["method"] != ONLY:
            keypoints, camera = unlabelled(row["learned_from"], scale.frames, scale.fps)
            model = learn(model, methods[row["method"]], keypoints, camera, lifter, seed, scale)
        keypoints, camera = seen(row["scored_on"], scale.fps)
        truth, counted = labels(row["scored_on"], scale.fps)
        device = runtime.device()
        found = lift(
            model, keypoints.to(device), camera.to(device), scale.hypotheses, scale.sampling_steps,
            seed=seed, diffusion=lifter.diffusion,
        ).hypotheses.cpu()  # fmt: skip
        mean = errors(found.mean(1), truth, counted)["MPJPE"]
        return errors(found[:, 0], truth, counted) | {"MPJPE mean": mean}

    rows = [
        {"learned_from": list(learned), "scored_on": list(scored), "method": method}
        for learned, scored in FOLDS
        for method in (ONLY, *methods)
    ]
    shared = configuration(scale, methods) | {"agreeing": AGREEING, "stride": CLIP_STRIDE}
    return run_table("posynda.clip", rows, seeds, measure, jobs=jobs, configuration=shared)


def sizes(
    seeds: Sequence[int] = FEWER,
    jobs: int = 1,
    scale: Scale = TEACHING,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Card `posynda.sizes`: how large the shipped lifters lift whom, and what body sizes mend.

    Where bodies and image scales differ from what a lifter has learned, one thing at a time. The
    seed moves people, cameras and noise; there is one lifter of each kind, that which is shipped.
    `size` is the height that lifted limbs tell, in per cent of what true limbs tell (median of
    people). `MPJPE` is of lifts as they are; `adult`, `usual` and `known` of lifts whose size was
    bounded by `sizes.ADULTS`, set to their middle, or to what the person's true limbs tell;
    `one scale` divides all lifts of a world by the one number that the truth likes best, and
    `scale` is that number, in per cent. It exceeds `size`: who lifts with errors gains by lifting
    small.

    Args:
        seeds: of every row.
        jobs: processes at a time.
        scale: number of people, and how they are lifted.
        folder: with the lifters; default those shipped.
    """
    from posenb.posynda.weights import load_lifter  # it builds on this module

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        domain = changed(row["place"], **WORLDS[row["world"]])
        count = max(2, scale.test // 10)
        test = windows.sample(domain, count, seed, FILM, "test", fps=scale.fps)
        found = lift(
            load_lifter(row["lifter"], folder=folder), test.keypoints, test.camera,
            scale.hypotheses, scale.sampling_steps, seed=seed,
        ).joints3d  # fmt: skip
        return size_scores(found, test)

    rows = [
        {"lifter": lifter, "place": place, "world": world}
        for place in (SOURCE, "stage")
        for lifter in SHIPPED
        for world in WORLDS
    ]
    shared = {"scale": asdict(scale), "worlds": dict(WORLDS), "subjects": CROWD, "film": FILM}
    return run_table("posynda.sizes", rows, seeds, measure, jobs=jobs, configuration=shared)


def changed(name: str, body: float = 1.0, focal: float = 1.0, distance: float = 1.0) -> Domain:
    """A domain of `windows.domain` with many people, whose bodies or cameras are multiplied."""
    place = windows.domain(name)
    ratios = dict(place.bone_ratios)
    near, far = place.distance
    return replace(
        place,
        subjects=CROWD,
        bone_ratios=tuple((group, body * ratios.get(group, 1.0)) for group in BONE_GROUPS),
        focal=focal * place.focal,
        distance=(distance * near, distance * far),
    )


def size_scores(found: Tensor, test: Windows) -> dict[str, float]:
    """Sizes in per cent and errors in mm of lifted people (N, T, J, 3), see `sizes`."""
    truth = test.joints3d
    assert truth is not None
    tall = height(truth, test.skeleton)  # (N,)
    best = (found * truth).sum() / found.square().sum()
    bodies: dict[str, Body] = {"adult": "adult", "usual": sum(ADULTS) / 2, "known": tall}
    ways = {"one scale": best * found} | {
        name: resize(found, body, test.skeleton).joints3d for name, body in bodies.items()
    }
    return {
        "size": 100 * float((height(found, test.skeleton) / tall).median()),
        "scale": 100 / float(best),
        "MPJPE": 1000 * float(mpjpe(found, truth)),
        **{f"MPJPE {way}": 1000 * float(mpjpe(pose, truth)) for way, pose in ways.items()},
    }


def _varied(
    name: str,
    rows: list[dict[str, Any]],
    lifter: Lifter,
    recipe: Callable[[dict[str, Any]], Adaptation],
    seeds: Sequence[int],
    jobs: int,
    scale: Scale,
    folder: Path,
) -> dict[str, Any]:
    """A card of one lifter from `lab` to `stage`, with one recipe a row, and what it costs."""
    prepare([lifter], seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        chosen = recipe(row)
        scores = run(lifter, chosen, "stage", seed, scale, folder)
        return scores | cost(build(lifter, scale), chosen)

    shared = configuration(scale, {repr(row): recipe(row) for row in rows})
    return run_table(name, rows, seeds, measure, jobs=jobs, configuration=shared)


def run(
    lifter: Lifter,
    recipe: Adaptation | None,
    target: Place,
    seed: int,
    scale: Scale = TEACHING,
    folder: Path = RUNS,
    labelled: bool = False,
    source: Place = SOURCE,
) -> dict[str, float]:
    """Adapt, lift, score: one row and seed of most tables.

    Args:
        lifter: of the source.
        recipe: of the adaptation, whose steps and batch become the scale's; None: none.
        target: one of `windows.domain`, or films.
        seed: of all draws.
        scale: how large.
        folder: with the source's lifters.
        labelled: learn from the target's labels instead: the oracle.
        source: where the lifter comes from.
    """
    model = fitted(lifter, recipe, target, seed, scale, folder, labelled, source)
    test, counted = people(target, scale.test, seed, scale.frames, scale.fps, "test"), None
    if isinstance(target, Recorded):
        counted = target.counted(scale.test, seed, scale.frames)
    options = {"hypotheses": scale.hypotheses, "steps": scale.sampling_steps}
    return several(_lift(model, test, lifter, seed, **options), test, counted)


def fitted(
    lifter: Lifter,
    recipe: Adaptation | None,
    target: Place,
    seed: int,
    scale: Scale,
    folder: Path,
    labelled: bool = False,
    source: Place = SOURCE,
) -> Denoiser:
    """The lifter that `run` scores."""
    model = source_lifter(lifter, seed, scale, folder, source=source)
    if labelled:
        return taught(model, target, lifter, seed, scale)
    if recipe is None:
        return model
    some = people(target, scale.target, seed, scale.frames, scale.fps)
    return learn(model, recipe, some.keypoints, some.camera, lifter, seed, scale, source=source)


@loop.whole()
def learn(
    model: Denoiser,
    recipe: Adaptation,
    keypoints: Tensor,
    camera: Camera,
    lifter: Lifter,
    seed: int,
    scale: Scale,
    checkpoint: Path | None = None,
    source: Place = SOURCE,
) -> Denoiser:
    """Adapt to a target's 2D (M, T, J, 2) and its intrinsics, from which nothing else is taken."""
    trained = adapt(
        model,
        people(source, scale.source, seed, scale.frames, scale.fps),
        keypoints,
        camera,
        replace(recipe, steps=scale.steps, batch=scale.batch),
        seed,
        diffusion=lifter.diffusion,
        checkpoint=checkpoint,
        progress=False,
    )
    return trained.model


def taught(model: Denoiser, target: Place, lifter: Lifter, seed: int, scale: Scale) -> Denoiser:
    """The oracle: goes on from the source's weights with labelled pairs of the target."""
    labelled = people(target, scale.target, seed, scale.frames, scale.fps)
    rate = min(ALL_WEIGHTS["learning_rate"], lifter.training.learning_rate)  # at the paper's size
    recipe = replace(lifter.training, steps=scale.steps, batch=scale.batch, learning_rate=rate)
    student = adaptable(model, None, False)
    trained = train_lifter(
        student, labelled, recipe, seed, diffusion=lifter.diffusion, progress=False
    )
    return trained.model


@functools.lru_cache(maxsize=4)
def people(
    domain: Place, count: int, seed: int, frames: int, fps: float, split: Split = "train"
) -> Windows:
    """Windows of a domain, or of films, which keep their own rate."""
    if isinstance(domain, Recorded):
        return domain.sample(count, seed, frames, split)
    return windows.sample(windows.domain(domain), count, seed, frames, split, fps=fps)


def build(lifter: Lifter, scale: Scale, seed: int = 0) -> Denoiser:
    """A lifter that has learned nothing."""
    return DENOISERS[lifter.denoiser](frames=scale.frames, width=lifter.width, seed=seed)


@loop.whole()
def source_lifter(
    lifter: Lifter,
    seed: int,
    scale: Scale,
    folder: Path = RUNS,
    progress: bool = False,
    source: Place = SOURCE,
) -> Denoiser:
    """A lifter trained on the source, from its checkpoint if it is finished.

    Raises:
        Interrupted: if its training was.
    """
    trained = train_lifter(
        build(lifter, scale, seed).to(runtime.device()),
        people(source, scale.source, seed, scale.frames, scale.fps),
        lifter.training,
        seed,
        diffusion=lifter.diffusion,
        checkpoint=source_checkpoint(lifter, seed, scale, folder, source),
        progress=progress,
    )
    return trained.model


def source_checkpoint(
    lifter: Lifter, seed: int, scale: Scale, folder: Path = RUNS, source: Place = SOURCE
) -> Path:
    """Where `source_lifter` keeps what it has trained."""
    other = [] if source == SOURCE else [source]
    content = (lifter, scale.frames, scale.fps, scale.source, *other)
    return _checkpoint(folder, lifter.denoiser, content, seed)


def _checkpoint(folder: Path, kind: str, content: tuple[Any, ...], seed: int) -> Path:
    """A file of its own for all that a training depends on."""
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:8]
    return folder / f"{kind}_{digest}_seed{seed}.pt"


def prepare(
    lifters: Sequence[Lifter],
    seeds: Sequence[int],
    jobs: int,
    scale: Scale,
    folder: Path,
    source: Place = SOURCE,
) -> None:
    """Train what is not finished before any cell starts: cells may share a lifter."""

    def one(lifter: Lifter, seed: int) -> None:
        with runtime.threads(1):
            source_lifter(lifter, seed, scale, folder, jobs == 1, source)

    pairs = itertools.product(dict.fromkeys(lifters), seeds)
    joblib.Parallel(jobs)(joblib.delayed(one)(lifter, seed) for lifter, seed in pairs)


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


def seen(views: Sequence[int], fps: float) -> tuple[Tensor, Camera]:
    """Detections in some views of the real clip (S, F, 17, 2), NaN where none, and the cameras.

    In halves of the longer side of the picture, which is upright, from the principal point,
    straightened, as lifters take them. The clip has
    60 frames a second; a view makes 60 / fps sequences that take turns in its frames.

    Raises:
        ValueError: if the clip cannot be shared out among sequences of that rate.
    """
    film = _film()
    known = film.keypoints.where((film.confidence > 0)[..., None], torch.nan)  # (4, F, 17, 2)
    parts = [
        windows.to_screen(
            known[v : v + 1], film.cameras[v : v + 1], CLIP_WIDTH / float(film.pixel[v])
        )
        for v in views
    ]
    keypoints, cameras = zip(*parts, strict=True)
    turns = _turns(torch.cat(keypoints), fps)
    camera = concatenate(cameras)
    return turns, camera[torch.arange(len(views)).repeat_interleave(len(turns) // len(views))]


def unlabelled(views: Sequence[int], frames: int, fps: float) -> tuple[Tensor, Camera]:
    """Windows (M, T, 17, 2) of detections in some views, and M cameras without their places."""
    keypoints, camera = seen(views, fps)
    parts = [windows.cut(view, frames, CLIP_STRIDE) for view in keypoints]
    index = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(p) for p in parts]))
    eye, origin = torch.eye(3).expand(len(index), 3, 3), torch.zeros(len(index), 3)
    return torch.cat(parts), Camera(eye, origin, camera.focal[index], camera.center[index])


def labels(views: Sequence[int], fps: float) -> tuple[Tensor, Tensor]:
    """Triangulated joints in each camera's frame, roots aligned (S, F, 17, 3); which count.

    In the order of `seen`.
    """
    film = _film()
    agree = (film.reprojection_error < VALID_PIXELS).sum(0) >= AGREEING  # (F, 17)
    inside = torch.stack([film.cameras[v].to_camera(film.joints3d) for v in views])
    counted = agree.expand(len(views), -1, -1)
    return _turns(inside - inside[:, :, :1], fps), _turns(counted, fps)


def _turns(views: Tensor, fps: float) -> Tensor:
    """Sequences (S, F, ...) at a rate below the clip's, of views (C, frames, ...)."""
    every = _film().fps / fps
    if every != round(every) or views.shape[1] % round(every):
        raise ValueError(
            f"the clip's {views.shape[1]} frames at {_film().fps:g} a second make no sequences of "
            f"{fps:g}: take a rate that divides both, such as 15 or 30"
        )
    return views.unflatten(1, (-1, round(every))).transpose(1, 2).flatten(0, 1)


@functools.cache
def _film() -> RealClip:
    return load_real_clip(size=SMALLEST)  # nobody looks at the pictures here


def configuration(scale: Scale, recipes: Mapping[str, Adaptation | None]) -> dict[str, Any]:
    """What all rows of a card share."""
    plain = {
        name: None if r is None else asdict(replace(r, steps=scale.steps, batch=scale.batch))
        for name, r in recipes.items()
    }
    return {"source": SOURCE, "scale": asdict(scale), "recipes": plain}


def _adapted(lifter: Lifter, seed: int, scale: Scale, folder: Path) -> Denoiser:
    """PoSynDA's lifter of `stage`, from its checkpoint if it is finished."""
    recipe = METHODS["PoSynDA"]
    checkpoint = _checkpoint(folder, "stage", (lifter, scale, recipe), seed)
    some = people("stage", scale.target, seed, scale.frames, scale.fps)
    with runtime.threads(1):
        model = source_lifter(lifter, seed, scale, folder)
        return learn(model, recipe, some.keypoints, some.camera, lifter, seed, scale, checkpoint)


def _games(lifter: Lifter, scale: Scale) -> dict[str, Game]:
    """How the GAN learns on the source and on the target, where it has as long as the others."""
    rate = ALL_WEIGHTS["learning_rate"]
    steps = -(-lifter.training.steps // 6)
    return {
        "source": Game(steps, lifter.training.batch, rate),
        "target": Game(scale.steps, scale.batch, rate),
    }


@loop.whole()
def _gan(lifter: Lifter, seed: int, scale: Scale, folder: Path) -> Gan:
    """The GAN of the source, from its checkpoint if it is finished; it starts from the lifter."""
    start = source_lifter(lifter, seed, scale, folder)
    game = _games(lifter, scale)["source"]
    checkpoint = _checkpoint(folder, "GAN", (lifter, game, scale.frames, scale.source), seed)
    with runtime.threads(1):
        return train_gan(
            adaptable(start, None, False),
            people(SOURCE, scale.source, seed, scale.frames, scale.fps),
            game,
            seed,
            diffusion=lifter.diffusion,
            checkpoint=checkpoint,
            progress=False,
        )


def _play_on(
    lifter: Lifter, keypoints: Tensor, camera: Camera, seed: int, scale: Scale, folder: Path
) -> Denoiser:
    """The GAN's generator, adapted to a target's 2D (M, T, J, 2)."""
    gan = adapt_gan(
        _gan(lifter, seed, scale, folder),
        people(SOURCE, scale.source, seed, scale.frames, scale.fps),
        keypoints,
        camera,
        _games(lifter, scale)["target"],
        seed,
        diffusion=lifter.diffusion,
        progress=False,
    )
    return gan.generator


def _lift(
    model: Denoiser, some: Windows, lifter: Lifter, seed: int, hypotheses: int, steps: int
) -> Tensor:
    """Hypotheses (N, H, T, J, 3) of windows, on the CPU."""
    some = some.to(next(model.parameters()).device)
    return lift(
        model, some.keypoints, some.camera, hypotheses, steps, seed=seed,
        diffusion=lifter.diffusion,
    ).hypotheses.cpu()  # fmt: skip


TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "table2": table2,
    "table3": table3,
    "conditions": conditions,
    "table5": table5,
    "table6": table6,
    "table7": table7,
    "table8": table8,
    "frontier": frontier,
    "clip": clip,
    "sizes": sizes,
}
