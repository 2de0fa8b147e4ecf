"""What holds for every method, whatever it learns; with small networks that nobody trained."""

from __future__ import annotations

import functools
import inspect
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posenb import flexpose
from posenb.experiments.flexpose import bench, tables
from posenb.flexpose import Readers, Recipe, baselines, files
from posenb.flexpose.adapt import OBJECTIVES, USUAL, Adapted, AdaptTask, Options
from posenb.flexpose.baselines import GAME, LOW_RANK, STATISTICS, AdaGanTask
from posenb.flexpose.networks import AdaptedGenerator
from posenb.prior.networks import Discriminator, Generator, KeypointRegressor, PerceptualFeatures
from posenb.prior.training import PriorTask
from posenb.train import loop
from posenb.train.checkpoints import state_hash
from posenb.world import domains, faces
from posenb.world.poses import PoseSet
from posenb.world.skeletons import BODY17, FACE68, Skeleton

pytestmark = pytest.mark.slow

QUICK = Recipe(steps=4, batch=4, learning_rate=1e-3, rematch=2)
TASKS = (AdaptTask, AdaGanTask, PriorTask)
LEARN: dict[str, tuple[Callable[..., Adapted], dict[str, Any]]] = {
    **{f"adapt, {name}": (flexpose.adapt, {"objective": name}) for name in OBJECTIVES},
    **{f"lora, {name}": (baselines.lora, {"objective": name}) for name in OBJECTIVES},
    "adagan": (baselines.adagan, {}),
    "adagan, mixtures": (baselines.adagan, {"shots_mixed": 12}),
    "finetune_all": (baselines.finetune_all, {}),
    "freeze_d": (baselines.freeze_d, {}),
}
GIVEN: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "source_only": (baselines.source_only, {}),
    "bootstrap": (baselines.bootstrap, {"shots_mixed": 12}),
    "gaussian": (baselines.gaussian, {}),
    "moments": (baselines.moments, {}),
}
OWN = {  # recipes of the methods that do not have one for each objective
    baselines.lora: LOW_RANK,
    baselines.adagan: STATISTICS,
    baselines.finetune_all: GAME,
    baselines.freeze_d: GAME,
}
SHOTS = {"per_class", "only"}  # options that are not for the method
TRAINED_ROWS = [name for name, (method, _) in bench.METHODS.items() if method in bench.TRAINED]


@functools.cache
def networks(skeleton: Skeleton, seed: int = 1) -> tuple[Generator, Readers]:
    """A generator of 16 pixels and its readers, all as shipped ones are: frozen."""
    generator = Generator(16, style_size=16, width=0.25, seed=seed)
    regressor = KeypointRegressor(len(skeleton), seed + 1)
    features = PerceptualFeatures(8, seed + 2)
    critic = Discriminator(16, 0.25, seed + 3)
    for network in (generator, regressor, features, critic):
        network.eval().requires_grad_(False)
    return generator, Readers(regressor, features, critic, skeleton)


@functools.cache
def guides(skeleton: Skeleton, count: int = 8) -> PoseSet:
    domain = faces.get("faces_wild") if skeleton == FACE68 else domains.get("lab")
    return domain.sample(count, 0)


def few(method: Callable[..., Any]) -> dict[str, int]:
    """Fewer mixtures than usual, where there are any."""
    return {"shots_mixed": 12} if method in (flexpose.adapt, baselines.lora) else {}


def learn(name: str, **changes: Any) -> Adapted:
    method, options = LEARN[name]
    generator, readers = networks(BODY17)
    usual = {**few(method), "recipe": QUICK, "readers": readers, "progress": False, **options}
    poses = changes.pop("poses", guides(BODY17))
    return method(changes.pop("generator", generator), poses, **{**usual, **changes})


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the steps that any task does; Ctrl-C comes during step `-n` if -n is in it."""
    done: list[int] = []
    for task in TASKS:

        def step(self: Any, number: int, real: Any = task.step) -> Any:
            if -number in done:
                done.remove(-number)
                signal.raise_signal(signal.SIGINT)
            done.append(number)
            return real(self, number)

        monkeypatch.setattr(task, "step", step)
    return done


@pytest.mark.parametrize("name", LEARN)
def test_interrupted_and_resumed_is_as_if_never_interrupted(
    name: str, tmp_path: Path, steps: list[int]
) -> None:
    whole = learn(name)
    assert steps == [0, 1, 2, 3]
    source = networks(BODY17)[0]
    assert whole.generator is not source and not whole.history.interrupted

    steps[:] = [-2]
    part = learn(name, checkpoint=tmp_path / "run.pt")
    assert part.history.interrupted and steps == [0, 1, 2]
    steps.clear()
    resumed = learn(name, checkpoint=tmp_path / "run.pt")
    assert steps == [3] and not resumed.history.interrupted
    kept, expected = (a.generator.state_dict() for a in (resumed, whole))
    assert kept.keys() == expected.keys()
    assert [key for key in kept if not torch.equal(kept[key], expected[key])] == []
    assert resumed.history.rows == whole.history.rows
    assert torch.equal(resumed.sample(5, 1), whole.sample(5, 1))
    steps.clear()
    again = learn(name, checkpoint=tmp_path / "run.pt")  # it is finished: nothing is learned
    assert steps == [] and torch.equal(again.sample(5, 1), whole.sample(5, 1))


@pytest.mark.parametrize("name", LEARN)
def test_a_checkpoint_of_another_training_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    short = replace(QUICK, steps=1)
    learn(name, recipe=short, checkpoint=path)
    before = path.read_bytes()
    others = networks(BODY17, seed=5)[1]
    for changes, reason in (
        # What begins otherwise is refused for that: AdaGAN's schedule, the games' optimisers.
        ({"recipe": replace(short, learning_rate=2e-3)}, "learning_rate|start"),
        ({"recipe": replace(short, steps=2)}, "steps|start"),
        ({"recipe": replace(short, batch=8)}, "batch"),
        ({"seed": 1}, "seed|start"),  # AdaGAN's latents and LoRA's A
        ({"poses": guides(BODY17)[:7]}, "shots|start"),
        ({"readers": replace(others, critic=networks(BODY17)[1].critic)}, "readers"),
    ):
        with pytest.raises(ValueError, match=f"is of a training with ({reason}) = "):
            learn(name, **{"recipe": short, "checkpoint": path, **changes})
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", LEARN)
def test_a_checkpoint_of_another_generator_is_refused(name: str, tmp_path: Path) -> None:
    run = {"recipe": replace(QUICK, steps=1), "checkpoint": tmp_path / "run.pt"}
    learn(name, **run)
    with pytest.raises(ValueError, match="is of a training with start = "):
        learn(name, generator=networks(BODY17, seed=5)[0], **run)


@pytest.mark.parametrize("name", ["adapt, paper", "adapt, distribution", "adagan"])
def test_readers_just_made_are_not_changed_by_an_adaptation(name: str) -> None:
    """Batch normalisation in training mode would learn from pictures, and read each batch anew."""
    readers = Readers(KeypointRegressor(17, 2), PerceptualFeatures(8, 3), Discriminator(16, 0.25))
    before = readers.digest()
    adapted = learn(name, readers=readers)
    assert readers.digest() == before
    assert all(p.grad is None for p in readers.regressor.parameters())
    alone = adapted.sample(5, 1)  # the kernels of another batch may round otherwise
    torch.testing.assert_close(adapted.sample(9, 1)[:5], alone, atol=1e-4, rtol=0)


def test_methods_do_not_go_on_from_each_others_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    learn("finetune_all", recipe=replace(QUICK, steps=1), checkpoint=path)
    with pytest.raises(ValueError, match="method = 'fine-tuning'"):
        learn("freeze_d", recipe=replace(QUICK, steps=1), checkpoint=path)
    with pytest.raises(ValueError, match="is of a training with"):
        learn("adapt, distribution", recipe=replace(QUICK, steps=1), checkpoint=path)


@pytest.mark.parametrize("name", [*LEARN, *GIVEN])
def test_faces_need_no_other_code(name: str, tmp_path: Path) -> None:
    """From landmarks to files, with nothing told but the skeleton of the poses and the readers."""
    generator, readers = networks(FACE68)
    before = state_hash([generator.state_dict(), readers.digest()])
    method, options = {**LEARN, **GIVEN}[name]
    if name in LEARN:
        options = {**few(method), "recipe": replace(QUICK, steps=2), "progress": False, **options}
    adapted = method(generator, guides(FACE68), readers=readers, **options)
    poses = flexpose.sample(adapted, 5, seed=1)
    assert poses.skeleton == FACE68 and poses.keypoints.shape == (5, 68, 2)
    assert poses.keypoints.isfinite().all()
    assert state_hash([generator.state_dict(), readers.digest()]) == before
    if isinstance(adapted, Adapted):
        share = bench.misread(adapted, 0, 8)
        assert 0 < share < float("inf")
    if isinstance(adapted, Adapted) and isinstance(adapted.generator, AdaptedGenerator):
        for block in adapted.generator.transfer.blocks.values():
            assert not torch.equal(block.u, torch.eye(len(block.u)))
    written = {path.name for path in files.write_poses(poses, tmp_path)}
    assert written == {"poses.npz", "poses.csv", "poses.png"}  # COCO's people have no landmarks
    header = (tmp_path / "poses.csv").read_text().splitlines()[0]
    assert header.split(",")[::2] == [f"{joint}_x" for joint in FACE68.joints]


@pytest.mark.parametrize("name", [*LEARN, *GIVEN])
def test_bodies_are_refused_by_readers_of_faces(name: str) -> None:
    method, options = {**LEARN, **GIVEN}[name]
    generator, readers = networks(FACE68)
    with pytest.raises(ValueError, match="the poses are BODY17, but beta reads FACE68"):
        method(generator, guides(BODY17), readers=readers, **options)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, int, dict[str, Any]]]]:
    """Task, number of steps and identity of each training that would begin; none does."""
    seen: list[tuple[Any, int, dict[str, Any]]] = []

    def fit(task: Any, steps: int, *, identity: dict[str, Any], **_: Any) -> loop.History:
        seen.append((task, steps, identity))
        return loop.History()

    monkeypatch.setattr(loop, "fit", fit)
    yield seen


def usual_of(name: str) -> Recipe:
    method, options = LEARN[name]
    return USUAL[options["objective"]] if method is flexpose.adapt else OWN[method]


@pytest.mark.parametrize("given", [None, QUICK], ids=["left out", "given"])
@pytest.mark.parametrize("name", LEARN)
def test_a_recipe_left_out_is_the_usual_one(
    name: str, given: Recipe | None, plans: list[tuple[Any, int, dict[str, Any]]]
) -> None:
    learn(name, recipe=given)
    wanted = given or usual_of(name)
    ((task, steps, identity),) = plans
    assert {key: identity[key] for key in asdict(wanted)} == asdict(wanted)
    assert steps == wanted.steps
    if isinstance(task, PriorTask):
        found = task.recipe.batch, task.recipe.learning_rate, task.steps
        assert found == (wanted.batch, wanted.learning_rate, wanted.steps)
    else:
        assert task.recipe == wanted
        assert task.optimizer.param_groups[0]["lr"] == wanted.learning_rate
        assert task.schedule.T_max == wanted.steps


def test_an_objective_left_out_is_the_distribution(
    plans: list[tuple[Any, int, dict[str, Any]]],
) -> None:
    generator, readers = networks(BODY17)
    for method in (flexpose.adapt, baselines.lora):
        method(generator, guides(BODY17), readers=readers, progress=False)
    for _, _, identity in plans:
        assert identity["objective"] == "distribution"


@pytest.mark.parametrize("label", TRAINED_ROWS)
def test_cards_hold_the_recipe_that_a_row_is_trained_with(
    label: str, plans: list[tuple[Any, int, dict[str, Any]]]
) -> None:
    method, options = bench.METHODS[label]
    generator, readers = networks(BODY17)
    method(generator, guides(BODY17), readers=readers, progress=False, **options)
    ((_, steps, identity),) = plans
    found = bench.plain(method, options)
    assert {key: identity[key] for key in found["recipe"]} == found["recipe"]
    assert found["recipe"]["steps"] == steps
    quick = bench.plain(method, {**options, "recipe": QUICK})
    assert quick == {**found, "recipe": asdict(QUICK)}


@pytest.mark.parametrize("label", bench.METHODS)
def test_cards_hold_methods_as_plain_data(label: str) -> None:
    method, options = bench.METHODS[label]
    found = json.loads(json.dumps(bench.plain(method, options)))
    assert found["method"] == method.__name__
    assert ("recipe" in found) == (method in bench.TRAINED)
    assert found.keys() - {"method", "recipe"} == options.keys() - {"recipe"}


def taken_by(method: Callable[..., Any]) -> set[str]:
    """Keywords that a method takes, apart from generator and shots."""
    parameters = inspect.signature(method).parameters
    named = {n for n, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    more = set(Options.__annotations__) if len(named) < len(parameters) else set()
    return (named | more) - {"generator", "few_shot"}


@pytest.fixture
def rows_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """Rows of a table, each with the label, bench and options that would be run for it."""

    def rows(table: str) -> list[Any]:
        runs: list[Any] = []

        def run(self: bench.Bench, poses: str, **options: Any) -> dict[str, float]:
            runs.append((poses, self, options))
            return {}

        monkeypatch.setattr(bench.Bench, "run", run)
        experiment = tables.TABLES[table]
        assert not callable(experiment.rows)
        for row in experiment.rows:
            experiment.measure(experiment.bench(), **row)
        return [(row, *run) for row, run in zip(experiment.rows, runs, strict=True)]

    return rows


@pytest.mark.parametrize(
    "table", ["tuning", "table1", "pairs", "ablation", "ablation_paper", "settings"]
)
def test_no_row_is_run_twice_and_each_option_is_one_that_its_method_takes(
    table: str, rows_of: Callable[[str], list[Any]]
) -> None:
    plans = []
    for row, label, where, options in rows_of(table):
        json.dumps(row)
        passed = {key: value for key, value in options.items() if key not in SHOTS}
        if label in bench.METHODS:
            method, usual = bench.METHODS[label]
            passed = {**usual, **passed}
            assert passed.keys() <= taken_by(method), row
            if method in bench.TRAINED:
                passed["recipe"] = bench.plain(method, passed)["recipe"]
            label = method.__name__
        else:
            assert label in (bench.FLOOR, bench.TRAINING) and not passed
        plans.append((label, repr(where), repr(sorted({**options, **passed}.items()))))
    assert len(set(plans)) == len(plans) > 1


def test_tuning_trains_as_its_rows_say_and_what_is_usual_is_among_them(
    rows_of: Callable[[str], list[Any]],
) -> None:
    numbers = ("learning_rate", "steps", "batch")
    tried: dict[str, list[tuple[float, ...]]] = {}
    for row, label, where, options in rows_of("tuning"):
        recipe = tuple(getattr(options["recipe"], name) for name in numbers)
        assert (label, *recipe) == (row["poses"], row["rate"], row["steps"], row["batch"])
        assert where.target == bench.alike("stage")
        if not row["change"]:
            tried.setdefault(label, []).append(recipe)
    for label, recipes in tried.items():
        usual = bench.plain(*bench.METHODS[label])["recipe"]
        assert tuple(usual[name] for name in numbers) in recipes, label


def test_only_the_tuning_looks_at_its_target(rows_of: Callable[[str], list[Any]]) -> None:
    looked_at = bench.alike("stage")
    for table in ("table1", "pairs", "ablation", "ablation_paper", "settings"):
        for row, _, where, _ in rows_of(table):
            assert where.target != looked_at, (table, row)
