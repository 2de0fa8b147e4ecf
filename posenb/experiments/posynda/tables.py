"""The chapter's experiments (`python -m posenb table posynda.table2`, and so on).

`bench` says what all of them do alike. Steps and batches are the same for every method of a table.
Learning rates were chosen on seed 100, which is in no table, by the scores on `stage_far` and
`stage`. `Scale` says how large everything is: far smaller than in the paper. Table 2 also runs on
recorded data, and there at the paper's own size too (`POSENB_PROFILE=full`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posenb.experiments import sweep
from posenb.experiments.posynda import recorded
from posenb.experiments.posynda.bench import (
    ALL_WEIGHTS,
    NO_TEACHER,
    PAPER_SCALE,
    RUNS,
    SOURCE,
    TEACHING,
    Bench,
    Place,
    Scale,
    cost,
    errors,
    several,
)
from posenb.experiments.posynda.recorded import Recorded, labels, route, seen, unlabelled
from posenb.experiments.sweep import grid
from posenb.measure.keypoints import mpjpe
from posenb.posynda import windows
from posenb.posynda.adapt import PAPER_RECIPE, Adaptation
from posenb.posynda.hypotheses import Aggregate, combine
from posenb.posynda.lifting import lift
from posenb.posynda.networks import PAPER, Denoiser, MixSTE
from posenb.posynda.sizes import ADULTS, Body, height, resize
from posenb.posynda.weights import load_lifter
from posenb.posynda.windows import Windows
from posenb.train import runtime
from posenb.world.datasets import short_name
from posenb.world.domains import BONE_GROUPS, Domain

# Algorithm 1: one step of DDIM, the best by Eq. 4, and the student's weights after every step.
PRINTED: dict[str, Any] = {
    "sampling_steps": 1,
    "choose": "pose",
    "teacher_decay": 0.0,
    "warm_up": 0.0,
}
ONLY, ORACLE, F_ALONE = "source only", "oracle (labels of the target)", "F"
METHODS: Mapping[str, Adaptation] = {
    "more of the source": Adaptation(augment="none", **ALL_WEIGHTS, **NO_TEACHER),
    "plain augmentation": Adaptation(augment="plain", **ALL_WEIGHTS, **NO_TEACHER),
    F_ALONE: Adaptation(**ALL_WEIGHTS, **NO_TEACHER),
    "PoSynDA, as printed": Adaptation(**PRINTED),
    "PoSynDA": Adaptation(),
    "ours": Adaptation(augment="lifted", **ALL_WEIGHTS),
    "ours, varied": Adaptation(augment="varied", **ALL_WEIGHTS),
}
COMPARED = (ONLY, *(name for name in METHODS if name != F_ALONE))
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
FOLDS = (((0, 2), (1, 3)), ((1, 3), (0, 2)))  # views to learn from, views to be scored on
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
PAPER_FRAMES = {"human36m": PAPER["frames"]}  # by target; others 27

TABLES = sweep.Experiments("posynda", Bench, seeds=(0, 1, 2))


@dataclass(frozen=True)
class Route(Bench):
    """The bench of Table 2: from `lab` to other domains, or from films to films.

    Attributes:
        target: films, if the source is.
        full: at the paper's size, where all learn at the rate and with the loss of Sec. 4.2.
    """

    target: Recorded | None = None
    full: bool = False

    @property
    def places(self) -> dict[str, Place]:
        """Source and targets by their labels."""
        films = [place for place in (self.source, self.target) if isinstance(place, Recorded)]
        return {film.label: film for film in films} or {p: p for p in (SOURCE, "stage", "outdoor")}

    @property
    def methods(self) -> Mapping[str, Adaptation]:
        """What is compared."""
        return at_length(METHODS) if self.full else METHODS

    @property
    def suffix(self) -> str:
        """Films have cards of their own, see `datasets.short_name`."""
        names = [short_name(p.name) for p in self.places.values() if isinstance(p, Recorded)]
        return "_" * bool(names) + "_to_".join(names) + "_full" * self.full

    def rows(self) -> list[dict[str, Any]]:
        """The lifters at home, and all methods on each target.

        Where joints are missing, as in 3DPW, only MixSTE lifts, and nothing learns from labels.
        """
        known, compared = list(self.scale.lifters), (*COMPARED, ORACLE)
        if self.target is not None and not self.target.complete:
            known, compared = [self.scale.mixste.denoiser], COMPARED
        home, *others = self.places
        there = grid(target=others, denoiser=known, method=compared)
        return grid(target=[home], denoiser=known, method=[ONLY]) + there

    def ready(self) -> list[Callable[[bool], Any]]:
        """The lifters of these rows."""
        used = dict.fromkeys(row["denoiser"] for row in self.rows())
        return [self.of(self.scale.lifters[name]).start for name in used]

    def shared(self) -> dict[str, Any]:
        """Configuration of the card."""
        films = {"source": self.source, "target": self.target}
        return self.facts(self.methods) | {
            side: film.describe(self.scale.frames)
            for side, film in films.items()
            if isinstance(film, Recorded)
        }


def routed(
    scale: Scale | None = None,
    folder: Path = RUNS,
    source: str | None = None,
    target: str | None = None,
) -> Route:
    """The bench of Table 2; `source` and `target` are names of films, as `recorded.route` takes.

    Raises:
        ValueError: if only one of them is given, or they are no such films.
    """
    if source is None and target is None:
        return Route(scale=scale or TEACHING, folder=folder)
    if source is None or target is None:
        given, other = ("source", "target") if target is None else ("target", "source")
        raise ValueError(
            f"found --{given} without --{other}: give both, such as --source human36m:PATH "
            "--target mpi_inf_3dhp:PATH, or neither"
        )
    first, second = route(source, target)
    full, usual = runtime.profile() == "full", TEACHING
    if full:
        usual = replace(PAPER_SCALE, frames=PAPER_FRAMES.get(second.kind, PAPER_SCALE.frames))
    return Route(scale=scale or usual, folder=folder, source=first, target=second, full=full)


def at_length(recipes: Mapping[str, Adaptation]) -> dict[str, Adaptation]:
    """Recipes with learning rate, loss and steps t of Sec. 4.2: the printed is `PAPER_RECIPE`."""
    like = {name: getattr(PAPER_RECIPE, name) for name in ("learning_rate", "loss", "late")}
    return {name: replace(recipe, **like) for name, recipe in recipes.items()}


@TABLES.card(Route.rows, ready=Route.ready, facts=Route.shared, bench=routed)
def table2(bench: Route, target: str, denoiser: str, method: str) -> dict[str, float]:
    """From `lab` to `stage` and `outdoor` (PoSynDA, Table 2 and 4).

    `more of the source` has as many steps more as the others, on the same pairs; `plain
    augmentation` is `augmentation.jitter`; `ours` puts poses as they are where the target's people
    are, `ours, varied` other bodies, turned, as plain augmentation turns them; the oracle goes on
    with labelled pairs of the target. Rows of target `lab` say what the lifters are worth at home.

    With `source` and `target` such as human36m:PATH and mpi_inf_3dhp:PATH, the same on films of
    yours, with a card of their own: at the size of the other tables, or in profile `full` at
    PAPER_SCALE (card `..._full`).
    """
    place, lifter = bench.places[target], bench.scale.lifters[denoiser]
    model = bench.of(lifter).method(bench.methods.get(method), place, method == ORACLE)
    return bench.of(lifter).score(model, place)


def usual(bench: Bench) -> list[Callable[[bool], Any]]:
    """The scale's usual lifter."""
    return [bench.start]


@TABLES.card(
    grid(target=("stage_far", "stage"), method=LADDER),
    seeds=(0, 1, 2, 3, 4),
    ready=usual,
    facts=lambda bench: bench.facts(LADDER) | {"paper_size": paper_size()},
)
def table3(bench: Bench, target: str, method: str) -> dict[str, float]:
    """The components one by one (PoSynDA, Table 3).

    On `stage_far`, where image scale makes the gap, and on `stage`, where it does not. `cost` says
    what is counted; the configuration has the same counts at the paper's size.
    """
    recipe = LADDER[method]
    return bench.score(bench.method(recipe, target), target) | cost(bench.fresh(), recipe)


def paper_size() -> dict[str, dict[str, float]]:
    """Costs of the ladder at the paper's size."""
    with torch.device("meta"):
        largest = MixSTE(**PAPER)
    return {name: cost(largest, recipe) for name, recipe in LADDER.items()}


@TABLES.card(
    lambda bench: (
        grid(target=["stage_far"], windows=[0], method=[ONLY])
        + grid(target=["stage_far"], windows=FEW, method=("F", "F + LoRA"))
        + grid(
            target=("stage", "stage_marked"),
            windows=[bench.scale.target],
            method=(ONLY, *(name for name in CONDITIONS if name != "F"), BEST_BIAS),
        )
    ),
    ready=usual,
    facts=lambda bench: bench.facts(CONDITIONS),
)
def conditions(bench: Bench, target: str, windows: int, method: str) -> dict[str, float]:
    """When LoRA and the bias of PoSynDA's Table 3 pay, and when not.

    LoRA against all weights from 10, 100 and 1,000 windows of `stage_far`. The bias on `stage`,
    whose annotators differ from `lab`'s at head, hips, neck and shoulders, and on `stage_marked`,
    whose do still otherwise; BEST_BIAS, an oracle, adds the constant that labels of the target
    would give.
    """
    bench = replace(bench, scale=replace(bench.scale, target=windows))
    if method != BEST_BIAS:
        return bench.score(bench.method(CONDITIONS.get(method), target), target)
    some, test = bench.pool(target), bench.test(target)
    model = bench.adapt(CONDITIONS["F + LoRA"], some)
    known = some[: bench.scale.test]
    assert known.joints3d is not None
    best = (known.joints3d - bench.lift(model, known).mean(1)).mean((0, 1))  # (J, 3)
    return several(bench.lift(model, test) + best, test)


@TABLES.card(
    grid(target=("stage", "stage_far"), method=RIVALS),
    ready=lambda bench: [quick(bench).gan],
    facts=lambda bench: (
        bench.facts({method: METHODS.get(method) for method in RIVALS})
        | {"games": {name: asdict(game) for name, game in quick(bench).games().items()}}
    ),
)
def table5(bench: Bench, target: str, method: str) -> dict[str, float]:
    """Other ways to many poses, on `stage` and `stage_far` (PoSynDA, Table 5).

    The paper's 96.5 mm of D3DP are, as we understand it, an unadapted lifter's whose H hypotheses
    are reduced to one, joint by joint, by reprojection. So are the first scores of that row here;
    every row has the error of that choice, and of the choice of whole poses, as `MPJPE joint` and
    `MPJPE pose`. On its GAN the paper has no more than a name: `baselines` says what ours is. It
    starts from the weights of the lifter, meets its critic on the source for a sixth of the
    lifter's steps, and then learns on the target as long as the others. With VideoPose, which is
    quicker.
    """
    bench, plays = quick(bench), method == GAN
    model = bench.play_on(target) if plays else bench.method(METHODS.get(method), target)
    test = bench.test(target)
    assert test.joints3d is not None
    found = bench.lift(model, test, **({"steps": 1} if plays else {}))
    chosen = {
        how: errors(combine(found, test.keypoints, test.camera, how), test.joints3d)
        for how in CHOICES
    }
    scores = several(found, test) | (chosen["joint"] if method == D3DP else {})
    return scores | {f"MPJPE {how}": value["MPJPE"] for how, value in chosen.items()}


def quick(bench: Bench) -> Bench:
    """With VideoPose."""
    return bench.of(bench.scale.videopose)


def varied(bench: Bench, recipe: Adaptation) -> dict[str, float]:
    """From `lab` to `stage` by one recipe, and what it costs."""
    return bench.score(bench.method(recipe, "stage"), "stage") | cost(bench.fresh(), recipe)


def with_teacher(teacher: str, hypotheses: int) -> Adaptation:
    """The recipe of a row of Table 6."""
    return replace(TEACHERS.get(teacher, Adaptation()), hypotheses=hypotheses)


TAUGHT = grid(teacher=["none"], hypotheses=[0]) + grid(teacher=TEACHERS, hypotheses=range(1, 7))


@TABLES.card(
    TAUGHT,
    ready=lambda bench: [quick(bench).start],
    facts=lambda bench: bench.facts({repr(row): with_teacher(**row) for row in TAUGHT}),
)
def table6(bench: Bench, teacher: str, hypotheses: int) -> dict[str, float]:
    """Hypotheses of the teacher, from `lab` to `stage` (PoSynDA, Table 6).

    With VideoPose, which is quicker.

    The paper's row of one hypothesis has the number of its Table 3 without a teacher; here 0 is
    no teacher, and 1 is one that answers once.
    """
    return varied(quick(bench), with_teacher(teacher, hypotheses))


@TABLES.card(
    grid(rank=RANKS),
    ready=usual,
    facts=lambda bench: bench.facts({repr({"rank": r}): Adaptation(low_rank=r) for r in RANKS}),
)
def table7(bench: Bench, rank: int) -> dict[str, float]:
    """Rank of LoRA, from `lab` to `stage` (PoSynDA, Table 7).

    (There, 249.95 thousand parameters at rank 6 must be 294.96.)
    """
    return varied(bench, Adaptation(low_rank=rank))


def structures(bench: Bench) -> list[dict[str, int]]:
    """Rows of Table 8: widths are as far apart as the paper's 256, 512 and 1024."""
    width = bench.scale.videopose.width
    return [{"timesteps": t, "width": round(width * ratio)} for t, ratio in STRUCTURES]


def brief(bench: Bench, **changes: Any) -> Bench:
    """With a VideoPose of another structure, which has a sixth of the usual training."""
    lifter = bench.scale.videopose
    training = replace(lifter.training, steps=-(-lifter.training.steps // 6))
    return bench.of(replace(lifter, training=training, **changes))


@TABLES.card(
    structures,
    ready=lambda bench: [brief(bench, **row).start for row in structures(bench)],
    facts=lambda bench: bench.facts({"PoSynDA": METHODS["PoSynDA"]}),
)
def table8(bench: Bench, timesteps: int, width: int) -> dict[str, float]:
    """Timesteps and width, from `lab` to `stage` (PoSynDA, Table 8).

    Every row has a lifter of its own, with a sixth of the usual training.
    """
    bench = brief(bench, timesteps=timesteps, width=width)
    recipe, before = METHODS["PoSynDA"], bench.score(bench.start(), "stage")["MPJPE"]
    after = bench.score(bench.method(recipe, "stage"), "stage")
    return after | {"MPJPE before": before} | cost(bench.fresh(), recipe)


def on_stage(bench: Bench, progress: bool = False) -> Denoiser:
    """PoSynDA's lifter of `stage`, from its checkpoint if it is finished."""
    kept = bench.keep("stage", (bench.lifter, bench.scale, METHODS["PoSynDA"]))
    bench.start(progress)
    return bench.adapt(METHODS["PoSynDA"], bench.pool("stage"), kept)


@TABLES.card(
    grid(steps=DDIM_STEPS, hypotheses=HYPOTHESES),
    ready=lambda bench: [partial(on_stage, bench)],
    facts=lambda bench: bench.facts({"PoSynDA": METHODS["PoSynDA"]}),
)
def frontier(bench: Bench, steps: int, hypotheses: int) -> dict[str, float]:
    """Accuracy on `stage` against time, for steps of DDIM and hypotheses.

    One adapted lifter a seed. `ms` is the best of three times, a window, in batches of 32, on the
    device of the card (a CPU: one thread; with `jobs` above 1, they disturb each other).
    """
    model, test = on_stage(bench), bench.test("stage")
    options = {"hypotheses": hypotheses, "steps": steps}
    found = bench.lift(model, test, **options)  # (N, H, T, J, 3)
    some, times = test[:32].to(runtime.device()), []
    for _ in range(3):
        began = time.perf_counter()
        bench.lift(model, some, **options)
        times.append(time.perf_counter() - began)
    return several(found, test) | {"ms": 1000 * min(times) / len(some)}


@TABLES.card(
    [
        {"learned_from": list(learned), "scored_on": list(scored), "method": method}
        for learned, scored in FOLDS
        for method in (ONLY, *METHODS, *DRIFT)
    ],
    ready=usual,
    facts=lambda bench: (
        bench.facts({**METHODS, **DRIFT})
        | {"agreeing": recorded.AGREEING, "stride": recorded.CLIP_STRIDE}
    ),
)
def clip(
    bench: Bench, learned_from: list[int], scored_on: list[int], method: str
) -> dict[str, float]:
    """The real man, before and after an adaptation to two of his cameras.

    What adapts itself sees detections of two views; it is scored on detections of the other two,
    in the frame of each camera with the roots aligned, and after Procrustes. Labels are joints
    that four views triangulate, where AGREEING of them agree: detections, in OpenPose's convention,
    at the same moments. A view's time is cut into windows; nothing tells the windows of one moment
    apart from others. With MixSTE: the clip misses joints, which VideoPose cannot do without.
    """
    fps, recipe = bench.scale.fps, {**METHODS, **DRIFT}.get(method)
    if recipe is None:
        model = bench.start()
    else:
        model = bench.adapt(recipe, unlabelled(learned_from, bench.scale.frames, fps))
    truth, counted = labels(scored_on, fps)
    found = bench.lift(model, seen(scored_on, fps))
    mean = errors(found.mean(1), truth, counted)["MPJPE"]
    return errors(found[:, 0], truth, counted) | {"MPJPE mean": mean}


@dataclass(frozen=True)
class Finished(sweep.Bench):
    """The bench of the shipped lifters.

    Attributes:
        scale: number of people, and how they are lifted.
        folder: with the lifters; default those shipped.
    """

    scale: Scale = TEACHING
    folder: Path | None = None


@TABLES.card(
    [
        {"lifter": lifter, "place": place, "world": world}
        for place in (SOURCE, "stage")
        for lifter in SHIPPED
        for world in WORLDS
    ],
    bench=Finished,
    facts=lambda bench: {
        "scale": asdict(bench.scale),
        "worlds": dict(WORLDS),
        "subjects": CROWD,
        "film": FILM,
    },
)
def sizes(bench: Finished, lifter: str, place: str, world: str) -> dict[str, float]:
    """How large the shipped lifters lift whom, and what body sizes mend.

    Where bodies and image scales differ from what a lifter has learned, one thing at a time. The
    seed moves people, cameras and noise; there is one lifter of each kind, that which is shipped.
    `size` is the height that lifted limbs tell, in per cent of what true limbs tell (median of
    people). `MPJPE` is of lifts as they are; `adult`, `usual` and `known` of lifts whose size was
    bounded by `sizes.ADULTS`, set to their middle, or to what the person's true limbs tell;
    `one scale` divides all lifts of a world by the one number that the truth likes best, and
    `scale` is that number, in per cent. It exceeds `size`: who lifts with errors gains by lifting
    small.
    """
    scale, count = bench.scale, max(2, bench.scale.test // 10)
    domain = changed(place, **WORLDS[world])
    test = windows.sample(domain, count, bench.seed, FILM, "test", fps=scale.fps)
    found = lift(
        load_lifter(lifter, folder=bench.folder), test.keypoints, test.camera,
        scale.hypotheses, scale.sampling_steps, seed=bench.seed,
    ).joints3d  # fmt: skip
    return size_scores(found, test)


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
