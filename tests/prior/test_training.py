"""Training: resumes to the same bits after kill -9, learns, and ships what it says."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from posenb import __main__ as command_line
from posenb import assets, prior
from posenb.experiments.prior import shipping
from posenb.flexpose import files
from posenb.prior import networks, training, weights
from posenb.prior.networks import Discriminator, Generator, KeypointRegressor, PerceptualFeatures
from posenb.prior.training import PriorRecipe, PriorTask, corrupt, curved, train_prior, widened
from posenb.train import checkpoints, loop, runtime
from posenb.world import datasets, domains, faces, motion
from posenb.world.drawing import draw_skeletons
from posenb.world.skeletons import BODY17, FACE68, HAND21, Skeleton

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
TINY = PriorRecipe(
    resolution=64, small_images=8 * 20, images=8 * 12, poses=300, batch=8, width=0.1, seed=1
)


def tiny_task(resolution: int = 16, autocast: bool = False, **changes: object) -> PriorTask:
    settings = {"resolution": resolution, "poses": 300, "batch": 8, "width": 0.1, **changes}
    recipe = PriorRecipe(**settings)  # type: ignore[arg-type]
    keypoints = training.training_poses(recipe).keypoints
    generator = Generator(resolution, width=0.1, seed=0)
    discriminator = Discriminator(resolution, 0.1, 1)
    return PriorTask(recipe, keypoints, generator, discriminator, CPU, autocast)


# Trains in processes of its own (forked, so that PyTorch is imported once): one is killed in each
# stage, the last one ends.
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import torch
import test_training
from posenb.prior import training
from posenb.train import checkpoints, loop
torch.set_num_threads(1)
folder, fit, step = Path(sys.argv[1]), loop.fit, training.PriorTask.step
loop.fit = lambda *a, **k: fit(*a, **{**k, "save_every_seconds": 0.0, "progress": False})
def train():
    return training.train_prior(test_training.TINY, folder, device=torch.device("cpu"))
def slow(self, number):
    time.sleep(0.15)
    return step(self, number)
def steps(checkpoint):
    return checkpoints.load_checkpoint(checkpoint)["step"] if checkpoint.exists() else 0
for stage in ("32px.pt", "64px.pt"):
    child = os.fork()
    if child == 0:
        training.PriorTask.step = slow
        train()
        os._exit(0)
    while steps(folder / stage) < 4:  # kill somewhere in the middle of the stage
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(steps(folder / stage))
task, history = train()
print(checkpoints.state_hash(task.state_dict()), history.step)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[PriorTask, Path, list[int]]:
    """TINY trained in one go, its folder, and the resolution at each logged row."""
    folder = tmp_path_factory.mktemp("trained")
    seen: list[int] = []
    with runtime.threads(1):  # sums depend on it, and the runs compared here must not
        task, history = train_prior(
            TINY,
            folder,
            device=CPU,
            callback=lambda task, _: seen.append(task.generator.resolution),
        )
    assert history.step == 12 and not history.interrupted
    return task, folder, seen


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_kill_9_and_resume_gives_the_same_weights(
    trained: tuple[PriorTask, Path, list[int]], tmp_path: Path
) -> None:
    paths = [str(Path(__file__).parent), str(Path(training.__file__).resolve().parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, weights, last = done.stdout.split()
    assert 4 <= int(first) < 20 and 4 <= int(second) < 12
    assert weights == checkpoints.state_hash(trained[0].state_dict()) and last == "12"


def test_growing_goes_through_both_resolutions(
    trained: tuple[PriorTask, Path, list[int]],
) -> None:
    task, folder, seen = trained
    assert seen == [32, 64] and task.generator.resolution == 64
    assert (folder / "32px.pt").exists() and (folder / "64px.pt").exists()


def test_growing_leaves_the_poses_alone(trained: tuple[PriorTask, Path, list[int]]) -> None:
    """The second stage trains the new layers only: those of 32 pixels are the first stage's."""
    task, folder, _ = trained
    first = checkpoints.load_checkpoint(folder / "32px.pt")["task"]["ema"]
    grown = task.ema.module.state_dict()
    for name in first:
        if name != "w_mean":
            assert torch.equal(first[name], grown[name])
    fresh = Generator(64, width=0.1, seed=1).state_dict()
    assert not torch.equal(grown["convolutions.8.weight"], fresh["convolutions.8.weight"])


@functools.cache
def small_game(source: str, steps: int) -> tuple[PriorTask, float]:
    """A trained game of 16 pixels, and how much closer its mean image came to that of the poses."""
    task = tiny_task(resolution=16, sources=(source,))
    real = draw_skeletons(task.keypoints, task.recipe.skeleton, 16).mean(0)

    def gap() -> float:
        z = task.generator.sample_z(300, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return float((task.ema.module(z).mean(0) - real).square().mean())

    before = gap()
    loop.fit(task, steps, progress=False)
    return task, gap() / before


def test_a_small_game_learns_where_people_are() -> None:
    """After some steps the mean image is closer to that of real skeletons."""
    assert small_game("wild", 120)[1] < 0.1


def test_the_mean_of_w_is_tracked() -> None:
    task, _ = small_game("wild", 120)
    z = task.generator.sample_z(2000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        w = task.generator.mapping(z)
    error = (task.generator.w_mean - w.mean(0)).norm()
    assert error < 0.5 * w.mean(0).norm() + 0.1 * w.std(0).norm()


def test_r1_is_applied_every_sixteenth_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    penalty = training.r1_penalty

    def counted(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return penalty(logits, images)

    monkeypatch.setattr(training, "r1_penalty", counted)
    task = tiny_task()
    for step in range(33):
        task.step(step)
    assert len(calls) == 3


def test_bfloat16_stays_close_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "has_bfloat16", lambda device: True)
    exact, coarse = tiny_task(autocast=False), tiny_task(autocast=True)
    for step in (1, 2):
        one, two = exact.step(step), coarse.step(step)
        assert one["D"].item() == pytest.approx(two["D"].item(), rel=0.05)
        assert one["D"] != two["D"]


def test_the_union_takes_equal_parts() -> None:
    poses = training.training_poses(PriorRecipe(sources=training.SOURCES, poses=300))
    origins = [subject.split("-")[0] for subject in poses.subject]
    assert {name: origins.count(name) for name in training.SOURCES} == dict.fromkeys(
        training.SOURCES, 100
    )


def test_readers_see_no_target_domain() -> None:
    poses = widened(90, 0)
    assert {subject.split("-")[0] for subject in poses.subject} == set(training.SOURCES)
    assert (poses.keypoints >= 0).all() and (poses.keypoints <= 1).all()
    wide = widened(2000, 0, FACE68)
    assert wide.skeleton is FACE68 and len(wide) == 2000
    assert {subject.split("-")[0] for subject in wide.subject} == {"faces_video"}
    assert set(wide.action) == set(faces.EXPRESSIONS)
    assert (wide.keypoints >= 0).all() and (wide.keypoints <= 1).all()
    with pytest.raises(ValueError, match="none of HAND21"):
        widened(10, 0, HAND21)


def test_readers_see_more_faces_than_the_domains_hold() -> None:
    """Brought to one place and size, as data sets crop differently."""

    def spread(keypoints: torch.Tensor) -> torch.Tensor:
        centred = keypoints - keypoints.mean(1, keepdim=True)
        return (centred / centred.norm(dim=-1).mean(1)[:, None, None]).var(0).sum()

    wide = spread(widened(2000, 0, FACE68).keypoints)
    assert all(wide > 1.2 * spread(faces.get(n).sample(2000, 0).keypoints) for n in faces.names())


def test_curved_limbs_keep_their_joints() -> None:
    keypoints = widened(32, 0).keypoints
    amount = torch.linspace(0, 0.2, len(keypoints))
    bent, skeleton = curved(keypoints, amount, torch.Generator().manual_seed(0))
    assert torch.equal(bent[:, ::2], keypoints)  # joint j is joint 2 j
    assert {skeleton.parents[2 * child] for _, child in BODY17.bones} == set(range(1, 33, 2))
    assert [skeleton.parents[2 * c - 1] for _, c in BODY17.bones] == [
        2 * p for p, _ in BODY17.bones
    ]
    assert skeleton.thickness == BODY17.thickness and skeleton.colors[::2] == BODY17.colors
    straight = draw_skeletons(keypoints[:1], BODY17, 64)
    halves = draw_skeletons(bent[:1], skeleton, 64)
    assert (straight - halves).abs().mean() < 0.003  # only the seams between halves differ


def test_curved_contours_of_faces_keep_their_landmarks() -> None:
    """A face has eight roots: every bone still passes its own middle, in its own colour."""
    keypoints = faces.get("faces_wild").sample(16, 0).keypoints
    amount = torch.full((16,), 0.1)
    bent, skeleton = curved(keypoints, amount, torch.Generator().manual_seed(0), FACE68)
    place = [skeleton.index(joint) for joint in FACE68.joints]
    assert torch.equal(bent[:, place], keypoints) and place == sorted(place)
    assert len(skeleton) == 68 + 60 and skeleton.thickness == FACE68.thickness
    for (parent, child), color in zip(FACE68.bones, FACE68.colors, strict=True):
        middle = skeleton.index(f"middle of {FACE68.joints[child]}")
        assert skeleton.parents[place[child]] == middle == place[child] - 1
        assert skeleton.parents[middle] == place[parent]
        halves = [
            skeleton.bones.index(b) for b in ((place[parent], middle), (middle, place[child]))
        ]
        assert [skeleton.colors[half] for half in halves] == [color, color]
    flat, _ = curved(keypoints, 0 * amount, torch.Generator().manual_seed(0), FACE68)
    straight = draw_skeletons(keypoints, FACE68, 64)
    assert (straight - draw_skeletons(flat, skeleton, 64)).abs().mean() < 0.003


def test_bodies_are_drawn_as_the_shipped_weights_saw_them() -> None:
    """The shipped weights were trained on these draws; rounding may differ between machines."""
    poses = widened(300, 0).keypoints
    bent, skeleton = curved(poses, torch.linspace(0, 0.2, 300), torch.Generator().manual_seed(0))
    expected = {  # mean and standard deviation as they were before there were faces
        "poses": (poses, (0.4826365, 0.1542637)),
        "bent": (bent, (0.4799431, 0.1463842)),
        "images": (draw_skeletons(poses, BODY17, 64), (0.0406905, 0.1631958)),
        "bent images": (draw_skeletons(bent, skeleton, 64), (0.0421589, 0.1667144)),
    }
    for name, (found, (mean, deviation)) in expected.items():
        assert found.mean().item() == pytest.approx(mean, rel=1e-4), name
        assert found.std().item() == pytest.approx(deviation, rel=1e-4), name


def test_the_discriminator_is_told_the_variety_of_each_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against various real images, a generator that paints one image only must stand out."""
    seen: list[torch.Tensor] = []
    measure = networks.batch_deviation
    monkeypatch.setattr(networks, "batch_deviation", lambda x: seen.append(v := measure(x)) or v)
    task = tiny_task()
    one = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(task, "_fake", lambda _: one.expand(8, -1, -1, -1).requires_grad_())
    task.step(1)
    real, fake = seen[0].detach().chunk(2)
    assert fake.max() < 2e-4 < 100 * fake.max() < real.min()


def test_a_recipe_that_cannot_train_is_named() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        PriorRecipe(images=0)
    with pytest.raises(ValueError, match="does not go with width"):
        PriorRecipe(start="wild", width=0.5)
    for start in ("stage", "nonsense"):
        with pytest.raises(ValueError, match=f"wild.*found '{start}'"):
            PriorRecipe(start=start)
    with pytest.raises(ValueError, match="multiple of 4, found 6"):
        tiny_task(batch=6)


def test_sources_of_a_prior_are_known_and_of_one_skeleton() -> None:
    assert PriorRecipe(sources=("faces_video", "faces_wild")).skeleton is FACE68
    assert PriorRecipe(sources=training.SOURCES).skeleton is BODY17
    with pytest.raises(ValueError, match="wild of BODY17, faces_video of FACE68"):
        PriorRecipe(sources=("wild", "faces_video"))
    with pytest.raises(ValueError, match=r"some of wild, .*faces_wild, found \['coco'\]"):
        PriorRecipe(sources=("wild", "coco"))
    with pytest.raises(ValueError, match="found none"):
        PriorRecipe(sources=())


def test_a_prior_of_faces_learns_where_they_are() -> None:
    task, gap = small_game("faces_video", 60)
    assert task.keypoints.shape == (300, 68, 2)
    assert gap < 0.2


def test_another_recipe_does_not_resume(
    trained: tuple[PriorTask, Path, list[int]], tmp_path: Path
) -> None:
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    with pytest.raises(ValueError, match=r"32px.pt is of a training with seed = 1, this one has 2"):
        train_prior(dataclasses.replace(TINY, seed=2), tmp_path, device=CPU)
    longer = dataclasses.replace(TINY, images=TINY.images + 8)
    with pytest.raises(ValueError, match=r"64px.pt is of a training with images = 96"):
        train_prior(longer, tmp_path, device=CPU)


def test_learning_rates_fall_to_zero() -> None:
    task = tiny_task()
    task.steps = 10

    def rates(step: int) -> list[float]:
        task.step(step)
        return [o.param_groups[0]["lr"] for o in (task.g_optimizer, task.d_optimizer)]

    full = rates(0)
    assert rates(6) == full and full[0] == task.recipe.learning_rate > full[1]
    assert rates(8)[0] == pytest.approx(full[0] * 2 / 3) and rates(10) == [0, 0]
    task.steps = None
    assert rates(1_000_000) == full


def test_damage_is_seeded_and_moderate() -> None:
    images = draw_skeletons(widened(32, 0).keypoints, BODY17, 64)
    damaged = corrupt(images, torch.Generator().manual_seed(0))
    assert torch.equal(damaged, corrupt(images, torch.Generator().manual_seed(0)))
    assert 0.001 < (damaged - images).square().mean() < 0.05


@pytest.mark.parametrize("name", ["regressor", "features"])
def test_readers_resume(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "READER_POSES", 600)
    task, history = training.train_reader(name, tmp_path / "whole", steps=6, device=CPU)
    step = training.RegressorTask.step

    def stopped(self: training.RegressorTask, number: int) -> dict[str, torch.Tensor]:
        if number == 2:
            signal.raise_signal(signal.SIGTERM)  # this step still ends
        return step(self, number)

    monkeypatch.setattr(training.RegressorTask, "step", stopped)
    _, half = training.train_reader(name, tmp_path, steps=6, device=CPU)
    assert half.interrupted and half.step == 3
    monkeypatch.setattr(training.RegressorTask, "step", step)
    again, resumed = training.train_reader(name, tmp_path, steps=6, device=CPU)
    assert resumed.step == 6 and resumed.rows == history.rows
    assert checkpoints.state_hash(again.state_dict()) == checkpoints.state_hash(task.state_dict())
    with pytest.raises(ValueError, match="steps = 6, this one has 7"):
        training.train_reader(name, tmp_path, steps=7, device=CPU)
    with pytest.raises(ValueError, match="found 'gamma'"):
        training.train_reader("gamma", tmp_path)


@pytest.mark.parametrize(
    ("skeleton", "steps"), [(BODY17, 40), (FACE68, 30)], ids=["BODY17", "FACE68"]
)
def test_beta_learns_quickly(skeleton: Skeleton, steps: int) -> None:
    network = KeypointRegressor(len(skeleton), seed=0)
    poses = widened(900, 0, skeleton)
    task = training.RegressorTask(network, poses, 0, steps, CPU, batch=8)
    losses = [float(task.step(step)["loss"].detach()) for step in range(steps)]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


def test_gamma_learns_what_faces_do() -> None:
    poses = widened(900, 0, FACE68)
    network = PerceptualFeatures(2 * 60 + len(faces.EXPRESSIONS), seed=0)
    task = training.FeatureTask(network, poses, 0, 30, CPU, batch=16)
    losses = [float(task.step(step)["loss"].detach()) for step in range(30)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@pytest.fixture
def empty_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An assets folder without weights."""
    motion.load_motion()  # before the assets are out of reach
    folder = tmp_path / "assets"
    monkeypatch.setattr(assets, "FOLDER", folder)
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_the_command_trains_what_faces_need(
    empty_assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.training_poses
    monkeypatch.setattr(
        training, "training_poses", lambda recipe: real(dataclasses.replace(recipe, poses=300))
    )
    monkeypatch.setattr(training, "READER_POSES", 600)
    monkeypatch.setattr(training, "READER_STEPS", {"regressor": 2, "features": 2})
    common = ["train", "prior", "--folder", str(tmp_path)]
    few = ["--small-images", "32", "--images", "32"]
    assert command_line.main([*common, *few, "--domain", "faces_video"]) == 0
    assert prior.generators() == () and prior.generators(FACE68) == ("faces_video",)
    assert weights.skeleton_of("faces_video") is FACE68
    generator = prior.load_generator("faces_video")
    prior.load_discriminator("faces_video")
    for reader in ("regressor", "features"):
        with pytest.raises(ValueError, match=f"no {reader} for FACE68.*--skeleton FACE68"):
            weights._reader(reader, FACE68)
        options = ["--reader", reader, "--skeleton", "FACE68"]
        assert command_line.main([*common, *options]) == 0
        record = checkpoints.load_provenance(f"prior_{reader}_face68")
        assert f"--reader {reader} --skeleton FACE68 --seed 0" in record["command"]
        assert (tmp_path / f"{reader}_face68.pt").exists()
    regressor = prior.load_regressor(skeleton=FACE68)
    assert prior.sample(generator, regressor, 5, seed=0).shape == (5, 68, 2)
    gamma = prior.perceptual_features(skeleton=FACE68)
    assert gamma(torch.rand(2, 3, 64, 64)).shape == (2, 120 + 11)
    for missing in (prior.load_regressor, prior.perceptual_features):
        with pytest.raises(ValueError, match="for BODY17, only for the skeletons"):
            missing()


def test_the_command_trains_and_ships(
    empty_assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        training, "training_poses", lambda recipe, real=training.training_poses: real(TINY)
    )
    common = ["train", "prior", "--folder", str(tmp_path), "--small-images", "32", "--images", "32"]
    assert command_line.main([*common, "--domain", "wild"]) == 0
    record = checkpoints.load_provenance("prior_wild")
    assert record["configuration"]["sources"] == ["wild"]
    assert "--domain wild --small-images 32 --images 32" in record["command"]
    weights = checkpoints.load_weights("prior_wild")
    Generator(64).load_state_dict(weights)
    started = [*common, "--domain", "union", "--start", "wild"]
    assert command_line.main(started) == 0
    assert set(json.loads((empty_assets / "manifest.json").read_text())) == {
        f"weights/prior_{name}{part}.{ending}"
        for name in ("wild", "union")
        for part in ("", "_discriminator_32", "_discriminator_64")
        if not (name == "union" and part == "_discriminator_32")  # nobody starts there
        for ending in ("json", "safetensors")
    }
    manifest = (empty_assets / "manifest.json").read_bytes()
    (tmp_path / "wild" / "64px.pt").write_bytes(b"half a file")
    recipe = PriorRecipe(small_images=32, images=32)
    with pytest.raises(ValueError, match="64px"):
        shipping.ship_prior(recipe, tmp_path / "wild", CPU, "wild")
    assert (empty_assets / "manifest.json").read_bytes() == manifest


def test_bad_commands_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["table", "prior.nonsense"]) == 2
    assert "it has: quality" in capsys.readouterr().err
    assert command_line.main(["table", "nonsense.quality"]) == 2
    assert "no chapter 'nonsense'" in capsys.readouterr().err
    for name in ("coco", "h36m:a.json"):
        assert command_line.main(["train", "prior", "--domain", name]) == 2
        assert "coco:PATH" in capsys.readouterr().err


def write_people(folder: Path, count: int, seed: int = 0) -> Path:
    """A file in COCO's format."""
    files.write_poses(domains.get("lab").sample(count, seed), folder)
    return (folder / "poses.json").rename(folder / "my people.json")


def own(file: Path, runs: Path, *more: str) -> list[str]:
    few = ["--small-images", "0", "--images", "32", "--folder", str(runs)]
    return ["train", "prior", "--domain", f"coco:{file}", *few, *more]


def test_a_prior_of_a_file_stays_in_its_folder(
    empty_assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on the people of the file and nobody else; the assets stay as they are."""
    file, runs = write_people(tmp_path / "data", 33), tmp_path / "runs"
    assert command_line.main(own(file, runs, "--no-ship")) == 0
    (folder,) = runs.iterdir()
    name = folder.name
    assert name == datasets.short_name(f"coco:{file}")
    assert [path.name for path in folder.iterdir()] == ["64px.pt"]
    with pytest.raises(ValueError, match=rf"no generator .*{name}'.* has ended"):
        prior.load_generator(folder)
    (tmp_path / "moved").mkdir()
    moved = file.parent.rename(tmp_path / "moved" / "data")
    assert command_line.main(own(moved / file.name, runs)) == 0  # goes on: nothing left to train
    assert f"--source {folder}" in capsys.readouterr().out
    assert {path.name for path in empty_assets.iterdir()} == {"manifest.json"}
    assert prior.generators(None) == () and prior.find_generator(folder)[0] == name
    assert weights.skeleton_of(folder) == BODY17
    record = weights.provenance(folder)
    assert record["configuration"]["sources"] == [name]
    assert record["configuration"]["poses"] == 33
    recipe = PriorRecipe(sources=(f"coco:{moved / file.name}",))
    poses = training.training_poses(recipe).keypoints
    assert len(poses) == 33 and record["data_hash"] == checkpoints.state_hash(poses)
    state = checkpoints.load_checkpoint(folder / "64px.pt")["task"]
    generator, critic = prior.load_generator(str(folder)), prior.load_discriminator(folder)
    for network, kept in ((generator, state["ema"]), (critic, state["discriminator"])):
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, kept[key], rtol=1e-3, atol=1e-6)
    assert generator.name == str(folder)
    asset = f"weights/prior_{name}.safetensors"
    (folder / asset).write_bytes((folder / asset).read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{asset} is altered.*make it again with the command"):
        prior.load_generator(folder)


def test_files_that_cannot_make_a_prior_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(file: Path) -> str:
        assert command_line.main(own(file, tmp_path / "runs")) == 2
        return capsys.readouterr().err

    assert "nowhere.json: file: cannot be read" in told(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"annotations": [')
    assert "half.json: file: is not JSON, or is cut off" in told(tmp_path / "half.json")
    few = write_people(tmp_path / "few", 31)
    assert "31 people have all joints, expected at least a batch (32)" in told(few)
    assert not (tmp_path / "runs").exists()
    first, second = (write_people(tmp_path / str(i), 32, seed=i) for i in range(2))
    assert command_line.main(own(first, tmp_path / "runs", "--no-ship")) == 0
    assert command_line.main(own(second, tmp_path / "runs", "--no-ship")) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2  # of one name, in folders of one name


def test_a_prior_is_of_real_poses_or_of_simulated_ones() -> None:
    real = ("coco:a.json", "mpii:b.mat")
    assert PriorRecipe(sources=real).recorded and PriorRecipe(sources=real).skeleton is BODY17
    assert not PriorRecipe().recorded
    with pytest.raises(
        ValueError, match=r"domains or data files, not both; found coco:a\.json, wild"
    ):
        PriorRecipe(sources=("coco:a.json", "wild"))
    with pytest.raises(ValueError, match="expected coco:PATH or mpii:PATH or .*, found 'bvh:a'"):
        PriorRecipe(sources=("bvh:a",))


def test_checkpoints_of_domains_are_known_by_their_recipe_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []

    def fit(*_: object, identity: dict[str, object], **__: object) -> loop.History:
        seen.append(identity)
        return loop.History()

    monkeypatch.setattr(loop, "fit", fit)
    train_prior(TINY, tmp_path, device=CPU)
    data = checkpoints.state_hash(training.training_poses(TINY).keypoints)
    assert seen[-1] == {**dataclasses.asdict(TINY), "data": data}
