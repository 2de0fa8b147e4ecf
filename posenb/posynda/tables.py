"""The chapter's experiments (`python -m posenb table posynda.table2`, and so on).

All start from lifters that were trained on `lab`, in `runs/posynda`; those that are not there yet
are trained first, some minutes each on one core. What adapts itself sees 2D and the intrinsics of
other people in other takes than those it is scored on; only the oracle sees labels of the target.
Steps, rates and batches are the same for every method of a table, and nothing of them was chosen
by the scores. `Scale` says how large everything is: far smaller than in the paper.
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

from posenb.measure.keypoints import auc, mpjpe, pa_mpjpe, pck
from posenb.posynda import windows
from posenb.posynda.adapt import Adaptation, adapt
from posenb.posynda.diffusion import GaussianDiffusion
from posenb.posynda.hypotheses import combine, oracle
from posenb.posynda.lifting import Recipe, lift, train_lifter
from posenb.posynda.networks import PAPER, Condition, Denoiser, MixSTE, VideoPose, adaptable
from posenb.posynda.windows import Windows
from posenb.train import runtime
from posenb.train.sweep import run_table
from posenb.world.cameras import Camera, concatenate
from posenb.world.clips import SMALLEST, VALID_PIXELS, RealClip, load_real_clip
from posenb.world.domains import Split

SEEDS = (0, 1, 2, 3, 4)
FEWER = (0, 1, 2)
RUNS = Path("runs/posynda")  # checkpoints
SOURCE = "lab"
PCK_AT = 0.15  # metres
DENOISERS: Mapping[str, Callable[..., Denoiser]] = {"MixSTE": MixSTE, "VideoPose": VideoPose}

ALL_WEIGHTS: dict[str, Any] = {"low_rank": None, "bias": False, "learning_rate": 1e-3}
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
}
# Table 3. The first five rungs are the paper's, in its order; then what we change in the teacher,
# and that teacher without LoRA and bias.
LADDER: Mapping[str, Adaptation | None] = {
    ONLY: None,
    "+ F": METHODS[F_ALONE],
    "+ F + LoRA": Adaptation(bias=False, **NO_TEACHER),
    "+ F + LoRA + bias": Adaptation(**NO_TEACHER),
    "+ F + LoRA + bias + teacher, as printed": METHODS["PoSynDA, as printed"],
    "+ F + LoRA + bias + our teacher": METHODS["PoSynDA"],
    "+ F + our teacher": Adaptation(**ALL_WEIGHTS),
    "+ F + our teacher + LoRA": Adaptation(bias=False),
    "+ F + LoRA + bias + teacher, mean of the best": Adaptation(choose="mean_of_best"),
}
TEACHERS: Mapping[str, Adaptation] = {
    "as printed": METHODS["PoSynDA, as printed"],
    "ours": METHODS["PoSynDA"],
}
RANKS = (1, 2, 3, 4, 5, 6)
STRUCTURES = ((100, 1.0), (500, 0.5), (500, 1.0), (1000, 0.5), (1000, 1.0), (1000, 2.0))
DDIM_STEPS, HYPOTHESES = (1, 2, 5, 10), (1, 2, 5, 10)
CLIP_WIDTH = 1920  # original pixels: the longer side of the real clip's pictures
CLIP_STRIDE = 3  # frames from one window that is learned from to the next
FOLDS = (((0, 2), (1, 3)), ((1, 3), (0, 2)))  # views to learn from, views to be scored on
AGREEING = 3  # views, of four, that have to agree on a joint of the clip if it is to count


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
        source: windows of the source.
        target: windows of the target to learn from.
        test: windows of the target to be scored on.
        mixste: the usual lifter.
        videopose: the other; a step takes it an eighth of the time, so that it takes more of them.
        steps: of an adaptation.
        batch: of an adaptation.
        hypotheses: H when scored.
        sampling_steps: K of DDIM when scored.
    """

    frames: int = 9
    source: int = 20_000
    target: int = 1000
    test: int = 300
    mixste: Lifter = Lifter("MixSTE", 64, Recipe(steps=1500))
    videopose: Lifter = Lifter("VideoPose", 256, Recipe(steps=6000))
    steps: int = 200
    batch: int = 32
    hypotheses: int = 5
    sampling_steps: int = 5


TEACHING = Scale()


def table2(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table2`: from `lab` to `stage` and `outdoor` (PoSynDA, Table 2 and 4).

    `more of the source` has as many steps more as the others, on the same pairs; `plain
    augmentation` is `augmentation.jitter`; the oracle goes on with labelled pairs of the target.
    Rows of target `lab` say what the lifters are worth at home.
    """
    methods = (ONLY, *(name for name in METHODS if name != F_ALONE), ORACLE)
    tried = [(SOURCE, (ONLY,)), ("stage", methods), ("outdoor", methods)]
    rows = [
        {"target": target, "denoiser": denoiser, "method": method}
        for target, some in tried
        for denoiser in DENOISERS
        for method in some
    ]
    lifters = {lifter.denoiser: lifter for lifter in (scale.mixste, scale.videopose)}
    prepare(list(lifters.values()), seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        lifter, recipe = lifters[row["denoiser"]], METHODS.get(row["method"])
        labelled = row["method"] == ORACLE
        return run(lifter, recipe, row["target"], seed, scale, folder, labelled)

    shared = configuration(scale, METHODS)
    return run_table("posynda.table2", rows, seeds, measure, jobs=jobs, configuration=shared)


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


def table6(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table6`: hypotheses of the teacher, from `lab` to `stage` (PoSynDA, Table 6).

    The paper's row of one hypothesis has the number of its Table 3 without a teacher; here 0 is
    no teacher, and 1 is one that answers once.
    """
    rows = [{"teacher": "none", "hypotheses": 0}] + [
        {"teacher": teacher, "hypotheses": count} for teacher in TEACHERS for count in range(1, 7)
    ]

    def recipe(row: dict[str, Any]) -> Adaptation:
        return replace(TEACHERS.get(row["teacher"], Adaptation()), hypotheses=row["hypotheses"])

    return _varied("posynda.table6", rows, recipe, seeds, jobs, scale, folder)


def table7(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table7`: rank of LoRA, from `lab` to `stage` (PoSynDA, Table 7).

    (There, 249.95 thousand parameters at rank 6 must be 294.96.)
    """

    def recipe(row: dict[str, Any]) -> Adaptation:
        return Adaptation(low_rank=row["rank"])

    rows = [{"rank": rank} for rank in RANKS]
    return _varied("posynda.table7", rows, recipe, seeds, jobs, scale, folder)


def table8(
    seeds: Sequence[int] = SEEDS, jobs: int = 1, scale: Scale = TEACHING, folder: Path = RUNS
) -> dict[str, Any]:
    """Card `posynda.table8`: timesteps and width, from `lab` to `stage` (PoSynDA, Table 8).

    Every row has a lifter of its own. Widths are as far apart as the paper's 256, 512 and 1024.
    """
    width = scale.mixste.width
    rows = [{"timesteps": t, "width": round(width * ratio)} for t, ratio in STRUCTURES]
    lifters = [
        replace(scale.mixste, width=row["width"], timesteps=row["timesteps"]) for row in rows
    ]
    prepare(lifters, seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        lifter = replace(scale.mixste, **row)
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
        test = people("stage", scale.test, seed, scale.frames, "test")
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
    lifter = scale.mixste  # the clip misses joints, which VideoPose cannot do without
    prepare([lifter], seeds, jobs, scale, folder)

    def measure(row: dict[str, Any], seed: int) -> dict[str, float]:
        model = source_lifter(lifter, seed, scale, folder)
        if row["method"] != ONLY:
            keypoints, camera = unlabelled(row["learned_from"], scale.frames)
            model = learn(model, METHODS[row["method"]], keypoints, camera, lifter, seed, scale)
        keypoints, camera = seen(row["scored_on"])
        truth, counted = labels(row["scored_on"])
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
        for method in (ONLY, *METHODS)
    ]
    shared = configuration(scale, METHODS) | {"agreeing": AGREEING, "stride": CLIP_STRIDE}
    return run_table("posynda.clip", rows, seeds, measure, jobs=jobs, configuration=shared)


def _varied(
    name: str,
    rows: list[dict[str, Any]],
    recipe: Callable[[dict[str, Any]], Adaptation],
    seeds: Sequence[int],
    jobs: int,
    scale: Scale,
    folder: Path,
) -> dict[str, Any]:
    """A card of MixSTE from `lab` to `stage`, with one recipe a row, and what it costs."""
    lifter = scale.mixste
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
    target: str,
    seed: int,
    scale: Scale = TEACHING,
    folder: Path = RUNS,
    labelled: bool = False,
) -> dict[str, float]:
    """Adapt, lift, score: one row and seed of most tables.

    Args:
        lifter: of the source.
        recipe: of the adaptation, whose steps and batch become the scale's; None: none.
        target: one of `windows.domain`.
        seed: of all draws.
        scale: how large.
        folder: with the source's lifters.
        labelled: learn from the target's labels instead: the oracle.
    """
    model = source_lifter(lifter, seed, scale, folder)
    if labelled:
        model = taught(model, target, lifter, seed, scale)
    elif recipe is not None:
        some = people(target, scale.target, seed, scale.frames)
        model = learn(model, recipe, some.keypoints, some.camera, lifter, seed, scale)
    test = people(target, scale.test, seed, scale.frames, "test")
    options = {"hypotheses": scale.hypotheses, "steps": scale.sampling_steps}
    return several(_lift(model, test, lifter, seed, **options), test)


def learn(
    model: Denoiser,
    recipe: Adaptation,
    keypoints: Tensor,
    camera: Camera,
    lifter: Lifter,
    seed: int,
    scale: Scale,
    checkpoint: Path | None = None,
) -> Denoiser:
    """Adapt to a target's 2D (M, T, J, 2) and its intrinsics, from which nothing else is taken."""
    trained = adapt(
        model,
        people(SOURCE, scale.source, seed, scale.frames),
        keypoints,
        camera,
        replace(recipe, steps=scale.steps, batch=scale.batch),
        seed,
        diffusion=lifter.diffusion,
        checkpoint=checkpoint,
        progress=False,
    )
    return _finished(trained.model, trained.history.interrupted)


def taught(model: Denoiser, target: str, lifter: Lifter, seed: int, scale: Scale) -> Denoiser:
    """The oracle: goes on from the source's weights with labelled pairs of the target."""
    labelled = people(target, scale.target, seed, scale.frames)
    recipe = Recipe(scale.steps, scale.batch, ALL_WEIGHTS["learning_rate"])
    student = adaptable(model, None, False)
    trained = train_lifter(
        student, labelled, recipe, seed, diffusion=lifter.diffusion, progress=False
    )
    return _finished(trained.model, trained.history.interrupted)


@functools.lru_cache(maxsize=4)
def people(domain: str, count: int, seed: int, frames: int, split: Split = "train") -> Windows:
    """Windows of a domain."""
    return windows.sample(windows.domain(domain), count, seed, frames, split)


def build(lifter: Lifter, scale: Scale, seed: int = 0) -> Denoiser:
    """A lifter that has learned nothing."""
    return DENOISERS[lifter.denoiser](frames=scale.frames, width=lifter.width, seed=seed)


def source_lifter(
    lifter: Lifter, seed: int, scale: Scale, folder: Path = RUNS, progress: bool = False
) -> Denoiser:
    """A lifter trained on `lab`, from its checkpoint if it is finished.

    Raises:
        ValueError: if its training was interrupted.
    """
    content = repr((lifter, scale.frames, scale.source))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    trained = train_lifter(
        build(lifter, scale, seed).to(runtime.device()),
        people(SOURCE, scale.source, seed, scale.frames),
        lifter.training,
        seed,
        diffusion=lifter.diffusion,
        checkpoint=folder / f"{lifter.denoiser}_{digest}_seed{seed}.pt",
        progress=progress,
    )
    return _finished(trained.model, trained.history.interrupted)


def prepare(
    lifters: Sequence[Lifter], seeds: Sequence[int], jobs: int, scale: Scale, folder: Path
) -> None:
    """Train what is not finished before any cell starts: cells may share a lifter."""

    def one(lifter: Lifter, seed: int) -> None:
        with runtime.threads(1):
            source_lifter(lifter, seed, scale, folder, progress=jobs == 1)

    pairs = itertools.product(dict.fromkeys(lifters), seeds)
    joblib.Parallel(jobs)(joblib.delayed(one)(lifter, seed) for lifter, seed in pairs)


def several(found: Tensor, test: Windows) -> dict[str, float]:
    """Scores of one hypothesis, as the paper lifts, and of what H (N, H, T, J, 3) are good for."""
    assert test.joints3d is not None
    scores = errors(found[:, 0], test.joints3d)
    rays = combine(found, test.keypoints, test.camera, "rays", test.skeleton)
    ways = {"mean": found.mean(1), "rays": rays, "oracle": oracle(found, test.joints3d)}
    error = {way: 1000 * float(mpjpe(pose, test.joints3d)) for way, pose in ways.items()}
    return scores | {f"MPJPE {way}": value for way, value in error.items()}


def errors(found: Tensor, truth: Tensor, counted: Tensor | None = None) -> dict[str, float]:
    """Errors in mm, and shares in per cent, of root-relative poses (N, T, J, 3) in metres.

    All joints count, the root too, as in the published code.
    """
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


def seen(views: Sequence[int]) -> tuple[Tensor, Camera]:
    """Detections in some views of the real clip (C, F, 17, 2), NaN where none, and the cameras.

    In half image widths from the principal point, straightened, as lifters take them.
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
    return torch.cat(keypoints), concatenate(cameras)


def unlabelled(views: Sequence[int], frames: int) -> tuple[Tensor, Camera]:
    """Windows (M, T, 17, 2) of detections in some views, and M cameras without their places."""
    keypoints, camera = seen(views)
    parts = [windows.cut(view, frames, CLIP_STRIDE) for view in keypoints]
    index = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(p) for p in parts]))
    eye, origin = torch.eye(3).expand(len(index), 3, 3), torch.zeros(len(index), 3)
    return torch.cat(parts), Camera(eye, origin, camera.focal[index], camera.center[index])


def labels(views: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Triangulated joints in each camera's frame, roots aligned (C, F, 17, 3); which count."""
    film = _film()
    agree = (film.reprojection_error < VALID_PIXELS).sum(0) >= AGREEING  # (F, 17)
    inside = torch.stack([film.cameras[v].to_camera(film.joints3d) for v in views])
    return inside - inside[:, :, :1], agree.expand(len(views), -1, -1)


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
    content = repr((lifter, scale, METHODS["PoSynDA"]))
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    checkpoint = folder / f"stage_{digest}_seed{seed}.pt"
    some = people("stage", scale.target, seed, scale.frames)
    with runtime.threads(1):
        model = source_lifter(lifter, seed, scale, folder)
        recipe = METHODS["PoSynDA"]
        return learn(model, recipe, some.keypoints, some.camera, lifter, seed, scale, checkpoint)


def _lift(
    model: Denoiser, some: Windows, lifter: Lifter, seed: int, hypotheses: int, steps: int
) -> Tensor:
    """Hypotheses (N, H, T, J, 3) of windows, on the CPU."""
    some = some.to(next(model.parameters()).device)
    return lift(
        model, some.keypoints, some.camera, hypotheses, steps, seed=seed,
        diffusion=lifter.diffusion,
    ).hypotheses.cpu()  # fmt: skip


def _finished(model: Denoiser, interrupted: bool) -> Denoiser:
    if interrupted:
        raise ValueError("the training was interrupted: the same command goes on with it")
    return model


TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "table2": table2,
    "table3": table3,
    "table6": table6,
    "table7": table7,
    "table8": table8,
    "frontier": frontier,
    "clip": clip,
}
